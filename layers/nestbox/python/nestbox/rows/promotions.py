"""Whose model is to serve, and whose does: every write that touches it.

A dataset's ``wanted_run`` is exactly the one run that is DEPLOYING, and its ``champion_run`` the run whose
model the endpoint was last seen to serve. Each function is one transaction over the dataset and every run it
moves, under the condition that all of them are as they were read: so however promotions, rollbacks and
verdicts meet, one of them wins, the others read again, and one run at most is on its way in.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from nestbox import names, timestamps
from nestbox.errors import LostRaceError, NestboxError
from nestbox.rows import runs
from nestbox.rows.conditional import is_still, one_transaction, races_told
from nestbox.rules.champions import Served
from nestbox.rules.deploying import Asked
from nestbox.states import State, has_ended
from nestbox.tables import DatasetRow, Pinning, Reign, RunRow, get_run

MAX_REIGNS = 100
MAX_PINS = 50


def served_runs(dataset: DatasetRow) -> list[Served]:
    """Whose models have served, the newest last."""
    return [Served(reign.run, reign.back_from) for reign in dataset.champions or []]


def asked_of(dataset: DatasetRow) -> Asked | None:
    """What SageMaker was last asked to do with the dataset's endpoint."""
    if dataset.asked_run is None or dataset.asked_at is None:
        return None
    taken_at = dataset.asked_taken_at
    return Asked(
        dataset.asked_run,
        timestamps.from_text(dataset.asked_at),
        timestamps.from_text(taken_at) if taken_at else None,
    )


def promote_candidate(
    row: RunRow,
    *,
    judged_against: str | None,
    by: str,
    why: str,
    now: datetime,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Take a judged run to DEPLOYING; raises LostRaceError where the verdict no longer holds.

    It holds while the champion is the run that it was judged against (None: there was none), no other run is
    on its way in, the dataset is not pinned and nobody asked to cancel the run. Whoever loses judges again.
    """
    if row.cancel is not None:
        raise LostRaceError(f"run {row.run} is to be cancelled")
    condition = (
        (DatasetRow.active_run == row.run)
        & is_still(DatasetRow.champion_run, judged_against)
        & DatasetRow.wanted_run.does_not_exist()
        & (DatasetRow.pinned.does_not_exist() | (DatasetRow.pinned == False))  # noqa: E712
    )
    with one_transaction(f"the promotion of {row.run}") as transaction:
        transaction.update(
            row,
            runs.transition(row, State.DEPLOYING, by=by, why=why, now=now, facts=facts),
            condition=runs.as_read(row),
        )
        transaction.update(
            DatasetRow(row.dataset), [DatasetRow.wanted_run.set(row.run), *_WRITTEN], condition=condition
        )


def want(
    row: RunRow,
    dataset: DatasetRow,
    *,
    by: str,
    why: str,
    now: datetime,
    rollback_from: str | None = None,
) -> None:
    """Have a run's model served, whatever else is going on; raises LostRaceError.

    A run that is on its way in is cancelled with it. ``dataset`` must have been read before ``row``.
    """
    actions: list[Action] = [DatasetRow.wanted_run.set(row.run), *_WRITTEN]
    actions.append(
        DatasetRow.rollback_from.set(rollback_from) if rollback_from else DatasetRow.rollback_from.remove()
    )
    if dataset.asked_run == row.run:
        # Of an earlier time: what became of it says nothing about this one.
        actions += _FORGET_ASKING
    condition = _champion_as_read(dataset)
    if runs.state_of(row) is State.DEPLOYING:
        raise LostRaceError(f"run {row.run} is on its way in already")
    superseded = None
    if dataset.wanted_run is not None and dataset.wanted_run != row.run:
        superseded = get_run(dataset.wanted_run)
        if runs.state_of(superseded) is not State.DEPLOYING:
            # The row was read after the dataset, which wants another run by now.
            raise LostRaceError(f"run {superseded.run} is on its way in no more")
    with one_transaction(f"the promotion of {row.run}") as transaction:
        if superseded is not None:
            if dataset.active_run == superseded.run:
                actions.append(DatasetRow.active_run.remove())
                condition &= DatasetRow.active_run == superseded.run
            transaction.update(
                superseded,
                runs.transition(
                    superseded,
                    State.CANCELLED,
                    by=by,
                    why=f"{row.run} is to serve instead: {why}",
                    now=now,
                ),
                condition=runs.as_read(superseded),
            )
        transaction.update(
            row,
            runs.transition(row, State.DEPLOYING, by=by, why=why, now=now, facts={"cancel": None}),
            condition=runs.as_read(row),
        )
        transaction.update(dataset, actions, condition=condition)


def serve(row: RunRow, dataset: DatasetRow, *, by: str, why: str, now: datetime) -> None:
    """The endpoint serves the wanted run: it is the champion now. Raises LostRaceError."""
    freeing, condition = runs.release(dataset, row.run)
    actions: list[Action] = [
        *freeing,
        DatasetRow.champion_run.set(row.run),
        *_FORGET_ASKING,
        *_WRITTEN,
    ]
    if dataset.champion_run != row.run:
        # The list is written by this function alone, and only while the run is wanted.
        wish = row.history[-1]
        reign = Reign(
            run=row.run,
            at=timestamps.to_text(now),
            by=wish.by,
            why=wish.why,
            back_from=dataset.rollback_from,
        )
        actions.append(DatasetRow.champions.set([*(dataset.champions or []), reign][-MAX_REIGNS:]))
    facts = {"endpoint_config": names.endpoint_config_name(row.run), "pruned_at": None}
    with one_transaction(f"the champion of {dataset.dataset}") as transaction:
        transaction.update(
            row,
            runs.transition(row, State.SERVED, by=by, why=why, now=now, facts=facts),
            condition=runs.as_read(row),
        )
        transaction.update(dataset, actions, condition=condition & _champion_as_read(dataset))


def give_up(
    row: RunRow,
    dataset: DatasetRow,
    to: State,
    *,
    by: str,
    why: str,
    now: datetime,
    failure: str | None = None,
    restore: RunRow | None = None,
) -> None:
    """End a run that is on its way in, and have the champion put back where ``restore`` is given.

    Raises LostRaceError. In one transaction: at no time is nobody answerable for what the endpoint serves.
    """
    if restore is not None and restore.run == row.run:
        raise NestboxError(f"{row.run} cannot stand in for itself")
    if restore is not None and not has_ended(runs.state_of(restore)):
        # The row was read after the dataset, which did not want it yet.
        raise LostRaceError(f"run {restore.run} is being put back already")
    actions, condition = runs.release(dataset, row.run)
    if restore is not None:
        actions = [DatasetRow.wanted_run.set(restore.run), DatasetRow.rollback_from.remove()]
        if dataset.active_run == row.run:
            actions.append(DatasetRow.active_run.remove())
        if dataset.asked_run == restore.run:
            actions += _FORGET_ASKING
    with one_transaction(f"the promotion of {row.run}") as transaction:
        transaction.update(
            row,
            runs.transition(row, to, by=by, why=why, now=now, failure=failure),
            condition=runs.as_read(row),
        )
        if restore is not None:
            transaction.update(
                restore,
                runs.transition(
                    restore,
                    State.DEPLOYING,
                    by=by,
                    why=f"put back, as {row.run} is {to}",
                    now=now,
                    facts={"cancel": None},
                ),
                condition=runs.as_read(restore),
            )
        transaction.update(dataset, [*actions, *_WRITTEN], condition=condition & _champion_as_read(dataset))


def lease_asking(dataset: DatasetRow, run: str, now: datetime) -> None:
    """Note that SageMaker is about to be asked for a run's configuration; raises LostRaceError.

    Of looks that come together one gets to ask; the others see ``nestbox.rules.deploying.is_on_its_way``.
    """
    with races_told(f"the endpoint of {dataset.dataset}"):
        dataset.update(
            actions=[
                DatasetRow.asked_run.set(run),
                DatasetRow.asked_at.set(timestamps.to_text(now)),
                DatasetRow.asked_taken_at.remove(),
                *_WRITTEN,
            ],
            condition=(DatasetRow.wanted_run == run)
            & is_still(DatasetRow.asked_run, dataset.asked_run)
            & is_still(DatasetRow.asked_at, dataset.asked_at)
            & is_still(DatasetRow.asked_taken_at, dataset.asked_taken_at),
        )


def note_taken(dataset: DatasetRow, now: datetime) -> None:
    """Note that SageMaker has accepted what was asked under the lease; raises LostRaceError."""
    with races_told(f"the endpoint of {dataset.dataset}"):
        dataset.update(
            actions=[DatasetRow.asked_taken_at.set(timestamps.to_text(now)), *_WRITTEN],
            condition=_leased(dataset),
        )


def drop_lease(dataset: DatasetRow) -> None:
    """Nothing is being asked any more; raises LostRaceError."""
    with races_told(f"the endpoint of {dataset.dataset}"):
        dataset.update(actions=[*_FORGET_ASKING, *_WRITTEN], condition=_leased(dataset))


def pin(dataset: DatasetRow, pinned: bool, *, by: str, why: str, now: datetime) -> None:
    """Stop automatic promotion, or let it go on; raises LostRaceError."""
    entry = Pinning(pinned=pinned, at=timestamps.to_text(now), by=by, why=why)
    as_read = (
        DatasetRow.pinned == True  # noqa: E712
        if dataset.pinned
        else DatasetRow.pinned.does_not_exist() | (DatasetRow.pinned == False)  # noqa: E712
    )
    with races_told(f"dataset {dataset.dataset}"):
        dataset.update(
            actions=[
                DatasetRow.pinned.set(pinned),
                DatasetRow.pins.set([*(dataset.pins or []), entry][-MAX_PINS:]),
                *_WRITTEN,
            ],
            condition=as_read,
        )


def has_model(row: RunRow) -> bool:
    """Whether a run's model could be served: it was trained, and it is known how to serve it."""
    return bool(row.model_data and row.image) and (
        has_ended(runs.state_of(row)) or runs.state_of(row) is State.EVALUATING
    )


def _champion_as_read(dataset: DatasetRow) -> Condition:
    condition: Condition = is_still(DatasetRow.champion_run, dataset.champion_run)
    condition &= is_still(DatasetRow.wanted_run, dataset.wanted_run)
    return condition


def _leased(dataset: DatasetRow) -> Condition:
    condition: Condition = is_still(DatasetRow.asked_run, dataset.asked_run)
    condition &= is_still(DatasetRow.asked_at, dataset.asked_at)
    condition &= DatasetRow.asked_taken_at.does_not_exist()
    return condition


_WRITTEN: tuple[Action, ...] = (DatasetRow.revision.add(1),)
_FORGET_ASKING: tuple[Action, ...] = (
    DatasetRow.asked_run.remove(),
    DatasetRow.asked_at.remove(),
    DatasetRow.asked_taken_at.remove(),
)
