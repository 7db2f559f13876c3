"""Which class is taken for which, at the thresholds at which a model works."""

import numpy as np

from evaluation.boxes import Booleans, Floats, Found, Integers, Truth, overlapping
from evaluation.matching import VocMatches, show


def confusion_matrix(
    found: Found, truth: Truth, matches: VocMatches, thresholds: Floats, overlap: float
) -> Integers:
    """Count boxes by class (rows) and by what they were taken for (columns): (classes + 1, classes + 1).

    The last column is boxes that were missed, the last row detections of nothing. The diagonal holds correct
    detections, so that a diagonal value over its column's sum is the class's precision, and over its row's
    sum its recall. What is left of both then pairs up across classes where it overlaps enough, the best
    scores first: those are confusions. A second detection of one box counts as a detection of nothing.

    Args:
        found: what was found.
        truth: what there was to find.
        matches: of `found` with `truth`, at the same overlap.
        thresholds: of each class (classes,); detections below are not shown.
        overlap: from which a detection can mean a box.
    """
    classes = len(thresholds)
    matrix = np.zeros((classes + 1, classes + 1), np.int64)
    shown = show(found, truth, matches, thresholds)
    correct = np.bincount(found.class_id[shown.correct], minlength=classes)
    matrix[np.arange(classes), np.arange(classes)] = correct
    _pair_leftovers(found, truth, shown.wrong, shown.missed, overlap, matrix)
    return matrix


def _pair_leftovers(
    found: Found, truth: Truth, wrong: Booleans, missed: Booleans, overlap: float, matrix: Integers
) -> None:
    detections, boxes = np.flatnonzero(wrong), np.flatnonzero(missed)
    near = overlapping(_some(found, detections), _some_truth(truth, boxes), overlap, across_classes=True)
    of_found, of_truth = detections[near.found], boxes[near.truth]
    other = found.class_id[of_found] != truth.class_id[of_truth]
    of_found, of_truth, overlaps = of_found[other], of_truth[other], near.overlap[other]
    best_first = np.lexsort((-overlaps, -found.score[of_found]))
    for detection, box in zip(of_found[best_first].tolist(), of_truth[best_first].tolist(), strict=True):
        if wrong[detection] and missed[box]:
            wrong[detection] = missed[box] = False
            matrix[truth.class_id[box], found.class_id[detection]] += 1
    classes = len(matrix) - 1
    matrix[classes, :classes] += np.bincount(found.class_id[wrong], minlength=classes)
    matrix[:classes, classes] += np.bincount(truth.class_id[missed], minlength=classes)


def _some(found: Found, kept: Integers) -> Found:
    return Found(
        found.pictures, found.picture[kept], found.class_id[kept], found.corners[kept], found.score[kept]
    )


def _some_truth(truth: Truth, kept: Integers) -> Truth:
    return Truth(truth.pictures, truth.picture[kept], truth.class_id[kept], truth.corners[kept])
