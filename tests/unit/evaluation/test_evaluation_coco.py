"""COCO's numbers against pycocotools on the same boxes, and against hand-worked ones."""

import contextlib
import io
from collections.abc import Callable
from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from evaluation.boxes import gather_found, gather_truth
from evaluation.coco import CocoScore, mean_score, score_as_coco

CLASSES = 4


def ours(pictures: Any) -> list[CocoScore]:
    return score_as_coco(gather_found(pictures.detections), gather_truth(pictures.labels), CLASSES)


def pycocotools(pictures: Any, classes: range = range(CLASSES)) -> tuple[float, ...]:
    """The twelve numbers of `COCOeval.summarize` for some classes; -1 where there is nothing to find."""

    def described(rows: np.ndarray, image: int, extra: Callable[[np.ndarray], dict[str, Any]]) -> list[Any]:
        return [
            {
                "image_id": image,
                "category_id": int(row[0]),
                "bbox": [row[-4], row[-3], row[-2] - row[-4], row[-1] - row[-3]],
                "area": (row[-2] - row[-4]) * (row[-1] - row[-3]),
                **extra(row),
            }
            for row in rows
        ]

    truth = COCO()
    annotations = [
        one
        for image, rows in enumerate(pictures.labels)
        for one in described(rows, image, lambda row: {"iscrowd": 0})
    ]
    truth.dataset = {
        "images": [{"id": image} for image in range(len(pictures.labels))],
        "categories": [{"id": class_id} for class_id in range(CLASSES)],
        "annotations": [{**one, "id": number} for number, one in enumerate(annotations, 1)],
    }
    results = [
        one
        for image, rows in enumerate(pictures.detections)
        for one in described(rows, image, lambda row: {"score": row[1]})
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        if results:
            found = truth.loadRes(results)
        else:
            # loadRes needs at least one result.
            found = COCO()
            found.dataset = {**truth.dataset, "annotations": []}
            found.createIndex()
        scoring = COCOeval(truth, found, "bbox")
        scoring.params.catIds = list(classes)
        scoring.evaluate()
        scoring.accumulate()
        scoring.summarize()
    return tuple(scoring.stats)


def check_against_pycocotools(pictures: Any) -> None:
    scores = ours(pictures)
    for classes, score in [(range(CLASSES), mean_score(scores))] + [
        (range(number, number + 1), score) for number, score in enumerate(scores)
    ]:
        values = [-1.0 if value is None else value for value in astuple(score)]
        np.testing.assert_allclose(values, pycocotools(pictures, classes), atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_equal_to_pycocotools_on_boxes_of_all_sizes(crowd: Callable[..., Any], seed: int) -> None:
    check_against_pycocotools(crowd(seed))


def test_equal_to_pycocotools_where_more_than_a_hundred_detections_are_cut_off(
    crowd: Callable[..., Any],
) -> None:
    check_against_pycocotools(crowd(7, pictures=3, classes=2, boxes=60, strays=500))


def test_equal_to_pycocotools_where_scores_and_overlaps_tie(
    pictures: Callable[..., st.SearchStrategy[Any]],
) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(pictures())
    def check(drawn: Any) -> None:
        check_against_pycocotools(drawn)

    check()


def rows(width: int, *values: list[float]) -> np.ndarray:
    return np.array(values, np.float64).reshape(-1, width)


def one_class(labels: list[np.ndarray], detections: list[np.ndarray]) -> CocoScore:
    return score_as_coco(gather_found(detections), gather_truth(labels), 1)[0]


def test_a_box_shifted_by_a_fifth_is_found_up_to_overlap_065() -> None:
    # 100 x 50 shifted by 20: 80 in common of 120, an overlap of 2/3, which is enough for 0.50 ... 0.65.
    score = one_class([rows(5, [0, 0, 0, 100, 50])], [rows(6, [0, 0.9, 20, 0, 120, 50])])
    assert (score.ap, score.ap50, score.ap75) == pytest.approx((0.4, 1.0, 0.0))
    assert (score.ar1, score.ar10, score.ar) == pytest.approx((0.4, 0.4, 0.4))
    assert (score.ap_small, score.ap_medium, score.ap_large) == (None, pytest.approx(0.4), None)


def test_half_of_the_boxes_found_first_gives_51_of_101_points() -> None:
    labels = [rows(5, [0, 0, 0, 20, 20]), rows(5, [0, 0, 0, 20, 20])]
    score = one_class(labels, [rows(6, [0, 0.9, 0, 0, 20, 20]), rows(6)])
    assert score.ap == pytest.approx(51 / 101)
    assert score.ar == pytest.approx(0.5)
    assert score.ap_small == score.ap


def test_sizes_have_both_ends_in() -> None:
    score = one_class([rows(5, [0, 0, 0, 32, 32])], [rows(6, [0, 0.9, 0, 0, 32, 32])])
    assert (score.ap_small, score.ap_medium, score.ap_large) == (1.0, 1.0, None)


def test_one_detection_a_picture_and_two_boxes() -> None:
    labels = [rows(5, [0, 0, 0, 20, 20], [0, 40, 0, 60, 20])]
    score = one_class(labels, [rows(6, [0, 0.9, 0, 0, 20, 20], [0, 0.8, 40, 0, 60, 20])])
    assert (score.ar1, score.ar10) == (0.5, 1.0)


def test_sizes_are_those_of_the_original_picture() -> None:
    labels, detections = [rows(5, [0, 0, 0, 0.5, 0.5])], [rows(6, [0, 0.9, 0, 0, 0.5, 0.5])]
    for side, name in ((60, "ap_small"), (100, "ap_medium"), (400, "ap_large")):
        sizes = [(side, side)]
        score = score_as_coco(gather_found(detections, sizes), gather_truth(labels, sizes), 1)[0]
        assert getattr(score, name) == 1.0


def test_a_class_without_boxes_has_no_numbers_and_does_not_count_in_the_mean() -> None:
    scores = score_as_coco(
        gather_found([rows(6, [0, 0.9, 0, 0, 20, 20], [1, 0.9, 0, 0, 20, 20])]),
        gather_truth([rows(5, [0, 0, 0, 20, 20])]),
        2,
    )
    assert set(astuple(scores[1])) == {None}
    assert mean_score(scores).ap == 1.0


def test_nothing_found_at_all_scores_zero() -> None:
    score = one_class([rows(5, [0, 0, 0, 20, 20])], [rows(6)])
    assert (score.ap, score.ar) == (0.0, 0.0)
