"""Writes to the table of epochs."""

from collections.abc import Iterable
from typing import Any

from nestbox import timestamps
from nestbox.rules.epochs import Epoch
from nestbox.tables import EpochRow

_METRICS = (
    "validation_map",
    "train_cross_entropy",
    "train_smooth_l1",
    "seconds",
    "images_per_second",
    "input_size",
)


def upsert(run: str, epochs: Iterable[Epoch], recorded: Iterable[EpochRow]) -> int:
    """Write what is new or has changed since ``recorded`` was read; returns how many rows that were."""
    known = {row.epoch: row.to_simple_dict() for row in recorded}
    wanted = [EpochRow(run, epoch.epoch, **_attributes(epoch)) for epoch in epochs]
    changed = [row for row in wanted if row.to_simple_dict() != known.get(row.epoch)]
    with EpochRow.batch_write() as batch:
        for row in changed:
            batch.save(row)
    return len(changed)


def from_row(row: EpochRow) -> Epoch:
    """What is recorded of an epoch."""
    return Epoch(
        int(row.epoch),
        timestamps.from_text(row.at),
        **{name: value for name in _METRICS if (value := getattr(row, name)) is not None},
    )


def _attributes(epoch: Epoch) -> dict[str, Any]:
    metrics = {name: value for name in _METRICS if (value := getattr(epoch, name)) is not None}
    return {**metrics, "at": timestamps.to_text(epoch.at)}
