"""What to do about a run that is being prepared, given how its Batch jobs stand."""

from collections.abc import Sequence
from enum import Enum

from nestbox.rules.batch_job import BatchJob


class Preparing(Enum):
    """The next thing to do."""

    SUBMIT = "submit"
    WAIT = "wait"
    READ = "read"
    FAIL = "fail"


def decide_preparing(jobs: Sequence[BatchJob | None]) -> Preparing:
    """``jobs`` are those of ``planned_jobs`` in that order, None where Batch has none.

    Jobs are submitted in order, so one that is there says that those before it were. Batch forgets finished
    jobs after some days; preparing again is harmless: it finds its result.
    """
    last = jobs[-1]
    if last is not None and last.status == "SUCCEEDED":
        return Preparing.READ
    if first_failed(jobs) is not None:
        return Preparing.FAIL
    return Preparing.SUBMIT if last is None else Preparing.WAIT


def first_failed(jobs: Sequence[BatchJob | None]) -> BatchJob | None:
    """The job that is to blame: Batch fails those that wait for it with "Dependent Job failed"."""
    return next((job for job in jobs if job is not None and job.failed), None)
