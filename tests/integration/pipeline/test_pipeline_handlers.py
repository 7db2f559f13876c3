"""The functions as Lambda calls them, and the gateways that the world of the other tests replaces."""

import importlib.util
import itertools
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from nestbox import events
from nestbox.errors import NestboxError
from nestbox.gateways.announcing import Announcing
from nestbox.gateways.uploads import Uploads
from nestbox.steps.announce import Announce
from nestbox.tables import find_dataset, get_run

FUNCTIONS = Path(__file__).parents[3] / "functions"
STATE_CHANGE = {
    "version": "0",
    "id": "11111111-1111-1111-1111-111111111111",
    "account": "000000000000",
    "time": "2026-11-24T22:40:00Z",
    "region": "us-east-1",
    "resources": [],
}
_LOADED = itertools.count()
CONTEXT = SimpleNamespace(
    function_name="function",
    memory_limit_in_mb=128,
    invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:function",
    aws_request_id="request",
    get_remaining_time_in_millis=lambda: 10_000,
)


def load(name):
    """The module of a function, fresh."""
    # A logger holds on to the standard output of its time, which pytest replaces with every test.
    os.environ["POWERTOOLS_SERVICE_NAME"] = f"{name}-{next(_LOADED)}"
    spec = importlib.util.spec_from_file_location(f"function_{name}", FUNCTIONS / name / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def queue(world, monkeypatch):
    """A real (moto) queue that stands for all of them."""
    client = boto3.client("sqs", region_name="us-east-1")
    url = client.create_queue(QueueName="queue")["QueueUrl"]
    for name in ("SETTLE", "TRAINING", "RECORD", "JUDGE", "ENDPOINT", "CANCEL"):
        monkeypatch.setenv(f"{name}_QUEUE_URL", url)

    def bodies():
        received = []
        while messages := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                received.append(json.loads(message["Body"]))
                client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return received

    return SimpleNamespace(url=url, client=client, bodies=bodies)


def s3_event(key, detail_type="Object Created"):
    return json.dumps(
        STATE_CHANGE
        | {
            "source": "aws.s3",
            "detail-type": detail_type,
            "detail": {"version": "0", "bucket": {"name": "uploads"}, "object": {"key": key, "size": 5}},
        }
    )


def metrics_of(capsys):
    """The metrics a handler wrote."""
    (written,) = [line for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    return json.loads(written)


def test_intake_notes_uploads_and_fails_only_what_is_bad(queue, monkeypatch, make_sqs_event, capsys, caplog):
    monkeypatch.setenv("QUIET_PERIOD_SECONDS", "0")
    keys = [f"datasets/birds/{n} ä+%.jpg" for n in range(5)] + ["datasets/Bad Name/1.jpg"]
    event = make_sqs_event(*map(s3_event, keys), "no json", s3_event("datasets/birds/x", "Object Deleted"))
    answer = load("intake").handler(event, CONTEXT)

    assert answer == {"batchItemFailures": [{"itemIdentifier": "message-6"}]}
    assert queue.bodies() == [{"dataset": "birds"}]
    assert find_dataset("birds").first_pending_at
    assert [one.code for one in caplog.records if one.levelname == "WARNING"] == ["bad-dataset-name"]
    metrics = metrics_of(capsys)
    assert (metrics["RejectedUploads"], metrics["Uploads"]) == ([1.0], [1.0] * 7)


SCHEDULED = STATE_CHANGE | {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}


@pytest.fixture
def topic(monkeypatch):
    """An SNS topic, and what a queue that subscribes to it has got."""
    sns, sqs = boto3.client("sns", region_name="us-east-1"), boto3.client("sqs", region_name="us-east-1")
    arn = sns.create_topic(Name="runs")["TopicArn"]
    url = sqs.create_queue(QueueName="told")["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue_arn)
    monkeypatch.setenv("RUN_TOPIC_ARN", arn)

    def told():
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(message["Body"]) for message in messages]

    return SimpleNamespace(arn=arn, sns=sns, told=told)


@pytest.fixture
def reconcile_environment(queue, topic, monkeypatch):
    """What template.yaml tells reconcile beside the queues."""
    settings = {
        "PREPARE_JOB_QUEUE": "queue",
        "EVALUATE_JOB_QUEUE": "evaluate-queue",
        "PREPARE_MAX_SECONDS": "14400",
        "TRAINING_MAX_SECONDS": "86400",
        "GRACE_SECONDS": "7200",
        "UPLOADS_BUCKET": "uploads",
        # No dataset's turn to be audited comes while a test runs.
        "AUDIT_MINUTES": "1000000000",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


def test_reconcile_looks_at_what_is_unfinished(world, queue, reconcile_environment, capsys):
    run = world.run_to_training()
    done = load("reconcile").handler(SCHEDULED, CONTEXT)
    assert (done["runs"], done["datasets"], done["stuck"], done["troubles"]) == (1, 0, 0, [])
    assert queue.bodies() == [{"run": run}]
    assert metrics_of(capsys)["StuckRuns"] == [0.0]


def test_reconcile_has_datasets_audited(world, queue, reconcile_environment, monkeypatch):
    world.upload("datasets/birds/a.jpg", "datasets/My Birds/a.jpg", "a.jpg", tell=False)
    monkeypatch.setenv("AUDIT_MINUTES", "1")
    done = load("reconcile").handler(SCHEDULED, CONTEXT)
    assert (done["audits"], done["troubles"]) == (1, [])
    [audit] = queue.bodies()
    assert events.look_in(json.dumps(audit)) == events.DatasetLook(dataset="birds", audit=True)


def test_the_end_of_a_run_reaches_the_topic_and_eventbridge(world, topic, new_event_bridge, monkeypatch):
    run = world.run_to_end([0.9])
    change = {
        "eventName": "MODIFY",
        "dynamodb": {"Keys": {"dataset": {"S": "birds"}, "run": {"S": run}}, "SequenceNumber": "1"},
    }
    module, events_told = load("announce"), new_event_bridge()
    step = Announce(Announcing(topic.sns, events_told, topic.arn))
    monkeypatch.setattr(module, "_step", lambda: step)
    assert module.handler({"Records": [change, change]}, CONTEXT) == {"announced": 1}
    assert module.handler({"Records": [change]}, CONTEXT) == {"announced": 0}

    [event], [notification] = events_told.entries, topic.told()
    assert (event["Source"], event["DetailType"]) == ("nestbox.run", "Run promoted")
    assert event["Detail"] == notification["Message"]
    detail = json.loads(event["Detail"])
    assert (detail["id"], detail["command"]) == (f"{run}/4", "nestbox rollback birds")
    assert notification["Subject"] == "Nestbox: birds: a new model serves"
    assert notification["MessageAttributes"]["event"]["Value"] == "promoted"


def test_what_eventbridge_does_not_take_stays_unannounced(world, topic, new_event_bridge):
    run = world.run_to_end([0.9])
    announce = Announce(Announcing(topic.sns, new_event_bridge(takes=False), topic.arn))
    with pytest.raises(NestboxError, match="InternalFailure"):
        announce.look(run)
    assert get_run(run).unannounced == "1"
    assert topic.told() == []


def test_a_run_that_does_not_exist_goes_back_to_the_queue(queue, make_sqs_event):
    body = events.run_message("birds-20261124224000-abcd")
    assert load("judge").handler(make_sqs_event(body, "{}"), CONTEXT) == {
        "batchItemFailures": [{"itemIdentifier": "message-0"}, {"itemIdentifier": "message-1"}]
    }


HANDED = ["start_run", "start_training", "record_run", "judge", "update_endpoint", "cancel_run"]


@pytest.mark.parametrize("name", HANDED)
def test_a_function_hands_the_look_to_its_step(world, monkeypatch, make_sqs_event, name):
    module = load(name)
    run = world.run_to_end([0.5])
    monkeypatch.setattr(module, "_step", lambda: getattr(world, name))
    body = events.dataset_message("birds") if name == "start_run" else events.run_message(run)
    assert module.handler(make_sqs_event(body), CONTEXT) == {"batchItemFailures": []}
    wrong = events.run_message(run) if name == "start_run" else events.dataset_message("cats")
    failures = module.handler(make_sqs_event(wrong), CONTEXT)["batchItemFailures"]
    assert len(failures) == (name != "update_endpoint")


def test_events_of_others_are_passed_over(queue, make_sqs_event):
    detail = {"TrainingJobName": "somebody-elses", "TrainingJobStatus": "Completed"}
    event = STATE_CHANGE | {
        "source": "aws.sagemaker",
        "detail-type": "SageMaker Training Job State Change",
        "detail": detail,
    }
    answer = load("judge").handler(make_sqs_event(json.dumps(event)), CONTEXT)
    assert answer == {"batchItemFailures": []}


@pytest.mark.parametrize("name", [*HANDED, "judge"])
def test_a_function_without_its_environment_names_what_is_missing(world, make_sqs_event, name, caplog):
    body = (
        events.dataset_message("birds")
        if name == "start_run"
        else events.run_message("a-20261124224000-abcd")
    )
    assert load(name).handler(make_sqs_event(body), CONTEXT)["batchItemFailures"]
    assert "SETTLE_QUEUE_URL is not set" in caplog.text


def test_a_listing_is_of_the_newest_versions(world):
    world.upload("datasets/birds/b.jpg", "datasets/birds/a.jpg", "datasets/birds/gone.jpg", tell=False)
    world.upload("datasets/birds/b.jpg", content=b"other bytes", tell=False)
    world.upload("datasets/birds2/x.jpg", "datasets/birds/folder/", "datasets/birds/_READY", tell=False)
    world.s3.delete_object(Bucket="uploads", Key="datasets/birds/gone.jpg")
    listing = Uploads(world.s3, "uploads").list("birds")
    newest = world.s3.head_object(Bucket="uploads", Key="datasets/birds/b.jpg")
    assert [entry.key for entry in listing.entries] == ["datasets/birds/a.jpg", "datasets/birds/b.jpg"]
    assert listing.entries[1].version_id == newest["VersionId"]
    assert listing.entries[1].etag == newest["ETag"].strip('"')
    assert listing.ready_at is not None
    assert listing.last_change_at >= newest["LastModified"]


def test_an_empty_listing(world):
    listing = Uploads(world.s3, "uploads").list("birds")
    assert (listing.entries, listing.last_change_at, listing.ready_at) == ([], None, None)
