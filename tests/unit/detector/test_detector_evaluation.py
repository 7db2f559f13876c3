"""Average precision on cases worked by hand."""

import numpy as np
import pytest

from detector.evaluation import average_precision, find_correct, score

LEFT, RIGHT = [0, 0, 0.4, 1], [0.6, 0, 1, 1]


def found(*rows: list[float]) -> np.ndarray:
    return np.float32(rows).reshape(-1, 6)


def truth(*rows: list[float]) -> np.ndarray:
    return np.float32(rows).reshape(-1, 5)


@pytest.mark.parametrize(
    ("correct", "boxes", "expected"),
    [
        ([], 2, 0.0),
        ([True], 1, 1.0),
        ([True], 2, 0.5),
        ([False], 1, 0.0),
        # precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1
        ([True, False, True], 2, 0.5 * 1 + 0.5 * 2 / 3),
        # precision made falling: 1/2, 2/3, 3/4 all become 3/4
        ([False, True, True, True], 3, 0.75),
    ],
)
def test_hand_worked_curves(correct: list[bool], boxes: int, expected: float) -> None:
    scores = np.linspace(0.9, 0.1, len(correct), dtype=np.float32)
    assert average_precision(scores, np.array(correct, bool), boxes) == pytest.approx(expected)


def test_order_of_images_does_not_matter_only_the_score() -> None:
    scores, correct = np.float32([0.1, 0.9, 0.5]), np.array([True, True, False])
    assert average_precision(scores, correct, 2) == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_a_second_detection_of_one_box_is_a_mistake() -> None:
    detections = found([0, 0.9, *LEFT], [0, 0.8, *LEFT], [0, 0.7, *RIGHT])
    assert find_correct(detections, truth([0, *LEFT], [0, *RIGHT]), 0.5).tolist() == [True, False, True]


def test_the_class_must_be_right() -> None:
    assert find_correct(found([1, 0.9, *LEFT]), truth([0, *LEFT]), 0.5).tolist() == [False]


def test_images_with_nothing_in_them_count_as_mistakes_only() -> None:
    assert find_correct(found([0, 0.9, *LEFT]), truth(), 0.5).tolist() == [False]
    assert find_correct(found(), truth([0, *LEFT]), 0.5).tolist() == []


def test_the_mean_is_over_classes_that_occur() -> None:
    result = score(
        [found([0, 0.9, *LEFT], [2, 0.8, *RIGHT]), found()],
        [truth([0, *LEFT]), truth([1, *RIGHT])],
        0.5,
    )
    assert result.by_class == {0: 1.0, 1: 0.0}
    assert result.mean == 0.5


def test_no_detection_at_all_scores_zero() -> None:
    assert score([found()], [truth([0, *LEFT])], 0.5).mean == 0.0
