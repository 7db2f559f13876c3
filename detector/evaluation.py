"""Scoring a network on a held-out dataset: every epoch by mean average precision, a model by everything."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.anchors import AnchorPlan
from detector.boxes import Labels
from detector.detections import Detections, select
from detector.errors import ImageError
from detector.image_memory import ImageMemory
from detector.images import fill_planes, stored_size
from detector.mxnet_runtime import mx
from detector.recordio_dataset import Sample
from evaluation.boxes import Truth, gather_found, gather_truth
from evaluation.summary import OVERLAP, Summary, summarise, voc_curves

_BATCH = 32


@dataclass(frozen=True)
class Score:
    """Average precision (all points) of every class that occurs in the held-out labels, and their mean."""

    by_class: dict[int, float]

    @property
    def mean(self) -> float:
        """Mean average precision, 0..1."""
        return sum(self.by_class.values()) / len(self.by_class)


def score(detections: Sequence[Detections], truth: Truth, overlap: float) -> Score:
    """Score the detections of a dataset's images against its boxes, of which there must be one at least."""
    found = gather_found(detections)
    classes = 1 + max(int(boxes.class_id.max(initial=0)) for boxes in (found, truth))
    _, by_class = voc_curves(found, truth, overlap, classes)
    return Score({class_id: curve.area() for class_id, curve in enumerate(by_class) if curve.boxes})


def summarise_samples(
    detections: Sequence[Detections], samples: Sequence[Sample], classes: Sequence[str]
) -> Summary:
    """Return everything about a model that found `detections` in `samples`, its thresholds included.

    classes: names in id order. Raises EvaluationError where there is no box, ImageError where a sample is no
    image.
    """
    sizes = []
    for sample in samples:
        # Sides may be swapped against what is displayed; neither overlaps nor areas change by that.
        size = stored_size(sample.payload)
        if size is None:
            raise ImageError(f"{sample.origin} holds no JPEG or PNG image")
        sizes.append(size)
    truth = gather_truth([sample.labels for sample in samples], sizes)
    return summarise(gather_found(detections, sizes), truth, classes, OVERLAP)


class Evaluator:
    """Scores a network on a held-out dataset, whose images are kept ready at the network's size."""

    def __init__(
        self,
        images: ImageMemory,
        labels: Sequence[Labels],
        plan: AnchorPlan,
        nms_threshold: float,
        overlap_threshold: float,
        pool: ThreadPoolExecutor,
    ) -> None:
        """`images` must hand out squares of the plan's size (see `images.to_square`)."""
        self._images = images
        self._truth = gather_truth(labels)
        self._anchors = plan.corners()
        self._nms_threshold = nms_threshold
        self._overlap_threshold = overlap_threshold
        self._pool = pool
        # A fixed batch shape, so that the network is laid out for it once.
        size = plan.image_size
        self._planes = np.zeros((min(_BATCH, len(images)), 3, size, size), np.float32)

    def first_planes(self, count: int) -> npt.NDArray[np.float32]:
        """Return network input for the first images, at most so many: (images, 3, size, size)."""
        planes = np.empty((min(count, len(self._images)), *self._planes.shape[1:]), np.float32)
        for row, plane in enumerate(planes):
            fill_planes(plane, self._images[row])
        return planes

    def evaluate(self, network: Any, should_stop: Callable[[], bool]) -> Score | None:
        """Return the network's score, or None when `should_stop` became true before the end."""
        detections = self.detect(network, should_stop)
        return None if detections is None else score(detections, self._truth, self._overlap_threshold)

    def detect(self, network: Any, should_stop: Callable[[], bool]) -> list[Detections] | None:
        """Return what the network finds in each image, or None when `should_stop` became true."""
        detections: list[Detections] = []
        for answers in self._answers(network):
            if should_stop():
                return None
            detections += self._pool.map(self._select, *answers)
        return detections

    def _answers(self, network: Any) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
        size = len(self._planes)
        for start in range(0, len(self._images), size):
            count = min(size, len(self._images) - start)
            list(self._pool.map(self._fill, range(count), range(start, start + count)))
            class_logits, offsets = network(mx.nd.array(self._planes))
            yield class_logits.asnumpy()[:count], offsets.asnumpy()[:count]

    def _fill(self, row: int, index: int) -> None:
        fill_planes(self._planes[row], self._images[index])

    def _select(self, class_logits: npt.NDArray[np.float32], offsets: npt.NDArray[np.float32]) -> Detections:
        return select(class_logits, offsets, self._anchors, self._nms_threshold)
