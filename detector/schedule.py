"""The course of the learning rate: a function of the step alone, so a run can be repeated and resumed."""

import math
from dataclasses import dataclass

from detector.hyperparameters import SMALL_NETWORK, Hyperparameters

_WARM_UP_STEPS = 50
_FINAL_SHARE = 0.01


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


def choose_schedule(settings: Hyperparameters, steps_per_epoch: int) -> CosineSchedule | StepSchedule:
    """Return the schedule asked for; `auto` is a cosine for the small network, unless it has steps."""
    kind = settings.nestbox_schedule
    if kind == "auto":
        small = settings.base_network == SMALL_NETWORK
        kind = "cosine" if small and not settings.lr_scheduler_step else "step"
    if kind == "cosine":
        return CosineSchedule(settings.learning_rate, settings.epochs * steps_per_epoch)
    return StepSchedule(
        settings.learning_rate, settings.lr_scheduler_step, settings.lr_scheduler_factor, steps_per_epoch
    )
