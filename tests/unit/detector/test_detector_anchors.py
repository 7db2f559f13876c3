"""Anchors: where they lie, and how they follow from the data."""

import numpy as np
import pytest

from detector.anchors import AnchorPlan, Level, derive_plan, poorly_covered, ssd_plan
from detector.mxnet_runtime import mx


def squares(side: float, count: int = 40, class_id: int = 0) -> np.ndarray:
    random = np.random.default_rng(0)
    corners = random.uniform(0, 1 - side, (count, 2))
    return np.concatenate([np.full((count, 1), class_id), corners, corners + side], axis=1).astype(np.float32)


def test_ssd_anchors_lie_where_multibox_prior_puts_them() -> None:
    plan = ssd_plan(300, 16)
    expected = []
    scales = [(0.1, 0.141), (0.2, 0.272), (0.37, 0.447), (0.54, 0.619), (0.71, 0.79), (0.88, 0.961)]
    for number, (scale, cells) in enumerate(zip(scales, (19, 10, 5, 3, 2, 1), strict=True)):
        ratios = (1, 2, 0.5, 3, 1 / 3) if 0 < number < 4 else (1, 2, 0.5)
        grid = mx.nd.zeros((1, 1, cells, cells))
        expected.append(mx.nd.contrib.MultiBoxPrior(grid, sizes=scale, ratios=ratios).asnumpy()[0])
    np.testing.assert_allclose(plan.corners(), np.concatenate(expected), atol=2e-3)


def test_large_inputs_have_seven_levels() -> None:
    assert len(ssd_plan(512, 8).levels) == 7


def test_every_level_covers_the_image_with_whole_cells() -> None:
    plan = AnchorPlan(100, (Level(32, ((0.5, 0.25),)),))
    corners = plan.corners()
    assert corners.shape == (16, 4)
    np.testing.assert_allclose(corners[0], [0.125 - 0.25, 0, 0.125 + 0.25, 0.25])
    np.testing.assert_allclose(corners[1] - corners[0], [0.25, 0, 0.25, 0])


@pytest.mark.parametrize(
    ("side", "size", "strides"),
    [
        (0.02, 352, {8, 16, 32}),  # the smallest objects: the largest input, fine cells
        (0.08, 256, {8, 16, 32}),  # 20 / 0.08 = 250 -> 256
        (0.5, 128, {16, 32}),  # large objects need few pixels and no fine cells
    ],
)
def test_input_size_and_cells_follow_the_smallest_class(side: float, size: int, strides: set[int]) -> None:
    plan = derive_plan([squares(side), squares(0.9, class_id=1)], None)
    assert plan.image_size == size
    assert {level.stride for level in plan.levels} <= strides
    assert plan.levels[0].stride == min(strides)


def test_a_given_input_size_is_kept() -> None:
    assert derive_plan([squares(0.3)], 320).image_size == 320


def test_derived_anchors_fit_the_boxes_they_come_from() -> None:
    labels = [squares(0.1), squares(0.6, class_id=1)]
    assert poorly_covered(derive_plan(labels, None), labels) == 0


def test_the_plan_is_the_same_every_time() -> None:
    labels = [squares(0.2), squares(0.4, class_id=1)]
    assert derive_plan(labels, None) == derive_plan(labels, None)


def test_anchors_that_do_not_fit_are_noticed() -> None:
    assert poorly_covered(derive_plan([squares(0.8)], None), [squares(0.05)]) == 1


def test_json_keeps_the_plan() -> None:
    plan = derive_plan([squares(0.2)], None)
    assert AnchorPlan.from_json(plan.to_json()) == plan
