"""Looks at a run that an operator wants to end, or judged no more: stops what goes on for it, and ends it."""

from collections.abc import Callable
from datetime import datetime

from nestbox import timestamps
from nestbox.events import run_message
from nestbox.gateways.queues import Queues
from nestbox.rows import runs
from nestbox.settings import CancelRunSettings
from nestbox.states import State
from nestbox.steps.endings import end_run
from nestbox.steps.stopping import Work
from nestbox.tables import get_run


class CancelRun:
    """The step."""

    def __init__(
        self,
        settings: CancelRunSettings,
        work: Work,
        queues: Queues,
        clock: Callable[[], datetime] = timestamps.now,
    ) -> None:
        self._settings = settings
        self._work = work
        self._queues = queues
        self._clock = clock

    def look(self, run: str) -> str:
        """Look at a run; returns what was done."""
        row = get_run(run)
        stopped = ""
        if runs.is_judged_no_more(row):
            # Promoted by hand meanwhile: nobody will read what is still being answered or scored.
            self._work.stop_judging(row, f"run {run} is {row.state} without a verdict")
            stopped = "; it is judged no more"
        if row.cancel is None:
            return f"nothing to do: {row.state}{stopped}"
        if runs.state_of(row) is State.DEPLOYING:
            # What serves meanwhile is for the step to say that knows the endpoint.
            self._queues.send(self._settings.endpoint_queue_url, run_message(run))
            return "left to update_endpoint: it is being deployed"
        wish = row.cancel
        self._work.stop(row, f"{wish.by} cancelled run {run}: {wish.why}")
        return end_run(
            row,
            State.CANCELLED,
            by=wish.by,
            why=wish.why,
            now=self._clock(),
            queues=self._queues,
            settle_queue_url=self._settings.settle_queue_url,
        )
