"""Writes to the table of runs: every transition is one conditional write that appends to the history."""

import functools
import math
import operator
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from nestbox import timestamps
from nestbox.errors import LostRaceError, NestboxError
from nestbox.names import dataset_of_run
from nestbox.rows.conditional import one_transaction, races_told
from nestbox.states import STAGES, State, has_ended, may_move
from nestbox.tables import DatasetRow, Failure, RunRow, Transition, Wish, get_dataset, plain_map


def state_of(row: RunRow) -> State:
    """The state of a run."""
    return State(row.state)


def new_run(
    run: str,
    *,
    now: datetime,
    by: str,
    why: str,
    snapshot_version: str,
    snapshot_objects: int,
    slices: int,
    prepared_after: str | None,
    code_version: str,
    snapshot_run: str | None = None,
) -> RunRow:
    """A run that starts (not yet written)."""
    at = timestamps.to_text(now)
    return RunRow(
        dataset_of_run(run),
        run,
        state=State.PREPARING.value,
        revision=1,
        unfinished="1",
        history=[Transition(to_state=State.PREPARING.value, at=at, by=by, why=why)],
        created_at=at,
        updated_at=at,
        snapshot_version=snapshot_version,
        snapshot_objects=snapshot_objects,
        slices=slices if slices > 1 else None,
        prepared_after=prepared_after,
        code_version=code_version,
        snapshot_run=snapshot_run,
    )


def note(row: RunRow, actions: Sequence[Action], *, only_if: Condition | None = None) -> None:
    """Write down what is no transition, as long as the run is still in its state; raises LostRaceError."""
    condition = RunRow.state == row.state
    with races_told(f"run {row.run}"):
        row.update(actions=list(actions), condition=condition & only_if if only_if is not None else condition)


def mark_announced(row: RunRow) -> None:
    """Note that the ends in the run's history, as read, have been told; raises LostRaceError."""
    with races_told(f"run {row.run}"):
        row.update(
            actions=[RunRow.unannounced.remove(), RunRow.announced.set(len(row.history))],
            condition=RunRow.revision == row.revision,
        )


def ask_to_cancel(row: RunRow, wish: Wish) -> None:
    """Note that the run is to end before its time; from now on no step moves it on. Raises LostRaceError."""
    with races_told(f"run {row.run}"):
        row.update(
            actions=[RunRow.cancel.set(wish), RunRow.revision.set(row.revision + 1)], condition=as_read(row)
        )


def claim_pruning(row: RunRow, now: datetime) -> None:
    """Note that the run's model and configuration are about to be deleted; raises LostRaceError."""
    actions: list[Action] = [
        RunRow.pruned_at.set(timestamps.to_text(now)),
        RunRow.revision.set(row.revision + 1),
    ]
    with races_told(f"run {row.run}"):
        row.update(actions=actions, condition=as_read(row))


def as_read(row: RunRow) -> Condition:
    """The condition that nobody has written the run's state since it was read."""
    condition: Condition = (RunRow.state == row.state) & (RunRow.revision == row.revision)
    return condition


def move(
    row: RunRow,
    to: State,
    *,
    by: str,
    why: str,
    now: datetime,
    facts: Mapping[str, Any] | None = None,
    dataset_facts: Mapping[str, Any] | None = None,
) -> None:
    """Take a run to a state that does not end it; raises LostRaceError.

    ``facts`` are attributes of the run learnt with it; ``dataset_facts`` attributes of its dataset, written
    in the same transaction. None takes an attribute away.
    """
    if has_ended(to) or to is State.DEPLOYING:
        raise NestboxError(f"{to} is entered with end() or nestbox.rows.promotions, not with move()")
    if row.cancel is not None:
        raise LostRaceError(f"run {row.run} is to be cancelled")
    actions = transition(row, to, by=by, why=why, now=now, facts=facts)
    if not dataset_facts:
        with races_told(f"run {row.run}"):
            row.update(actions=actions, condition=as_read(row))
        return
    with one_transaction(f"run {row.run}") as transaction:
        transaction.update(row, actions, condition=as_read(row))
        transaction.update(
            DatasetRow(row.dataset),
            [*_sets(DatasetRow, dataset_facts), DatasetRow.revision.add(1)],
            condition=DatasetRow.active_run == row.run,
        )


def end(
    row: RunRow,
    to: State,
    *,
    by: str,
    why: str,
    now: datetime,
    facts: Mapping[str, Any] | None = None,
    failure: str | None = None,
    dataset_facts: Mapping[str, Any] | None = None,
) -> None:
    """End a run and free its dataset in one transaction; raises LostRaceError.

    ``failure`` is the reason, for people, of an end before its time. Whoever ends a run then asks for the
    dataset to be settled, as uploads may have been waiting for it.
    """
    if not has_ended(to):
        raise NestboxError(f"{to} does not end a run: use move()")
    dataset = get_dataset(row.dataset)
    freeing, condition = release(dataset, row.run)
    actions = transition(row, to, by=by, why=why, now=now, facts=facts, failure=failure)
    dataset_actions = [*freeing, *_sets(DatasetRow, dataset_facts or {}), DatasetRow.revision.add(1)]
    with one_transaction(f"run {row.run}") as transaction:
        transaction.update(row, actions, condition=as_read(row))
        transaction.update(dataset, dataset_actions, condition=condition)


def is_judged_no_more(row: RunRow) -> bool:
    """Whether judging began and was cut short of a verdict: its jobs may still be at work."""
    return row.judging is not None and row.decision is None and state_of(row) is not State.EVALUATING


def release(dataset: DatasetRow, run: str) -> tuple[list[Action], Condition]:
    """What takes a run that ends off its dataset, and the condition that it holds of it what was read."""
    actions: list[Action] = []
    as_read: list[Condition] = []
    for held, goes in (("active_run", ()), ("wanted_run", ("rollback_from",))):
        attribute = getattr(DatasetRow, held)
        if getattr(dataset, held) == run:
            actions += [attribute.remove(), *(getattr(DatasetRow, name).remove() for name in goes)]
            as_read.append(attribute == run)
        else:
            as_read.append(attribute.does_not_exist() | (attribute != run))
    return actions, functools.reduce(operator.and_, as_read)


def transition(
    row: RunRow,
    to: State,
    *,
    by: str,
    why: str,
    now: datetime,
    facts: Mapping[str, Any] | None = None,
    failure: str | None = None,
) -> list[Action]:
    """What a move writes into the run's row; the condition to write it under is ``as_read``."""
    before = state_of(row)
    if not may_move(before, to):
        raise NestboxError(f"run {row.run} cannot go from {before} to {to}")
    at = timestamps.to_text(now)
    told = f"{why}: {failure}" if failure else why
    step = Transition(from_state=before.value, to_state=to.value, at=at, by=by, why=told)
    actions: list[Action] = [
        RunRow.state.set(to.value),
        RunRow.revision.set(row.revision + 1),
        RunRow.updated_at.set(at),
        RunRow.history.set(RunRow.history.append([step])),
        *_sets(RunRow, facts or {}),
    ]
    if before in STAGES:
        timings = plain_map(row.timings)
        seconds = (now - timestamps.from_text(row.history[-1].at)).total_seconds()
        timings[STAGES[before]] = round(max(seconds, 0.0), 3)
        actions.append(RunRow.timings.set(timings))
    if failure:
        actions.append(RunRow.failure.set(Failure(stage=STAGES[before], reason=failure)))
    if has_ended(to):
        actions += [RunRow.unfinished.remove(), RunRow.cancel.remove(), RunRow.unannounced.set("1")]
    else:
        # What an earlier end left behind is undone; the history keeps it.
        actions += [RunRow.unfinished.set("1"), RunRow.failure.remove()]
    return actions


def _sets(model: type[RunRow] | type[DatasetRow], facts: Mapping[str, Any]) -> list[Action]:
    for name, value in facts.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise NestboxError(f"{name} is {value}: only finite numbers are facts")
    return [
        getattr(model, name).remove() if value is None else getattr(model, name).set(value)
        for name, value in facts.items()
    ]
