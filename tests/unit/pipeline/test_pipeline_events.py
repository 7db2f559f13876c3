import json

import pytest
from nestbox import events
from nestbox.errors import BadEventError
from nestbox.events import DatasetLook, RunLook

RUN = "birds-20261124224000-abcd"


def envelope(source, detail_type, detail):
    return json.dumps(
        {
            "version": "0",
            "id": "1",
            "source": source,
            "detail-type": detail_type,
            "account": "000000000000",
            "time": "2026-11-24T22:40:00Z",
            "region": "us-east-1",
            "resources": [],
            "detail": detail,
        }
    )


@pytest.mark.parametrize(
    "look", [RunLook(run=RUN), RunLook(run=RUN, follow=True), DatasetLook(dataset="birds")]
)
def test_our_own_messages_come_back(look):
    if isinstance(look, DatasetLook):
        body = events.dataset_message(look.dataset)
    else:
        body = events.run_message(look.run, follow=look.follow)
    assert events.look_in(body) == look


@pytest.mark.parametrize(
    ("body", "look"),
    [
        (
            envelope(
                "aws.batch", "Batch Job State Change", {"jobName": f"{RUN}-prepare", "status": "SUCCEEDED"}
            ),
            RunLook(run=RUN),
        ),
        *[
            (
                envelope(
                    "aws.batch",
                    "Batch Job State Change",
                    {"jobName": f"{RUN}-{kind}", "status": "FAILED", "arrayProperties": array},
                ),
                RunLook(run=RUN),
            )
            for kind, array in (("plan", {}), ("slices", {"size": 2}), ("slices", {"index": 1}))
        ],
        *[
            (
                envelope("aws.batch", "Batch Job State Change", {"jobName": f"{RUN}-{kind}"}),
                RunLook(run=RUN),
            )
            for kind in ("evaluate", "evaluate-2")
        ],
        *[
            (
                envelope(
                    "aws.sagemaker",
                    "SageMaker Transform Job State Change",
                    {"TransformJobName": name, "TransformJobStatus": "Completed"},
                ),
                look,
            )
            for name, look in (
                (f"{RUN}-candidate", RunLook(run=RUN)),
                (f"{RUN}-champion-3", RunLook(run=RUN)),
                ("somebody-elses-candidate", None),
            )
        ],
        (
            envelope(
                "aws.batch", "Batch Job State Change", {"jobName": "somebody-elses", "status": "FAILED"}
            ),
            None,
        ),
        (
            envelope(
                "aws.sagemaker",
                "SageMaker Training Job State Change",
                {"TrainingJobName": RUN, "TrainingJobStatus": "Completed", "Tags": {}},
            ),
            RunLook(run=RUN),
        ),
        (
            envelope("aws.sagemaker", "SageMaker Training Job State Change", {"TrainingJobName": "other"}),
            None,
        ),
        (
            envelope(
                "aws.sagemaker",
                "SageMaker Endpoint State Change",
                {"EndpointName": "nestbox-birds", "EndpointStatus": "IN_SERVICE"},
            ),
            DatasetLook(dataset="birds"),
        ),
        (envelope("aws.sagemaker", "SageMaker Endpoint State Change", {"EndpointName": "other"}), None),
    ],
)
def test_state_changes(body, look):
    assert events.look_in(body) == look


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no json",
        "[]",
        "{}",
        '{"run": "birds"}',
        '{"run": 5}',
        '{"dataset": "Birds"}',
        '{"detail-type": "x"}',
        envelope("aws.ec2", "EC2 Instance State-change Notification", {}),
        envelope("aws.batch", "Batch Job State Change", {}),
        envelope("aws.sagemaker", "SageMaker Model State Change", {"ModelName": "x"}),
    ],
)
def test_messages_that_are_not_understood(body):
    with pytest.raises(BadEventError):
        events.look_in(body)


@pytest.mark.parametrize(
    "key",
    ["datasets/birds/a b.jpg", "datasets/birds/a+b.jpg", "datasets/birds/100%25.jpg", "datasets/vögel/ä.jpg"],
)
def test_keys_in_eventbridge_events_are_as_they_are(key):
    body = envelope("aws.s3", "Object Created", {"bucket": {"name": "u"}, "object": {"key": key, "size": 1}})
    (upload,) = events.uploads_in(body)
    assert (upload.key, upload.deleted) == (key, False)


def test_keys_in_s3_notifications_are_decoded():
    record = {
        "eventName": "ObjectRemoved:DeleteMarkerCreated",
        "eventTime": "2026-11-24T22:40:00.000Z",
        "s3": {"bucket": {"name": "u"}, "object": {"key": "datasets/birds/a+b%2Bc%C3%A4.jpg"}},
    }
    (upload,) = events.uploads_in(json.dumps({"Records": [record]}))
    assert (upload.key, upload.deleted) == ("datasets/birds/a b+cä.jpg", True)


def test_deletions_and_test_messages():
    body = envelope("aws.s3", "Object Deleted", {"object": {"key": "datasets/birds/1.jpg"}})
    assert events.uploads_in(body)[0].deleted
    assert events.uploads_in('{"Service": "Amazon S3", "Event": "s3:TestEvent"}') == []


@pytest.mark.parametrize(
    "body", ["{}", "x", envelope("aws.batch", "Batch Job State Change", {"object": {"key": "k"}})]
)
def test_what_tells_of_no_upload(body):
    with pytest.raises(BadEventError):
        events.uploads_in(body)
