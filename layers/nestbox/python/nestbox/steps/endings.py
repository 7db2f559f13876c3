"""The end of a run: write it, then have the dataset settled, as uploads may have waited for it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from nestbox.events import dataset_message
from nestbox.gateways.queues import Queues
from nestbox.rows import runs
from nestbox.states import State
from nestbox.tables import RunRow


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
    queues.send(settle_queue_url, dataset_message(row.dataset))
    return f"{to}: {why}"
