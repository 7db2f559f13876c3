"""Writes to the table of datasets."""

import functools
import operator
from collections.abc import Sequence
from datetime import datetime, timedelta

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from nestbox import timestamps
from nestbox.rows.conditional import is_still, one_transaction, races_told
from nestbox.rules.arming import Arming, Standing
from nestbox.tables import REJECTED_ROW, DatasetRow, Notice, RunRow, Wish, find_dataset

MAX_NOTICES = 50
NOTICES_KEPT = timedelta(days=7)


def standing_of(row: DatasetRow | None) -> Standing:
    """How a dataset stands, as far as settling goes."""
    if row is None:
        return Standing()
    return Standing(
        _time(row.first_pending_at), _time(row.settle_at), row.active_run, row.start_asked is not None
    )


def mark_pending(
    dataset: str, row: DatasetRow | None, arming: Arming, *, uploaded_at: datetime, now: datetime
) -> None:
    """Note that uploads wait and (if a message is to be sent) when it is due; raises LostRaceError."""
    actions: list[Action] = [DatasetRow.revision.add(1)]
    known = row.last_upload_at if row is not None else None
    actions.append(DatasetRow.last_upload_at.set(max(known or "", timestamps.to_text(uploaded_at))))
    if row is None or row.first_pending_at is None:
        actions += [
            DatasetRow.first_pending_at.set(timestamps.to_text(now)),
            DatasetRow.pending.set("1"),
        ]
    if arming.delay_seconds is not None:
        due = now + timedelta(seconds=arming.delay_seconds)
        actions.append(DatasetRow.settle_at.set(timestamps.to_text(due)))
    with races_told(f"dataset {dataset}"):
        DatasetRow(dataset).update(actions=actions, condition=_stands_as(row))


def disarm(row: DatasetRow) -> None:
    """Take the settle message off the row; raises LostRaceError. Must come before the bucket is listed."""
    with races_told(f"dataset {row.dataset}"):
        row.update(
            actions=[DatasetRow.settle_at.remove(), DatasetRow.revision.add(1)],
            condition=DatasetRow.settle_at == row.settle_at,
        )


def rearm(row: DatasetRow, due: datetime, last_change_at: datetime | None) -> None:
    """Note when the next settle message is due; raises LostRaceError where intake has armed one since."""
    with races_told(f"dataset {row.dataset}"):
        row.update(
            actions=[
                DatasetRow.settle_at.set(timestamps.to_text(due)),
                *_last_upload(last_change_at),
                DatasetRow.revision.add(1),
            ],
            condition=DatasetRow.settle_at.does_not_exist() & DatasetRow.active_run.does_not_exist(),
        )


def drop_pending(
    row: DatasetRow, notices: Sequence[Notice], last_change_at: datetime | None, seen_version: str
) -> None:
    """Nothing waits any more, and this is why; raises LostRaceError where uploads came in since.

    ``seen_version`` is that of what was listed.
    ``row`` must have been read before the bucket was listed (and written by nobody since: who took a newer
    settle message off it may have crashed before it did anything about it).
    """
    with races_told(f"dataset {row.dataset}"):
        row.update(
            actions=[
                DatasetRow.first_pending_at.remove(),
                DatasetRow.pending.remove(),
                DatasetRow.seen_version.set(seen_version),
                _set_notices(notices),
                *_last_upload(last_change_at),
                DatasetRow.revision.add(1),
            ],
            condition=DatasetRow.settle_at.does_not_exist()
            & DatasetRow.active_run.does_not_exist()
            & (DatasetRow.revision == row.revision),
        )


def ask_to_start(row: DatasetRow, wish: Wish) -> None:
    """Note an operator's wish for a run; raises LostRaceError where one is under way or asked for already."""
    with races_told(f"dataset {row.dataset}"):
        row.update(
            actions=[
                DatasetRow.start_asked.set(wish),
                DatasetRow.pending.set("1"),
                DatasetRow.revision.add(1),
            ],
            condition=DatasetRow.start_asked.does_not_exist() & DatasetRow.active_run.does_not_exist(),
        )


def drop_wish(row: DatasetRow, notices: Sequence[Notice]) -> None:
    """No run can be started as asked, and this is why; raises LostRaceError."""
    actions: list[Action] = [
        DatasetRow.start_asked.remove(),
        _set_notices(notices),
        DatasetRow.revision.add(1),
    ]
    if row.first_pending_at is None:
        actions.append(DatasetRow.pending.remove())
    with races_told(f"dataset {row.dataset}"):
        row.update(actions=actions, condition=_stands_as(row))


def start_run(
    row: DatasetRow, run: RunRow, now: datetime, last_change_at: datetime | None, *, listed_at: float | None
) -> None:
    """Write a new run and give it the dataset, in one transaction; raises LostRaceError.

    ``row`` must have been read after the bucket was listed; ``listed_at`` is its revision from before. What
    was written since may have been about newer uploads (also where their settle message was taken off the
    row by somebody who then crashed), so those stay pending, and so do all that wait where the run works on
    an old snapshot.
    """
    actions: list[Action] = [
        DatasetRow.active_run.set(run.run),
        DatasetRow.last_run.set(run.run),
        DatasetRow.dataset_version.set(run.snapshot_version),
        DatasetRow.start_asked.remove(),
        *_last_upload(last_change_at),
        DatasetRow.revision.add(1),
    ]
    if run.snapshot_run is None:
        # A run on an old snapshot answers nothing that was said of newer uploads.
        actions += [DatasetRow.defects.remove(), DatasetRow.seen_version.set(run.snapshot_version)]
    if row.first_pending_at is None:
        actions.append(DatasetRow.pending.remove())
    elif run.snapshot_run is not None:
        pass
    elif row.settle_at is None and row.revision == listed_at:
        actions += [DatasetRow.first_pending_at.remove(), DatasetRow.pending.remove()]
    else:
        actions.append(DatasetRow.first_pending_at.set(timestamps.to_text(now)))
    with one_transaction(f"dataset {row.dataset}") as transaction:
        transaction.save(run, condition=RunRow.run.does_not_exist())
        transaction.update(row, actions, condition=_stands_as(row))


def release(row: DatasetRow) -> None:
    """Take a run that has ended (or is gone) off the dataset that it still holds; raises LostRaceError."""
    with races_told(f"dataset {row.dataset}"):
        row.update(
            actions=[DatasetRow.active_run.remove(), DatasetRow.revision.add(1)],
            condition=DatasetRow.active_run == row.active_run,
        )


def reject_uploads(found: Sequence[Notice], now: datetime) -> list[Notice]:
    """Add defects of uploads that belong to no dataset to the row ``_rejected``; raises LostRaceError.

    What is there already is not written again. Where 50 are there, new ones wait until one is a week old:
    the row, and the number of writes to it, stay bounded whatever is uploaded. Returns what was added.
    """
    row = find_dataset(REJECTED_ROW)
    oldest = timestamps.to_text(now - NOTICES_KEPT)
    known = [notice for notice in (row.defects if row is not None else None) or [] if notice.at >= oldest]
    seen = {(notice.code, notice.file) for notice in known}
    new = [notice for notice in found if (notice.code, notice.file) not in seen]
    new = new[: max(0, MAX_NOTICES - len(known))]
    if not new:
        return []
    as_read = is_still(DatasetRow.revision, row.revision if row is not None else None)
    with races_told(f"dataset {REJECTED_ROW}"):
        DatasetRow(REJECTED_ROW).update(
            actions=[_set_notices([*known, *new]), DatasetRow.revision.add(1)], condition=as_read
        )
    return new


def _stands_as(row: DatasetRow | None) -> Condition:
    names = ("first_pending_at", "settle_at", "active_run")
    as_read = (is_still(getattr(DatasetRow, name), getattr(row, name, None)) for name in names)
    return functools.reduce(operator.and_, as_read)


def _set_notices(notices: Sequence[Notice]) -> Action:
    return DatasetRow.defects.set(list(notices)) if notices else DatasetRow.defects.remove()


def _last_upload(at: datetime | None) -> list[Action]:
    return [DatasetRow.last_upload_at.set(timestamps.to_text(at))] if at is not None else []


def _time(text: str | None) -> datetime | None:
    return timestamps.from_text(text) if text else None
