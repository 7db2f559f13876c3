"""What to do about a run that is being judged, given the jobs that score it and its champion."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from nestbox.rules.batch_job import BatchJob

ASKING_TAKES = timedelta(seconds=60)
"""Within this time of being asked for, a transform job may not be seen yet."""


@dataclass(frozen=True)
class TransformJob:
    """A SageMaker transform job as DescribeTransformJob tells of it."""

    name: str
    status: str
    failure_reason: str | None = None

    @property
    def going(self) -> bool:
        """Whether SageMaker has not ended it."""
        return self.status in ("InProgress", "Stopping")

    @property
    def failed(self) -> bool:
        """Whether it ended without all answers."""
        return not self.going and self.status != "Completed"


@dataclass(frozen=True)
class JudgingJobs:
    """The jobs of a run's current round, as far as they are there. ``champion``: None also without one."""

    candidate: TransformJob | None = None
    champion: TransformJob | None = None
    evaluation: BatchJob | None = None


@dataclass(frozen=True)
class Standing:
    """How far the judging is, as the run's row tells.

    with_champion: whether there is a champion that can be judged. submitted: whether the evaluation was.
    """

    with_champion: bool
    asked_at: datetime | None = None
    submitted: bool = False


class Judging(Enum):
    """The next thing to do without ending the run."""

    ASK = "ask"
    """For the transform jobs that are missing."""
    WAIT = "wait"
    EVALUATE = "evaluate"
    READ = "read"


@dataclass(frozen=True)
class NotJudged:
    """A job did not do its work, so that the run cannot be judged, or (``of_champion``) only its champion."""

    job: TransformJob | BatchJob | None
    reason: str
    of_champion: bool = False


def decide_judging(jobs: JudgingJobs, standing: Standing, now: datetime) -> Judging | NotJudged:
    """Both models answer side by side, then their answers are scored.

    Whose job failed, was stopped or vanished is told apart: without the candidate's answers nothing can be
    said, without the champion's only that it was not beaten.
    """
    candidate = _standing_of(jobs.candidate, "candidate", standing, now)
    if isinstance(candidate, NotJudged):
        return candidate
    champion = (
        _standing_of(jobs.champion, "champion", standing, now) if standing.with_champion else _Transform.DONE
    )
    if isinstance(champion, NotJudged):
        return champion
    if _Transform.MISSING in (candidate, champion):
        return Judging.ASK
    if _Transform.GOING in (candidate, champion):
        return Judging.WAIT
    return _decide_evaluation(jobs.evaluation, standing)


class _Transform(Enum):
    MISSING = "missing"
    GOING = "going"
    DONE = "done"


def _standing_of(
    job: TransformJob | None, whose: str, standing: Standing, now: datetime
) -> _Transform | NotJudged:
    of_champion = whose == "champion"
    if job is None:
        if standing.asked_at is None:
            return _Transform.MISSING
        if now < standing.asked_at + ASKING_TAKES:
            return _Transform.GOING
        return NotJudged(None, f"SageMaker has lost the transform job of the {whose}", of_champion)
    if job.failed:
        said = job.failure_reason or "SageMaker gives no reason"
        if job.status == "Stopped":
            said = "somebody stopped it"
        elif job.status != "Failed":
            said = f"SageMaker says {job.status}, a status this code does not know"
        return NotJudged(job, f"the transform job of the {whose} failed: {said}", of_champion)
    return _Transform.GOING if job.going else _Transform.DONE


def _decide_evaluation(job: BatchJob | None, standing: Standing) -> Judging | NotJudged:
    if job is None:
        if standing.submitted:
            return NotJudged(None, "AWS Batch has lost the evaluation job")
        return Judging.EVALUATE
    if job.going:
        return Judging.WAIT
    if job.failed:
        return NotJudged(job, "the evaluation job failed")
    return Judging.READ
