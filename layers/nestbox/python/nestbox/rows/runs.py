"""Writes to the table of runs: every transition is one conditional write that appends to the history."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from nestbox import timestamps
from nestbox.errors import NestboxError
from nestbox.names import dataset_of_run
from nestbox.rows.conditional import one_transaction, races_told
from nestbox.states import STAGES, State, has_ended, may_move
from nestbox.tables import DatasetRow, Failure, RunRow, Transition, get_dataset, plain_map


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


def move(
    row: RunRow,
    to: State,
    *,
    by: str,
    why: str,
    now: datetime,
    facts: Mapping[str, Any] | None = None,
    dataset_facts: Mapping[str, Any] | None = None,
    while_dataset: Condition | None = None,
) -> None:
    """Take a run to a state that does not end it; raises LostRaceError.

    ``facts`` are attributes of the run learnt with it; ``dataset_facts`` attributes of its dataset, written
    in the same transaction. None takes an attribute away. ``while_dataset`` must hold of the dataset's row.
    """
    if has_ended(to):
        raise NestboxError(f"{to} ends a run: use end()")
    actions = _transition(row, to, by=by, why=why, now=now, facts=facts or {})
    condition = (RunRow.state == row.state) & (RunRow.revision == row.revision)
    if not dataset_facts and while_dataset is None:
        with races_told(f"run {row.run}"):
            row.update(actions=actions, condition=condition)
        return
    of_dataset = DatasetRow.active_run == row.run
    with one_transaction(f"run {row.run}") as transaction:
        transaction.update(row, actions, condition=condition)
        transaction.update(
            DatasetRow(row.dataset),
            [*_sets(DatasetRow, dataset_facts or {}), DatasetRow.revision.add(1)],
            condition=of_dataset & while_dataset if while_dataset is not None else of_dataset,
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
    all_facts = dict(facts or {})
    if failure is not None:
        all_facts["failure"] = Failure(stage=STAGES[state_of(row)], reason=failure)
    actions = [
        *_transition(row, to, by=by, why=why, now=now, facts=all_facts),
        RunRow.unfinished.remove(),
    ]
    dataset = get_dataset(row.dataset)
    dataset_actions = [*_sets(DatasetRow, dataset_facts or {}), DatasetRow.revision.add(1)]
    if dataset.active_run == row.run:
        dataset_actions.append(DatasetRow.active_run.remove())
        condition = DatasetRow.active_run == row.run
    else:
        # Only a table edited by hand gets here; the run must end all the same.
        condition = DatasetRow.active_run != row.run
    with one_transaction(f"run {row.run}") as transaction:
        transaction.update(
            row, actions, condition=(RunRow.state == row.state) & (RunRow.revision == row.revision)
        )
        transaction.update(dataset, dataset_actions, condition=condition)


def _transition(
    row: RunRow, to: State, *, by: str, why: str, now: datetime, facts: Mapping[str, Any]
) -> list[Action]:
    before = state_of(row)
    if not may_move(before, to):
        raise NestboxError(f"run {row.run} cannot go from {before} to {to}")
    at = timestamps.to_text(now)
    step = Transition(from_state=before.value, to_state=to.value, at=at, by=by, why=why)
    timings = plain_map(row.timings)
    seconds = (now - timestamps.from_text(row.history[-1].at)).total_seconds()
    timings[STAGES[before]] = round(max(seconds, 0.0), 3)
    return [
        RunRow.state.set(to.value),
        RunRow.revision.set(row.revision + 1),
        RunRow.updated_at.set(at),
        RunRow.history.set(RunRow.history.append([step])),
        RunRow.timings.set(timings),
        *([RunRow.unannounced.set("1")] if has_ended(to) else []),
        *_sets(RunRow, facts),
    ]


def _sets(model: type[RunRow] | type[DatasetRow], facts: Mapping[str, Any]) -> list[Action]:
    for name, value in facts.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise NestboxError(f"{name} is {value}: only finite numbers are facts")
    return [
        getattr(model, name).remove() if value is None else getattr(model, name).set(value)
        for name, value in facts.items()
    ]
