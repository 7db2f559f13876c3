"""One measured figure and how it stands against its goal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A measured value with the goal it is held to.

    ``explanation`` says the unit and what was compared with what.
    """

    name: str
    value: float
    goal: float
    higher_is_better: bool
    explanation: str

    @property
    def ok(self) -> bool:
        """Whether the goal is met; a NaN never is."""
        return self.value >= self.goal if self.higher_is_better else self.value <= self.goal

    def line(self) -> str:
        """``name value goal ok|short explanation``, aligned for reading."""
        sign = ">=" if self.higher_is_better else "<="
        verdict = "ok" if self.ok else "short"
        goal = f"goal {sign} {self.goal:<8.3g}"
        return f"{self.name:<44} {self.value:>10.3g}   {goal} {verdict:<6} {self.explanation}"


def report(figures: Iterable[Figure]) -> bool:
    """Print one line per figure as it is measured; return whether all goals were met."""
    met = True
    for figure in figures:
        print(figure.line(), flush=True)
        met &= figure.ok
    return met
