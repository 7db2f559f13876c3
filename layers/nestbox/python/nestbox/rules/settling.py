"""When uploads become a run: is it time, and is it worth one?"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from nestbox.rules.arming import delay_until
from nestbox.rules.snapshots import Changes
from nestbox.states import State


@dataclass(frozen=True)
class SettlingLimits:
    """What the stack's parameters say about settling."""

    quiet_seconds: int
    max_wait_seconds: int
    min_new_images: int


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
        return Ripe(f"quiet for {limits.quiet_seconds} s")
    latest_at = first_pending_at + timedelta(seconds=limits.max_wait_seconds)
    if latest_at <= now:
        return Ripe(f"uploads have gone on for {limits.max_wait_seconds} s")
    return Wait(max(1, delay_until(now, min(quiet_at, latest_at))))


def worth_a_run(
    *,
    images: int,
    objects: int,
    changed: Changes | None,
    asked: bool,
    last_state: State | None,
    limits: SettlingLimits,
) -> Start | Drop:
    """Whether what is there now deserves a run.

    ``changed`` is against the last run's snapshot, None where there was no run yet. A `_READY` starts a run
    with fewer images than the limit, and tries a run again that failed or was cancelled.
    """
    if images == 0:
        what = f"{objects} objects but no image" if objects else "nothing"
        return Drop(
            "no-images", f"the dataset holds {what}", "upload images (.jpg or .png); a run starts then"
        )
    if changed is None:
        changed = Changes(images=images, others=objects - images)
    if changed == Changes(0, 0):
        if asked and last_state in (State.FAILED, State.CANCELLED):
            return Start(f"the last run is {last_state} and _READY asks to try again")
        return Drop("nothing-changed", "nothing changed since the last run")
    if 0 < changed.images < limits.min_new_images and not asked:
        return Drop(
            "too-few-new-images",
            f"{changed.images} images changed since the last run; a run starts at {limits.min_new_images}",
            "upload more images, or an object named _READY to start now",
        )
    return Start(_what_changed(changed))


def _what_changed(changed: Changes) -> str:
    counts = [(changed.images, "image"), (changed.others, "other file")]
    named = [f"{count} {thing}{'' if count == 1 else 's'}" for count, thing in counts if count]
    return f"{' and '.join(named)} changed"
