"""The routes that change something."""

import json
import uuid
from typing import Any

import boto3
import pytest
from nestbox.tables import DatasetRow, Reign, get_dataset, get_run

RUN = "birds-20261124224000-0a1b"
WORSE = "birds-20261125224000-0a1b"
WHO = "anna (token 1a2b3c4d)"


@pytest.fixture
def bodies(aws: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The messages sent to one queue that stands for all."""
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName=f"steps-{uuid.uuid4().hex}")["QueueUrl"]
    for name in ("SETTLE", "ENDPOINT", "CANCEL"):
        monkeypatch.setenv(f"{name}_QUEUE_URL", url)

    def read() -> list[Any]:
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        for message in found:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in found]

    return read


@pytest.fixture
def post(call: Any, bodies: Any) -> Any:
    def send(path: str, body: Any = None) -> Any:
        content = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if content else {}
        return call("operate_api", "POST", path, content, headers)

    return send


@pytest.fixture
def worse(champion: str, store_run: Any) -> str:
    store_run(WORSE, "REJECTED", model_data="s3://artifacts/model.tar.gz", image="registry/image:1")
    return WORSE


def test_promoting_is_written_down_with_who_and_why(post: Any, worse: str, bodies: Any) -> None:
    answer = post(f"/runs/{worse}/promote", {"why": "the customer needs it"})
    assert (answer.status, answer.body["changed"], answer.body["run"]) == (202, True, worse)
    step = get_run(worse).history[-1]
    assert (step.to_state, step.by, step.why) == ("DEPLOYING", WHO, "the customer needs it")
    assert get_dataset("birds").wanted_run == worse
    # One for its endpoint, one to stop what may still judge it.
    assert bodies() == [{"run": worse, "follow": True}, {"run": worse}]
    again = post(f"/runs/{worse}/promote")
    assert (again.status, again.body["changed"]) == (202, False)


def test_rolling_back_goes_to_the_champion_before(post: Any, worse: str, champion: str) -> None:
    at = "2026-11-25T23:00:00.000Z"
    reigns = [Reign(run=run, at=at, by="judge", why="better") for run in (champion, worse)]
    DatasetRow("birds", champion_run=worse, champions=reigns).save()
    answer = post("/datasets/birds/rollback", {"leave": worse})
    assert (answer.status, answer.body["run"]) == (202, champion)
    assert (get_run(champion).state, get_dataset("birds").rollback_from) == ("DEPLOYING", worse)


def test_pin_and_unpin(post: Any, champion: str) -> None:
    assert post("/datasets/birds/pin").body["told"] == f"birds is pinned to {champion}"
    assert get_dataset("birds").pinned
    assert post("/datasets/birds/pin", {"pinned": False}).body["changed"]
    assert [pin.by for pin in get_dataset("birds").pins] == [WHO, WHO]


def test_cancel_and_start(post: Any, champion: str, store_run: Any, bodies: Any) -> None:
    store_run(WORSE, "TRAINING")
    assert post(f"/runs/{WORSE}/cancel", {"why": "wrong labels"}).status == 202
    assert get_run(WORSE).cancel.by == WHO
    assert bodies() == [{"run": WORSE}]
    assert post("/datasets/birds/runs", {"snapshot_run": champion}).status == 202
    assert get_dataset("birds").start_asked.snapshot_run == champion
    assert bodies() == [{"dataset": "birds"}]


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        (f"/runs/{RUN}/cancel", None, 409, "run_ended"),
        ("/datasets/birds/rollback", None, 409, "nothing_to_roll_back_to"),
        ("/datasets/dodos/pin", None, 404, "not_found"),
        ("/datasets/No Name/pin", None, 404, "not_found"),
        ("/runs/birds-20261124224000-ffff/promote", None, 404, "not_found"),
        ("/datasets/birds/pin", {"pinned": "perhaps"}, 400, "bad_parameter"),
        ("/datasets/birds/pin", {"why": ""}, 400, "bad_parameter"),
        ("/datasets/birds/pin", b"no json", 400, "bad_parameter"),
    ],
)
def test_what_cannot_be_done_is_said_in_the_one_error_shape(
    post: Any, champion: str, path: str, body: Any, status: int, code: str
) -> None:
    answer = post(path, body)
    assert (answer.status, answer.error["code"]) == (status, code)


def test_a_run_without_a_model(post: Any, champion: str, store_run: Any) -> None:
    store_run(WORSE, "TRAINING")
    assert post(f"/runs/{WORSE}/promote").error["code"] == "no_model"
    DatasetRow("birds", champion_run=champion, active_run=WORSE).save()
    error = post("/datasets/birds/runs").error
    assert error["code"] == "run_under_way"
    assert WORSE in error["hint"]
