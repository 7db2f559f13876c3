"""What to do about a run that is being prepared, given how its Batch job stands."""

from dataclasses import dataclass
from enum import Enum

_GOING = frozenset({"SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING"})


@dataclass(frozen=True)
class PrepareJob:
    """A Batch job: status as Batch names it, and what it says of a failure."""

    id: str
    status: str
    reason: str | None = None
    exit_code: int | None = None
    log_group: str | None = None
    log_stream: str | None = None


class Preparing(Enum):
    """The next thing to do."""

    SUBMIT = "submit"
    WAIT = "wait"
    READ = "read"
    FAIL = "fail"


def decide_preparing(job: PrepareJob | None) -> Preparing:
    """Batch forgets finished jobs after some days; preparing again is harmless: it finds its result."""
    if job is None:
        return Preparing.SUBMIT
    if job.status in _GOING:
        return Preparing.WAIT
    return Preparing.READ if job.status == "SUCCEEDED" else Preparing.FAIL


def failure_reason(job: PrepareJob, last_line: str | None) -> str:
    """For people: what Batch says, the exit code, the last line of the job's log."""
    parts = [job.reason or "the preparation job failed"]
    if job.exit_code is not None:
        parts.append(f"exit code {job.exit_code}")
    if last_line:
        parts.append(f"last line of its log: {last_line}")
    return "; ".join(parts)
