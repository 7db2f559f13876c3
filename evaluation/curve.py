"""The precision-recall curve of a class, and the two ways of Pascal VOC to make one number of it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from evaluation.boxes import Booleans, Floats, Found, Integers

# As every implementation of the rule has it, MXNet's VOC07MApMetric too: 0.30000000000000004 is not 0.3.
_ELEVEN_RECALLS = np.arange(0.0, 1.1, 0.1)


@dataclass(frozen=True)
class Curve:
    """Detections of a class, the best scores first.

    score: (n,). hits: how many of the first 1, 2, ... n are correct (n,). boxes: how many there were to find.
    """

    score: Floats
    hits: Integers
    boxes: int

    @property
    def precision(self) -> Floats:
        """Share of the first 1, 2, ... n that is correct (n,)."""
        return np.asarray(self.hits / np.arange(1, len(self.hits) + 1))

    @property
    def recall(self) -> Floats:
        """Share of the boxes that the first 1, 2, ... n find (n,). Meaningless where there are none."""
        return np.asarray(self.hits / max(self.boxes, 1))

    @property
    def falling(self) -> Floats:
        """The best precision that is left at each point or further right (n,)."""
        return np.asarray(np.maximum.accumulate(self.precision[::-1])[::-1])

    def area(self) -> float:
        """Average precision, all points: the area under the falling curve. 0 where there is no box."""
        gained = np.diff(self.hits, prepend=0)
        return float((gained * self.falling).sum() / max(self.boxes, 1))

    def eleven_points(self) -> float:
        """Average precision of VOC 2007: the falling curve at recall 0, 0.1, ... 1. 0 without any box."""
        if not self.boxes:
            return 0.0
        at = np.searchsorted(self.recall, _ELEVEN_RECALLS, "left")
        return float(np.append(self.falling, 0.0)[at].sum() / len(_ELEVEN_RECALLS))

    def points(self, most: int) -> list[tuple[float, float, float]]:
        """Return at most `most` points (recall, precision, score) that show the curve's shape, both ends in.

        Of equal scores only the last counts: no threshold can part them. Between two correct detections
        precision only falls, so that both ends of such a fall show it; where these are too many, they are
        evenly spread.
        """
        ends = self.cuts()
        if not len(ends):
            return []
        rises = np.diff(self.hits[ends], prepend=0) > 0
        shown = ends[rises | np.append(rises[1:], True) | (ends == ends[0])]
        spread = np.linspace(0, len(shown) - 1, min(most, len(shown)))
        chosen = shown[spread.round().astype(np.int64)]
        return list(
            zip(
                self.recall[chosen].tolist(),
                self.precision[chosen].tolist(),
                self.score[chosen].tolist(),
                strict=True,
            )
        )

    def cuts(self) -> Integers:
        """Return where a threshold can part the detections: the last of each run of equal scores."""
        if not len(self.score):
            return np.zeros(0, np.int64)
        return np.flatnonzero(np.append(self.score[1:] != self.score[:-1], True))


def curve(score: Floats, correct: Booleans, boxes: int) -> Curve:
    """Rank detections; of equal scores the one that stands first in the input comes first."""
    order = np.argsort(-score, kind="stable")
    return Curve(score[order], np.cumsum(correct[order], dtype=np.int64), boxes)


def curves(found: Found, correct: Booleans, boxes: Integers) -> Iterator[Curve]:
    """Yield the curve of every class. boxes: of each class how many there are to find (classes,)."""
    order = np.lexsort((-found.score, found.class_id))
    class_id, score, right = found.class_id[order], found.score[order], correct[order]
    starts = np.searchsorted(class_id, np.arange(len(boxes) + 1))
    for number, count in enumerate(boxes.tolist()):
        of_class = slice(starts[number], starts[number + 1])
        yield Curve(score[of_class], np.cumsum(right[of_class], dtype=np.int64), count)
