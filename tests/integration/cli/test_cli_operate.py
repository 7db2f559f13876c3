"""`promote`, `rollback`, `pin`, `cancel` and `start`: what they write, send and show."""

import json
from typing import Any

import boto3
import pytest
from nestbox import timestamps
from nestbox.rows import promotions
from nestbox.states import State
from nestbox.tables import DatasetRow, Decision, Reign, RunRow, Transition, get_dataset, get_run

from cli import following
from cli.main import main
from cli.stack import Stack, find_stack

pytestmark = pytest.mark.usefixtures("stack")

FIRST, SECOND = "birds-20261124224000-1a2b", "birds-20261125224000-3c4d"
AT = "2026-11-24T22:40:00.000Z"


def write_run(run: str, state: State, **facts: Any) -> RunRow:
    step = Transition(from_state="EVALUATING", to_state=state, at=AT, by="judge", why="as the gate said")
    row = RunRow(
        "birds",
        run,
        state=state,
        revision=5,
        history=[step],
        created_at=AT,
        updated_at=AT,
        snapshot_version="f" * 64,
        snapshot_objects=12,
        model_data="s3://artifacts/model.tar.gz",
        image="registry/image:1",
        best_map=0.5,
        best_epoch=1,
        classes=["Jay"],
        **facts,
    )
    row.save()
    return row


@pytest.fixture
def two_runs(stack: Any) -> None:
    write_run(FIRST, State.SERVED)
    rejected = Decision(promote=False, reason="Jay falls by 0.2", min_map=0.0, min_improvement=0.0)
    write_run(SECOND, State.REJECTED, decision=rejected)
    reign = Reign(run=FIRST, at=AT, by="judge", why="better")
    DatasetRow("birds", champion_run=FIRST, champions=[reign], last_run=SECOND).save()


@pytest.fixture
def queues(stack: Any) -> Any:
    found: Stack = find_stack(
        type("Options", (), {"stack": stack.name, "local": False, "profile": None, "region": None})
    )  # type: ignore[arg-type]
    sqs = boto3.client("sqs")

    def bodies(queue: str) -> list[Any]:
        messages = sqs.receive_message(QueueUrl=found.queues[queue], MaxNumberOfMessages=10).get(
            "Messages", []
        )
        return [json.loads(message["Body"]) for message in messages]

    return bodies


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the CLI waits between two looks, the endpoint comes to serve what is wanted."""

    def serve(_seconds: float) -> None:
        dataset = get_dataset("birds")
        if dataset.wanted_run:
            row = get_run(dataset.wanted_run)
            promotions.serve(
                row, dataset, by="update_endpoint", why="the endpoint serves it", now=timestamps.now()
            )

    monkeypatch.setattr(following, "sleep", serve)


def test_promote_waits_and_shows_only_what_is_new(
    two_runs: None, step: None, queues: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["promote", SECOND, "--why", "we need the wrens"]) == 0
    shown = capsys.readouterr().out
    assert f"{SECOND} is being deployed instead of {FIRST}" in shown
    assert "we need the wrens" in shown
    assert "the endpoint serves it" in shown
    assert "as the gate said" not in shown
    history = get_run(SECOND).history
    assert [one.to_state for one in history] == ["REJECTED", "DEPLOYING", "SERVED"]
    assert history[1].by
    assert "/" not in history[1].by
    assert queues("EndpointQueue") == [{"run": SECOND, "follow": True}]

    assert main(["promote", SECOND]) == 0
    assert f"{SECOND} serves already" in capsys.readouterr().out
    assert len(get_run(SECOND).history) == 3

    assert main(["runs", "birds"]) == 0
    assert "we need the wrens" in capsys.readouterr().out, "not why the gate rejected it"


def test_rolling_back_in_one_command(two_runs: None, step: None, capsys: pytest.CaptureFixture[str]) -> None:
    main(["promote", SECOND])
    capsys.readouterr()
    assert main(["rollback", "birds", "--why", "misses every wren"]) == 0
    shown = capsys.readouterr().out
    assert f"{FIRST} is being brought back instead of {SECOND}" in shown
    assert "nestbox pin birds" in shown
    assert get_dataset("birds").champion_run == FIRST
    assert main(["rollback", "birds"]) == 1
    assert f"No model of birds served before {FIRST}" in capsys.readouterr().err

    assert main(["datasets", "birds"]) == 0
    logbook = capsys.readouterr().out
    assert [line for line in logbook.splitlines() if line.rstrip().endswith("better") and FIRST in line]
    assert "misses every wren" in logbook
    assert f"back from {SECOND}" in logbook


def test_pin_and_unpin(two_runs: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pin", "birds", "--why", "on show", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["changed"]
    assert main(["datasets"]) == 0
    assert "(pinned)" in capsys.readouterr().out
    assert main(["pin", "birds"]) == 0
    assert "already" in capsys.readouterr().out
    assert main(["pin", "birds", "--off"]) == 0
    assert [pin.why for pin in get_dataset("birds").pins] == ["on show", "asked for on the command line"]


def test_cancel_is_noted_and_sent(two_runs: None, queues: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run = "birds-20261126224000-5e6f"
    write_run(run, State.TRAINING)
    assert main(["cancel", run, "--why", "wrong labels", "--no-wait", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "dataset": "birds",
        "run": run,
        "changed": True,
        "told": f"{run} is being cancelled",
    }
    assert get_run(run).cancel.why == "wrong labels"
    assert queues("CancelQueue") == [{"run": run}]
    assert main(["cancel", FIRST]) == 1
    assert "has ended SERVED" in capsys.readouterr().err


def test_start_is_noted_and_sent(two_runs: None, queues: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["start", "birds", "--again", FIRST, "--no-wait"]) == 0
    assert f"a run on the snapshot of {FIRST} is being started" in capsys.readouterr().out
    assert get_dataset("birds").start_asked.snapshot_run == FIRST
    assert queues("SettleQueue") == [{"dataset": "birds"}]


def test_what_is_not_there(stack: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["promote", FIRST]) == 1
    assert "there is no run" in capsys.readouterr().err
    assert main(["rollback", "dodos"]) == 1
    assert "there is no dataset" in capsys.readouterr().err
