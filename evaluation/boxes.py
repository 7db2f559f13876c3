"""Boxes of many pictures as flat arrays, and which of them overlap.

Corners are float64 (n, 4): xmin, ymin, xmax, ymax, all of one picture in one frame. Sizes of objects are only
right where that frame is the original picture in pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from evaluation.errors import EvaluationError

Booleans = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.floating[Any]]
"""One picture's boxes. To find, (n, 5): class id, corners. Found, (n, 6): class id, score, corners."""

# Pairs of boxes are looked at so many at a time, which bounds memory where pictures are crowded.
_PAIRS_AT_ONCE = 1 << 21


@dataclass(frozen=True)
class Boxes:
    """Boxes of `pictures` pictures, in the pictures' order: (n,) picture index, (n,) class id, corners."""

    pictures: int
    picture: Integers
    class_id: Integers
    corners: Floats

    def __len__(self) -> int:
        return len(self.class_id)

    @property
    def areas(self) -> Floats:
        """Width times height of every box (n,)."""
        with np.errstate(over="ignore"):
            return _areas(self.corners)


@dataclass(frozen=True)
class Truth(Boxes):
    """The boxes there are to find."""


@dataclass(frozen=True)
class Found(Boxes):
    """What a model found: boxes with scores (n,), all finite, and how many rows were no usable detection."""

    score: Floats
    unusable: int = 0


def gather_truth(labels: Sequence[Rows], sizes: Sequence[tuple[float, float]] | None = None) -> Truth:
    """Lay the boxes to find of many pictures side by side.

    Args:
        labels: of each picture, (n, 5): class id, corners.
        sizes: width and height of each picture in pixels where corners are relative to it; None: in pixels.

    Raises:
        EvaluationError: a value is no finite number or a class id is below 0.
    """
    picture, rows = _side_by_side(labels, 5, sizes)
    wrong = ~np.isfinite(rows).all(axis=1) | (rows[:, 0] < 0)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise EvaluationError(
            f"a box to find in picture {int(picture[first])} is {rows[first].tolist()}: expected a class id "
            f"from 0 and four finite coordinates; mend the labels"
        )
    return Truth(len(labels), picture, rows[:, 0].astype(np.int64), rows[:, 1:])


def gather_found(detections: Sequence[Rows], sizes: Sequence[tuple[float, float]] | None = None) -> Found:
    """Lay what was found in many pictures side by side. What is no number never wins.

    A row whose class id or score is no finite number says nothing and is left out, which is the same as
    ranking it last. One whose corners are not finite, or the wrong way round, stays with an empty box: a
    mistake with the score it claims. Both are counted as unusable. A class id below 0 is how MXNet marks a
    box that it took back; it is left out.

    Args:
        detections: of each picture, (n, 6): class id, score, corners.
        sizes: as of `gather_truth`.
    """
    picture, rows = _side_by_side(detections, 6, sizes)
    said = np.isfinite(rows[:, :2]).all(axis=1)
    kept = said & ~(rows[:, 0] < 0)
    picture, rows = picture[kept], rows[kept]
    corners = rows[:, 2:]
    odd = ~(np.isfinite(corners).all(axis=1) & (corners[:, 2:] >= corners[:, :2]).all(axis=1))
    corners[odd] = 0
    unusable = int((~said).sum() + odd.sum())
    return Found(len(detections), picture, rows[:, 0].astype(np.int64), corners, rows[:, 1], unusable)


class Pairs(NamedTuple):
    """Boxes that overlap: index of what was found (ascending), index of what was to find, overlap 0..1."""

    found: Integers
    truth: Integers
    overlap: Floats


def overlapping(found: Found, truth: Truth, least: float, *, across_classes: bool = False) -> Pairs:
    """Return the pairs of boxes of one picture (and one class) with an overlap of at least `least` (> 0).

    Overlap is intersection over union, worked out as COCO does, to the last bit.
    """
    if found.pictures != truth.pictures:
        raise EvaluationError(
            f"detections of {found.pictures} pictures cannot be held against labels of {truth.pictures}"
        )
    group_of_found, group_of_truth = found.picture, truth.picture
    if not across_classes:
        classes = 1 + max((int(boxes.class_id.max()) for boxes in (found, truth) if len(boxes)), default=0)
        group_of_found = group_of_found * classes + found.class_id
        group_of_truth = group_of_truth * classes + truth.class_id
    order = np.argsort(group_of_truth, kind="stable")
    ordered = group_of_truth[order]
    starts = np.searchsorted(ordered, group_of_found, "left")
    counts = np.searchsorted(ordered, group_of_found, "right") - starts
    ends = np.cumsum(counts)
    parts = []
    begin = 0
    while begin < len(counts):
        done = ends[begin - 1] if begin else 0
        stop = max(begin + 1, int(np.searchsorted(ends, done + _PAIRS_AT_ONCE, "right")))
        some = counts[begin:stop]
        of_found = np.repeat(np.arange(begin, stop), some)
        within = np.arange(len(of_found)) - np.repeat(np.cumsum(some) - some, some)
        of_truth = order[np.repeat(starts[begin:stop], some) + within]
        overlap = _overlap(found.corners[of_found], truth.corners[of_truth])
        near = overlap >= least
        parts.append(Pairs(of_found[near], of_truth[near], overlap[near]))
        begin = stop
    if not parts:
        return Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    return Pairs(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def first_of_runs(values: npt.NDArray[Any]) -> Integers:
    """Return where each run of equal values begins.

    >>> first_of_runs(np.array([3, 3, 5]))
    array([0, 2])
    """
    if not len(values):
        return np.zeros(0, np.int64)
    return np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))


def _side_by_side(
    parts: Sequence[Rows], width: int, sizes: Sequence[tuple[float, float]] | None
) -> tuple[Integers, Floats]:
    for number, part in enumerate(parts):
        if part.ndim != 2 or part.shape[1] != width:
            raise EvaluationError(
                f"the boxes of picture {number} have the shape {part.shape}, not (n, {width})"
            )
    picture = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    rows = np.concatenate([*parts, np.zeros((0, width))], dtype=np.float64)
    if sizes is not None:
        if len(sizes) != len(parts):
            raise EvaluationError(f"{len(sizes)} sizes were given for {len(parts)} pictures")
        with np.errstate(invalid="ignore"):
            rows[:, -4:] *= np.array(sizes, np.float64).reshape(-1, 2)[picture][:, [0, 1, 0, 1]]
    return picture, rows


def _areas(corners: Floats) -> Floats:
    return np.asarray((corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1]), np.float64)


def _overlap(first: Floats, second: Floats) -> Floats:
    """Intersection over union of the boxes of equal rows (n,); 0 where both are empty."""
    # Corners beyond what a float64's product holds overlap nothing: their union is infinite or no number.
    with np.errstate(over="ignore", invalid="ignore"):
        width = np.minimum(first[:, 2], second[:, 2]) - np.maximum(first[:, 0], second[:, 0])
        height = np.minimum(first[:, 3], second[:, 3]) - np.maximum(first[:, 1], second[:, 1])
        common = np.maximum(width, 0) * np.maximum(height, 0)
        union = _areas(first) + _areas(second) - common
        return np.asarray(common / np.where(union > 0, union, np.inf), np.float64)
