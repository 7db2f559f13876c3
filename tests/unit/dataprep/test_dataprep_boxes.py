"""The geometry of boxes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataprep_job.labels import Edges
from dataprep_job.photo import _turn

edge = st.floats(-1000, 1000)
size = st.integers(1, 2000)


@st.composite
def inner_boxes(draw: st.DrawFn) -> tuple[Edges, int, int]:
    """A whole-numbered box with an area inside a picture, and the picture's size."""
    width, height = draw(st.integers(2, 500)), draw(st.integers(2, 500))
    x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    x1, y1 = draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height))
    return Edges(x0, y0, x1, y1), width, height


def test_mirroring_by_hand() -> None:
    assert Edges(0.1, 0.2, 0.4, 0.6).mirrored() == pytest.approx((0.6, 0.2, 0.9, 0.6))
    assert Edges(0, 0, 10, 5).mirrored(100) == Edges(90, 0, 100, 5)


@given(inner_boxes())
def test_mirroring_twice_is_identity(case: tuple[Edges, int, int]) -> None:
    box, width, _ = case
    assert box.mirrored(width).mirrored(width) == box


@given(st.builds(Edges, edge, edge, edge, edge), size, size)
def test_clipping_keeps_boxes_inside_and_changes_nothing_that_is(box: Edges, width: int, height: int) -> None:
    clipped = box.ordered().clipped(width, height)
    assert 0 <= clipped.x0 <= clipped.x1 <= width
    assert 0 <= clipped.y0 <= clipped.y1 <= height
    assert clipped.clipped(width, height) == clipped
    assert clipped.overshoot(width, height) <= 0
    assert clipped.area <= box.ordered().area + 1e-6


@given(inner_boxes(), st.integers(1, 64))
def test_relative_boxes_do_not_depend_on_the_size_a_photo_is_packed_in(
    case: tuple[Edges, int, int], factor: int
) -> None:
    box, width, height = case
    scaled = Edges(*(value * factor for value in box))
    assert scaled.relative(width * factor, height * factor) == pytest.approx(box.relative(width, height))
    assert all(0 <= value <= 1 for value in box.relative(width, height))


@given(inner_boxes(), st.integers(1, 8))
def test_boxes_turn_as_pixels_do(case: tuple[Edges, int, int], orientation: int) -> None:
    box, width, height = case
    pixels = np.zeros((height, width, 3), np.uint8)
    x0, y0, x1, y1 = (int(value) for value in box)
    pixels[y0:y1, x0:x1] = 255
    seen = _turn(pixels, orientation)
    x, y, w, h = cv2.boundingRect(np.ascontiguousarray(seen[:, :, 0]))
    assert box.turned(orientation, width, height) == Edges(x, y, x + w, y + h)
