"""Has everything unfinished looked at again: whatever events missed, this finds.

It reads the sparse indexes (unfinished runs, unannounced ends, datasets where uploads wait) and the names of
the datasets' folders, so what it costs does not grow with the runs that have ended.
"""

from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.exceptions import PynamoDBException

from nestbox import timestamps
from nestbox.errors import LostRaceError, NestboxError
from nestbox.events import dataset_message, run_message
from nestbox.gateways.queues import Queues
from nestbox.gateways.uploads import Uploads
from nestbox.rows import datasets, runs
from nestbox.rules.arming import is_overdue
from nestbox.rules.auditing import is_due
from nestbox.settings import ReconcileSettings
from nestbox.states import State, has_ended
from nestbox.steps.announce import Announce
from nestbox.steps.overdue import OverdueRuns
from nestbox.tables import DatasetRow, RunRow, find_run

PATIENCE = timedelta(seconds=60)
"""How long an end may be unannounced before reconcile sees to it."""


@dataclass
class Reconciled:
    """What one pass found and did."""

    runs: int = 0
    """Unfinished runs that were sent a look."""
    datasets: int = 0
    """Datasets whose settle message was lost."""
    audits: int = 0
    """Datasets that are looked through for uploads that no event told of."""
    stuck: int = 0
    """Unfinished runs past their deadline."""
    announced: int = 0
    """Ends that nobody had been told of."""
    troubles: list[str] = field(default_factory=list)
    """What could not be done; the next pass tries again."""


class Reconcile:
    """The step."""

    def __init__(
        self,
        settings: ReconcileSettings,
        uploads: Uploads,
        queues: Queues,
        overdue: OverdueRuns,
        announce: Announce,
        clock: Callable[[], datetime] = timestamps.now,
    ) -> None:
        self._settle_queue_url = settings.settle_queue_url
        self._cancel_queue_url = settings.cancel_queue_url
        self._queue_of = {
            State.PREPARING: settings.training_queue_url,
            State.TRAINING: settings.record_queue_url,
            State.EVALUATING: settings.judge_queue_url,
            State.DEPLOYING: settings.endpoint_queue_url,
        }
        self._audit_minutes = settings.audit_minutes
        self._uploads = uploads
        self._queues = queues
        self._overdue = overdue
        self._announce = announce
        self._clock = clock

    def look(self) -> Reconciled:
        """Send a look for all that is unfinished; end what is past its deadline; announce what was not.

        One row that cannot be dealt with costs none of the others: it is told among the troubles.
        """
        done = Reconciled()
        unfinished = set()
        for run in RunRow.unfinished_index.query("1"):
            unfinished.add(run.run)
            with _troubles_told(done, f"run {run.run}"):
                self._look_at_run(run, done)
        for dataset in DatasetRow.pending_index.query("1"):
            with _troubles_told(done, f"dataset {dataset.dataset}"):
                self._look_at_dataset(dataset, unfinished, done)
        for untold in RunRow.unannounced_index.query("1"):
            with _troubles_told(done, f"the end of run {untold.run}"):
                done.announced += self._announce.look(untold.run, PATIENCE)
        with _troubles_told(done, "the folders of the datasets"):
            self._audit(done)
        return done

    def _audit(self, done: Reconciled) -> None:
        now = self._clock()
        for dataset in self._uploads.datasets():
            if is_due(dataset, now, self._audit_minutes):
                self._queues.send(self._settle_queue_url, dataset_message(dataset, audit=True))
                done.audits += 1

    def _look_at_run(self, row: RunRow, done: Reconciled) -> None:
        # The index may lag behind the table: a run may have ended already.
        queue_url = self._queue_of.get(runs.state_of(row))
        if queue_url is None:
            return
        if row.cancel is not None:
            queue_url = self._cancel_queue_url
        if self._overdue.is_overdue(row):
            done.stuck += 1
            if self._overdue.end(row.run):
                return
        self._queues.send(queue_url, run_message(row.run))
        if runs.is_judged_no_more(row):
            self._queues.send(self._cancel_queue_url, run_message(row.run))
        done.runs += 1

    def _look_at_dataset(self, row: DatasetRow, unfinished: Set[str], done: Reconciled) -> None:
        if row.active_run is not None and row.active_run not in unfinished:
            run = find_run(row.active_run)
            # Ending a run frees its dataset in one write: only tables that were restored or edited get here.
            if run is None or has_ended(runs.state_of(run)):
                datasets.release(row)
                row.refresh(consistent_read=True)
        if is_overdue(datasets.standing_of(row), self._clock()):
            self._queues.send(self._settle_queue_url, dataset_message(row.dataset))
            done.datasets += 1


@contextmanager
def _troubles_told(done: Reconciled, what: str) -> Iterator[None]:
    """Within, what goes wrong with one row is noted and no more; a lost race is nothing that went wrong."""
    try:
        yield
    except LostRaceError:
        return
    except (BotoCoreError, ClientError, PynamoDBException, NestboxError, ValueError) as error:
        done.troubles.append(f"{what}: {error}")
