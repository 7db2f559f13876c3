"""Looks at a run in training: records its epochs as they come, and makes the model when it is done."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from nestbox import names, timestamps
from nestbox.errors import AwsRefusedError
from nestbox.events import run_message
from nestbox.gateways.job_logs import JobLogs
from nestbox.gateways.queues import Queues
from nestbox.gateways.trainings import Trainings
from nestbox.rows import epochs, runs
from nestbox.rules.epochs import Epoch, TrainingLog, read_log
from nestbox.rules.recording import (
    LogIncomplete,
    NotTrained,
    StillTraining,
    Trained,
    TrainingJob,
    decide_recording,
)
from nestbox.rules.training_request import tags
from nestbox.settings import RecordRunSettings
from nestbox.states import State
from nestbox.steps.endings import end_run
from nestbox.tables import EpochRow, RunRow, epochs_of, get_run

BY = "record_run"
_LAG_LOOK_SECONDS = 5


class RecordRun:
    """The step."""

    def __init__(
        self,
        settings: RecordRunSettings,
        trainings: Trainings,
        logs: JobLogs,
        queues: Queues,
        clock: Callable[[], datetime] = timestamps.now,
    ) -> None:
        self._settings = settings
        self._trainings = trainings
        self._logs = logs
        self._queues = queues
        self._clock = clock

    def look(self, run: str, *, follow: bool = False) -> str:
        """Look at a run; returns what was done. ``follow``: ask for the next look where it goes on."""
        row = get_run(run)
        if runs.state_of(row) is State.CANCELLED:
            return self._stop(run)
        if runs.state_of(row) is not State.TRAINING:
            return f"nothing to do: {row.state}"
        # The job before its log: where the job has ended, the log read after it is the more complete one.
        job = self._trainings.describe(names.training_job_name(run))
        log = self._record_epochs(run, job)
        asked_at = timestamps.from_text(row.history[-1].at)
        decision = decide_recording(job, log, asked_at, self._clock())
        if isinstance(decision, StillTraining):
            if follow:
                self._look_again(run, self._settings.follow_seconds)
            newest = f", epoch {log.epochs[-1].epoch} is in the log" if log.epochs else ""
            return f"training{newest}"
        if isinstance(decision, LogIncomplete):
            if follow:
                self._look_again(run, min(_LAG_LOOK_SECONDS, self._settings.follow_seconds))
            return "trained, but the log is not all there yet"
        if isinstance(decision, NotTrained):
            # Where SageMaker is only slow to tell of it, it must not go on for a run that has ended.
            self._trainings.stop(names.training_job_name(run))
            return self._end(row, decision)
        return self._finish(row, decision)

    def _stop(self, run: str) -> str:
        """A step that was overtaken by the cancelling may have started the training job after it."""
        self._trainings.stop(names.training_job_name(run))
        return f"nothing to do: {State.CANCELLED}; its training job is stopped, if there is one"

    def _record_epochs(self, run: str, job: TrainingJob | None) -> TrainingLog:
        recorded = epochs_of(run)
        # While it goes on, only what is new is read; at the end all of it, once.
        settled = _last_settled(recorded) if job is not None and job.status == "InProgress" else None
        lines = self._logs.training_lines(names.training_job_name(run), settled.at if settled else None)
        log = read_log(lines)
        if settled is not None:
            # Of the epoch at the seam only the last lines were read.
            log = replace(log, epochs=tuple(e for e in log.epochs if e.epoch > settled.epoch))
        epochs.upsert(run, log.epochs, recorded)
        return log

    def _finish(self, row: RunRow, trained: Trained) -> str:
        model = names.model_name(row.run)
        try:
            self._trainings.ensure_model(
                model, trained.image, trained.model_data, self._settings.training_role_arn, tags(row.run)
            )
        except AwsRefusedError as error:
            return self._end(row, NotTrained(str(error)))
        best = trained.best
        why = f"trained; best mAP {best.validation_map:.4f} in epoch {best.epoch}"
        runs.move(
            row,
            State.EVALUATING,
            by=BY,
            why=why,
            now=self._clock(),
            facts={
                "model": model,
                "model_data": trained.model_data,
                "image": trained.image,
                "best_epoch": best.epoch,
                "best_map": best.validation_map,
            },
        )
        self._queues.send(self._settings.judge_queue_url, run_message(row.run))
        return why

    def _end(self, row: RunRow, failed: NotTrained) -> str:
        return end_run(
            row,
            State.CANCELLED if failed.stopped else State.FAILED,
            by=BY,
            why="the training job was stopped" if failed.stopped else "training failed",
            now=self._clock(),
            queues=self._queues,
            settle_queue_url=self._settings.settle_queue_url,
            failure=failed.reason,
        )

    def _look_again(self, run: str, seconds: int) -> None:
        self._queues.send(self._settings.record_queue_url, run_message(run, follow=True), seconds)


def _last_settled(recorded: Sequence[EpochRow]) -> Epoch | None:
    """The newest recorded epoch that will not change: lines of the next one were there when it was read."""
    complete = [row for row in recorded if row.validation_map is not None]
    return epochs.from_row(complete[-2]) if len(complete) > 1 else None
