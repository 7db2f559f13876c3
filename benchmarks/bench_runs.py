"""What orchestration adds to the work of a run.

Reads the finished runs of a deployed stack (after ``make demo`` or ``make local``; ``NESTBOX_STACK`` and the
usual AWS environment choose another one) and lays their history beside what AWS says of their jobs: whatever
lies between the start of a run and its end, but neither in the Batch job, nor in the training job, nor in the
endpoint's creation or update, is ours: queues, functions, cold starts. Then what a burst of uploads and very
many ended runs cost.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError
from nestbox import names, timestamps
from nestbox.tables import Judging, RunRow

from benchmarks.runs import burst, loop, reconciling
from cli.stack import find_stack

GOAL_SECONDS = 5.0
GOAL_WARM_SECONDS = 3.0


class NothingMeasuredError(RuntimeError):
    """The stack holds no run that can be measured."""


_PARTS = (
    "upload_settled",
    "data_prepared",
    "model_trained",
    "models_answered",
    "scores_told",
    "endpoint_ready",
)


@dataclass(frozen=True)
class Gaps:
    """Seconds of one run in which none of its jobs worked, after what."""

    run: str
    upload_settled: float
    """From the start of the run to the submission of its Batch job."""
    data_prepared: float
    """From the end of the Batch job to CreateTrainingJob."""
    model_trained: float
    """From the end of the training job to CreateTransformJob."""
    models_answered: float
    """From the end of the last transform job to the submission of the Batch job that scores the answers."""
    scores_told: float
    """From the end of that one to the request for the endpoint (or the rejection)."""
    endpoint_ready: float
    """From InService to the end of the run; 0 for a rejected run."""

    @property
    def total(self) -> float:
        """All of them."""
        return float(sum(getattr(self, name) for name in _PARTS))


def figures() -> Iterator[tuple[str, float, float, bool, str]]:
    """Name, value, goal, whether higher is better, explanation."""
    stack = find_stack(
        argparse.Namespace(
            local=True, stack=os.environ.get("NESTBOX_STACK", "nestbox"), profile=None, region=None
        )
    )
    batch, sagemaker = stack.session.client("batch"), stack.session.client("sagemaker")
    measured = [
        gaps
        for row in sorted(RunRow.scan(), key=lambda row: row.created_at)
        if row.state in ("SERVED", "REJECTED") and (gaps := gaps_of(row, batch, sagemaker)) is not None
    ]
    if not measured:
        raise NothingMeasuredError(
            f"stack {stack.name} has no finished run whose jobs and endpoint are still there: run make demo"
        )
    median = statistics.median(gaps.total for gaps in measured)
    parts = ", ".join(
        f"{name.replace('_', ' ')} {statistics.median(getattr(gaps, name) for gaps in measured):.2f}"
        for name in _PARTS
    )
    yield (
        "runs: orchestration overhead of a run",
        median,
        GOAL_SECONDS,
        False,
        f"s, median of {len(measured)} runs; after {parts}",
    )
    best = min(gaps.total for gaps in measured)
    if len(measured) > 1:
        yield (
            "runs: overhead with warm functions",
            best,
            GOAL_WARM_SECONDS,
            False,
            f"s, least of {len(measured)} runs",
        )
    yield from loop.figures(stack)
    yield from burst.figures(stack)
    yield from reconciling.figures()


def gaps_of(row: RunRow, batch: Any, sagemaker: Any) -> Gaps | None:
    """The gaps of a finished run, or None where AWS has forgotten a job or the endpoint has moved on."""
    judging = row.judging
    ids = [row.prepare_job_id, judging.evaluate_job_id if judging else None]
    known = batch.describe_jobs(jobs=ids)["jobs"] if all(ids) else []
    jobs = {job["jobId"]: job for job in known}
    try:
        training = sagemaker.describe_training_job(TrainingJobName=names.training_job_name(row.run))
        answers = [
            sagemaker.describe_transform_job(TransformJobName=name)
            for name in _transform_jobs(row.run, judging)
        ]
        endpoint = sagemaker.describe_endpoint(EndpointName=names.endpoint_name(row.dataset))
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationException":
            raise
        return None
    ended = timestamps.from_text(row.history[-1].at)
    served = row.state == "SERVED"
    if len(jobs) < len(ids) or (
        served and endpoint["EndpointConfigName"] != names.endpoint_config_name(row.run)
    ):
        return None
    # Asking follows the verdict in the same second, and what became of it is forgotten once it serves.
    deploying = next((step.at for step in reversed(row.history) if step.to_state == "DEPLOYING"), None)
    asked = timestamps.from_text(deploying) if served and deploying else ended
    prepared, scored = (jobs[job_id] for job_id in ids)
    return Gaps(
        row.run,
        _seconds(timestamps.from_text(row.created_at), timestamps.from_milliseconds(prepared["createdAt"])),
        _seconds(timestamps.from_milliseconds(prepared["stoppedAt"]), training["CreationTime"]),
        _seconds(training["LastModifiedTime"], min(job["CreationTime"] for job in answers)),
        _seconds(
            max(job["TransformEndTime"] for job in answers),
            timestamps.from_milliseconds(scored["createdAt"]),
        ),
        _seconds(timestamps.from_milliseconds(scored["stoppedAt"]), asked),
        _seconds(endpoint["LastModifiedTime"], ended) if served else 0.0,
    )


def _transform_jobs(run: str, judging: Judging | None) -> list[str]:
    found = [names.transform_job_name(run, "candidate")]
    if judging is not None and judging.champion_run and not judging.champion_problem:
        found.append(names.transform_job_name(run, "champion", int(judging.round)))
    return found


def _seconds(begin: datetime, end: datetime) -> float:
    # Two clocks may differ by some milliseconds; nothing ends before it began.
    return max(0.0, (end - begin).total_seconds())
