"""Mean average precision of a network over a held-out dataset."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.boxes import Corners, Labels, intersection_over_union
from detector.detections import Detections, select
from detector.image_memory import ImageMemory
from detector.images import fill_planes
from detector.mxnet_runtime import mx

_BATCH = 32


@dataclass(frozen=True)
class Score:
    """Average precision of every class that occurs in the held-out labels, and their mean."""

    by_class: dict[int, float]

    @property
    def mean(self) -> float:
        """Mean average precision, 0..1."""
        return sum(self.by_class.values()) / len(self.by_class)


def average_precision(scores: npt.NDArray[np.float32], correct: npt.NDArray[np.bool_], boxes: int) -> float:
    """Return the area under the precision-recall curve, precision made falling from the right (all points).

    scores and correct: one entry per detection of a class; boxes: how many there were to find, at least 1.
    """
    hits = np.cumsum(correct[np.argsort(-scores, kind="stable")])
    precision = hits / np.arange(1, len(hits) + 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    gained = np.diff(hits, prepend=0)
    return float((gained * falling).sum() / boxes)


def find_correct(detections: Detections, labels: Labels, overlap: float) -> npt.NDArray[np.bool_]:
    """Say of each detection of one image, best first, whether it is the first to find a box of its class."""
    correct = np.zeros(len(detections), bool)
    if not len(labels) or not len(detections):
        return correct
    overlaps = intersection_over_union(detections[:, 2:], labels[:, 1:])
    overlaps[detections[:, :1] != labels[None, :, 0]] = 0
    nearest = overlaps.argmax(axis=1)
    near_enough = overlaps[np.arange(len(detections)), nearest] >= overlap
    # As in Pascal VOC, a second detection of the same box is a mistake, not a find of its neighbour.
    claims = nearest[near_enough]
    first = np.zeros(len(claims), bool)
    first[np.unique(claims, return_index=True)[1]] = True
    correct[near_enough] = first
    return correct


def score(detections: Sequence[Detections], labels: Sequence[Labels], overlap: float) -> Score:
    """Score the detections of a dataset's images against their labels. Needs at least one labelled box."""
    found = np.concatenate(detections)
    correct = np.concatenate(
        [find_correct(one, truth, overlap) for one, truth in zip(detections, labels, strict=True)]
    )
    classes, counts = np.unique(np.concatenate([truth[:, 0] for truth in labels]), return_counts=True)
    by_class = {}
    for class_id, boxes in zip(classes, counts, strict=True):
        of_class = found[:, 0] == class_id
        by_class[int(class_id)] = average_precision(found[of_class, 1], correct[of_class], int(boxes))
    return Score(by_class)


class Evaluator:
    """Scores a network on a held-out dataset, whose images are kept ready at the network's size."""

    def __init__(
        self,
        images: ImageMemory,
        labels: Sequence[Labels],
        anchors: Corners,
        size: int,
        nms_threshold: float,
        overlap_threshold: float,
        pool: ThreadPoolExecutor,
    ) -> None:
        """`images` must hand out squares of `size` pixels (see `images.to_square`)."""
        self._images = images
        self._labels = labels
        self._anchors = anchors
        self._nms_threshold = nms_threshold
        self._overlap_threshold = overlap_threshold
        self._pool = pool
        # A fixed batch shape, so that the network is laid out for it once.
        self._planes = np.zeros((min(_BATCH, len(images)), 3, size, size), np.float32)

    def evaluate(self, network: Any, should_stop: Callable[[], bool]) -> Score | None:
        """Return the network's score, or None when `should_stop` became true before the end."""
        detections: list[Detections] = []
        for answers in self._answers(network):
            if should_stop():
                return None
            detections += self._pool.map(self._select, *answers)
        return score(detections, self._labels, self._overlap_threshold)

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
