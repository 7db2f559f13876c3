"""Stops what goes on for a run that ends before its time."""

from typing import TYPE_CHECKING

from nestbox import names
from nestbox.gateways.batch_jobs import BatchJobs
from nestbox.gateways.trainings import Trainings
from nestbox.gateways.transforms import Transforms
from nestbox.steps.preparation import find_jobs, stop_jobs
from nestbox.tables import RunRow

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_sagemaker import SageMakerClient


class Work:
    """The jobs of runs, wherever they run."""

    def __init__(
        self, preparations: BatchJobs, trainings: Trainings, transforms: Transforms, evaluations: BatchJobs
    ) -> None:
        self._preparations = preparations
        self._trainings = trainings
        self._transforms = transforms
        self._evaluations = evaluations

    @classmethod
    def at_aws(
        cls, batch: "BatchClient", sagemaker: "SageMakerClient", prepare_queue: str, evaluate_queue: str
    ) -> "Work":
        """All of it, through these clients."""
        return cls(
            BatchJobs(batch, prepare_queue),
            Trainings(sagemaker),
            Transforms(sagemaker),
            BatchJobs(batch, evaluate_queue),
        )

    def stop(self, row: RunRow, reason: str) -> None:
        """End the run's jobs; those that have ended, or never were, are fine.

        Call it before the run ends, as nobody looks at the jobs of an ended run. By name, whatever the state
        says: a step may have been cut off between starting a job and writing so.
        """
        stop_jobs(find_jobs(row, self._preparations), self._preparations, reason)
        self._trainings.stop(names.training_job_name(row.run))
        self.stop_judging(row, reason)

    def stop_judging(self, row: RunRow, reason: str) -> None:
        """End the jobs that judge the run, of every round that was begun."""
        if row.judging is None:
            # A round is noted before anything is asked for in it.
            return
        self._transforms.stop(names.transform_job_name(row.run, "candidate"))
        for round_ in range(1, int(row.judging.round) + 1):
            self._transforms.stop(names.transform_job_name(row.run, "champion", round_))
            evaluation = self._evaluations.find(names.evaluate_job_name(row.run, round_))
            stop_jobs([evaluation], self._evaluations, reason)
