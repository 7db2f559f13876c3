"""What is refused, what is left out, and which boxes overlap."""

import numpy as np
import pytest

import evaluation.boxes as module
from evaluation.boxes import gather_found, gather_truth, overlapping
from evaluation.coco import score_as_coco
from evaluation.errors import EvaluationError
from evaluation.summary import summarise

NAN, INFINITE = float("nan"), float("inf")


def found(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float64).reshape(-1, 6)


def truth(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float64).reshape(-1, 5)


LABELS = [truth([0, 0, 0, 10, 10], [0, 20, 0, 30, 10])]
HONEST = [0, 0.5, 0, 0, 10, 10]


@pytest.mark.parametrize("score", [NAN, INFINITE, -INFINITE])
def test_a_score_that_is_no_number_never_wins(score: float) -> None:
    """Even with the right box: a model could otherwise find everything by scoring nothing."""
    odd = gather_found([found([0, score, 20, 0, 30, 10], HONEST)])
    assert odd.unusable == 1
    honest = summarise(gather_found([found(HONEST)]), gather_truth(LABELS), ["a"])
    both = summarise(odd, gather_truth(LABELS), ["a"])
    assert both.map == honest.map == 0.5
    assert both.coco == honest.coco
    assert both.classes[0].operating == honest.classes[0].operating


@pytest.mark.parametrize(
    "corners",
    [
        [NAN, 0, 30, 10],
        [20, 0, INFINITE, 10],
        [-INFINITE, -INFINITE, INFINITE, INFINITE],
        [30, 10, 20, 0],
        [NAN] * 4,
    ],
)
def test_a_box_that_is_no_box_is_a_mistake_with_the_score_it_claims(corners: list[float]) -> None:
    odd = gather_found([found([0, 0.9, *corners], HONEST)])
    assert odd.unusable == 1
    scored = summarise(odd, gather_truth(LABELS), ["a"])
    assert scored.map == 0.25
    assert scored.coco.ap50 == pytest.approx(0.5 * 51 / 101)


def test_a_box_too_large_for_a_number_finds_nothing() -> None:
    huge = gather_found([found([0, 0.9, -1e308, -1e308, 1e308, 1e308])])
    assert summarise(huge, gather_truth(LABELS), ["a"]).map == 0
    assert score_as_coco(huge, gather_truth(LABELS), 1)[0].ap == 0


def test_what_mxnet_took_back_is_left_out_and_not_held_against_it() -> None:
    taken_back = gather_found([found([-1, 0.9, 0, 0, 10, 10], HONEST)])
    assert (len(taken_back), taken_back.unusable) == (1, 0)


@pytest.mark.parametrize(
    "row", [[0, NAN, 0, 1, 1], [NAN, 0, 0, 1, 1], [-1, 0, 0, 1, 1], [0, 0, 0, INFINITE, 1]]
)
def test_labels_that_are_no_numbers_are_refused_with_their_picture(row: list[float]) -> None:
    with pytest.raises(EvaluationError, match="picture 1 is"):
        gather_truth([LABELS[0], truth(row)])


def test_rows_of_the_wrong_width_are_refused() -> None:
    with pytest.raises(EvaluationError, match=r"picture 0 have the shape \(1, 5\), not \(n, 6\)"):
        gather_found([truth([0, 0, 0, 1, 1])])


def test_different_numbers_of_pictures_are_refused() -> None:
    with pytest.raises(EvaluationError, match="of 2 pictures cannot be held against labels of 1"):
        overlapping(gather_found([found(), found()]), gather_truth(LABELS), 0.5)
    with pytest.raises(EvaluationError, match="1 sizes were given for 2 pictures"):
        gather_found([found(), found()], [(10, 10)])


def test_nothing_to_find_cannot_be_scored() -> None:
    with pytest.raises(EvaluationError, match="none of the 1 pictures has a box"):
        summarise(gather_found([found(HONEST)]), gather_truth([truth()]), ["a"])


def test_a_class_without_a_name_is_refused() -> None:
    with pytest.raises(EvaluationError, match="a detection has class 2, but only 1 classes are named"):
        summarise(gather_found([found([2, 0.5, 0, 0, 10, 10])]), gather_truth(LABELS), ["a"])


def test_crowded_pictures_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)

    def boxes(count: int) -> np.ndarray:
        corner = random.uniform(0, 50, (count, 2))
        return np.concatenate([corner, corner + random.uniform(1, 50, (count, 2))], axis=1)

    labels = [np.column_stack([random.integers(0, 2, 9), boxes(9)]) for _ in range(5)]
    detections = [np.column_stack([random.integers(0, 2, 7), np.ones(7), boxes(7)]) for _ in range(5)]
    whole = overlapping(gather_found(detections), gather_truth(labels), 0.3)
    monkeypatch.setattr(module, "_PAIRS_AT_ONCE", 4)
    parts = overlapping(gather_found(detections), gather_truth(labels), 0.3)
    assert len(whole.found) == 10
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, other)
