"""Has everything unfinished looked at again: whatever events missed, this finds."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from nestbox import timestamps
from nestbox.events import dataset_message, run_message
from nestbox.gateways.queues import Queues
from nestbox.rows import datasets, runs
from nestbox.rules.arming import is_overdue
from nestbox.settings import ReconcileSettings
from nestbox.states import State
from nestbox.tables import DatasetRow, RunRow


@dataclass(frozen=True)
class Reconciled:
    """How much was sent."""

    runs: int
    datasets: int


class Reconcile:
    """The step."""

    def __init__(
        self, settings: ReconcileSettings, queues: Queues, clock: Callable[[], datetime] = timestamps.now
    ) -> None:
        self._settle_queue_url = settings.settle_queue_url
        self._cancel_queue_url = settings.cancel_queue_url
        self._queue_of = {
            State.PREPARING: settings.training_queue_url,
            State.TRAINING: settings.record_queue_url,
            State.EVALUATING: settings.judge_queue_url,
            State.DEPLOYING: settings.endpoint_queue_url,
        }
        self._queues = queues
        self._clock = clock

    def look(self) -> Reconciled:
        """Send a look for every unfinished run, and for every dataset whose settle message is lost."""
        unfinished = overdue = 0
        for run in RunRow.unfinished_index.query("1"):
            # The index may lag behind the table: a run may have ended already.
            queue_url = self._queue_of.get(runs.state_of(run))
            if run.cancel is not None and run.state != State.DEPLOYING:
                queue_url = self._cancel_queue_url
            if queue_url is not None:
                self._queues.send(queue_url, run_message(run.run))
                unfinished += 1
        now = self._clock()
        for dataset in DatasetRow.pending_index.query("1"):
            if is_overdue(datasets.standing_of(dataset), now):
                self._queues.send(self._settle_queue_url, dataset_message(dataset.dataset))
                overdue += 1
        return Reconciled(runs=unfinished, datasets=overdue)
