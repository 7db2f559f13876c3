"""Looks at a run in preparation: submits what was not submitted, and trains on what is ready."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from nestbox import bucket_layout, names, timestamps
from nestbox.errors import AwsRefusedError, UntrainableError
from nestbox.events import run_message
from nestbox.gateways.artifacts import Artifacts
from nestbox.gateways.batch_jobs import BatchJobs
from nestbox.gateways.job_logs import JobLogs
from nestbox.gateways.queues import Queues
from nestbox.gateways.trainings import Trainings
from nestbox.prep_summary import PrepSummary, PrepSummaryError
from nestbox.rows import runs
from nestbox.rules.gate import Limits
from nestbox.rules.hyperparameters import hyperparameters, may_warm_start
from nestbox.rules.preparing import (
    PrepareJob,
    Preparing,
    decide_preparing,
    failure_reason,
    first_failed,
)
from nestbox.rules.training_request import Champion, training_request
from nestbox.settings import StartTrainingSettings
from nestbox.states import State
from nestbox.steps.endings import end_run
from nestbox.steps.preparation import find_jobs, stop_jobs, submit_jobs
from nestbox.tables import RunRow, find_run, get_dataset, get_run, plain_map

BY = "start_training"


class StartTraining:
    """The step."""

    def __init__(
        self,
        settings: StartTrainingSettings,
        artifacts: Artifacts,
        jobs: BatchJobs,
        logs: JobLogs,
        trainings: Trainings,
        queues: Queues,
        clock: Callable[[], datetime] = timestamps.now,
    ) -> None:
        self._settings = settings
        self._artifacts = artifacts
        self._jobs = jobs
        self._logs = logs
        self._trainings = trainings
        self._queues = queues
        self._clock = clock

    def look(self, run: str) -> str:
        """Look at a run; returns what was done."""
        row = get_run(run)
        if runs.state_of(row) is State.CANCELLED:
            # A step that was overtaken by the cancelling may have submitted jobs after it.
            stop_jobs(find_jobs(row, self._jobs), self._jobs, f"run {run} is cancelled")
            return f"nothing to do: {row.state}"
        if runs.state_of(row) is not State.PREPARING:
            return f"nothing to do: {row.state}"
        if row.cancel is not None:
            return "to be cancelled"
        found = find_jobs(row, self._jobs)
        decision = decide_preparing(found)
        if decision is Preparing.WAIT:
            return "the data is being prepared"
        if decision is Preparing.SUBMIT:
            return self._submit(row, found)
        failed = first_failed(found)
        if decision is Preparing.FAIL and failed is not None:
            failure = self._failure(failed, alone=len(found) == 1)
            # Before the run ends, as nobody looks at the jobs of an ended run.
            stop_jobs(found, self._jobs, failure)
            return self._fail(row, "the data could not be prepared", failure)
        return self._read(row)

    def _submit(self, row: RunRow, found: Sequence[PrepareJob | None]) -> str:
        try:
            job_id = submit_jobs(
                row, self._jobs, found, self._settings.uploads_bucket, self._settings.artifacts_bucket
            )
        except AwsRefusedError as error:
            return self._fail(row, "the preparation job was refused", str(error))
        return f"preparation job {job_id} submitted"

    def _read(self, row: RunRow) -> str:
        key = bucket_layout.summary_key(row.run)
        stream = self._artifacts.open(key)
        if stream is None:
            return self._fail(row, "no result", f"the preparation job succeeded but wrote no {key}")
        with stream:
            text = stream.read()
        try:
            summary = PrepSummary.from_json(text)
        except PrepSummaryError as error:
            return self._fail(row, "a result that cannot be read", f"{key}: {error}")
        if summary.outcome == "BLOCKED":
            return self._block(row, "; ".join(summary.reasons) or "no reason given", summary)
        return self._train(row, summary)

    def _train(self, row: RunRow, summary: PrepSummary) -> str:
        settings = self._settings
        try:
            wanted = hyperparameters(
                settings.detector_kind, settings.base_network, settings.default_epochs, summary
            )
        except UntrainableError as error:
            return self._block(row, str(error), summary)
        champion = self._champion(row, summary, wanted)
        try:
            self._trainings.ensure(training_request(row.run, wanted, champion, settings))
        except AwsRefusedError as error:
            return self._fail(row, "the training job was refused", str(error), summary)
        started_from = f" from the weights of {champion.run}" if champion else ""
        runs.move(
            row,
            State.TRAINING,
            by=BY,
            why=f"{summary.train_images} images prepared{started_from}",
            now=self._clock(),
            facts={
                **_counts(summary),
                "training_job": names.training_job_name(row.run),
                "hyperparameters": wanted,
                "previous_run": champion.run if champion else None,
                "gate": asdict(Limits.from_config(summary.config["gate"])),
            },
            dataset_facts={
                "classes": summary.classes,
                "last_prepared_run": row.run,
                **_choices(summary),
            },
        )
        self._queues.send(
            settings.record_queue_url, run_message(row.run, follow=True), settings.follow_seconds
        )
        return f"training on {summary.train_images} images{started_from}"

    def _champion(self, row: RunRow, summary: PrepSummary, wanted: dict[str, str]) -> Champion | None:
        champion_run = get_dataset(row.dataset).champion_run
        champion = find_run(champion_run) if champion_run else None
        if champion is None or not champion.model_data:
            return None
        fits = may_warm_start(
            self._settings.detector_kind,
            wanted,
            summary,
            list(champion.classes or []),
            plain_map(champion.hyperparameters),
        )
        return Champion(champion.run, champion.model_data) if fits else None

    def _failure(self, failed: PrepareJob, *, alone: bool) -> str:
        job = (self._jobs.find_failed_child(failed.id) if failed.failed_children else None) or failed
        last_line = (
            self._logs.last_line_of_batch_job(job.log_group, job.log_stream) if job.log_stream else None
        )
        return failure_reason(job, last_line, alone=alone)

    def _fail(self, row: RunRow, why: str, failure: str, summary: PrepSummary | None = None) -> str:
        return self._end(row, State.FAILED, why, failure, summary)

    def _block(self, row: RunRow, failure: str, summary: PrepSummary) -> str:
        return self._end(row, State.BLOCKED, "nothing to train on", failure, summary)

    def _end(self, row: RunRow, to: State, why: str, failure: str, summary: PrepSummary | None) -> str:
        return end_run(
            row,
            to,
            by=BY,
            why=why,
            now=self._clock(),
            queues=self._queues,
            settle_queue_url=self._settings.settle_queue_url,
            facts=_counts(summary) if summary else None,
            failure=failure,
            dataset_facts=_choices(summary) if summary else None,
        )


def _counts(summary: PrepSummary) -> dict[str, Any]:
    return {
        "images": summary.images,
        "train_images": summary.train_images,
        "validation_images": summary.validation_images,
        "boxes": summary.boxes,
        "defects": dict(summary.defects),
        "classes": list(summary.classes),
    }


def _choices(summary: PrepSummary) -> dict[str, Any]:
    """What the dataset's `nestbox.yaml` says about runs to come."""
    return {"quiet_period": summary.quiet_period}
