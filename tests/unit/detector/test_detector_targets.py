"""Which anchors stand for which boxes."""

import numpy as np

from detector.targets import match

ANCHORS = np.float32([[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5], [0, 0.5, 0.5, 1], [0.05, 0, 0.55, 0.5]])


def test_without_boxes_everything_is_background() -> None:
    targets = match(ANCHORS, np.zeros((0, 5), np.float32), 0.5, 0.4)
    assert targets.classes.tolist() == [0, 0, 0, 0]
    assert len(targets.positives) == len(targets.boxes) == 0


def test_overlapping_anchors_stand_for_the_box() -> None:
    targets = match(ANCHORS, np.float32([[2, 0, 0, 0.5, 0.5]]), 0.5, 0.4)
    assert targets.classes.tolist() == [3, 0, 0, 3]
    assert targets.positives.tolist() == [0, 3]
    np.testing.assert_array_equal(targets.boxes, np.float32([[0, 0, 0.5, 0.5]] * 2))


def test_a_box_nothing_overlaps_well_still_gets_its_best_anchor() -> None:
    targets = match(ANCHORS, np.float32([[0, 0.6, 0.1, 0.7, 0.2]]), 0.5, 0.4)
    assert targets.classes.tolist() == [0, 1, 0, 0]


def test_anchors_just_below_the_threshold_are_not_asked_for() -> None:
    anchors = np.float32([[0, 0, 1, 1], [0, 0, 1, 0.45], [0, 0, 1, 0.2]])
    targets = match(anchors, np.float32([[0, 0, 0, 1, 1]]), 0.5, 0.4)
    assert targets.classes.tolist() == [1, -1, 0]


def test_of_two_boxes_wanting_one_anchor_the_better_fit_has_it() -> None:
    labels = np.float32([[0, 0, 0.5, 0.5, 1], [1, 0, 0.5, 0.4, 1]])
    targets = match(ANCHORS, labels, 0.9, 0.9)
    assert targets.classes[2] == 1
    targets = match(ANCHORS, labels[::-1], 0.9, 0.9)
    assert targets.classes[2] == 1
