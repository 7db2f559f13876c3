"""What intake does about uploads of one dataset: one write per arming, however many objects there are."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

MAX_DELAY_SECONDS = 900
"""The longest delay SQS gives a message."""

OVERDUE_AFTER = timedelta(seconds=60)
"""A settle message this late is taken for lost."""


@dataclass(frozen=True)
class Standing:
    """How a dataset stands, as far as settling goes; all None for one never seen before."""

    first_pending_at: datetime | None = None
    settle_at: datetime | None = None
    active_run: str | None = None
    start_asked: bool = False
    """Whether an operator asked for a run that has not started."""


@dataclass(frozen=True)
class Arming:
    """What to write: the dataset is pending, and (unless ``delay_seconds`` is None) a message is sent."""

    delay_seconds: int | None


def arm(standing: Standing, now: datetime, quiet_seconds: float, *, ready: bool) -> Arming | None:
    """What new uploads change, or None where the message under way (or the end of the run) will see them.

    Nothing is lost by writing nothing: a settle message takes itself off the row *before* it lists the
    bucket, so uploads that found it there are in its listing; and a run that ends settles what is pending.
    """
    if standing.active_run is not None:
        return Arming(None) if standing.first_pending_at is None else None
    under_way = standing.settle_at is not None and now < standing.settle_at + OVERDUE_AFTER
    if under_way and not (ready and standing.settle_at is not None and standing.settle_at > now):
        return None
    return Arming(0 if ready else delay_until(now, now + timedelta(seconds=quiet_seconds)))


def is_overdue(standing: Standing, now: datetime) -> bool:
    """Whether something waits for a run and nothing is under way that would see to it."""
    if standing.active_run is not None:
        return False
    if standing.start_asked:
        return True
    if standing.first_pending_at is None:
        return False
    return standing.settle_at is None or standing.settle_at + OVERDUE_AFTER <= now


def delay_until(now: datetime, due: datetime) -> int:
    """Whole seconds for SQS from now until something is due: 0 to 900, rounded up."""
    return max(0, min(math.ceil((due - now).total_seconds()), MAX_DELAY_SECONDS))
