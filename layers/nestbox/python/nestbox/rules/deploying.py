"""What to do about a run that is being deployed, given its dataset's endpoint.

The status alone does not tell: an update that failed ends ``InService`` on the *old* configuration.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

ASKING_TAKES = timedelta(seconds=5)
"""Within this time of being asked, an endpoint may not yet show that it moves."""

_MOVING = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})


@dataclass(frozen=True)
class Endpoint:
    """A SageMaker endpoint as DescribeEndpoint tells of it."""

    status: str
    config: str
    failure_reason: str | None = None


class Deploying(Enum):
    """The next thing to do without ending the run."""

    CREATE = "create"
    UPDATE = "update"
    REMOVE = "remove"
    """Delete what an earlier run's failed first deployment left, then create."""
    WAIT = "wait"
    SERVED = "served"


@dataclass(frozen=True)
class NotDeployed:
    """SageMaker could not put the model behind the endpoint."""

    reason: str
    remove: bool = False
    """Whether the endpoint never served anything and is to be deleted."""


def is_moving(endpoint: Endpoint) -> bool:
    """Whether SageMaker is still taking the endpoint from one configuration to another."""
    return endpoint.status in _MOVING


def decide_deploying(
    endpoint: Endpoint | None, config: str, *, asked_at: datetime | None, now: datetime
) -> Deploying | NotDeployed:
    """``config`` is this run's; ``asked_at`` is when SageMaker was asked to deploy it, None for never."""
    if endpoint is None:
        return Deploying.CREATE
    if is_moving(endpoint):
        return Deploying.WAIT
    why = endpoint.failure_reason or "SageMaker gives no reason; see the endpoint's log"
    if endpoint.status == "InService":
        if endpoint.config == config:
            return Deploying.SERVED
        if asked_at is not None and now < asked_at + ASKING_TAKES:
            return Deploying.WAIT
        if asked_at is not None:
            return NotDeployed(f"the update was rolled back, {endpoint.config} goes on serving: {why}")
        return Deploying.UPDATE
    if endpoint.status == "Failed":
        if endpoint.config == config:
            return NotDeployed(f"the endpoint could not be created: {why}", remove=True)
        return Deploying.REMOVE
    return NotDeployed(
        f"the endpoint is {endpoint.status} on {endpoint.config} and needs a person: {why}. "
        "Delete it; the next run creates it anew"
    )
