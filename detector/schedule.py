"""The course of the learning rate: a function of the step alone, so a run can be repeated and resumed."""

import math
from dataclasses import dataclass

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
