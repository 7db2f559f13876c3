"""The whole of it: confusion by hand, and what the numbers of one summary must be to each other."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from evaluation.boxes import gather_found, gather_truth
from evaluation.summary import Summary, summarise

A, B, C, D = [0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]


def found(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float64).reshape(-1, 6)


def truth(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float64).reshape(-1, 5)


def test_confusion_worked_by_hand() -> None:
    cat, dog = 0, 1
    labels = truth([cat, *A], [cat, *B], [dog, *C])
    detections = found(
        [cat, 0.9, *A],  # right
        [cat, 0.8, *A],  # a second one of the same box: nothing
        [dog, 0.85, *B],  # a cat taken for a dog
        [dog, 0.9, *C],  # right
        [dog, 0.95, *D],  # nothing there
        [dog, 0.1, *C],  # not shown
    )
    result = summarise(gather_found([detections]), gather_truth([labels]), ["cat", "dog"])
    # Both thresholds lie below what is checked here: cat 0.85 (two right of three would be no better) ...
    assert [one.operating.threshold for one in result.classes] == pytest.approx([0.85, 0.875])
    assert result.confusion.tolist() == [[1, 0, 1], [0, 1, 0], [0, 1, 0]]
    # ... so the confused dog at 0.85 is hidden too. With one more dog found at 0.8 it is shown.
    labels = np.concatenate([labels, truth([dog, 80, 0, 90, 10], [dog, 100, 0, 110, 10])])
    detections = np.concatenate([detections, found([dog, 0.8, 80, 0, 90, 10], [dog, 0.8, 100, 0, 110, 10])])
    result = summarise(gather_found([detections]), gather_truth([labels]), ["cat", "dog"])
    assert result.confusion.tolist() == [[1, 1, 0], [0, 3, 0], [0, 1, 0]]


def test_a_confusion_takes_the_box_it_overlaps_most() -> None:
    near, far = [0, 0, 100, 100], [0, 20, 100, 120]
    result = summarise(
        gather_found([found([0, 0.9, 0, 2, 100, 102]), found([0, 0.9, *A])]),
        gather_truth([truth([1, *far], [2, *near]), truth([0, *A])]),
        ["a", "b", "c"],
    )
    assert result.confusion.tolist() == [[1, 0, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("seed", range(3))
def test_confusion_agrees_with_the_operating_points_and_loses_nothing(
    crowd: Callable[..., Any], seed: int
) -> None:
    drawn = crowd(seed)
    result = summarise(gather_found(drawn.detections), gather_truth(drawn.labels), ["a", "b", "c", "d"])
    matrix = result.confusion
    for number, one in enumerate(result.classes):
        assert matrix[number].sum() == one.boxes
        shown = (one.curve.score >= one.operating.threshold).sum()
        assert matrix[:, number].sum() == shown
        assert matrix[number, number] / shown == pytest.approx(one.operating.precision)
        assert matrix[number, number] / one.boxes == pytest.approx(one.operating.recall)
    assert matrix[:4, :4].sum() > np.trace(matrix)
    assert matrix[4, 4] == 0


def test_totals_and_classes_of_a_small_set() -> None:
    labels = [truth([0, *A], [1, *B]), truth()]
    detections = [found([0, 0.9, 0, 0, 10, 8]), found([2, 0.7, *A])]
    result = summarise(gather_found(detections), gather_truth(labels), ["cat", "dog", "fox"])
    assert (result.pictures, result.boxes, result.detections) == (2, 2, 2)
    assert [one.ap for one in result.classes] == [1.0, 0.0, None]
    assert [one.ap_11 for one in result.classes] == [pytest.approx(1.0), 0.0, None]
    assert result.map == 0.5
    assert result.map_11 == pytest.approx(0.5)
    # An overlap of 0.8 is enough for seven of COCO's ten.
    assert result.coco.ap == pytest.approx(0.35)
    assert [one.mean_overlap for one in result.classes] == [pytest.approx(0.8), None, None]
    assert result.mean_overlap == pytest.approx(0.8)
    assert result.classes[2].operating.basis == "all classes"


def test_it_is_a_json_document_without_what_json_cannot_say(crowd: Callable[..., Any]) -> None:
    drawn = crowd(3, pictures=200)
    result = summarise(gather_found(drawn.detections), gather_truth(drawn.labels), [*"abcd", "never"])
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert document["map"] == result.map
    assert document["confusion"]["labels"] == [*"abcd", "never", "background"]
    assert document["classes"][4]["coco"]["ap"] is None
    points = document["classes"][0]["curve"]
    assert 100 < len(points) <= 200
    assert points[-1][0] == pytest.approx(result.classes[0].curve.recall[-1])
    recalls = [recall for recall, _, _ in points]
    assert recalls == sorted(recalls)


def permuted(drawn: Any, order: np.ndarray) -> Summary:
    return summarise(
        gather_found([drawn.detections[n] for n in order]),
        gather_truth([drawn.labels[n] for n in order]),
        list("abcd"),
    )


def test_the_order_of_pictures_does_not_matter(crowd: Callable[..., Any]) -> None:
    drawn = crowd(5)
    one = permuted(drawn, np.arange(40))
    other = permuted(drawn, np.random.default_rng(0).permutation(40))
    assert other.map == pytest.approx(one.map)
    assert other.coco.ap == pytest.approx(one.coco.ap)
    assert other.confusion.tolist() == one.confusion.tolist()
