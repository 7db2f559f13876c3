"""The course of the learning rate: a function of the step alone, so a run can be repeated and resumed."""

import math
from dataclasses import dataclass

from detector.hyperparameters import SMALL_NETWORK, Hyperparameters

_WARM_UP_STEPS = 50
_FINAL_SHARE = 0.01
_FALLS_FROM = 0.6
"""The share of the steps after which a trapezoid falls."""


@dataclass(frozen=True)
class CosineSchedule:
    """A short warm-up, then half a cosine down to a hundredth of the base rate."""

    base_rate: float
    total_steps: int

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        warm_up = min(1.0, (step + 1) / _WARM_UP_STEPS)
        course = min(1.0, step / max(1, self.total_steps))
        return self.base_rate * warm_up * (0.5 + 0.5 * math.cos(math.pi * course) + _FINAL_SHARE)


@dataclass(frozen=True)
class TrapezoidSchedule:
    """A short warm-up, a long plateau, then a straight line down to a hundredth.

    Short trainings learn more at the full rate than a cosine leaves them time for (docs/detector.md; compare
    arXiv:2405.18392, where a rate that is constant and then falls does as well as a cosine).
    """

    base_rate: float
    total_steps: int

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        warm_up = min(1.0, (step + 1) / _WARM_UP_STEPS)
        left = max(0.0, 1 - step / max(1, self.total_steps)) / (1 - _FALLS_FROM)
        return self.base_rate * warm_up * (_FINAL_SHARE + (1 - _FINAL_SHARE) * min(1.0, left))


@dataclass(frozen=True)
class StepSchedule:
    """The built-in algorithm's: the rate is multiplied by `factor` after each of the listed epochs."""

    base_rate: float
    epochs: tuple[int, ...]
    factor: float
    steps_per_epoch: int

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        epoch = step // self.steps_per_epoch
        return self.base_rate * self.factor ** sum(epoch >= change for change in self.epochs)


_SMOOTH: dict[str, type[TrapezoidSchedule] | type[CosineSchedule]] = {
    "trapezoid": TrapezoidSchedule,
    "cosine": CosineSchedule,
}

Schedule = TrapezoidSchedule | CosineSchedule | StepSchedule


def choose_schedule(settings: Hyperparameters, steps_per_epoch: int) -> Schedule:
    """Return the schedule asked for; `auto` is a trapezoid for the small network, unless it has steps."""
    kind = settings.nestbox_schedule
    if kind == "auto":
        small = settings.base_network == SMALL_NETWORK
        kind = "trapezoid" if small and not settings.lr_scheduler_step else "step"
    if kind in _SMOOTH:
        return _SMOOTH[kind](settings.learning_rate, settings.epochs * steps_per_epoch)
    return StepSchedule(
        settings.learning_rate, settings.lr_scheduler_step, settings.lr_scheduler_factor, steps_per_epoch
    )
