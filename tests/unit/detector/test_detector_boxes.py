"""Laws of boxes: overlap, and offsets that turn anchors into boxes and back."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from detector.boxes import areas, decode, encode, intersection_over_union, mirror

_SIDE = st.floats(0.015625, 0.75, width=32)
_EDGE = st.floats(0, 0.25, width=32)


def corner_boxes(count: int) -> st.SearchStrategy[np.ndarray]:
    """Boxes inside the image with sides from 1/64 on."""
    edges = arrays(np.float32, (count, 2), elements=_EDGE)
    sides = arrays(np.float32, (count, 2), elements=_SIDE)
    return st.tuples(edges, sides).map(lambda pair: np.concatenate([pair[0], pair[0] + pair[1]], axis=1))


def test_overlap_of_hand_worked_boxes() -> None:
    first = np.float32([[0, 0, 2, 2]])
    second = np.float32([[0, 0, 2, 2], [1, 1, 3, 3], [2, 0, 3, 1], [0, 0, 1, 1]])
    np.testing.assert_allclose(intersection_over_union(first, second), [[1, 1 / 7, 0, 0.25]], rtol=1e-6)


def test_overlap_with_no_boxes_has_no_columns() -> None:
    assert intersection_over_union(np.zeros((2, 4), np.float32), np.zeros((0, 4), np.float32)).shape == (2, 0)


def test_overlap_of_empty_boxes_is_zero_not_nan() -> None:
    point = np.float32([[0.5, 0.5, 0.5, 0.5]])
    assert intersection_over_union(point, point).tolist() == [[0.0]]


@given(corner_boxes(3), corner_boxes(2))
def test_overlap_is_symmetric_and_bounded(first: np.ndarray, second: np.ndarray) -> None:
    overlap = intersection_over_union(first, second)
    np.testing.assert_allclose(overlap, intersection_over_union(second, first).T, rtol=1e-5)
    assert (overlap >= 0).all()
    assert (overlap <= 1 + 1e-5).all()
    np.testing.assert_allclose(np.diag(intersection_over_union(first, first)), 1, rtol=1e-5)


@given(corner_boxes(4), corner_boxes(4))
def test_decode_undoes_encode(anchors: np.ndarray, boxes: np.ndarray) -> None:
    np.testing.assert_allclose(decode(anchors, encode(anchors, boxes)), boxes, atol=2e-4)


def test_decode_of_wild_offsets_stays_finite() -> None:
    assert np.isfinite(decode(np.float32([[0, 0, 1, 1]]), np.full((1, 4), 1e4, np.float32))).all()


@given(corner_boxes(3))
def test_mirroring_twice_changes_nothing_and_keeps_areas(boxes: np.ndarray) -> None:
    labels = np.concatenate([np.arange(3, dtype=np.float32)[:, None], boxes], axis=1)
    before = labels.copy()
    mirrored = mirror(labels)
    np.testing.assert_allclose(mirror(mirrored), before, atol=1e-6)
    np.testing.assert_allclose(areas(mirrored[:, 1:]), areas(boxes), atol=1e-6)
    np.testing.assert_array_equal(labels, before)


def test_mirror_of_a_hand_worked_box() -> None:
    np.testing.assert_allclose(mirror(np.float32([[7, 0.1, 0.2, 0.4, 0.9]])), [[7, 0.6, 0.2, 0.9, 0.9]])
