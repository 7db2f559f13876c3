"""What to do about a dataset's endpoint, given whose model it is to serve.

The status alone does not tell: an update that failed ends ``InService`` on the *old* configuration. And
nobody may act on a view of the endpoint that somebody else is about to change: whoever asks SageMaker for
something writes so first (the lease), and until it is known what became of it the others wait.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

ASKING_TAKES = timedelta(seconds=5)
"""Within this time of having accepted something, SageMaker may not yet show it."""

ASKING_LIVES = timedelta(seconds=65)
"""A function that wrote that it is about to ask may still do so this long: its timeout, and some more."""

_MOVING = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})


@dataclass(frozen=True)
class Endpoint:
    """A SageMaker endpoint as DescribeEndpoint tells of it."""

    status: str
    config: str
    failure_reason: str | None = None
    changed_at: datetime | None = None


@dataclass(frozen=True)
class Asked:
    """What SageMaker was last asked for: a configuration, and whether it is known to have accepted."""

    config: str
    at: datetime
    taken_at: datetime | None = None


class Deploying(Enum):
    """The next thing to do without ending the run."""

    CREATE = "create"
    UPDATE = "update"
    REMOVE = "remove"
    """Delete an endpoint that serves nothing and cannot be updated; then create."""
    WAIT = "wait"
    SERVED = "served"


@dataclass(frozen=True)
class NotDeployed:
    """The model could not be put behind the endpoint."""

    reason: str
    remove: bool = False
    """Whether the endpoint serves nothing and is to be deleted."""


def is_moving(endpoint: Endpoint) -> bool:
    """Whether SageMaker is still taking the endpoint from one configuration to another."""
    return endpoint.status in _MOVING


def serves(endpoint: Endpoint | None, config: str) -> bool:
    """Whether the endpoint has come to rest on this configuration."""
    return endpoint is not None and endpoint.status == "InService" and endpoint.config == config


def is_on_its_way(asked: Asked | None, endpoint: Endpoint | None, now: datetime) -> bool:
    """Whether what was asked may still change the endpoint, though the endpoint does not show it."""
    if asked is None or serves(endpoint, asked.config):
        return False
    until = asked.at + ASKING_LIVES if asked.taken_at is None else asked.taken_at + ASKING_TAKES
    return now < until


def decide_deploying(
    endpoint: Endpoint | None, config: str, *, asked: Asked | None, now: datetime
) -> Deploying | NotDeployed:
    """``config`` is the wanted run's; ``asked`` is the last that SageMaker was asked for, whosever it was."""
    if (endpoint is not None and is_moving(endpoint)) or is_on_its_way(asked, endpoint, now):
        return Deploying.WAIT
    if endpoint is None:
        return Deploying.CREATE
    if serves(endpoint, config):
        return Deploying.SERVED
    tried = asked is not None and asked.config == config and asked.taken_at is not None
    why = endpoint.failure_reason or "SageMaker gives no reason; see the endpoint's log"
    if endpoint.status == "Failed":
        if tried:
            return NotDeployed(f"the endpoint could not be created: {why}", remove=True)
        return Deploying.REMOVE
    if tried:
        kept = f"{endpoint.config} goes on serving" if endpoint.status == "InService" else endpoint.status
        return NotDeployed(f"the update was rolled back, {kept}: {why}")
    # Also where an update and its rollback both failed: such an endpoint serves, and takes another update.
    return Deploying.UPDATE


def bake_seconds_left(endpoint: Endpoint, bake_seconds: float, now: datetime) -> float:
    """How long the alarms of a new model are still to be watched before it counts as served."""
    if endpoint.changed_at is None:
        return 0.0
    return max(0.0, (endpoint.changed_at + timedelta(seconds=bake_seconds) - now).total_seconds())
