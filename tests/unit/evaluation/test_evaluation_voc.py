"""Pascal VOC's average precision against plain loops after the rule's text, and against MXNet's rule."""

from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evaluation.boxes import gather_found, gather_truth
from evaluation.curve import curve
from evaluation.matching import match_as_voc
from evaluation.summary import voc_curves

CLASSES = 3
LEFT, RIGHT = [0, 0, 40, 100], [60, 0, 100, 100]


def overlap_of(a: np.ndarray, b: np.ndarray) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def voc_by_the_book(pictures: Any, class_id: int, overlap: float) -> tuple[float, float] | None:
    """All-point and 11-point average precision, as the development kit's text has it; None without boxes."""
    detections = sorted(
        (
            (-row[1], picture, place, row[2:])
            for picture, rows in enumerate(pictures.detections)
            for place, row in enumerate(rows)
            if row[0] == class_id
        ),
        key=lambda one: one[:3],
    )
    boxes = [[row[1:] for row in rows if row[0] == class_id] for rows in pictures.labels]
    count = sum(map(len, boxes))
    if not count:
        return None
    found = set()
    hits = 0
    points = [(0.0, 0.0)]
    for shown, (_, picture, _, corners) in enumerate(detections, 1):
        overlaps = [overlap_of(corners, box) for box in boxes[picture]]
        if overlaps and max(overlaps) >= overlap:
            nearest = (picture, overlaps.index(max(overlaps)))
            hits += nearest not in found
            found.add(nearest)
        points.append((hits / count, hits / shown))
    area = 0.0
    for (before, _), (recall, _) in pairwise(points):
        area += (recall - before) * max(p for r, p in points if r >= recall)
    eleven = [
        max([p for r, p in points if r >= level], default=0.0) for level in np.arange(0.0, 1.1, 0.1).tolist()
    ]
    return area, sum(eleven) / 11


def ours(pictures: Any, overlap: float) -> list[tuple[float, float] | None]:
    found, truth = gather_found(pictures.detections), gather_truth(pictures.labels)
    _, by_class = voc_curves(found, truth, overlap, CLASSES)
    return [(one.area(), one.eleven_points()) if one.boxes else None for one in by_class]


def check_by_the_book(pictures: Any, overlap: float) -> None:
    for class_id, values in enumerate(ours(pictures, overlap)):
        expected = voc_by_the_book(pictures, class_id, overlap)
        assert values == (pytest.approx(expected, abs=1e-9) if expected else None)


@pytest.mark.parametrize(("seed", "overlap"), [(0, 0.5), (1, 0.5), (2, 0.7)])
def test_equal_to_the_rule_in_plain_loops(crowd: Callable[..., Any], seed: int, overlap: float) -> None:
    check_by_the_book(crowd(seed, classes=CLASSES), overlap)


def test_equal_to_the_rule_where_scores_and_overlaps_tie(
    pictures: Callable[..., st.SearchStrategy[Any]],
) -> None:
    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(pictures(), st.sampled_from([0.5, 0.75]))
    def check(drawn: Any, overlap: float) -> None:
        check_by_the_book(drawn, overlap)

    check()


def mxnet_voc07(pictures: Any, threshold: float) -> dict[int, float]:
    """MXNet's VOC07MApMetric (example/ssd/evaluate/eval_metric.py), step by step.

    It differs from Pascal VOC in three ways: pictures without boxes do not count at all, an overlap must
    exceed the threshold, and a class that was found but never labelled has the average precision 0.
    """
    records: dict[int, list[tuple[float, int]]] = defaultdict(list)
    counts: dict[int, int] = defaultdict(int)
    for label, pred in zip(pictures.labels, pictures.detections, strict=True):
        if not len(label):
            continue
        for class_id in {*label[:, 0].astype(int), *pred[:, 0].astype(int)}:
            dets = pred[pred[:, 0] == class_id]
            dets = dets[np.argsort(-dets[:, 1], kind="stable")]
            boxes = label[label[:, 0] == class_id]
            taken = [False] * len(boxes)
            for det in dets:
                kind = 2
                if len(boxes):
                    overlaps = [overlap_of(det[2:], box[1:]) for box in boxes]
                    nearest = int(np.argmax(overlaps))
                    if overlaps[nearest] > threshold and not taken[nearest]:
                        kind, taken[nearest] = 1, True
                records[class_id].append((det[1], kind))
            counts[class_id] += len(boxes)
    result = {}
    for class_id, count in counts.items():
        record = np.array(records[class_id]).reshape(-1, 2)
        record = record[np.argsort(-record[:, 0], kind="stable")]
        hits, misses = np.cumsum(record[:, 1] == 1), np.cumsum(record[:, 1] == 2)
        recall = hits / count if count else hits * 0.0
        precision = hits / (hits + misses)
        result[class_id] = 0.0
        for level in np.arange(0.0, 1.1, 0.1):
            result[class_id] += (precision[recall >= level].max() if (recall >= level).any() else 0) / 11
    return result


def test_equal_to_mxnet_where_every_picture_has_boxes(crowd: Callable[..., Any]) -> None:
    for seed in range(5):
        drawn = crowd(seed, classes=CLASSES)
        kept = [number for number, rows in enumerate(drawn.labels) if len(rows)]
        drawn = type(drawn)([drawn.labels[n] for n in kept], [drawn.detections[n] for n in kept])
        assert {k: v[1] for k, v in enumerate(ours(drawn, 0.5)) if v} == pytest.approx(
            mxnet_voc07(drawn, 0.5)
        )


def test_mistakes_in_pictures_without_boxes_count_unlike_in_mxnet(crowd: Callable[..., Any]) -> None:
    drawn = crowd(1, classes=CLASSES)
    mine = [values[1] for values in ours(drawn, 0.5) if values]
    assert sum(mine) < sum(mxnet_voc07(drawn, 0.5).values())


def found(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float64).reshape(-1, 6)


def truth(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float64).reshape(-1, 5)


def correct(detections: np.ndarray, labels: np.ndarray, overlap: float = 0.5) -> list[bool]:
    return match_as_voc(gather_found([detections]), gather_truth([labels]), overlap).correct.tolist()


@pytest.mark.parametrize(
    ("right", "boxes", "expected"),
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
def test_hand_worked_curves(right: list[bool], boxes: int, expected: float) -> None:
    scores = np.linspace(0.9, 0.1, len(right))
    assert curve(scores, np.array(right, bool), boxes).area() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("right", "boxes", "expected"),
    [
        ([], 1, 0.0),
        ([True], 1, 1.0),
        # recall 0 ... 0.5 is six of the eleven points
        ([True], 2, 6 / 11),
        ([False, True], 2, 6 / 22),
    ],
)
def test_hand_worked_eleven_points(right: list[bool], boxes: int, expected: float) -> None:
    scores = np.linspace(0.9, 0.1, len(right))
    assert curve(scores, np.array(right, bool), boxes).eleven_points() == pytest.approx(expected)


def test_a_second_detection_of_one_box_is_a_mistake() -> None:
    detections = found([0, 0.9, *LEFT], [0, 0.8, *LEFT], [0, 0.7, *RIGHT])
    assert correct(detections, truth([0, *LEFT], [0, *RIGHT])) == [True, False, True]


def test_the_better_score_finds_the_box_in_whatever_order_they_come() -> None:
    assert correct(found([0, 0.7, *LEFT], [0, 0.9, *LEFT]), truth([0, *LEFT])) == [False, True]


def test_a_detection_whose_nearest_box_is_found_does_not_take_its_neighbour() -> None:
    near, far = [0, 0, 100, 100], [0, 30, 100, 130]
    detections = found([0, 0.9, *near], [0, 0.8, 0, 10, 100, 110])
    assert correct(detections, truth([0, *near], [0, *far])) == [True, False]


def test_the_class_must_be_right() -> None:
    assert correct(found([1, 0.9, *LEFT]), truth([0, *LEFT])) == [False]


def test_an_overlap_of_exactly_the_threshold_is_enough() -> None:
    assert correct(found([0, 0.9, 0, 0, 100, 50]), truth([0, 0, 0, 100, 100])) == [True]


def test_pictures_are_told_apart() -> None:
    matches = match_as_voc(
        gather_found([found(), found([0, 0.9, *LEFT])]), gather_truth([truth([0, *LEFT]), truth()]), 0.5
    )
    assert matches.correct.tolist() == [False]
