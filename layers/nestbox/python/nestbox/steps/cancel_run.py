"""Looks at a run that an operator wants to end: stops what goes on for it, and ends it."""

from collections.abc import Callable
from datetime import datetime

from nestbox import names, timestamps
from nestbox.events import run_message
from nestbox.gateways.batch_jobs import BatchJobs
from nestbox.gateways.queues import Queues
from nestbox.gateways.trainings import Trainings
from nestbox.rows import runs
from nestbox.rules.preparing import PrepareJob
from nestbox.settings import CancelRunSettings
from nestbox.states import State, has_ended
from nestbox.steps.endings import end_run
from nestbox.steps.preparation import find_jobs, stop_jobs
from nestbox.tables import RunRow, get_run


class CancelRun:
    """The step."""

    def __init__(
        self,
        settings: CancelRunSettings,
        jobs: BatchJobs,
        trainings: Trainings,
        queues: Queues,
        clock: Callable[[], datetime] = timestamps.now,
    ) -> None:
        self._settings = settings
        self._jobs = jobs
        self._trainings = trainings
        self._queues = queues
        self._clock = clock

    def look(self, run: str) -> str:
        """Look at a run; returns what was done."""
        row = get_run(run)
        if row.cancel is None or has_ended(runs.state_of(row)):
            return f"nothing to do: {row.state}"
        if runs.state_of(row) is State.DEPLOYING:
            # What serves meanwhile is for the step to say that knows the endpoint.
            self._queues.send(self._settings.endpoint_queue_url, run_message(run))
            return "left to update_endpoint: it is being deployed"
        wish = row.cancel
        # Before the run ends, as nobody looks at the jobs of an ended run. By name, whatever the state says:
        # a step may have been cut off between starting a job and writing so.
        self._stop(row, f"{wish.by} cancelled run {run}: {wish.why}")
        return end_run(
            row,
            State.CANCELLED,
            by=wish.by,
            why=wish.why,
            now=self._clock(),
            queues=self._queues,
            settle_queue_url=self._settings.settle_queue_url,
        )

    def _stop(self, row: RunRow, reason: str) -> None:
        stop_jobs([*find_jobs(row, self._jobs), self._evaluation(row)], self._jobs, reason)
        self._trainings.stop(names.training_job_name(row.run))
        for job in names.transform_job_names(row.run):
            self._trainings.stop_transform(job)

    def _evaluation(self, row: RunRow) -> PrepareJob | None:
        return self._jobs.find(names.evaluate_job_name(row.run))
