"""Ends runs that have stood in one state for longer than anything they wait for may take."""

from collections.abc import Callable
from datetime import datetime

from nestbox import names, timestamps
from nestbox.gateways.endpoints import Endpoints
from nestbox.gateways.queues import Queues
from nestbox.rows import runs
from nestbox.rules.deadlines import Deadlines, is_overdue, overdue_reason
from nestbox.rules.deploying import is_moving
from nestbox.rules.slicing import planned_jobs
from nestbox.settings import ReconcileSettings
from nestbox.states import State, has_ended
from nestbox.steps.endings import end_run
from nestbox.steps.stopping import Work
from nestbox.tables import RunRow, get_run

BY = "reconcile"


class OverdueRuns:
    """Finds and ends them."""

    def __init__(
        self,
        settings: ReconcileSettings,
        work: Work,
        endpoints: Endpoints,
        queues: Queues,
        clock: Callable[[], datetime] = timestamps.now,
    ) -> None:
        self._settle_queue_url = settings.settle_queue_url
        self._deadlines = Deadlines(
            settings.prepare_max_seconds, settings.training_max_seconds, settings.grace_seconds
        )
        self._work = work
        self._endpoints = endpoints
        self._queues = queues
        self._clock = clock

    def is_overdue(self, row: RunRow) -> bool:
        """Whether an unfinished run is past its deadline."""
        state = runs.state_of(row)
        if has_ended(state):
            return False
        allowed = self._deadlines.allowed(state, _preparation_jobs(row))
        return is_overdue(allowed, timestamps.from_text(row.history[-1].at), self._clock())

    def end(self, run: str) -> bool:
        """Stop what the run still has and end it as FAILED; raises LostRaceError.

        False where it may not end: it has moved on, or its model may still come to serve.
        """
        row = get_run(run)
        if not self.is_overdue(row):
            return False
        state = runs.state_of(row)
        if state is State.DEPLOYING and self._may_still_serve(row):
            # Ended now, its model could come to serve without being the champion.
            return False
        waited = self._clock() - timestamps.from_text(row.history[-1].at)
        reason = overdue_reason(
            run, row.dataset, state, waited, self._deadlines.allowed(state, _preparation_jobs(row))
        )
        self._work.stop(row, reason)
        end_run(
            row,
            State.FAILED,
            by=BY,
            why="it took longer than it may",
            now=self._clock(),
            queues=self._queues,
            settle_queue_url=self._settle_queue_url,
            failure=reason,
        )
        return True

    def _may_still_serve(self, row: RunRow) -> bool:
        endpoint = self._endpoints.describe(names.endpoint_name(row.dataset))
        return endpoint is not None and (
            is_moving(endpoint) or endpoint.config == names.endpoint_config_name(row.run)
        )


def _preparation_jobs(row: RunRow) -> int:
    return len(planned_jobs(row.run, int(row.slices or 1)))
