"""The Batch job that prepares a run's data: submitted once, found again by its name."""

from nestbox import bucket_layout
from nestbox.gateways.batch_jobs import BatchJobs
from nestbox.names import prepare_job_name
from nestbox.rows import runs
from nestbox.rules.preparing import PrepareJob
from nestbox.tables import RunRow

NO_PREVIOUS = "-"


def find_job(row: RunRow, jobs: BatchJobs) -> PrepareJob | None:
    """The run's job, or None where it was never submitted (or Batch has forgotten it)."""
    job = jobs.describe(row.prepare_job_id) if row.prepare_job_id else None
    return job or jobs.find(prepare_job_name(row.run))


def submit_job(row: RunRow, jobs: BatchJobs, uploads_bucket: str, artifacts_bucket: str) -> str:
    """Submit the run's job and note its id; raises AwsRefusedError, or LostRaceError where the run moved on.

    A second copy of the job does no harm: whichever ends first has written the result.
    """
    previous = row.prepared_after
    job_id = jobs.submit(
        prepare_job_name(row.run),
        {
            "run": row.run,
            "dataset": row.dataset,
            "source": bucket_layout.s3_uri(uploads_bucket, bucket_layout.dataset_prefix(row.dataset)),
            "snapshot": bucket_layout.s3_uri(artifacts_bucket, bucket_layout.snapshot_key(row.run)),
            "output": bucket_layout.s3_uri(artifacts_bucket, bucket_layout.prep_prefix(row.run)),
            "previous": bucket_layout.s3_uri(artifacts_bucket, bucket_layout.prep_prefix(previous))
            if previous
            else NO_PREVIOUS,
        },
        {"nestbox:dataset": row.dataset, "nestbox:run": row.run},
    )
    runs.note(row, [RunRow.prepare_job_id.set(job_id)])
    return job_id
