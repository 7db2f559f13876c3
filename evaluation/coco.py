"""COCO's numbers, equal to pycocotools on the same boxes: average precision and recall over ten overlaps.

Crowd regions are not known here: the readers leave them out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from evaluation.boxes import Booleans, Floats, Found, Integers, Truth
from evaluation.matching import CocoMatcher

OVERLAPS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0.0, 1.0, 101)
_MOST = 100
_ALL, _SMALL, _MEDIUM, _LARGE = range(4)
# Square pixels of the original picture, both ends in.
_SIZES = ((0.0, np.inf), (0.0, 32.0**2), (32.0**2, 96.0**2), (96.0**2, np.inf))


@dataclass(frozen=True)
class CocoScore:
    """COCO's twelve numbers, 0..1, of a class or the mean of classes; None where there is no such box.

    ap: precision, the mean over overlaps 0.50, 0.55, ... 0.95; ap50 and ap75 at one overlap. ar1, ar10, ar:
    recall with the 1, 10 or 100 best detections of a class in a picture. Small boxes have at most 32 x 32
    pixels, large ones at least 96 x 96.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    ar1: float | None
    ar10: float | None
    ar: float | None
    ar_small: float | None
    ar_medium: float | None
    ar_large: float | None


def score_as_coco(found: Found, truth: Truth, classes: int) -> list[CocoScore]:
    """Score each class (0 ... classes - 1). Corners must be in pixels for the sizes to mean anything."""
    matcher = CocoMatcher(found, truth, OVERLAPS)
    order = np.lexsort((-found.score, found.class_id))
    order = order[matcher.rank[order] < _MOST]
    starts = np.searchsorted(found.class_id[order], np.arange(classes + 1))
    by_class = [order[starts[number] : starts[number + 1]] for number in range(classes)]
    areas, found_areas = truth.areas, found.areas
    # Of every range of sizes: per class None, or precision (overlaps,) and recall (overlaps,).
    precision: list[list[Floats | None]] = []
    recall: list[list[Floats | None]] = []
    few_recall: dict[int, list[Floats | None]] = {}
    for smallest, largest in _SIZES:
        ignored = (areas < smallest) | (areas > largest)
        hit, spent = matcher.match(ignored, _MOST)
        # What found nothing is a mistake only if it is of the size that is asked for.
        spent |= ~hit & ((found_areas < smallest) | (found_areas > largest))
        boxes = np.bincount(truth.class_id[~ignored], minlength=classes).tolist()
        scored = [_curve(hit[:, o], spent[:, o], n) for o, n in zip(by_class, boxes, strict=False)]
        precision.append([one[0] if one else None for one in scored])
        recall.append([one[1] if one else None for one in scored])
        if not few_recall:
            for most in (1, 10):
                few_recall[most] = [
                    hit[:, o[matcher.rank[o] < most]].sum(axis=1) / n if n else None
                    for o, n in zip(by_class, boxes, strict=False)
                ]
    return [
        CocoScore(
            ap=_mean(precision[_ALL][number]),
            ap50=_at(precision[_ALL][number], 0),
            ap75=_at(precision[_ALL][number], 5),
            ap_small=_mean(precision[_SMALL][number]),
            ap_medium=_mean(precision[_MEDIUM][number]),
            ap_large=_mean(precision[_LARGE][number]),
            ar1=_mean(few_recall[1][number]),
            ar10=_mean(few_recall[10][number]),
            ar=_mean(recall[_ALL][number]),
            ar_small=_mean(recall[_SMALL][number]),
            ar_medium=_mean(recall[_MEDIUM][number]),
            ar_large=_mean(recall[_LARGE][number]),
        )
        for number in range(classes)
    ]


def mean_score(scores: Sequence[CocoScore]) -> CocoScore:
    """Return of each number the mean over the classes that have it."""
    return CocoScore(
        **{field.name: mean([getattr(score, field.name) for score in scores]) for field in fields(CocoScore)}
    )


def mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of what is there, None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _curve(hit: Booleans, spent: Booleans, boxes: int) -> tuple[Floats, Floats] | None:
    """Return average precision and final recall at each overlap; detections are (t, n), best first."""
    if not boxes:
        return None
    hits: Integers = np.cumsum(hit & ~spent, axis=1, dtype=np.int64)
    shown = np.maximum(np.cumsum(~spent, axis=1, dtype=np.int64), 1)
    falling = np.maximum.accumulate((hits / shown)[:, ::-1], axis=1)[:, ::-1]
    recalls = hits / boxes
    beyond = np.zeros((len(hits), 1))
    falling = np.concatenate([falling, beyond], axis=1)
    precision = np.array(
        [
            curve[np.searchsorted(line, _RECALLS, "left")].mean()
            for curve, line in zip(falling, recalls, strict=True)
        ]
    )
    return precision, np.concatenate([beyond, recalls], axis=1)[:, -1]


def _mean(values: Floats | None) -> float | None:
    return None if values is None else float(values.mean())


def _at(values: Floats | None, index: int) -> float | None:
    return None if values is None else float(values[index])
