"""What to do about a run that is being prepared, given how its Batch jobs stand."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

_GOING = frozenset({"SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING"})


@dataclass(frozen=True)
class PrepareJob:
    """A Batch job or a child of an array job: status as Batch names it, and what it says of a failure."""

    id: str
    name: str
    status: str
    reason: str | None = None
    exit_code: int | None = None
    log_group: str | None = None
    log_stream: str | None = None
    index: int | None = None
    """Of a child, from 0."""
    failed_children: int = 0
    """Of an array job: those that have failed and will not be tried again."""

    @property
    def going(self) -> bool:
        """Whether Batch has not ended it."""
        return self.status in _GOING

    @property
    def failed(self) -> bool:
        """Whether it has failed, or, of an array that still runs, is bound to fail when it ends."""
        return self.status == "FAILED" or self.failed_children > 0


class Preparing(Enum):
    """The next thing to do."""

    SUBMIT = "submit"
    WAIT = "wait"
    READ = "read"
    FAIL = "fail"


def decide_preparing(jobs: Sequence[PrepareJob | None]) -> Preparing:
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


def first_failed(jobs: Sequence[PrepareJob | None]) -> PrepareJob | None:
    """The job that is to blame: Batch fails those that wait for it with "Dependent Job failed"."""
    return next((job for job in jobs if job is not None and job.failed), None)


def failure_reason(job: PrepareJob, last_line: str | None, *, alone: bool = True) -> str:
    """For people: what Batch says, the exit code, the last line of the job's log.

    A job that is not ``alone`` is named.
    """
    parts = [job.reason or "the preparation job failed"]
    if job.exit_code is not None:
        parts.append(f"exit code {job.exit_code}")
    if last_line:
        parts.append(f"last line of its log: {last_line}")
    child = "" if job.index is None else f", child {job.index}"
    return ("" if alone else f"job {job.name}{child}: ") + "; ".join(parts)
