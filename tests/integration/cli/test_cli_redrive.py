"""`redrive`: dead letters go back to where they came from, and are read on the way."""

import json

import boto3
import pytest
from botocore.client import BaseClient
from nestbox.events import run_message

from cli.main import main

RUN = "birds-20261124224000-1a2b"
UPLOAD = json.dumps(
    {
        "source": "aws.s3",
        "detail-type": "Object Created",
        "time": "2026-11-24T22:40:00Z",
        "detail": {"object": {"key": "datasets/birds/a.jpg"}},
    }
)


@pytest.fixture
def queues(stack):
    """The queues of the stack by logical name: send(), and bodies()."""
    sqs = boto3.client("sqs")
    resources = boto3.client("cloudformation").describe_stack_resources(StackName=stack.name)[
        "StackResources"
    ]
    urls = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in resources}

    class Queues:
        def send(self, name, *bodies):
            for body in bodies:
                sqs.send_message(QueueUrl=urls[name], MessageBody=body)

        def bodies(self, name):
            found = []
            while messages := sqs.receive_message(QueueUrl=urls[name], MaxNumberOfMessages=10).get(
                "Messages"
            ):
                found += [message["Body"] for message in messages]
                for message in messages:
                    sqs.delete_message(QueueUrl=urls[name], ReceiptHandle=message["ReceiptHandle"])
            return found

    return Queues()


def test_without_a_name_it_only_counts(queues, capsys):
    queues.send("JudgeDeadLetters", run_message(RUN))
    assert main(["redrive", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"queues": [{"queue": "intake", "waiting": 0}, {"queue": "judge", "waiting": 1}]}
    assert queues.bodies("JudgeDeadLetters") == [run_message(RUN)]
    assert main(["redrive"]) == 0


def test_a_named_queue_is_moved_back_and_read(queues, capsys):
    many = [run_message(f"birds-202611242240{n:02}-1a2b") for n in range(25)]
    queues.send("JudgeDeadLetters", *many)
    queues.send("IntakeDeadLetters", UPLOAD)
    assert main(["redrive", "judge"]) == 0
    shown = capsys.readouterr().out
    assert "judge: 25 messages moved back" in shown
    assert "look at run birds-20261124224000-1a2b" in shown
    assert "and 5 more" in shown
    assert sorted(queues.bodies("JudgeQueue")) == sorted(many)
    assert queues.bodies("JudgeDeadLetters") == []
    assert queues.bodies("IntakeDeadLetters") == [UPLOAD]


def test_all_queues_at_once(queues, capsys):
    queues.send("JudgeDeadLetters", run_message(RUN))
    queues.send("IntakeDeadLetters", UPLOAD, "poison")
    assert main(["redrive", "--all", "--json"]) == 0
    told = {one["queue"]: one["moved"] for one in json.loads(capsys.readouterr().out)["queues"]}
    assert [letter["said"] for letter in told["judge"]] == [f"look at run {RUN}"]
    said = sorted(letter["said"] for letter in told["intake"])
    assert said[0] == "datasets/birds/a.jpg was uploaded"
    assert said[1].startswith("the message is no JSON")
    assert sorted(queues.bodies("IntakeQueue")) == sorted([UPLOAD, "poison"])


def test_what_can_never_be_handled_is_dropped(queues, capsys):
    queues.send("IntakeDeadLetters", "poison")
    assert main(["redrive", "intake", "--drop"]) == 0
    assert "1 message dropped" in capsys.readouterr().out
    assert queues.bodies("IntakeQueue") == queues.bodies("IntakeDeadLetters") == []


def test_a_crash_on_the_way_loses_nothing(queues, monkeypatch):
    queues.send("JudgeDeadLetters", run_message(RUN))
    call = BaseClient._make_api_call

    def crash_before_deleting(client, operation, parameters):
        if operation == "DeleteMessage":
            raise KeyboardInterrupt
        return call(client, operation, parameters)

    with monkeypatch.context() as patched:
        patched.setattr(BaseClient, "_make_api_call", crash_before_deleting)
        assert main(["redrive", "judge"]) == 130
    assert queues.bodies("JudgeQueue") == [run_message(RUN)]
    # It is still there, and goes back once more when its visibility timeout has passed: twice does no harm.
    assert main(["redrive", "--json"]) == 0


@pytest.mark.parametrize("arguments", [["nowhere"], ["--drop"]])
def test_what_makes_no_sense_is_refused(queues, arguments, capsys):
    assert main(["redrive", *arguments]) == 1
    assert "intake" in capsys.readouterr().err or arguments == ["--drop"]
