"""Into how many Batch jobs the preparation of a run is dealt out, and which jobs those are."""

from dataclasses import dataclass
from typing import Literal

from nestbox.names import PrepareJobKind, prepare_job_name

MOST_SLICES = 10_000
"""Children of an array job: 2 to 10,000.

https://docs.aws.amazon.com/batch/latest/userguide/array_jobs.html
"""


@dataclass(frozen=True)
class PlannedJob:
    """A Batch job of a preparation: what it runs, and how many children it has where it is an array."""

    kind: PrepareJobKind
    name: str
    command: Literal["prepare", "plan", "slice", "merge"]
    """Of ``dataprep_job``."""
    children: int | None = None


def count_slices(images: int, threshold: int) -> int:
    """Into how many slices so many images are dealt; 1: one job does everything.

    A slice holds at most ``threshold`` images, unless that took more slices than Batch has children; about so
    many where images are in archives, as their number is an estimate (``nestbox.rules.snapshots.Counts``).
    """
    return max(1, min(-(-images // max(1, threshold)), MOST_SLICES))


def planned_jobs(run: str, slices: int) -> tuple[PlannedJob, ...]:
    """The jobs of a preparation. Each waits for the one before it; the last one leaves the result."""
    if slices == 1:
        return (PlannedJob("prepare", prepare_job_name(run), "prepare"),)
    return (
        PlannedJob("plan", prepare_job_name(run, "plan"), "plan"),
        PlannedJob("slices", prepare_job_name(run, "slices"), "slice", children=slices),
        PlannedJob("prepare", prepare_job_name(run), "merge"),
    )
