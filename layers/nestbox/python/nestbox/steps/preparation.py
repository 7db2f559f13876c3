"""The Batch jobs that prepare a run's data: each submitted once, found again by its name."""

from collections.abc import Sequence

from nestbox import bucket_layout
from nestbox.errors import AwsRefusedError, LostRaceError
from nestbox.gateways.batch_jobs import BatchJobs
from nestbox.rows import runs
from nestbox.rules.batch_job import BatchJob
from nestbox.rules.slicing import PlannedJob, planned_jobs
from nestbox.tables import RunRow

NO_PREVIOUS = "-"


def find_jobs(row: RunRow, jobs: BatchJobs) -> list[BatchJob | None]:
    """The run's jobs in the order they wait for each other.

    None stands for one that was never submitted (or that Batch has forgotten).
    """
    planned = _planned(row)
    noted = [getattr(row, _noted_in(job)) for job in planned]
    known = jobs.describe(job_id for job_id in noted if job_id)
    return [known.get(job_id) or jobs.find(job.name) for job, job_id in zip(planned, noted, strict=True)]


def submit_jobs(
    row: RunRow,
    jobs: BatchJobs,
    found: Sequence[BatchJob | None],
    uploads_bucket: str,
    artifacts_bucket: str,
) -> str:
    """Submit those of the run's jobs that are missing, and note each one's id; returns the last one's.

    ``found`` is what ``find_jobs`` found. Raises AwsRefusedError, or LostRaceError where the run moved on;
    nothing is left running then. A second copy of a job does no harm: whichever ends first has written the
    result.
    """
    # What comes before a job that is there was submitted too, even where Batch has forgotten it.
    begin = 1 + max((place for place, job in enumerate(found) if job is not None), default=-1)
    chain = [job.id for job in found if job is not None]
    try:
        for planned in _planned(row)[begin:]:
            job_id = jobs.submit(
                planned.name,
                _parameters(row, planned, uploads_bucket, artifacts_bucket),
                {"nestbox:dataset": row.dataset, "nestbox:run": row.run},
                children=planned.children,
                after=chain[-1] if chain else None,
            )
            chain.append(job_id)
            runs.note(row, [getattr(RunRow, _noted_in(planned)).set(job_id)])
    except (AwsRefusedError, LostRaceError) as error:
        for job_id in reversed(chain):
            jobs.terminate(job_id, str(error))
        raise
    return chain[-1]


def stop_jobs(found: Sequence[BatchJob | None], jobs: BatchJobs, reason: str) -> None:
    """End those of a run's jobs that still go on: the run cannot use what they make.

    The last one first, so that each ends with this reason and not with "Dependent Job failed".
    """
    for job in reversed(found):
        if job is not None and job.going:
            jobs.terminate(job.id, reason)


def _planned(row: RunRow) -> tuple[PlannedJob, ...]:
    return planned_jobs(row.run, _slices(row))


def _slices(row: RunRow) -> int:
    return int(row.slices or 1)


def _noted_in(planned: PlannedJob) -> str:
    """The attribute of a run that holds the job's id."""
    return f"{planned.kind}_job_id"


def _parameters(
    row: RunRow, planned: PlannedJob, uploads_bucket: str, artifacts_bucket: str
) -> dict[str, str]:
    previous = row.prepared_after
    return {
        "command": planned.command,
        "run": row.run,
        "dataset": row.dataset,
        "source": bucket_layout.s3_uri(uploads_bucket, bucket_layout.dataset_prefix(row.dataset)),
        "snapshot": bucket_layout.s3_uri(artifacts_bucket, bucket_layout.snapshot_key(row.run)),
        "output": bucket_layout.s3_uri(artifacts_bucket, bucket_layout.prep_prefix(row.run)),
        "previous": bucket_layout.s3_uri(artifacts_bucket, bucket_layout.prep_prefix(previous))
        if previous
        else NO_PREVIOUS,
        "judging": bucket_layout.s3_uri(artifacts_bucket, bucket_layout.judging_prefix(row.dataset)),
        "slices": str(_slices(row)),
    }
