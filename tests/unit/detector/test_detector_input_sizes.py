"""Inputs that grow while a network is trained."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detector.anchors import derive_plan
from detector.input_sizes import InputSizes, constant, progressive


@given(st.integers(64, 2048), st.integers(1, 500))
def test_the_first_size_is_no_larger_than_the_last_and_fits_the_coarsest_cells(
    final: int, epochs: int
) -> None:
    sizes = progressive(final, epochs)
    assert 64 <= sizes.first <= final
    assert sizes.first == final or sizes.first % 32 == 0
    assert sizes.at(epochs - 1) == final
    assert [sizes.at(epoch) for epoch in range(epochs)] == sorted(sizes.at(epoch) for epoch in range(epochs))


def test_two_thirds_of_the_epochs_see_two_thirds_of_the_size() -> None:
    sizes = progressive(288, 60)
    assert sizes == InputSizes(192, 288, 40)
    assert (sizes.at(0), sizes.at(39), sizes.at(40)) == (192, 192, 288)
    assert progressive(128, 60).first == 96


def test_sizes_may_stay_as_they_are() -> None:
    assert {constant(192).at(epoch) for epoch in range(9)} == {192}


def test_a_plan_for_another_input_has_the_same_shapes_on_other_grids() -> None:
    plan = derive_plan([np.float32([[0, 0.1, 0.1, 0.4, 0.5], [0, 0.5, 0.5, 0.9, 0.9]])], 192)
    smaller = plan.at(128)
    np.testing.assert_array_equal(smaller.shapes(), plan.shapes())
    assert len(smaller.corners()) * 9 == len(plan.corners()) * 4
