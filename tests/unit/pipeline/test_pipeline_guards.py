"""Every write over datasets and runs is refused once somebody else has written what it rests on.

Each case stands for one function: the rows as it read them, what somebody may have written since under which
it must lose (nothing is written then), and what it does not mind.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from nestbox import names, timestamps
from nestbox.errors import LostRaceError, NestboxError
from nestbox.rows import datasets, promotions, runs
from nestbox.rows import epochs as rows_of_epochs
from nestbox.rules.arming import Arming
from nestbox.rules.deploying import Asked
from nestbox.rules.epochs import Epoch
from nestbox.rules.strays import Stray
from nestbox.settings import IntakeSettings
from nestbox.states import State
from nestbox.steps.intake import Intake
from nestbox.tables import (
    REJECTED_ROW,
    DatasetRow,
    Decision,
    Failure,
    Judging,
    Notice,
    Pinning,
    Reign,
    RunRow,
    Transition,
    Wish,
    epochs_of,
    find_dataset,
    get_dataset,
    get_run,
)
from simulation.calls import led_into
from simulation.services.dynamodb import DynamoDb
from simulation.wiring import read_wiring

TABLES = read_wiring({}).tables
NOW = timestamps.from_text("2026-11-30T12:00:00.000Z")
EARLIER, AT, LATER = (timestamps.to_text(NOW + timedelta(minutes=minutes)) for minutes in (-5, 0, 5))
RUN, OTHER, THIRD = (f"birds-20261130{hour}0000-00aa" for hour in (10, 11, 12))
WHO = {"by": "ada", "why": "a test", "now": NOW}
WISH = Wish(at=EARLIER, by="ada", why="a test")

Rows = dict[str, Any]


@pytest.fixture(autouse=True)
def tables(monkeypatch: pytest.MonkeyPatch) -> Iterator[DynamoDb]:
    for kind in ("Datasets", "Runs", "Epochs"):
        name = next(table for table in TABLES if table.endswith(f"{kind}Table"))
        monkeypatch.setenv(f"{kind.upper()}_TABLE", name)
    dynamodb = DynamoDb(TABLES)
    with led_into(lambda: SimpleNamespace(dynamodb=dynamodb)):
        yield dynamodb


def dataset_row(**attributes: Any) -> DatasetRow:
    DatasetRow("birds", **{"revision": 7, **attributes}).save()
    return get_dataset("birds")


def run_row(run: str = RUN, **attributes: Any) -> RunRow:
    state = attributes.pop("state", State.EVALUATING)
    RunRow(
        "birds",
        run,
        **{
            "state": state.value,
            "revision": 3,
            "history": [Transition(to_state=state.value, at=EARLIER, by="ada", why="so far")],
            "created_at": EARLIER,
            "updated_at": EARLIER,
            "snapshot_version": "v1",
            "snapshot_objects": 4,
            **attributes,
        },
    ).save()
    return get_run(run)


def write(row: Rows) -> None:
    """What somebody else writes: attributes of the dataset, or of the run under its id; None takes away."""
    for key, value in row.items():
        model: Any = get_run(key) if key.startswith("birds-") else get_dataset("birds")
        for name, one in (value if isinstance(value, dict) else {key: value}).items():
            setattr(model, name, one)
        model.save()


@dataclass
class Case:
    """``call`` gets the dataset's row and the runs' as they were read before anybody else wrote."""

    call: Callable[..., Any]
    dataset: Rows = field(default_factory=dict)
    runs: dict[str, Rows] = field(default_factory=dict)
    loses: list[Rows] = field(default_factory=list)
    wins: list[Rows] = field(default_factory=list)

    def read(self) -> list[Any]:
        return [dataset_row(**self.dataset), *(run_row(run, **told) for run, told in self.runs.items())]


STANDS = {"first_pending_at": EARLIER, "settle_at": EARLIER}
MOVED = [{"first_pending_at": None}, {"settle_at": None}, {"settle_at": LATER}, {"active_run": OTHER}]
WRITTEN = [{RUN: {"state": "FAILED"}}, {RUN: {"revision": 4}}]
"""A run that somebody else has moved, or marked without moving it."""
ASKED = {"asked_run": RUN, "asked_at": EARLIER}

CASES = {
    "mark_pending": Case(
        lambda row: datasets.mark_pending("birds", row, Arming(30), uploaded_at=NOW, now=NOW),
        STANDS,
        loses=MOVED,
        wins=[{"pinned": True}, {"revision": 8}],
    ),
    "mark_pending of what did not wait": Case(
        lambda row: datasets.mark_pending("birds", row, Arming(30), uploaded_at=NOW, now=NOW),
        loses=[{"first_pending_at": EARLIER}, {"settle_at": EARLIER}, {"active_run": OTHER}],
    ),
    "mark_pending where there was no row": Case(
        lambda _: datasets.mark_pending("birds", None, Arming(30), uploaded_at=NOW, now=NOW),
        loses=[{"first_pending_at": EARLIER}, {"settle_at": EARLIER}, {"active_run": OTHER}],
    ),
    "disarm": Case(
        lambda row: datasets.disarm(row), STANDS, loses=[{"settle_at": LATER}, {"settle_at": None}]
    ),
    "rearm": Case(
        lambda row: datasets.rearm(row, NOW, None), loses=[{"settle_at": EARLIER}, {"active_run": OTHER}]
    ),
    "drop_pending": Case(
        lambda row: datasets.drop_pending(row, [], None, "v2"),
        {"first_pending_at": EARLIER, "pending": "1"},
        loses=[{"settle_at": LATER}, {"active_run": OTHER}, {"revision": 8}],
    ),
    "ask_to_start": Case(
        lambda row: datasets.ask_to_start(row, WISH), loses=[{"start_asked": WISH}, {"active_run": OTHER}]
    ),
    "drop_wish": Case(
        lambda row: datasets.drop_wish(row, []),
        {**STANDS, "start_asked": WISH},
        loses=MOVED,
        wins=[{"revision": 8}],
    ),
    "start_run": Case(
        lambda row: datasets.start_run(row, new_run(), NOW, None, listed_at=7), STANDS, loses=MOVED
    ),
    "release": Case(
        lambda row: datasets.release(row),
        {"active_run": RUN},
        loses=[{"active_run": OTHER}, {"active_run": None}],
        wins=[{"settle_at": LATER}],
    ),
    "note": Case(
        lambda _, run: runs.note(run, [RunRow.best_map.set(0.5)]),
        runs={RUN: {}},
        loses=[{RUN: {"state": "FAILED"}}],
        wins=[{RUN: {"revision": 4}}],
    ),
    "note under a condition": Case(
        lambda _, run: runs.note(
            run, [RunRow.best_map.set(0.5)], only_if=RunRow.training_job.does_not_exist()
        ),
        runs={RUN: {}},
        loses=[{RUN: {"state": "FAILED"}}, {RUN: {"training_job": RUN}}],
    ),
    "mark_announced": Case(
        lambda _, run: runs.mark_announced(run),
        runs={RUN: {"state": State.FAILED, "unannounced": "1"}},
        loses=[{RUN: {"revision": 4}}],
    ),
    "ask_to_cancel": Case(lambda _, run: runs.ask_to_cancel(run, WISH), runs={RUN: {}}, loses=WRITTEN),
    "claim_pruning": Case(
        lambda _, run: runs.claim_pruning(run, NOW), runs={RUN: {"state": State.SERVED}}, loses=WRITTEN
    ),
    "move": Case(
        lambda _, run: runs.move(run, State.EVALUATING, **WHO),
        runs={RUN: {"state": State.TRAINING}},
        loses=WRITTEN,
        wins=[{"active_run": OTHER}],
    ),
    "move with facts of the dataset": Case(
        lambda _, run: runs.move(run, State.TRAINING, **WHO, dataset_facts={"classes": ["wren"]}),
        {"active_run": RUN},
        {RUN: {"state": State.PREPARING}},
        loses=[*WRITTEN, {"active_run": OTHER}, {"active_run": None}],
        wins=[{"settle_at": LATER}],
    ),
    "end": Case(
        lambda _, run: runs.end(run, State.REJECTED, **WHO), {"active_run": RUN}, {RUN: {}}, loses=WRITTEN
    ),
    "promote_candidate": Case(
        lambda _, run: promotions.promote_candidate(run, judged_against=OTHER, **WHO),
        {"active_run": RUN, "champion_run": OTHER},
        {RUN: {}},
        loses=[
            *WRITTEN,
            {"active_run": None},
            {"active_run": OTHER},
            {"champion_run": THIRD},
            {"champion_run": None},
            {"wanted_run": THIRD},
            {"pinned": True},
        ],
        wins=[{"pinned": False}, {"settle_at": LATER}],
    ),
    "promote_candidate where nothing serves": Case(
        lambda _, run: promotions.promote_candidate(run, judged_against=None, **WHO),
        {"active_run": RUN},
        {RUN: {}},
        loses=[{"champion_run": OTHER}],
    ),
    "want": Case(
        lambda dataset, run: promotions.want(run, dataset, **WHO),
        {"champion_run": OTHER},
        {RUN: {"state": State.REJECTED}},
        loses=[*WRITTEN, {"champion_run": THIRD}, {"champion_run": None}, {"wanted_run": THIRD}],
        wins=[{"pinned": True}],
    ),
    "want in place of another": Case(
        lambda dataset, run, _: promotions.want(run, dataset, **WHO),
        {"champion_run": THIRD, "wanted_run": OTHER, "active_run": OTHER},
        {RUN: {"state": State.REJECTED}, OTHER: {"state": State.DEPLOYING}},
        loses=[
            *WRITTEN,
            {OTHER: {"state": "SERVED"}},
            {"wanted_run": None},
            {"wanted_run": THIRD},
            {"active_run": None},
            {"active_run": THIRD},
        ],
    ),
    "serve": Case(
        lambda dataset, run: promotions.serve(run, dataset, **WHO),
        {"wanted_run": RUN, "champion_run": OTHER, "active_run": RUN},
        {RUN: {"state": State.DEPLOYING}},
        loses=[
            *WRITTEN,
            {"wanted_run": None},
            {"wanted_run": THIRD},
            {"champion_run": THIRD},
            {"champion_run": None},
            {"active_run": None},
        ],
    ),
    "serve a run that does not hold the dataset": Case(
        lambda dataset, run: promotions.serve(run, dataset, **WHO),
        {"wanted_run": RUN},
        {RUN: {"state": State.DEPLOYING}},
        loses=[{"active_run": RUN}],
        wins=[{"active_run": THIRD}],
    ),
    "give_up": Case(
        lambda dataset, run: promotions.give_up(run, dataset, State.FAILED, failure="no", **WHO),
        {"wanted_run": RUN, "champion_run": OTHER},
        {RUN: {"state": State.DEPLOYING}},
        loses=[*WRITTEN, {"wanted_run": None}, {"wanted_run": THIRD}, {"champion_run": THIRD}],
        wins=[{"pinned": True}],
    ),
    "give_up and put the champion back": Case(
        lambda dataset, run, champion: promotions.give_up(
            run, dataset, State.FAILED, failure="no", restore=champion, **WHO
        ),
        {"wanted_run": RUN, "champion_run": OTHER},
        {RUN: {"state": State.DEPLOYING}, OTHER: {"state": State.SERVED}},
        loses=[
            *WRITTEN,
            {OTHER: {"state": "DEPLOYING"}},
            {OTHER: {"revision": 4}},
            {"wanted_run": None},
            {"champion_run": THIRD},
        ],
    ),
    "lease_asking": Case(
        lambda dataset, _: promotions.lease_asking(dataset, RUN, NOW),
        {"wanted_run": RUN, "asked_run": OTHER, "asked_at": EARLIER, "asked_taken_at": EARLIER},
        {RUN: {"state": State.DEPLOYING}},
        loses=[
            {"wanted_run": OTHER},
            {"wanted_run": None},
            {"asked_run": RUN},
            {"asked_at": LATER},
            {"asked_taken_at": LATER},
            {"asked_taken_at": None},
        ],
        wins=[{"pinned": True}],
    ),
    "lease_asking where nothing was asked": Case(
        lambda dataset, _: promotions.lease_asking(dataset, RUN, NOW),
        {"wanted_run": RUN},
        {RUN: {"state": State.DEPLOYING}},
        loses=[{"asked_run": RUN}, {"asked_at": LATER}, {"asked_taken_at": LATER}],
    ),
    "note_taken": Case(
        lambda dataset: promotions.note_taken(dataset, NOW),
        ASKED,
        loses=[{"asked_run": OTHER}, {"asked_at": LATER}, {"asked_taken_at": LATER}, {"asked_run": None}],
        wins=[{"settle_at": LATER}],
    ),
    "drop_lease": Case(
        lambda dataset: promotions.drop_lease(dataset),
        ASKED,
        loses=[{"asked_run": OTHER}, {"asked_at": LATER}, {"asked_taken_at": LATER}],
    ),
    "pin": Case(
        lambda row: promotions.pin(row, True, **WHO), loses=[{"pinned": True}], wins=[{"pinned": False}]
    ),
    "unpin": Case(
        lambda row: promotions.pin(row, False, **WHO),
        {"pinned": True},
        loses=[{"pinned": False}, {"pinned": None}],
    ),
}


def new_run(run: str = RUN) -> RunRow:
    return runs.new_run(
        run,
        **WHO,
        snapshot_version="v2",
        snapshot_objects=4,
        slices=1,
        prepared_after=None,
        code_version="1",
    )


def stored(tables: DynamoDb) -> dict[str, Any]:
    return {name: copy.deepcopy(tables.items(name)) for name in TABLES}


LOSING = [(name, written) for name, case in CASES.items() for written in case.loses]
WINNING = [(name, written) for name, case in CASES.items() for written in [{}, *case.wins]]


@pytest.mark.parametrize(("name", "written"), LOSING)
def test_a_write_loses_to_what_it_rests_on(name: str, written: Rows, tables: DynamoDb) -> None:
    read = CASES[name].read()
    write(written)
    before = stored(tables)
    with pytest.raises(LostRaceError):
        CASES[name].call(*read)
    assert stored(tables) == before


@pytest.mark.parametrize(("name", "written"), WINNING)
def test_other_writes_do_not_disturb_it(name: str, written: Rows, tables: DynamoDb) -> None:
    read = CASES[name].read()
    write(written)
    before = stored(tables)
    CASES[name].call(*read)
    assert stored(tables) != before


# -- what is read within a function, so that somebody can write between its reading and its writing


@pytest.mark.parametrize(
    "written",
    [{"active_run": None}, {"active_run": OTHER}, {"wanted_run": RUN}],
    ids=["no longer held", "held by another", "wanted"],
)
def test_the_end_of_a_run_loses_to_whoever_moves_its_dataset(
    written: Rows, tables: DynamoDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = dataset_row(active_run=RUN)
    run = run_row()
    write(written)
    monkeypatch.setattr(runs, "get_dataset", lambda _: read)
    before = stored(tables)
    with pytest.raises(LostRaceError):
        runs.end(run, State.REJECTED, **WHO)
    assert stored(tables) == before


@pytest.mark.parametrize("since", [8, None])
def test_rejected_uploads_are_not_written_over(
    since: int | None, tables: DynamoDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    DatasetRow(REJECTED_ROW, revision=7).save()
    read = find_dataset(REJECTED_ROW)
    if since is None:
        monkeypatch.setattr(datasets, "find_dataset", lambda _: None)
    else:
        DatasetRow(REJECTED_ROW, revision=since).save()
        monkeypatch.setattr(datasets, "find_dataset", lambda _: read)
    before = stored(tables)
    with pytest.raises(LostRaceError):
        datasets.reject_uploads([notice("a.jpg")], NOW)
    assert stored(tables) == before


def test_a_run_on_its_way_in_no_more_is_not_cancelled(tables: DynamoDb) -> None:
    dataset = dataset_row(wanted_run=OTHER)
    run_row(OTHER, state=State.SERVED)
    run = run_row(state=State.REJECTED)
    before = stored(tables)
    with pytest.raises(LostRaceError, match="on its way in no more"):
        promotions.want(run, dataset, **WHO)
    assert stored(tables) == before


def test_a_dataset_that_wants_an_ended_run_is_mended_by_wanting_it() -> None:
    """Nothing leaves it so, but a table can be edited, or restored from a backup."""
    dataset = dataset_row(wanted_run=RUN)
    promotions.want(run_row(state=State.FAILED), dataset, **WHO)
    assert (get_run(RUN).state, get_dataset("birds").wanted_run) == ("DEPLOYING", RUN)


def test_a_run_on_its_way_in_is_not_wanted_twice() -> None:
    dataset = dataset_row(wanted_run=RUN)
    with pytest.raises(LostRaceError, match="on its way in already"):
        promotions.want(run_row(state=State.DEPLOYING), dataset, **WHO)


def test_nobody_is_put_back_twice_or_in_place_of_himself() -> None:
    dataset = dataset_row(wanted_run=RUN, champion_run=OTHER)
    run, other = run_row(state=State.DEPLOYING), run_row(OTHER, state=State.DEPLOYING)
    with pytest.raises(LostRaceError, match="being put back already"):
        promotions.give_up(run, dataset, State.FAILED, restore=other, **WHO)
    with pytest.raises(NestboxError, match="cannot stand in for itself"):
        promotions.give_up(run, dataset, State.FAILED, restore=run, **WHO)


@pytest.mark.parametrize("call", [runs.move, promotions.promote_candidate])
def test_a_run_that_is_to_be_cancelled_moves_no_further(call: Callable[..., None], tables: DynamoDb) -> None:
    dataset_row(active_run=RUN)
    moving = call is runs.move
    run = run_row(state=State.TRAINING if moving else State.EVALUATING, cancel=WISH)
    before = stored(tables)
    with pytest.raises(LostRaceError, match="is to be cancelled"):
        call(run, **({"to": State.EVALUATING} if moving else {"judged_against": None}), **WHO)
    assert stored(tables) == before


# -- what is written


def notice(file: str, at: str = EARLIER) -> Notice:
    return Notice(code="stray", severity="error", file=file, message="m", hint="h", at=at)


def test_what_waits_has_waited_since_its_first_upload() -> None:
    first = dataset_row(first_pending_at=EARLIER, pending="1", last_upload_at=LATER)
    datasets.mark_pending("birds", first, Arming(None), uploaded_at=NOW, now=NOW)
    row = get_dataset("birds")
    assert (row.first_pending_at, row.last_upload_at, row.settle_at) == (EARLIER, LATER, None)
    datasets.drop_pending(row, [notice("a.jpg")], NOW, "v2")
    row = get_dataset("birds")
    assert (row.first_pending_at, row.pending, row.seen_version) == (None, None, "v2")
    assert [one.file for one in row.defects] == ["a.jpg"]
    assert row.last_upload_at == AT
    datasets.mark_pending("birds", row, Arming(60), uploaded_at=NOW, now=NOW)
    row = get_dataset("birds")
    assert (row.first_pending_at, row.pending) == (AT, "1")
    assert row.settle_at == timestamps.to_text(NOW + timedelta(minutes=1))
    datasets.disarm(row)
    row = get_dataset("birds")
    datasets.drop_pending(row, [], None, "v3")
    row = get_dataset("birds")
    assert (row.defects, row.last_upload_at) == (None, AT)


@pytest.mark.parametrize("first", [None, EARLIER])
def test_a_dropped_wish_leaves_the_uploads_waiting(first: str | None) -> None:
    row = dataset_row(first_pending_at=first, pending="1", start_asked=WISH)
    datasets.drop_wish(row, [notice("a.jpg")])
    row = get_dataset("birds")
    assert (row.start_asked, row.pending) == (None, "1" if first else None)


@pytest.mark.parametrize(
    ("before", "listed_at", "old", "waits_since"),
    [
        ({}, 7, False, None),
        ({"first_pending_at": EARLIER, "pending": "1"}, 7, False, None),
        ({"first_pending_at": EARLIER, "pending": "1"}, 6, False, AT),
        (
            {"first_pending_at": EARLIER, "pending": "1", "settle_at": LATER},
            7,
            False,
            AT,
        ),
        ({"first_pending_at": EARLIER, "pending": "1"}, 7, True, EARLIER),
        ({"pending": "1"}, 7, True, None),
    ],
    ids=["by wish", "listed", "written since", "armed since", "old snapshot", "wish for an old snapshot"],
)
def test_a_new_run_takes_what_was_listed_and_no_more(
    before: Rows, listed_at: int, old: bool, waits_since: str | None
) -> None:
    row = dataset_row(start_asked=WISH, defects=[notice("a.jpg")], seen_version="v1", **before)
    run = new_run()
    if old:
        run.snapshot_run = OTHER
    datasets.start_run(row, run, NOW, None, listed_at=listed_at)
    row = get_dataset("birds")
    assert (row.first_pending_at, row.pending) == (waits_since, "1" if waits_since else None)
    assert (row.active_run, row.last_run, row.dataset_version, row.start_asked) == (RUN, RUN, "v2", None)
    # A run on an old snapshot answers nothing that was said of newer uploads.
    assert (row.seen_version, row.defects is None) == (("v1", False) if old else ("v2", True))
    with pytest.raises(LostRaceError):
        datasets.start_run(row, new_run(), NOW, None, listed_at=row.revision)


def test_rejected_uploads_stay_for_a_week_and_never_fill_the_row() -> None:
    old = timestamps.to_text(NOW - timedelta(days=8))
    DatasetRow(REJECTED_ROW, defects=[notice("old.jpg", old), notice("a.jpg")]).save()
    assert datasets.reject_uploads([notice("a.jpg")], NOW) == []
    assert [one.file for one in get_dataset(REJECTED_ROW).defects] == ["old.jpg", "a.jpg"]
    added = datasets.reject_uploads([notice("a.jpg"), notice("b.jpg")], NOW)
    assert [one.file for one in added] == ["b.jpg"]
    assert [one.file for one in get_dataset(REJECTED_ROW).defects] == ["a.jpg", "b.jpg"]
    many = [notice(f"{number}.jpg") for number in range(60)]
    assert len(datasets.reject_uploads(many, NOW)) == 48
    assert datasets.reject_uploads(many, NOW) == []
    assert len(get_dataset(REJECTED_ROW).defects) == datasets.MAX_NOTICES


def test_an_end_frees_what_the_run_held_and_nothing_else() -> None:
    dataset_row(active_run=RUN, wanted_run=OTHER, rollback_from=THIRD)
    runs.end(run_row(cancel=WISH, unfinished="1"), State.FAILED, failure="no disk", **WHO)
    row, run = get_dataset("birds"), get_run(RUN)
    assert (row.active_run, row.wanted_run, row.rollback_from) == (None, OTHER, THIRD)
    assert (run.state, run.unfinished, run.cancel, run.unannounced) == ("FAILED", None, None, "1")
    assert (run.failure.stage, run.failure.reason) == ("evaluation", "no disk")
    assert run.history[-1].why == "a test: no disk"
    assert run.timings.as_dict() == {"evaluation": 300.0}


def test_a_run_that_serves_again_has_no_failure(tables: DynamoDb) -> None:
    row = dataset_row(champion_run=OTHER, asked_run=RUN, asked_at=EARLIER, rollback_from=OTHER)
    failure = Failure(stage="deploy", reason="alarm")
    promotions.want(run_row(state=State.FAILED, failure=failure, cancel=WISH), row, **WHO)
    row, run = get_dataset("birds"), get_run(RUN)
    assert (row.wanted_run, row.asked_run) == (RUN, None)
    # Not there, rather than there and null.
    assert "rollback_from" not in tables.items(DatasetRow.Meta.table_name)["birds",]
    assert (run.state, run.unfinished, run.failure, run.cancel) == ("DEPLOYING", "1", None, None)
    promotions.serve(run, row, **WHO)
    row, run = get_dataset("birds"), get_run(RUN)
    assert (row.champion_run, row.wanted_run) == (RUN, None)
    assert [(reign.run, reign.back_from) for reign in row.champions] == [(RUN, None)]
    assert (run.state, run.endpoint_config) == ("SERVED", names.endpoint_config_name(RUN))


def test_what_was_asked_for_another_run_is_remembered() -> None:
    row = dataset_row(champion_run=OTHER, asked_run=THIRD, asked_at=EARLIER, asked_taken_at=LATER)
    promotions.want(run_row(state=State.REJECTED), row, rollback_from=OTHER, **WHO)
    row = get_dataset("birds")
    assert (row.asked_run, row.rollback_from) == (THIRD, OTHER)
    promotions.serve(get_run(RUN), row, **WHO)
    row = get_dataset("birds")
    assert (row.asked_run, row.rollback_from) == (None, None)
    assert [(reign.run, reign.back_from) for reign in row.champions] == [(RUN, OTHER)]


def test_a_champion_that_is_put_back_reigns_on() -> None:
    reign = Reign(run=OTHER, at=EARLIER, by="ada", why="first")
    row = dataset_row(
        wanted_run=RUN,
        active_run=RUN,
        champion_run=OTHER,
        champions=[reign],
        asked_run=OTHER,
        asked_at=EARLIER,
    )
    run, champion = run_row(state=State.DEPLOYING), run_row(OTHER, state=State.SERVED, cancel=WISH)
    promotions.give_up(run, row, State.FAILED, failure="alarm", restore=champion, **WHO)
    row = get_dataset("birds")
    assert (row.wanted_run, row.active_run, row.asked_run) == (OTHER, None, None)
    assert (get_run(RUN).failure.reason, get_run(OTHER).state) == ("alarm", "DEPLOYING")
    promotions.serve(get_run(OTHER), row, **WHO)
    assert len(get_dataset("birds").champions) == 1


def test_giving_up_leaves_alone_what_is_not_its_own() -> None:
    row = dataset_row(wanted_run=RUN, active_run=THIRD, champion_run=OTHER, asked_run=RUN, asked_at=EARLIER)
    run, champion = run_row(state=State.DEPLOYING), run_row(OTHER, state=State.SERVED)
    promotions.give_up(run, row, State.FAILED, failure="alarm", restore=champion, **WHO)
    row = get_dataset("birds")
    assert (row.wanted_run, row.active_run, row.asked_run) == (OTHER, THIRD, RUN)


def test_whoever_is_cancelled_for_another_must_be_as_read(
    tables: DynamoDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = dataset_row(wanted_run=OTHER)
    run, superseded = run_row(state=State.REJECTED), run_row(OTHER, state=State.DEPLOYING)
    write({OTHER: {"revision": 4}})
    monkeypatch.setattr(promotions, "get_run", lambda _: superseded)
    before = stored(tables)
    with pytest.raises(LostRaceError):
        promotions.want(run, dataset, **WHO)
    assert stored(tables) == before


def test_whoever_is_wanted_instead_sets_the_dataset_free() -> None:
    row = dataset_row(wanted_run=OTHER, active_run=OTHER, champion_run=THIRD)
    run_row(OTHER, state=State.DEPLOYING)
    promotions.want(run_row(state=State.REJECTED), row, **WHO)
    row = get_dataset("birds")
    assert (row.wanted_run, row.active_run, get_run(OTHER).state) == (RUN, None, "CANCELLED")
    run_row(OTHER, state=State.DEPLOYING)
    row = dataset_row(wanted_run=OTHER, active_run=THIRD)
    promotions.want(run_row(state=State.REJECTED), row, **WHO)
    assert get_dataset("birds").active_run == THIRD


def test_the_way_back_and_the_pins_are_bounded() -> None:
    reign = Reign(run=OTHER, at=EARLIER, by="ada", why="so far")
    pin = Pinning(pinned=True, at=EARLIER, by="ada", why="so far")
    row = dataset_row(
        wanted_run=RUN, champions=[reign] * promotions.MAX_REIGNS, pins=[pin] * promotions.MAX_PINS
    )
    promotions.serve(run_row(state=State.DEPLOYING), row, **WHO)
    row = get_dataset("birds")
    assert (len(row.champions), row.champions[-1].run) == (promotions.MAX_REIGNS, RUN)
    promotions.pin(row, True, **WHO)
    row = get_dataset("birds")
    assert (len(row.pins), row.pins[-1].why) == (promotions.MAX_PINS, "a test")


@pytest.mark.parametrize(
    ("state", "image", "has"),
    [
        (State.SERVED, "image", True),
        (State.REJECTED, "image", True),
        (State.EVALUATING, "image", True),
        (State.TRAINING, "image", False),
        (State.DEPLOYING, "image", False),
        (State.SERVED, None, False),
    ],
)
def test_which_runs_can_be_promoted(state: State, image: str | None, has: bool) -> None:
    assert promotions.has_model(run_row(state=state, model_data="s3://bucket/model", image=image)) is has
    assert not promotions.has_model(run_row(state=state, image=image))


def test_what_sagemaker_was_asked() -> None:
    assert promotions.asked_of(dataset_row()) is None
    assert promotions.asked_of(dataset_row(asked_run=RUN)) is None
    assert promotions.asked_of(dataset_row(asked_at=EARLIER)) is None
    at = timestamps.from_text(EARLIER)
    assert promotions.asked_of(dataset_row(**ASKED)) == Asked(RUN, at, None)
    assert promotions.asked_of(dataset_row(**ASKED, asked_taken_at=EARLIER)) == Asked(RUN, at, at)
    assert promotions.served_runs(dataset_row()) == []


def test_moves_that_are_none_are_refused(tables: DynamoDb) -> None:
    dataset_row(active_run=RUN)
    run = run_row(state=State.TRAINING)
    for to in (State.DEPLOYING, State.FAILED):
        with pytest.raises(NestboxError, match="is entered with end"):
            runs.move(run, to, **WHO)
    with pytest.raises(NestboxError, match="does not end a run"):
        runs.end(run, State.EVALUATING, **WHO)
    with pytest.raises(NestboxError, match="cannot go from TRAINING to PREPARING"):
        runs.move(run, State.PREPARING, **WHO)
    for number in (float("nan"), float("inf")):
        with pytest.raises(NestboxError, match="only finite numbers are facts"):
            runs.move(run, State.EVALUATING, **WHO, facts={"best_map": number})
    runs.move(run, State.EVALUATING, **WHO, facts={"best_map": 0.5, "training_job": None})
    assert get_run(RUN).best_map == 0.5
    assert "training_job" not in tables.items(RunRow.Meta.table_name)["birds", RUN]
    assert get_run(RUN).unannounced is None


def test_a_run_is_judged_no_more_only_where_judging_was_cut_short() -> None:
    judging = Judging(round=1)
    decision = Decision(promote=True, reason="r", min_map=0.1, min_improvement=0.0)
    assert runs.is_judged_no_more(run_row(state=State.FAILED, judging=judging))
    assert not runs.is_judged_no_more(run_row(state=State.FAILED))
    assert not runs.is_judged_no_more(run_row(state=State.EVALUATING, judging=judging))
    assert not runs.is_judged_no_more(run_row(state=State.SERVED, judging=judging, decision=decision))


def test_epochs_are_written_once() -> None:
    epochs = [Epoch(number, NOW, validation_map=0.5) for number in range(2)]
    assert rows_of_epochs.upsert(RUN, epochs, []) == 2
    assert rows_of_epochs.upsert(RUN, epochs, epochs_of(RUN)) == 0
    changed = [epochs[0], Epoch(1, NOW, validation_map=0.75)]
    assert rows_of_epochs.upsert(RUN, changed, epochs_of(RUN)) == 1
    assert [rows_of_epochs.from_row(row) for row in epochs_of(RUN)] == changed


def test_uploads_that_belong_nowhere_are_told_of_once() -> None:
    intake = Intake(IntakeSettings("queue", 60), Mock(), lambda: NOW)
    strays = [Stray("stray", f"datasets/{name}/", "m", "h") for name in ("A B", "C D")]
    assert intake.reject(strays[:1]) == strays[:1]
    assert intake.reject(strays) == strays[1:]
    assert intake.reject(strays) == []
