"""What is said about one kind of defect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dataprep_job.defect_kinds.costs import Cost, cost_of

Severity = Literal["error", "warning"]

Row = tuple[str, Severity, str, str]
"""Code, severity, title, hint: one kind as it is written down."""


@dataclass(frozen=True, slots=True)
class DefectKind:
    """One kind of defect. `title` heads its group in reports; `hint` tells the annotation team what to do."""

    code: str
    severity: Severity
    title: str
    hint: str

    @property
    def cost(self) -> Cost:
        """What one defect of this kind costs."""
        return cost_of(self.code, self.severity)
