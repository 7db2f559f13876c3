"""How long a run may stand in one state, and what to say of one that has stood there longer.

The limits follow from those of the jobs themselves, which AWS ends when their own time is up. So a run that
is overdue waits for something that AWS does not end by itself: a job that finds no capacity, a step that
fails over and over, an answer that never comes.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from nestbox.names import endpoint_name, prepare_job_name, training_job_name
from nestbox.states import State

_ATTEMPTS = 3
"""How often Batch tries a job."""
_EVALUATION_JOBS = 2
"""Batch transform, then the evaluation."""
_TRAINING_WAIT = 2
"""A training job may wait for capacity as long as it may train; spot jobs are ended by SageMaker then."""


@dataclass(frozen=True)
class Deadlines:
    """What the jobs of a run may take, in seconds."""

    prepare_max_seconds: int
    """One attempt of one Batch job."""
    training_max_seconds: int
    grace_seconds: int
    """What is added everywhere, and all that a deployment may take."""

    def allowed(self, state: State, preparation_jobs: int) -> timedelta:
        """How long a run may stay in an unfinished state; ``preparation_jobs`` wait for each other."""
        work = {
            State.PREPARING: preparation_jobs * _ATTEMPTS * self.prepare_max_seconds,
            State.TRAINING: _TRAINING_WAIT * self.training_max_seconds,
            State.EVALUATING: _EVALUATION_JOBS * _ATTEMPTS * self.prepare_max_seconds,
            State.DEPLOYING: 0,
        }[state]
        return timedelta(seconds=work + self.grace_seconds)


def is_overdue(allowed: timedelta, since: datetime, now: datetime) -> bool:
    """Whether a run that entered its state at ``since`` has stood there longer than allowed."""
    return now - since > allowed


def overdue_reason(run: str, dataset: str, state: State, waited: timedelta, allowed: timedelta) -> str:
    """For people: how long it was, what was waited for, and what to do."""
    what, advice = {
        State.PREPARING: (
            f"the Batch job {prepare_job_name(run)}",
            "A job that stays RUNNABLE lacks vCPUs (PrepareMaxVcpus) or a way to ECR, S3 and CloudWatch Logs",
        ),
        State.TRAINING: (
            f"the training job {training_job_name(run)}",
            "Look whether there is quota and capacity for its instances (TrainingInstanceType, TrainingSpot)",
        ),
        State.EVALUATING: (
            "the gate's decision",
            "The log of the function judge, and what its dead-letter queue holds (nestbox redrive), say more",
        ),
        State.DEPLOYING: (
            f"the endpoint {endpoint_name(dataset)}",
            "The log of update_endpoint, and what its dead-letter queue holds (nestbox redrive), say more",
        ),
    }[state]
    return f"waited {_told(waited)} for {what}, longer than the {_told(allowed)} that it may take. {advice}"


def _told(span: timedelta) -> str:
    minutes = round(span.total_seconds() / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"
