"""How sure the difference of two models is: mAP of both on the same pictures, drawn anew many times."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evaluation.boxes import Floats, Found, Integers, Truth, first_of_runs
from evaluation.errors import EvaluationError
from evaluation.matching import match_as_voc

RESAMPLES = 1000
SEED = 0
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """By how much the first model's mAP exceeds the second's.

    low and high: where the difference lies with a confidence of `confidence`, by the pictures' chance alone
    (percentiles of the resamples). share_better: in what share of the resamples the first is better.
    """

    difference: float
    low: float
    high: float
    share_better: float
    confidence: float
    resamples: int
    seed: int


def paired_bootstrap(
    first: Found,
    second: Found,
    truth: Truth,
    overlap: float = 0.5,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Interval:
    """Return the interval of the difference in mAP (all points) of two models on the same pictures.

    Each resample draws as many pictures as there are, with replacement, the same for both models. Which
    detection is correct does not depend on the draw, so a picture drawn n times counts n times in sums made
    ready before. Equal input and seed give equal numbers. Raises EvaluationError where there is no box.
    """
    if not len(truth):
        raise EvaluationError("there is no box to find, so two models cannot be compared")
    boxes = _Counts(truth)
    both = [_WeightedPrecision(found, truth, overlap, boxes.classes) for found in (first, second)]
    whole = np.ones(truth.pictures, np.int32)
    difference = _difference(both, boxes, whole)
    assert difference is not None
    random = np.random.default_rng(seed)
    differences = np.zeros(resamples)
    for number in range(resamples):
        drawn: float | None = None
        while drawn is None:
            picked = random.integers(0, truth.pictures, truth.pictures)
            weights = np.bincount(picked, minlength=truth.pictures).astype(np.int32)
            # A draw without any box says nothing; where most of few pictures have none, it happens.
            drawn = _difference(both, boxes, weights)
        differences[number] = drawn
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(differences, [tail, 1 - tail])
    # Half of a tie: two equal models are each better half of the time.
    better = float((differences > 0).mean() + (differences == 0).mean() / 2)
    return Interval(difference, float(low), float(high), better, _CONFIDENCE, resamples, seed)


Weights = npt.NDArray[np.int32]
"""How often each picture is drawn (pictures,)."""


class _Counts:
    """How many boxes of each class a draw of pictures has."""

    def __init__(self, truth: Truth) -> None:
        order = np.argsort(truth.class_id, kind="stable")
        self.classes, self._starts = np.unique(truth.class_id[order], return_index=True)
        self._picture = truth.picture[order]

    def of(self, weights: Weights) -> Integers:
        """Return the boxes of each class that occurs at all (classes,)."""
        counts: Integers = np.add.reduceat(weights[self._picture], self._starts, dtype=np.int64)
        return counts


class _WeightedPrecision:
    """Average precision of each class for any draw of pictures.

    The area under the falling curve needs the precision at correct detections only, so mistakes are summed up
    between one correct detection and the next, and those after the last are never looked at.
    """

    def __init__(self, found: Found, truth: Truth, overlap: float, classes: Integers) -> None:
        correct = match_as_voc(found, truth, overlap).correct
        order = np.lexsort((-found.score, found.class_id))
        hits = np.flatnonzero(correct[order])
        class_of_hit = found.class_id[order[hits]]
        self._first_hit = first_of_runs(class_of_hit)
        self._lengths = np.diff(self._first_hit, append=len(hits))
        self._place = np.searchsorted(classes, class_of_hit[self._first_hit])
        self._lift = 2.0 * np.repeat(self._place, self._lengths)
        self._hit_picture = found.picture[order[hits]]
        # Only what comes before the last hit of its class: that hit's place in `order`, from the class.
        last = np.full(1 + found.class_id.max(initial=-1), -1)
        last[class_of_hit] = hits
        rows = np.flatnonzero(np.arange(len(order)) <= last[found.class_id[order]])
        self._picture = found.picture[order[rows]]
        self._weights = np.zeros(len(rows), np.int32)
        ends = np.flatnonzero(correct[order[rows]])
        self._starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
        self._classes = len(classes)

    def of(self, weights: Weights, boxes: Integers) -> Floats:
        """Return the average precision of each class (classes,); 0 where the draw has no box of it."""
        result = np.zeros(self._classes)
        if not len(self._starts):
            return result
        gained = weights.take(self._hit_picture)
        # Into memory that is there already, and clipped, as numpy would otherwise copy the result once more.
        weights.take(self._picture, out=self._weights, mode="clip")
        shown = self._running(np.add.reduceat(self._weights, self._starts, dtype=np.int32))
        # A draw may lack a class's first pictures: then nothing is shown yet, and nothing is correct.
        precision = self._running(gained) / np.maximum(shown, 1)
        # One running maximum for all classes, from the right: each class is lifted above those after it.
        falling = np.maximum.accumulate((precision - self._lift)[::-1])[::-1] + self._lift
        area = np.add.reduceat(gained * falling, self._first_hit)
        result[self._place] = area / np.maximum(boxes[self._place], 1)
        return result

    def _running(self, values: Weights) -> Weights:
        """Running sums that begin anew with every class."""
        sums = np.cumsum(values, dtype=np.int32)
        before = sums[self._first_hit] - values[self._first_hit]
        sums -= np.repeat(before, self._lengths)
        return sums


def _difference(both: list[_WeightedPrecision], counts: _Counts, weights: Weights) -> float | None:
    boxes = counts.of(weights)
    there = boxes > 0
    if not there.any():
        return None
    first, second = (model.of(weights, boxes)[there].mean() for model in both)
    return float(first - second)
