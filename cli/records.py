"""Rows of the tables as JSON, and a few questions that several commands ask of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nestbox.states import State
from nestbox.tables import REJECTED_ROW, DatasetRow, EpochRow, RunRow

_INTERNAL = frozenset(
    {"revision", "unfinished", "pending", "settle_at", "asked_run", "asked_at", "asked_taken_at"}
)


def record(row: DatasetRow | RunRow | EpochRow) -> dict[str, Any]:
    """What a row holds, without what only the steps need; what is not known is absent."""
    values: dict[str, Any] = row.to_simple_dict()
    return {name: value for name, value in values.items() if name not in _INTERNAL and value is not None}


def datasets() -> list[DatasetRow]:
    """Every dataset by name, without the row for uploads that belong to none."""
    return sorted(
        (row for row in DatasetRow.scan() if row.dataset != REJECTED_ROW), key=lambda row: row.dataset
    )


def runs(dataset: str | None) -> list[RunRow]:
    """The runs of a dataset, or of all, newest first."""
    rows = list(RunRow.query(dataset)) if dataset else list(RunRow.scan())
    return sorted(rows, key=lambda row: row.created_at, reverse=True)


def why(row: RunRow) -> str:
    """Why a run is where it is."""
    if row.failure is not None:
        return f"{row.failure.stage}: {row.failure.reason}"
    promotions = [step for step in row.history if step.to_state == State.DEPLOYING]
    if row.state == State.SERVED and promotions and (len(promotions) > 1 or not _gate_promoted(row)):
        return f"{promotions[-1].by}: {promotions[-1].why}"
    if row.decision is not None and row.state in (State.REJECTED, State.SERVED):
        return str(row.decision.reason)
    return str(row.history[-1].why) if row.history else ""


def _gate_promoted(row: RunRow) -> bool:
    return row.decision is not None and bool(row.decision.promote)


def maps(epochs: Sequence[EpochRow]) -> list[float]:
    """The known validation mAPs in order."""
    return [float(row.validation_map) for row in epochs if row.validation_map is not None]
