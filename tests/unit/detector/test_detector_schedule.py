"""The course of the learning rate."""

import pytest

from detector.schedule import CosineSchedule, StepSchedule


def test_cosine_warms_up_and_falls_to_a_hundredth() -> None:
    schedule = CosineSchedule(0.004, 1000)
    assert schedule.rate(0) < 0.004 * 0.03
    assert schedule.rate(50) == pytest.approx(0.004 * 1.01, rel=0.01)
    assert schedule.rate(1000) == pytest.approx(0.004 * 0.01)
    rates = [schedule.rate(step) for step in range(50, 1001)]
    assert rates == sorted(rates, reverse=True)


def test_steps_fall_at_the_listed_epochs() -> None:
    schedule = StepSchedule(0.1, (2, 3), 0.5, steps_per_epoch=10)
    assert [schedule.rate(step) for step in (0, 19, 20, 29, 30, 99)] == [0.1, 0.1, 0.05, 0.05, 0.025, 0.025]
