"""Stops what goes on for a run that ends before its time."""

from nestbox import names
from nestbox.gateways.batch_jobs import BatchJobs
from nestbox.gateways.trainings import Trainings
from nestbox.steps.preparation import find_jobs, stop_jobs
from nestbox.tables import RunRow


def stop_work(row: RunRow, jobs: BatchJobs, trainings: Trainings, reason: str) -> None:
    """End the run's jobs on Batch and SageMaker; those that have ended, or never were, are fine.

    Call it before the run ends, as nobody looks at the jobs of an ended run. By name, whatever the state
    says: a step may have been cut off between starting a job and writing so.
    """
    stop_jobs([*find_jobs(row, jobs), jobs.find(names.evaluate_job_name(row.run))], jobs, reason)
    trainings.stop(names.training_job_name(row.run))
    for job in names.transform_job_names(row.run):
        trainings.stop_transform(job)
