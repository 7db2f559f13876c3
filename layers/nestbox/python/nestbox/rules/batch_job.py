"""A Batch job as DescribeJobs tells of it, and what to say where it failed."""

from dataclasses import dataclass

_GOING = frozenset({"SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING"})


@dataclass(frozen=True)
class BatchJob:
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


def failure_reason(job: BatchJob, last_line: str | None, *, alone: bool = True) -> str:
    """For people: what Batch says, the exit code, the last line of the job's log.

    A job that is not ``alone`` is named.
    """
    parts = [job.reason or "the job failed"]
    if job.exit_code is not None:
        parts.append(f"exit code {job.exit_code}")
    if last_line:
        parts.append(f"last line of its log: {last_line}")
    child = "" if job.index is None else f", child {job.index}"
    return ("" if alone else f"job {job.name}{child}: ") + "; ".join(parts)
