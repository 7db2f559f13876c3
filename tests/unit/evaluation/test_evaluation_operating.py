"""Thresholds on curves worked by hand, and their promise on any curve."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.curve import Curve, curve
from evaluation.operating import DEFAULT_THRESHOLD, best_threshold, operating_points


def made(*ranked: tuple[float, bool], boxes: int) -> Curve:
    return curve(
        np.array([score for score, _ in ranked]), np.array([right for _, right in ranked], bool), boxes
    )


def test_the_threshold_is_the_middle_of_the_gap_between_shown_and_hidden() -> None:
    (point,) = operating_points([made((0.9, True), (0.8, True), (0.4, False), boxes=2)])
    assert point.threshold == pytest.approx(0.6)
    assert (point.precision, point.recall, point.f1, point.basis) == (1.0, 1.0, 1.0, "class")


def test_below_the_last_detection_the_gap_reaches_down_to_nothing() -> None:
    assert best_threshold(made((0.9, True), boxes=1)) == pytest.approx(0.45)


def test_of_equally_good_cuts_the_one_with_the_widest_gap() -> None:
    # F1 is 2/3 after one of two boxes at 0.9, and again after the second one with three mistakes before it.
    ranked = [(0.9, True), (0.85, False), (0.8, False), (0.75, True), (0.1, False)]
    assert best_threshold(made(*ranked, boxes=2)) == pytest.approx((0.75 + 0.1) / 2)
    ranked = [(0.9, True), (0.5, False), (0.45, False), (0.4, True), (0.35, False)]
    assert best_threshold(made(*ranked, boxes=2)) == pytest.approx(0.7)


def test_equal_scores_are_shown_or_hidden_together() -> None:
    (point,) = operating_points([made((0.9, True), (0.5, True), *[(0.5, False)] * 3, boxes=2)])
    assert point.threshold == pytest.approx(0.7)
    assert (point.precision, point.recall) == (1.0, 0.5)


def test_between_neighbouring_numbers_the_shown_one_is_the_threshold() -> None:
    below = float(np.nextafter(0.5, 0))
    (point,) = operating_points([made((0.5, True), (below, False), boxes=1)])
    assert (point.threshold, point.precision) == (0.5, 1.0)


def test_a_class_that_cannot_be_measured_takes_the_threshold_of_all_together() -> None:
    known = made((0.9, True), (0.7, True), (0.3, False), boxes=2)
    no_boxes = made((0.8, False), boxes=0)
    nothing_right = made((0.2, False), boxes=3)
    nothing_found = made(boxes=1)
    points = operating_points([known, no_boxes, nothing_right, nothing_found])
    # All together: 0.9 right, 0.8 wrong, 0.7 right, 0.3 wrong, 0.2 wrong; six boxes. Best down to 0.7: 4/9.
    assert [point.basis for point in points] == ["class", *["all classes"] * 3]
    assert [point.threshold for point in points] == pytest.approx([0.5] * 4)
    assert [point.precision for point in points] == [1.0, 0.0, None, None]
    assert [point.recall for point in points] == [1.0, None, 0.0, 0.0]
    assert [point.f1 for point in points] == [1.0, 0.0, 0.0, 0.0]


def test_where_nothing_is_right_at_all_the_default() -> None:
    (point, silent) = operating_points([made((0.8, False), boxes=2), made(boxes=0)])
    assert (point.threshold, point.basis) == (DEFAULT_THRESHOLD, "default")
    assert (silent.precision, silent.recall, silent.f1) == (None, None, None)


@given(
    st.lists(st.tuples(st.floats(0, 1) | st.integers(1, 4).map(lambda n: n / 4), st.booleans()), max_size=30),
    st.integers(0, 5),
)
def test_no_other_threshold_has_a_better_f1(ranked: list[tuple[float, bool]], missed: int) -> None:
    right = sum(right for _, right in ranked)
    boxes = right + missed
    (point,) = operating_points([made(*ranked, boxes=boxes)])
    if point.basis != "class":
        assert right == 0
        return

    def f1(threshold: float) -> float:
        shown = [right for score, right in ranked if score >= threshold]
        return 2 * sum(shown) / (len(shown) + boxes)

    assert point.f1 == pytest.approx(f1(point.threshold))
    assert point.f1 == pytest.approx(max(f1(score) for score, _ in ranked))


def test_a_thinned_curve_keeps_its_shape_however_many_mistakes_follow() -> None:
    ranked = [(1 - rank / 1000, rank in (1, 2, 5, 6, 7)) for rank in range(340)]
    whole = made(*ranked, boxes=7)
    points = whole.points(20)
    (best,) = operating_points([whole])
    assert (best.recall, best.precision) in [(recall, precision) for recall, precision, _ in points]
    assert [recall for recall, _, _ in points] == sorted(recall for recall, _, _ in points)
    assert (points[0][2], points[-1][2]) == (ranked[0][0], ranked[-1][0])
    # A step function through the points has the area of the whole curve.
    falling, area, last = 0.0, 0.0, points[-1][0]
    for recall, precision, _ in reversed(points):
        area += (last - recall) * falling
        falling, last = max(falling, precision), recall
    assert area + last * falling == pytest.approx(whole.area())


def test_a_curve_of_nothing_has_no_points() -> None:
    assert made(boxes=3).points(20) == []
    assert made((0.5, True), boxes=1).points(0) == []
