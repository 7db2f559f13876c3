"""A trained model ready to answer for one image at a time, by ONNX Runtime.

MXNet is not imported: it takes longer to load than the model takes for a hundred images.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from detector.cores import available_cores
from detector.description import DESCRIPTION_FILE, Description, read_description
from detector.detections import Detections, select_decoded
from detector.errors import ArtefactError
from detector.images import Payload, decode, fill_planes, to_square
from detector.model_files import ONNX_FILE

_WARM_UP_CALLS = 3


@dataclass(frozen=True)
class Answer:
    """What a model sees in an image, and the size in pixels at which the image is displayed."""

    detections: Detections
    width: int
    height: int


class Detector:
    """Detects objects in encoded images. Safe to call from any thread, and as fast from several at once."""

    def __init__(self, description: Description, network: bytes, threads: int | None = None) -> None:
        """Load a network (see `onnx_graph`) and run it until it is warm.

        threads: how many cores work on one image (None: all). Raises ArtefactError where it cannot be loaded.
        """
        self.description = description
        self._size = description.plan.image_size
        self._session = _session(network, threads or available_cores())
        for _ in range(_WARM_UP_CALLS):
            self.forward(np.zeros((1, 3, self._size, self._size), np.float32))

    @classmethod
    def load(cls, folder: Path, threads: int | None = None) -> "Detector":
        """Load the model in a folder. Raises ArtefactError."""
        description = read_description(folder / DESCRIPTION_FILE)
        return cls(description, _read_network(folder), threads)

    def detect(self, payload: Payload) -> Answer:
        """Detect objects in JPEG or PNG bytes, best first. Raises ImageError when they are no image."""
        image = decode(payload, self._size)
        planes = np.empty((1, 3, self._size, self._size), np.float32)
        fill_planes(planes[0], to_square(image.pixels, self._size))
        scores, boxes = self.forward(planes)
        found = select_decoded(scores[0], boxes[0], self.description.nms_threshold)
        return Answer(found, image.width, image.height)

    def forward(
        self, planes: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return scores (batch, classes, anchors) and boxes (batch, 4, anchors).

        planes: network input (batch, 3, size, size).
        """
        scores, boxes = self._session.run(None, {"data": planes})
        return scores, boxes


def _read_network(folder: Path) -> bytes:
    path = folder / ONNX_FILE
    if path.is_file():
        return path.read_bytes()
    # A model of version 1 has none, and only MXNet reads what it has.
    from detector.artefact import read_artefact

    return read_artefact(folder).to_onnx()


def _session(network: bytes, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that wait busily take the cores from those that decode images and speak HTTP.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # ONNX Runtime's errors have no common base.
        raise ArtefactError(f"{ONNX_FILE} cannot be loaded: {error}") from error
