"""From which score on a detection is shown: the threshold of each class where its F1 is best."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evaluation.curve import Curve, curve

DEFAULT_THRESHOLD = 0.5
"""Where no class has a correct detection, so that nothing can be measured."""

Basis = Literal["class", "all classes", "default"]


@dataclass(frozen=True)
class OperatingPoint:
    """A class's threshold and what it gives: detections that score at least `threshold` are shown.

    basis: what the threshold was measured on. "class": its own curve. "all classes": it has no boxes to find
    or found none, so it takes the threshold that is best for all classes together. "default": nothing was
    found of any class. precision is None where nothing is shown, recall where there is nothing to find, f1
    where both.
    """

    threshold: float
    basis: Basis
    precision: float | None
    recall: float | None
    f1: float | None


def operating_points(by_class: Sequence[Curve]) -> list[OperatingPoint]:
    """Choose a threshold for every class."""
    pooled = best_threshold(_pool(by_class))
    points = []
    for own in by_class:
        threshold = best_threshold(own)
        basis: Basis = "class"
        if threshold is None:
            threshold, basis = pooled, "all classes"
        if threshold is None:
            threshold, basis = DEFAULT_THRESHOLD, "default"
        points.append(_at(own, threshold, basis))
    return points


def best_threshold(own: Curve) -> float | None:
    """Return the threshold with the best F1; None where no detection is correct.

    Every threshold between the score of the last detection shown and that of the first one hidden gives the
    same F1, so the middle of that gap is taken: new pictures score a little differently. (Below the last
    detection of all the gap reaches down to 0.) Of several cuts with the same F1, that with the widest gap.
    """
    cuts = own.cuts()
    if not len(cuts) or not own.boxes or not own.hits[-1]:
        return None
    f1 = 2 * own.hits[cuts] / (cuts + 1 + own.boxes)
    shown = own.score[cuts]
    hidden = np.append(shown[1:], min(0.0, float(shown[-1])))
    gap = np.where(f1 == f1.max(), shown - hidden, -1.0)
    widest = int(np.argmax(gap))
    middle = float(hidden[widest] + gap[widest] / 2)
    # Between neighbouring floats there is no middle.
    return middle if middle > hidden[widest] else float(shown[widest])


def _pool(by_class: Sequence[Curve]) -> Curve:
    score = np.concatenate([np.zeros(0), *(own.score for own in by_class)])
    correct = np.concatenate([np.zeros(0, bool), *(np.diff(own.hits, prepend=0) > 0 for own in by_class)])
    return curve(score, correct, sum(own.boxes for own in by_class))


def _at(own: Curve, threshold: float, basis: Basis) -> OperatingPoint:
    shown = int(np.searchsorted(-own.score, -threshold, "right"))
    hits = int(own.hits[shown - 1]) if shown else 0
    return OperatingPoint(
        threshold,
        basis,
        precision=hits / shown if shown else None,
        recall=hits / own.boxes if own.boxes else None,
        f1=2 * hits / (shown + own.boxes) if shown or own.boxes else None,
    )
