"""The course of the learning rate."""

import pytest

from detector.hyperparameters import parse
from detector.schedule import CosineSchedule, StepSchedule, TrapezoidSchedule, choose_schedule


def test_cosine_warms_up_and_falls_to_a_hundredth() -> None:
    schedule = CosineSchedule(0.004, 1000)
    assert schedule.rate(0) < 0.004 * 0.03
    assert schedule.rate(50) == pytest.approx(0.004 * 1.01, rel=0.01)
    assert schedule.rate(1000) == pytest.approx(0.004 * 0.01)
    rates = [schedule.rate(step) for step in range(50, 1001)]
    assert rates == sorted(rates, reverse=True)


def test_a_trapezoid_stays_up_and_falls_in_a_straight_line_to_a_hundredth() -> None:
    schedule = TrapezoidSchedule(0.004, 1000)
    assert schedule.rate(0) == pytest.approx(0.004 / 50)
    assert {schedule.rate(step) for step in range(50, 601)} == {0.004}
    assert schedule.rate(800) == pytest.approx(0.004 * (1 + 0.01) / 2)
    assert schedule.rate(1000) == pytest.approx(0.004 * 0.01)
    falls = [schedule.rate(step) - schedule.rate(step + 1) for step in range(600, 1000)]
    assert falls == pytest.approx([falls[0]] * 400)


def test_steps_fall_at_the_listed_epochs() -> None:
    schedule = StepSchedule(0.1, (2, 3), 0.5, steps_per_epoch=10)
    assert [schedule.rate(step) for step in (0, 19, 20, 29, 30, 99)] == [0.1, 0.1, 0.05, 0.05, 0.025, 0.025]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({}, StepSchedule),
        ({"base_network": "nestbox-small"}, TrapezoidSchedule),
        ({"base_network": "nestbox-small", "lr_scheduler_step": "3"}, StepSchedule),
        ({"base_network": "nestbox-small", "nestbox_schedule": "step"}, StepSchedule),
        ({"base_network": "nestbox-small", "nestbox_schedule": "cosine"}, CosineSchedule),
        ({"nestbox_schedule": "trapezoid"}, TrapezoidSchedule),
    ],
)
def test_the_schedule_that_is_asked_for_is_taken(values: dict[str, str], kind: type) -> None:
    settings = parse({"num_classes": "2", "num_training_samples": "10", **values})
    assert isinstance(choose_schedule(settings, 5), kind)
