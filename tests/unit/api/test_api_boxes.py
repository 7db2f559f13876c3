"""From a model's answer to the boxes a caller asked for."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nestbox.api.boxes import (
    DEFAULT_THRESHOLD,
    Box,
    Detection,
    ModelClasses,
    Wanted,
    check_classes,
    detections,
)
from nestbox.api.errors import BadParameterError, ModelAnswerError

CLASSES = ("auklet", "finch", "wren")


def found(*rows: list[float], width: int = 200, height: int = 100, **wanted: object) -> list[Detection]:
    return detections({"prediction": list(rows)}, ModelClasses(CLASSES), width, height, Wanted(**wanted))  # type: ignore[arg-type]


def test_an_answer_without_boxes_is_an_empty_list() -> None:
    assert found() == []


def test_relative_corners_become_pixels_of_the_picture() -> None:
    assert found([1, 0.87654, 0.1, 0.2, 0.5, 0.75]) == [
        Detection("finch", 0.8765, Box(20.0, 20.0, 100.0, 75.0))
    ]


def test_corners_outside_the_picture_are_clipped() -> None:
    [only] = found([0, 0.9, -0.3, -0.1, 1.2, 1.01])
    assert only.box == Box(0.0, 0.0, 200.0, 100.0)


@pytest.mark.parametrize("corners", [(0.5, 0.1, 0.5, 0.9), (0.6, 0.1, 0.4, 0.9), (1.1, 0.1, 1.3, 0.9)])
def test_a_box_that_is_empty_once_clipped_is_left_out(corners: tuple[float, ...]) -> None:
    assert found([0, 0.9, *corners]) == []


def test_best_first_and_no_more_than_wanted() -> None:
    rows = [[0, score, 0.1, 0.1, 0.9, 0.9] for score in (0.5, 0.9, 0.7)]
    assert [one.score for one in found(*rows, max_boxes=2)] == [0.9, 0.7]


def test_the_threshold_itself_is_enough() -> None:
    rows = [[0, score, 0.1, 0.1, 0.9, 0.9] for score in (0.4, 0.39)]
    assert [one.score for one in found(*rows, threshold=0.4)] == [0.4]


def test_each_class_has_its_own_threshold_unless_the_caller_names_one() -> None:
    own = ModelClasses(CLASSES, {"auklet": 0.6, "wren": 0.1})
    rows = [[number, score, 0.1, 0.1, 0.9, 0.9] for number in (0, 1, 2) for score in (0.6, 0.59, 0.25, 0.1)]

    def shown(threshold: float | None) -> list[tuple[str, float]]:
        found = detections({"prediction": rows}, own, 200, 100, Wanted(threshold))
        return sorted((one.class_name, one.score) for one in found)

    assert shown(None) == [
        ("auklet", 0.6),
        *(("finch", score) for score in (DEFAULT_THRESHOLD, 0.59, 0.6)),
        *(("wren", score) for score in (0.1, 0.25, 0.59, 0.6)),
    ]
    assert shown(0.6) == [("auklet", 0.6), ("finch", 0.6), ("wren", 0.6)]


def test_only_wanted_classes() -> None:
    rows = [[number, 0.9, 0.1, 0.1, 0.9, 0.9] for number in (0.0, 1.0, 2.0)]
    assert [one.class_name for one in found(*rows, classes=frozenset({"wren"}))] == ["wren"]


def test_padding_rows_are_passed_over() -> None:
    assert found([-1, -1, -1, -1, -1, -1]) == []


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {},
        {"prediction": None},
        {"prediction": [[0, 0.9, 0.1, 0.1, 0.9]]},
        {"prediction": [[0, 0.9, 0.1, 0.1, 0.9, "0.9"]]},
        {"prediction": [[0, math.nan, 0.1, 0.1, 0.9, 0.9]]},
        {"prediction": [[3, 0.9, 0.1, 0.1, 0.9, 0.9]]},
        {"prediction": [[0.5, 0.9, 0.1, 0.1, 0.9, 0.9]]},
    ],
)
def test_an_answer_that_breaks_the_contract_is_an_error(answer: object) -> None:
    with pytest.raises(ModelAnswerError):
        detections(answer, ModelClasses(CLASSES), 200, 100, Wanted())


def test_an_unknown_class_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadParameterError, match="auklet, finch, wren"):
        check_classes(Wanted(classes=frozenset({"dodo"})), CLASSES)


number = st.floats(-0.5, 1.5, allow_nan=False)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.floats(0, 1), number, number, number, number)),
    st.integers(1, 8000),
    st.integers(1, 8000),
)
def test_every_box_lies_in_the_picture_and_has_an_area(
    rows: list[tuple[float, ...]], width: int, height: int
) -> None:
    for one in found(*(list(row) for row in rows), width=width, height=height, threshold=0, max_boxes=500):
        assert 0 <= one.box.xmin < one.box.xmax <= width
        assert 0 <= one.box.ymin < one.box.ymax <= height
