"""What to do about a run in training, given its job and its log."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from nestbox.rules.epochs import Epoch, TrainingLog, best_epoch

LOG_LAG = timedelta(seconds=120)
"""How long after its end lines of a training job may still appear in CloudWatch Logs."""


UNSEEN = timedelta(seconds=120)
"""How long after its creation SageMaker may not know of a training job yet."""


@dataclass(frozen=True)
class TrainingJob:
    """A SageMaker training job as DescribeTrainingJob tells of it."""

    status: str
    secondary_status: str
    image: str
    hyperparameters: dict[str, str]
    failure_reason: str | None = None
    model_data: str | None = None
    """S3 URI of model.tar.gz; None where none was written."""
    ended_at: datetime | None = None


@dataclass(frozen=True)
class StillTraining:
    """Nothing to do yet."""


@dataclass(frozen=True)
class LogIncomplete:
    """The job has ended, but its log is not all there yet: look again soon."""


@dataclass(frozen=True)
class Trained:
    """There is a model, and this is its epoch."""

    best: Epoch
    model_data: str
    image: str


@dataclass(frozen=True)
class NotTrained:
    """There is none, and this is why. ``stopped``: because somebody stopped the job."""

    reason: str
    stopped: bool = False


def decide_recording(
    job: TrainingJob | None, log: TrainingLog, asked_at: datetime, now: datetime
) -> StillTraining | LogIncomplete | Trained | NotTrained:
    """Completed, Failed and Stopped are the ends of a training job; Stopped may have left a model.

    ``asked_at`` is when SageMaker was asked for it.
    """
    if job is None and now < asked_at + UNSEEN:
        return StillTraining()
    if job is None:
        return NotTrained("SageMaker has no training job of this run's name: somebody deleted it")
    if job.status in ("InProgress", "Stopping"):
        return StillTraining()
    if job.status == "Failed":
        return NotTrained(job.failure_reason or "SageMaker gives no reason")
    if job.status == "Stopped" and job.model_data is None:
        if job.secondary_status == "MaxRuntimeExceeded":
            return NotTrained("the training job ran into its time limit: raise TrainingMaxSeconds")
        return NotTrained("the training job was stopped", stopped=True)
    if job.status not in ("Completed", "Stopped"):
        return NotTrained(f"SageMaker says {job.status}, a status this code does not know")
    if job.model_data is None:
        return NotTrained("the training job completed but names no model")
    waited = job.ended_at is not None and job.ended_at + LOG_LAG <= now
    if not waited and not _is_complete(job, log):
        return LogIncomplete()
    best = best_epoch(log.epochs)
    if best is None:
        return NotTrained(
            "the training job's log holds no line with 'validation mAP': see its stream in the log group "
            "/aws/sagemaker/TrainingJobs"
        )
    return Trained(best, job.model_data, job.image)


def _is_complete(job: TrainingJob, log: TrainingLog) -> bool:
    if best_epoch(log.epochs) is None:
        return False
    expected = job.hyperparameters.get("epochs", "")
    return log.finished or (expected.isdigit() and log.epochs[-1].epoch == int(expected) - 1)
