"""When uploads become a run: is it time, and is it worth one?"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from nestbox.rules.arming import delay_until
from nestbox.rules.snapshots import Counts
from nestbox.states import State


@dataclass(frozen=True)
class SettlingLimits:
    """What the stack's parameters say about settling, or a dataset instead of them."""

    quiet_seconds: float
    max_wait_seconds: float
    min_new_images: int

    def with_quiet_period(self, seconds: float | None) -> "SettlingLimits":
        """The limits of a dataset with a quiet period of its own; these where it has none.

        One that is longer than the longest wait takes its place as well: otherwise it would never be kept.
        """
        if seconds is None:
            return self
        return replace(self, quiet_seconds=seconds, max_wait_seconds=max(self.max_wait_seconds, seconds))


@dataclass(frozen=True)
class Wait:
    """Too early: look again in so many seconds."""

    seconds: int


@dataclass(frozen=True)
class Ripe:
    """It is time."""

    why: str
    asked: bool = False
    """Whether somebody asked for it by name (``_READY``)."""


@dataclass(frozen=True)
class Start:
    """Start a run."""

    why: str


@dataclass(frozen=True)
class Drop:
    """Start nothing; later uploads are looked at anew."""

    code: str
    why: str
    hint: str = ""
    """How to get a run all the same; empty where nothing is missing."""


def time_to_start(
    *,
    now: datetime,
    first_pending_at: datetime,
    last_change_at: datetime | None,
    ready_at: datetime | None,
    last_run_at: datetime | None,
    limits: SettlingLimits,
) -> Wait | Ripe:
    """Whether a dataset with pending uploads should become a run now.

    ``last_change_at`` is when its newest object was written or deleted, ``ready_at`` when its ``_READY``
    was; a ``_READY`` from before the last run has had its effect.
    """
    if ready_at is not None and (last_run_at is None or ready_at > last_run_at):
        return Ripe("_READY was uploaded", asked=True)
    if last_change_at is None:
        return Ripe("the dataset is empty")
    quiet_at = last_change_at + timedelta(seconds=limits.quiet_seconds)
    if quiet_at <= now:
        return Ripe(f"quiet for {limits.quiet_seconds:g} s")
    latest_at = first_pending_at + timedelta(seconds=limits.max_wait_seconds)
    if latest_at <= now:
        return Ripe(f"uploads have gone on for {limits.max_wait_seconds:g} s")
    return Wait(max(1, delay_until(now, min(quiet_at, latest_at))))


def asked_for_a_run(there: Counts) -> Start | Drop:
    """Whether a run can be started that an operator asked for, changed or not."""
    if there.expected_images == 0:
        return _no_images(there)
    return Start(_named((there.images, "image"), (there.archives, "archive"), (there.others, "other file")))


def worth_a_run(
    *,
    there: Counts,
    changed: Counts | None,
    asked: bool,
    last_state: State | None,
    limits: SettlingLimits,
) -> Start | Drop:
    """Whether what is there now deserves a run.

    ``there`` is what the dataset holds, ``changed`` what differs from the last run's snapshot, None where
    there was no run yet. A `_READY` starts a run with fewer images than the limit, and tries a run again that
    failed or was cancelled.
    """
    if there.expected_images == 0:
        return _no_images(there)
    if changed is None:
        changed = there
    if changed == Counts():
        if asked and last_state in (State.FAILED, State.CANCELLED):
            return Start(f"the last run is {last_state} and _READY asks to try again")
        return Drop("nothing-changed", "nothing changed since the last run")
    if 0 < changed.expected_images < limits.min_new_images and not asked:
        what = _named((changed.images, "image"), (changed.archives, "archive"))
        if changed.archives:
            what += f" (about {_named((changed.expected_images, 'image'))} by size)"
        return Drop(
            "too-few-new-images",
            f"{what} changed since the last run; a run starts at {limits.min_new_images}",
            "upload more images, or an object named _READY to start now",
        )
    what = _named((changed.images, "image"), (changed.archives, "archive"), (changed.others, "other file"))
    return Start(f"{what} changed")


def _no_images(there: Counts) -> Drop:
    what = f"{there.others} objects but no image" if there.others else "nothing"
    return Drop(
        "no-images",
        f"the dataset holds {what}",
        "upload images (.jpg or .png), as they are or in .zip archives; a run starts then",
    )


def _named(*counts: tuple[int, str]) -> str:
    named = [f"{count} {thing}{'' if count == 1 else 's'}" for count, thing in counts if count]
    return " and ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named)
