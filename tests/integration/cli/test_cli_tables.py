"""`datasets`, `runs`, `run`, `watch` and `token` against the tables."""

import argparse
import json
from datetime import timedelta
from itertools import count

import boto3
import pytest
from nestbox import timestamps
from nestbox.api import tokens
from nestbox.api.tokens import Scope
from nestbox.tables import (
    ClassDecision,
    DatasetRow,
    Decision,
    EpochRow,
    Failure,
    Notice,
    RunRow,
    Transition,
    get_run,
)

from cli import credentials, following, watch
from cli.errors import CliError
from cli.following import Expected
from cli.main import main
from cli.stack import find_stack

pytestmark = pytest.mark.usefixtures("stack")

START = timestamps.from_text("2026-11-24T22:40:00.000Z")
RUN = "birds-20261124224000-1a2b"


def at(seconds: float) -> str:
    return timestamps.to_text(START + timedelta(seconds=seconds))


def write_run(run: str = RUN, *states: str, began: float = 0.0, **facts: object) -> RunRow:
    seconds = count(0, 10)
    steps = [
        Transition(
            from_state=before, to_state=state, at=at(began + next(seconds)), by="test", why=f"now {state}"
        )
        for before, state in zip([None, *states], states, strict=False)
    ]
    row = RunRow(
        "birds",
        run,
        state=states[-1],
        revision=len(steps),
        history=steps,
        created_at=at(began),
        updated_at=steps[-1].at,
        snapshot_version="f" * 64,
        snapshot_objects=12,
        **facts,
    )
    row.save()
    return row


def write_epochs(run: str, *maps: float | None) -> None:
    for number, value in enumerate(maps):
        EpochRow(
            run, number, validation_map=value, train_cross_entropy=2.0 - number, at=at(20 + number)
        ).save()


def served(**facts: object) -> RunRow:
    return write_run(
        RUN, "PREPARING", "TRAINING", "EVALUATING", "DEPLOYING", "SERVED",
        images=240, train_images=192, validation_images=48, boxes=458, classes=["Robin", "Jay"],
        best_map=0.91, best_epoch=1, hyperparameters={"epochs": "70"}, defects={"error": 0, "warning": 2},
        decision=Decision(promote=True, reason="first model of its kind", min_map=0.0, min_improvement=0.0),
        **facts,
    )  # fmt: skip


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    result: dict[str, object] = json.loads(capsys.readouterr().out)
    return result


def test_lists_are_empty_at_first_and_say_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "datasets") == {"datasets": [], "rejected_uploads": []}
    assert told(capsys, "runs") == {"runs": []}
    assert told(capsys, "token", "list") == {"tokens": []}
    assert main(["datasets"]) == 0
    assert "nestbox push" in capsys.readouterr().out


def test_datasets_show_what_serves(capsys: pytest.CaptureFixture[str]) -> None:
    DatasetRow(
        "birds", champion_run=RUN, last_run=RUN, classes=["Robin"], last_upload_at=at(0), revision=3
    ).save()
    (row,) = told(capsys, "datasets")["datasets"]
    assert row == {
        "dataset": "birds", "champion_run": RUN, "last_run": RUN, "classes": ["Robin"],
        "last_upload_at": at(0),
    }  # fmt: skip
    assert main(["datasets"]) == 0
    shown = capsys.readouterr().out
    assert "birds" in shown
    assert RUN in shown


def test_a_run_shows_its_history_numbers_and_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    served()
    write_epochs(RUN, 0.42, 0.91)
    result = told(capsys, "run", RUN)
    assert result["state"] == "SERVED"
    assert [step["to"] for step in result["history"]] == [
        *("PREPARING", "TRAINING", "EVALUATING", "DEPLOYING", "SERVED")
    ]
    assert [epoch["validation_map"] for epoch in result["epochs"]] == [0.42, 0.91]
    assert "revision" not in result
    assert main(["run", RUN]) == 0
    shown = capsys.readouterr().out
    for part in (
        "192 to train on, 48 held out",
        "2 warnings",
        "0.9100",
        "first model of its kind",
        "epochs=70",
    ):
        assert part in shown


def decided(champion: str | None = None) -> Decision:
    """A decision by which one class fell and one rose; against a champion, where one is named."""
    classes = [
        ClassDecision(name="Robin", boxes=25, candidate_ap=0.4, champion_ap=0.8, fall=0.4),
        ClassDecision(name="Jay", boxes=9, candidate_ap=0.9, champion_ap=0.7, fall=-0.2),
    ]
    if champion is None:
        for one in classes:
            one.champion_ap = one.fall = None
    against = {
        "champion_map": 0.75, "improvement": -0.1, "improvement_low": -0.2, "improvement_high": 0.05,
        "confidence": 0.95, "share_better": 0.1, "champion_run": champion,
    }  # fmt: skip
    return Decision(
        promote=champion is None, reason="because", split="test", images=48, images_left_out=2,
        candidate_map=0.65, min_map=0.3, min_improvement=0.0, max_class_drop=0.3, enough_boxes=20,
        classes=classes, **(against if champion else {}),
    )  # fmt: skip


OTHER = "birds-20261125224000-3c4d"


def test_a_run_shows_what_it_was_judged_on(capsys: pytest.CaptureFixture[str]) -> None:
    write_run(OTHER, "EVALUATING", "REJECTED", decision=decided(RUN), classes=["Robin", "Jay"])
    assert told(capsys, "run", OTHER)["decision"]["classes"][0]["fall"] == 0.4
    assert main(["run", OTHER]) == 0
    shown = capsys.readouterr().out
    for part in (
        "rejected: because",
        "48 images of the test split, without 2 images that an earlier run trained on",
        f"{RUN}: -0.1000 (95% sure of -0.2000 to +0.0500, better in 10%)",
        "min_map 0.3, min_improvement 0, max_class_drop 0.3 (classes with 20 boxes or more)",
    ):
        assert part in shown
    assert row_of(shown, "Robin") == ["Robin", "25", "0.400", "0.800", "-0.400"]
    assert row_of(shown, "Jay") == ["Jay", "9", "0.900", "0.700", "+0.200"]


def row_of(shown: str, first: str) -> list[str]:
    """The cells of the last line that begins with a word."""
    return [line.split() for line in shown.splitlines() if line.startswith(f"{first} ")][-1]


def test_compare_goes_by_the_same_pictures_where_one_was_judged_against_the_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    served()
    write_run(
        OTHER, "EVALUATING", "REJECTED", decision=decided(RUN), images=300, best_map=0.8,
        hyperparameters={"epochs": "5"},
    )  # fmt: skip
    result = told(capsys, "compare", RUN, OTHER)
    assert [run["run"] for run in result["runs"]] == [RUN, OTHER]
    assert (result["same_pictures"], result["difference"]) == (True, -0.1)
    assert result["hyperparameters"] == {"epochs": ["70", "5"]}
    assert told(capsys, "compare", OTHER, RUN)["difference"] == 0.1
    assert main(["compare", RUN, OTHER]) == 0
    shown = capsys.readouterr().out
    assert f"{OTHER} was judged against {RUN} on the same 48 images of the test split: -0.1000" in shown
    assert row_of(shown, "images") == ["images", "240", "300"]
    assert row_of(shown, "Robin") == ["Robin", "25", "0.400", "0.800", "-0.400"]


def test_compare_says_where_the_pictures_differ(capsys: pytest.CaptureFixture[str]) -> None:
    served()
    write_run(OTHER, "EVALUATING", "SERVED", decision=decided())
    assert told(capsys, "compare", RUN, OTHER)["difference"] is None
    get_run(RUN).update(actions=[RunRow.decision.set(decided())])
    result = told(capsys, "compare", RUN, OTHER)
    assert (result["same_pictures"], result["difference"]) == (False, 0.0)
    assert main(["compare", RUN, OTHER]) == 0
    shown = capsys.readouterr().out
    assert "they were not judged against each other" in shown
    assert row_of(shown, "Jay") == ["Jay", "9", "0.900", "9", "0.900"]


def test_compare_needs_two_runs(capsys: pytest.CaptureFixture[str]) -> None:
    served()
    DatasetRow("birds", last_run=RUN).save()
    assert main(["compare", RUN, "birds"]) == 1
    assert f"Both names mean run {RUN}." in capsys.readouterr().err
    write_run(OTHER, "PREPARING", "TRAINING")
    assert main(["compare", RUN, OTHER]) == 0
    assert "has not been judged" in capsys.readouterr().out


def test_a_dataset_stands_for_its_latest_run(capsys: pytest.CaptureFixture[str]) -> None:
    served()
    DatasetRow("birds", last_run=RUN).save()
    assert told(capsys, "run", "birds")["run"] == RUN


def test_runs_come_newest_first_and_at_most_so_many(capsys: pytest.CaptureFixture[str]) -> None:
    DatasetRow("birds").save()
    for number in range(3):
        write_run(f"birds-2026112422400{number}-1a2b", "PREPARING", "BLOCKED", began=float(number))
    listed = told(capsys, "runs", "birds", "--limit", "2")["runs"]
    assert [row["run"] for row in listed] == ["birds-20261124224002-1a2b", "birds-20261124224001-1a2b"]


@pytest.mark.parametrize("arguments", [["runs", "cats"], ["run", RUN], ["run", "cats"], ["watch", "cats"]])
def test_what_does_not_exist_is_an_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["message"]


@pytest.mark.parametrize(
    ("states", "facts", "code", "said"),
    [
        (["PREPARING", "BLOCKED"], {}, 3, "now BLOCKED"),
        (["PREPARING", "TRAINING", "EVALUATING", "REJECTED"], {}, 4, "now REJECTED"),
        (
            ["PREPARING", "TRAINING", "FAILED"],
            {"failure": Failure(stage="training", reason="loss is not finite")},
            5,
            "training: loss is not finite",
        ),
        (["PREPARING", "CANCELLED"], {}, 6, "now CANCELLED"),
    ],
)
def test_watch_ends_as_the_run_ended(
    states: list[str], facts: dict[str, object], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(RUN, *states, **facts)
    assert main(["watch", RUN]) == code
    shown = capsys.readouterr().out
    assert said in shown
    assert all(state in shown for state in states)


def test_watch_shows_states_and_epochs_as_they_happen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each look finds the run further on; every news is told once, in order."""
    DatasetRow("birds", first_pending_at=at(0), pending="1").save()
    stages = iter(
        [
            lambda: write_run(RUN, "PREPARING"),
            lambda: DatasetRow("birds", active_run=RUN, last_run=RUN).save(),
            lambda: write_run(RUN, "PREPARING", "TRAINING"),
            lambda: write_epochs(RUN, 0.3),
            lambda: write_epochs(RUN, 0.3, 0.6),
            served,
        ]
    )
    monkeypatch.setattr(following, "sleep", lambda _: next(stages)())
    assert main(["watch", "birds", "--json"]) == 0
    news = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["event"] for one in news] == [
        "waiting", "state", "state", "epoch", "epoch", "state", "state", "state", "ended",
    ]  # fmt: skip
    assert [one["to"] for one in news if one["event"] == "state"] == [
        "PREPARING", "TRAINING", "EVALUATING", "DEPLOYING", "SERVED",
    ]  # fmt: skip
    assert [one["validation_map"] for one in news if one["event"] == "epoch"] == [0.3, 0.6]
    assert news[-1]["best_map"] == 0.91


def test_an_expected_run_is_waited_for_even_where_the_dataset_is_not_known_yet(
    stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = iter(
        [
            lambda: DatasetRow("birds", first_pending_at=at(0), pending="1").save(),
            lambda: DatasetRow("birds", last_run=RUN).save(),
        ]
    )
    served()
    monkeypatch.setattr(following, "sleep", lambda _: next(stages)())
    found = find_stack(argparse.Namespace(stack=stack.name, local=False, region=None, profile=None))
    assert watch.follow(found, "birds", expected=Expected(None, START), as_json=False, timeout=None) == 0
    assert "waiting" in capsys.readouterr().out


def test_uploads_that_start_no_run_end_the_wait_with_the_reason(stack) -> None:
    notice = Notice(
        code="run.too-few",
        severity="warning",
        file="",
        message="1 image changed.",
        hint="Push 4 more.",
        at=at(5),
    )
    DatasetRow("birds", last_run=RUN, defects=[notice]).save()
    found = find_stack(argparse.Namespace(stack=stack.name, local=False, region=None, profile=None))
    with pytest.raises(CliError, match="1 image changed") as ended:
        list(following.looks(found, "birds", Expected(RUN, START), timeout=None))
    assert ended.value.hint == "Push 4 more."


def test_watch_reads_epochs_from_the_log_before_the_table_has_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = boto3.client("logs")
    group, stream = "/aws/sagemaker/TrainingJobs", f"{RUN}/algo-1-1764024000"
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    now = int(timestamps.now().timestamp() * 1000)

    def log(*lines: str) -> None:
        events = [{"timestamp": now + place, "message": line} for place, line in enumerate(lines)]
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)

    write_run(RUN, "PREPARING", "TRAINING", training_job=RUN)
    log(
        "#quality_metric: host=algo-1, epoch=0, batch=3 train cross_entropy <loss>=(3.0)",
        "#quality_metric: host=algo-1, epoch=0, train cross_entropy <loss>=(1.5)",
        "#input_metric: host=algo-1, epoch=0, input size=96 pixels",
        "#quality_metric: host=algo-1, epoch=0, validation mAP <score>=(0.25)",
        "#throughput_metric: host=algo-1, train throughput=123.4 records/second",
    )
    monkeypatch.setattr(following, "sleep", lambda _: served())
    assert main(["watch", RUN, "--json"]) == 0
    news = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (epoch,) = [one for one in news if one["event"] == "epoch"]
    assert epoch["validation_map"] == 0.25
    assert epoch["train_cross_entropy"] == 1.5
    assert epoch["images_per_second"] == 123.4
    assert epoch["input_size"] == 96


def test_watch_gives_up_when_its_time_is_up(capsys: pytest.CaptureFixture[str]) -> None:
    write_run(RUN, "PREPARING")
    assert main(["watch", RUN, "--timeout", "0"]) == 1
    assert f"nestbox watch {RUN}" in capsys.readouterr().err
    assert get_run(RUN).state == "PREPARING"


def test_a_token_is_made_listed_kept_and_revoked(stack, capsys: pytest.CaptureFixture[str]) -> None:
    made = told(
        capsys, "token", "create", "camera 1", "--scope", "detect", "--scope", "read", "--days", "2", "--save"
    )
    assert made["scopes"] == ["detect", "read"]
    row = tokens.verify(str(made["token"]))
    assert row.name == "camera 1"
    (listed,) = told(capsys, "token", "list")["tokens"]
    assert "token" not in listed
    assert listed["token_id"] == made["token_id"]

    assert credentials.load(stack.api_url) == made["token"]
    revoked = told(capsys, "token", "revoke", str(made["token_id"]))
    assert revoked["revoked_at"]
    assert main(["token", "revoke", "ffffffff"]) == 1
    assert "token list" in capsys.readouterr().err


def test_a_token_printed_for_people_is_alone_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "create", "me"]) == 0
    shown = capsys.readouterr()
    assert tokens.verify(shown.out.strip()).scopes == {Scope.DETECT}
    assert "only now" in shown.err


def test_a_missing_stack_says_how_to_deploy_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets", "--stack", "other"]) == 1
    assert "deploy" in capsys.readouterr().err
