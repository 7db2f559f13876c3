"""A trained model ready to answer for one image at a time."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.artefact import Artefact, Description, read_artefact
from detector.detections import Detections, select
from detector.images import Payload, decode, fill_planes, to_square
from detector.mxnet_runtime import mx

_WARM_UP_CALLS = 3


@dataclass(frozen=True)
class Answer:
    """What a model sees in an image, and the size in pixels at which the image is displayed."""

    detections: Detections
    width: int
    height: int


class Detector:
    """Detects objects in encoded images. Safe to call from any thread.

    The network runs in one thread of its own: MXNet's graphs are not made for several at once, and each
    calling thread would otherwise grow an OpenMP pool of its own. Decoding and selecting happen in the
    caller's thread.
    """

    def __init__(self, artefact: Artefact) -> None:
        """Lay out the network for one image, fused by oneDNN, and run it until it is warm."""
        self.description: Description = artefact.description
        self._size = artefact.description.plan.image_size
        self._anchors = artefact.description.plan.corners()
        self._lane = ThreadPoolExecutor(1, thread_name_prefix="network")
        self._network = self._lane.submit(_fused, artefact, self._size).result()
        for _ in range(_WARM_UP_CALLS):
            self.forward(np.zeros((1, 3, self._size, self._size), np.float32))

    @classmethod
    def load(cls, folder: Path) -> "Detector":
        """Load the model in a folder. Raises ArtefactError."""
        return cls(read_artefact(folder))

    def detect(self, payload: Payload) -> Answer:
        """Detect objects in JPEG or PNG bytes, best first. Raises ImageError when they are no image."""
        image = decode(payload, self._size)
        planes = np.empty((1, 3, self._size, self._size), np.float32)
        fill_planes(planes[0], to_square(image.pixels, self._size))
        class_logits, offsets = self.forward(planes)
        found = select(class_logits, offsets, self._anchors, self.description.nms_threshold)
        return Answer(found, image.width, image.height)

    def forward(
        self, planes: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return class logits and offsets for network input of shape (1, 3, size, size)."""
        return self._lane.submit(self._run, planes).result()

    def close(self) -> None:
        """End the network's thread."""
        self._lane.shutdown()

    def _run(
        self, planes: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        class_logits, offsets = self._network(mx.nd.array(planes))
        return class_logits.asnumpy()[0], offsets.asnumpy()[0]


def _fused(artefact: Artefact, size: int) -> Any:
    """Return the artefact's graph as a callable network, convolutions fused with what follows them."""
    network = mx.gluon.SymbolBlock(artefact.symbol, mx.sym.var("data", dtype="float32"))
    for name, parameter in network.collect_params().items():
        parameter.shape = artefact.weights[name].shape
        parameter.initialize()
        parameter.set_data(mx.nd.array(artefact.weights[name]))
    network.optimize_for(
        mx.nd.zeros((1, 3, size, size)), backend="MKLDNN", static_alloc=True, static_shape=True
    )
    return network
