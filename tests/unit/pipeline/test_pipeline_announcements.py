"""What people and programs are told when a run ends."""

import dataclasses
import json
import shlex
from datetime import UTC, datetime

import pytest
from nestbox.rules.announcements import Announcement, Move, RunEvent, announcements
from nestbox.states import State

RUN = "birds-20261124224000-1a2b"
AT = datetime(2026, 11, 24, 22, 45, tzinfo=UTC)
WAYS = {
    State.SERVED: [State.PREPARING, State.TRAINING, State.EVALUATING, State.DEPLOYING],
    State.REJECTED: [State.PREPARING, State.TRAINING, State.EVALUATING],
    State.BLOCKED: [State.PREPARING],
    State.CANCELLED: [State.PREPARING, State.TRAINING],
}


def history(*states: State, why: str = "because") -> list[Move]:
    before = [None, *states[:-1]]
    return [Move(was, now, AT, "test", why) for was, now in zip(before, states, strict=True)]


def one(*states: State, why: str = "because") -> Announcement:
    [told] = announcements(RUN, history(*states, why=why), 0)
    return told


@pytest.mark.parametrize(
    ("end", "event", "command"),
    [
        (State.SERVED, RunEvent.PROMOTED, "nestbox rollback birds"),
        (State.REJECTED, RunEvent.REJECTED, f"nestbox promote {RUN}"),
        (State.BLOCKED, RunEvent.BLOCKED, "nestbox push FOLDER birds"),
        (State.CANCELLED, RunEvent.CANCELLED, f"nestbox run {RUN}"),
    ],
)
def test_every_end_is_told_with_its_cause_and_a_command(end: State, event: RunEvent, command: str) -> None:
    told = one(*WAYS[end], end)
    assert (told.event, told.state, told.dataset, told.run) == (event, end, "birds", RUN)
    assert told.command == command
    assert told.why == "because"
    assert told.advice


@pytest.mark.parametrize(
    ("before", "stage"),
    [
        (State.PREPARING, "prepare"),
        (State.TRAINING, "training"),
        (State.EVALUATING, "evaluation"),
        (State.DEPLOYING, "deploy"),
    ],
)
def test_a_failure_names_its_stage_and_says_that_nothing_is_lost(before: State, stage: str) -> None:
    way = WAYS[State.SERVED][: WAYS[State.SERVED].index(before) + 1]
    told = one(*way, State.FAILED, why="training failed: out of memory")
    assert told.event is RunEvent.FAILED
    assert told.what == f"birds: a run failed ({stage})"
    assert told.why == "training failed: out of memory"
    assert "no upload is lost" in told.advice


def test_a_run_that_fails_as_it_starts_is_told_too() -> None:
    assert one(State.FAILED).what == "birds: a run failed (start)"


def test_a_run_that_serves_again_was_rolled_back_to() -> None:
    moves = history(*WAYS[State.SERVED], State.SERVED, State.DEPLOYING, State.SERVED)
    first, again = announcements(RUN, moves, 0)
    assert (first.event, again.event) == (RunEvent.PROMOTED, RunEvent.ROLLED_BACK)
    assert first.id != again.id
    assert announcements(RUN, moves, 5) == [again]


def test_why_a_model_serves_is_what_the_gate_or_the_operator_said() -> None:
    moves = [
        *history(*WAYS[State.SERVED][:-1]),
        Move(State.EVALUATING, State.DEPLOYING, AT, "maria", "the cameras were changed"),
        Move(State.DEPLOYING, State.SERVED, AT, "update_endpoint", "endpoint nestbox-birds serves it"),
    ]
    [told] = announcements(RUN, moves, 0)
    assert (told.by, told.why) == ("maria", "the cameras were changed")


def test_what_goes_on_is_not_told() -> None:
    assert announcements(RUN, history(*WAYS[State.SERVED]), 0) == []


def test_the_same_end_has_the_same_id_however_often_it_is_told() -> None:
    assert one(State.PREPARING, State.BLOCKED) == one(State.PREPARING, State.BLOCKED)
    assert one(State.PREPARING, State.BLOCKED).id == f"{RUN}/1"


def test_the_mail_and_the_json_say_the_same() -> None:
    told = one(State.PREPARING, State.BLOCKED, why="no class is left " * 30)
    text = " ".join(told.text.split())
    fields = json.loads(json.dumps(told.fields))
    for name in ("what", "why", "advice", "command", "run", "at", "by", "id"):
        assert " ".join(fields[name].split()) in text, name
    assert all(len(line) <= 80 for line in told.text.splitlines())
    assert shlex.split(told.command)[0] == "nestbox"


def test_a_subject_is_what_sns_takes() -> None:
    told = one(State.PREPARING, State.BLOCKED)
    assert told.subject == "Nestbox: birds: the data allows no training"
    for name in ("a" * 32, "0"):
        run = f"{name}-20261124224000-1a2b"
        [long] = announcements(run, history(State.PREPARING, State.FAILED), 0)
        assert len(long.subject) < 100
        assert long.subject.isascii()


def test_what_is_advised_depends_on_what_happened() -> None:
    again = announcements(RUN, history(*WAYS[State.SERVED], State.SERVED, State.DEPLOYING, State.SERVED), 5)
    assert again[0].command == "nestbox pin birds"
    assert one(*WAYS[State.CANCELLED], State.CANCELLED).what == "birds: a run was cancelled"
    way = WAYS[State.SERVED]
    advices = [one(*way[: number + 1], State.FAILED).advice for number in range(len(way))]
    for advice, named in zip(
        advices, ("_READY, starts", "nestbox.yaml", None, "/aws/sagemaker/Endpoints/"), strict=True
    ):
        words = {"_READY, starts", "nestbox.yaml", "/aws/sagemaker/Endpoints/"}
        assert {word for word in words if word in advice} == ({named} if named else set())


def test_an_end_is_told_in_its_own_words() -> None:
    moves = [*history(*WAYS[State.REJECTED], why="went on"), *history(State.REJECTED, why="not better")]
    [told] = announcements(RUN, moves, 0)
    assert told.why == "not better"


def test_a_reason_that_was_given_already_is_not_repeated() -> None:
    [told] = announcements(RUN, history(State.PREPARING, State.FAILED, why="no vCPUs"), 0)
    assert told.why == "no vCPUs"


def test_a_subject_that_is_too_long_is_cut() -> None:
    long = dataclasses.replace(one(State.PREPARING, State.BLOCKED), what="x" * 200)
    assert len(long.subject) == 99
    assert long.subject.endswith("x...")
