"""A trained model ready to answer for one image at a time, by ONNX Runtime.

MXNet is not imported: it takes longer to load than the model takes for a hundred images.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
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

Planes = npt.NDArray[np.float32]

_WARM_UP_CALLS = 3
_LARGE = 32 * 2**20


@dataclass(frozen=True)
class Answer:
    """What a model sees in an image, and the size in pixels at which the image is displayed."""

    detections: Detections
    width: int
    height: int


class Detector:
    """Detects objects in encoded images. Safe to call from any thread, and as fast from several at once.

    An image that is alone gets all cores; of several at once each gets one, since sharing its short layers
    costs a small network a sixth of its time.
    """

    def __init__(self, description: Description, network: bytes) -> None:
        """Load a network (see `onnx_graph`) and run it until it is warm. Raises ArtefactError."""
        self.description = description
        self._size = description.plan.image_size
        self._alone = _session(network, available_cores())
        # A large network loses nothing by being shared among the cores, and has no second place in memory.
        self._among_others = _session(network, 1) if len(network) < _LARGE else self._alone
        self._buffers = threading.local()
        self._at_work = 0
        self._lock = threading.Lock()
        for session in (self._alone, self._among_others):
            for _ in range(_WARM_UP_CALLS):
                _run(session, np.zeros((1, 3, self._size, self._size), np.float32))

    @classmethod
    def load(cls, folder: Path) -> "Detector":
        """Load the model in a folder. Raises ArtefactError."""
        description = read_description(folder / DESCRIPTION_FILE)
        return cls(description, _read_network(folder))

    def detect(self, payload: Payload) -> Answer:
        """Detect objects in JPEG or PNG bytes, best first. Raises ImageError when they are no image."""
        with self._working():
            image = decode(payload, self._size)
            planes = self._planes()
            fill_planes(planes[0], to_square(image.pixels, self._size))
            scores, boxes = _run(self._session(), planes)
            found = select_decoded(scores[0], boxes[0], self.description.nms_threshold)
            return Answer(found, image.width, image.height)

    def forward(self, planes: Planes) -> tuple[Planes, Planes]:
        """Return scores (batch, classes, anchors) and boxes (batch, 4, anchors).

        planes: network input (batch, 3, size, size).
        """
        with self._working():
            return _run(self._session(), planes)

    def _planes(self) -> Planes:
        """Return this thread's network input: fresh memory costs a page fault for every 4 kB, every time."""
        planes: Planes | None = getattr(self._buffers, "planes", None)
        if planes is None:
            planes = self._buffers.planes = np.empty((1, 3, self._size, self._size), np.float32)
        return planes

    @contextmanager
    def _working(self) -> Iterator[None]:
        with self._lock:
            self._at_work += 1
        try:
            yield
        finally:
            with self._lock:
                self._at_work -= 1

    def _session(self) -> Any:
        return self._alone if self._at_work == 1 else self._among_others


def _run(session: Any, planes: Planes) -> tuple[Planes, Planes]:
    scores, boxes = session.run(None, {"data": planes})
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
