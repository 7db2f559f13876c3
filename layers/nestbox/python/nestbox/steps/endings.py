"""The end of a run: write it, then have the dataset settled, as uploads may have waited for it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from nestbox.events import dataset_message
from nestbox.gateways.queues import Queues
from nestbox.rows import promotions, runs
from nestbox.states import State
from nestbox.tables import DatasetRow, RunRow


def end_run(
    row: RunRow,
    to: State,
    *,
    by: str,
    why: str,
    now: datetime,
    queues: Queues,
    settle_queue_url: str,
    facts: Mapping[str, Any] | None = None,
    failure: str | None = None,
    dataset_facts: Mapping[str, Any] | None = None,
) -> str:
    """End a run and free its dataset; raises LostRaceError. Returns what was done.

    Where the message is lost, reconcile finds the pending dataset.
    """
    runs.end(row, to, by=by, why=why, now=now, facts=facts, failure=failure, dataset_facts=dataset_facts)
    settle(row.dataset, queues, settle_queue_url)
    return f"{to}: {why}"


def give_up_promotion(
    row: RunRow,
    dataset: DatasetRow,
    to: State,
    *,
    by: str,
    why: str,
    now: datetime,
    queues: Queues,
    settle_queue_url: str,
    failure: str | None = None,
    restore: RunRow | None = None,
) -> str:
    """End a run that is on its way in, with ``restore`` on its way back; raises LostRaceError."""
    promotions.give_up(row, dataset, to, by=by, why=why, now=now, failure=failure, restore=restore)
    settle(row.dataset, queues, settle_queue_url)
    return f"{to}: {failure or why}"


def settle(dataset: str, queues: Queues, settle_queue_url: str) -> None:
    """Have a dataset looked at whose run has ended."""
    queues.send(settle_queue_url, dataset_message(dataset))
