"""Defects of one kind together, the costliest kinds first: what people read instead of a long list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dataprep_job.defect_kinds import COSTS, KINDS, DefectKind
from dataprep_job.defects import Defect

_UNLABELLED = ("image.unlabelled",)
_BACKGROUND = ("image.background",)
_COPIES = ("image.duplicate", "image.duplicate-across-splits")


@dataclass(frozen=True, slots=True)
class DefectGroup:
    """All defects of one kind.

    Attributes:
        count: how often the mistake was made, listed or not.
        defects: those that are listed, in the order found.
    """

    kind: DefectKind
    count: int
    defects: tuple[Defect, ...]

    def to_dict(self) -> dict[str, Any]:
        """What `report.json` says about a kind."""
        kind = self.kind
        return {
            "code": kind.code,
            "severity": kind.severity,
            "title": kind.title,
            "hint": kind.hint,
            "costs": kind.cost,
            "count": self.count,
        }


def group_defects(defects: Iterable[Defect]) -> list[DefectGroup]:
    """Sort by what a kind costs: errors first, whole files before pictures before boxes, many before few."""
    by_code: dict[str, list[Defect]] = {}
    for defect in defects:
        by_code.setdefault(defect.code, []).append(defect)
    groups = [
        DefectGroup(KINDS[code], sum(defect.count for defect in alike), tuple(alike))
        for code, alike in by_code.items()
    ]
    return sorted(
        groups,
        key=lambda group: (
            group.kind.severity != "error",
            list(COSTS).index(group.kind.cost),
            -group.count,
            group.kind.code,
        ),
    )


def left_out(images: int, usable: int, defects: Sequence[Defect]) -> dict[str, int]:
    """Why pictures are not used: not labelled, nothing on them, copies of others, and (the rest) mistakes."""

    def count(codes: tuple[str, ...]) -> int:
        return sum(defect.count for defect in defects if defect.code in codes)

    reasons = {"unlabelled": count(_UNLABELLED), "background": count(_BACKGROUND), "copies": count(_COPIES)}
    return {**reasons, "mistakes": max(0, images - usable - sum(reasons.values()))}
