"""What pictures recalled many at a time have in common with pictures recalled one by one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dataprep_job.recalled import repeated

BOX = st.tuples(st.integers(0, 1), st.integers(0, 1))


@given(st.lists(st.lists(BOX, max_size=3), max_size=4))
def test_boxes_repeat_within_their_picture_alone(pictures: list[list[tuple[int, int]]]) -> None:
    owners = np.array([number for number, boxes in enumerate(pictures) for _ in boxes], np.int64)
    class_ids = np.array([class_id for boxes in pictures for class_id, _ in boxes], np.int64)
    lefts = np.array([left for boxes in pictures for _, left in boxes], np.float64)
    edges = np.stack([lefts, lefts, lefts + 1, lefts + 1], axis=1)
    repeats = repeated(owners, class_ids, edges)
    for number, boxes in enumerate(pictures):
        assert repeats[owners == number].sum() == len(boxes) - len(set(boxes))
