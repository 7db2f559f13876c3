"""Times as people read them in the tables: UTC, ISO 8601, milliseconds (``2026-11-24T22:40:00.000Z``).

Of this form the text order is the order in time.
"""

from datetime import UTC, datetime


def now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)


def to_text(moment: datetime) -> str:
    """``2026-11-24T22:40:00.000Z``; raises ValueError for a time without zone."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def from_text(text: str) -> datetime:
    """The aware time that ``to_text`` wrote; raises ValueError for anything else."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(UTC)


def from_milliseconds(milliseconds: float) -> datetime:
    """The aware time of a Unix time in milliseconds, as Batch and CloudWatch Logs tell it."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
