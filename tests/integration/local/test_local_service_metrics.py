"""What the local AWS measures by itself, and the alarms on it."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.mends.service_metrics import embedded_metrics

LINE = {
    "_aws": {
        "Timestamp": 1,
        "CloudWatchMetrics": [
            {
                "Namespace": "Ours",
                "Dimensions": [["service"]],
                "Metrics": [{"Name": "Stuck", "Unit": "Count"}, {"Name": "Absent", "Unit": "Count"}],
            }
        ],
    },
    "service": "reconcile",
    "Stuck": [0.0, 2.0],
}


def test_embedded_metrics_are_read() -> None:
    assert list(embedded_metrics(json.dumps(LINE))) == [
        ("Ours", "Stuck", 0.0, "Count", {"service": "reconcile"}),
        ("Ours", "Stuck", 2.0, "Count", {"service": "reconcile"}),
    ]


@pytest.mark.parametrize(
    "line", ['{"_aws": 1}', '"_aws"', '{"_aws": {}}', '{"_aws": {"CloudWatchMetrics": []}}']
)
def test_lines_that_are_none_are_passed_over(line: str) -> None:
    assert list(embedded_metrics(line)) == []


BROKEN = """
import json
def handler(event, context):
    document = {"_aws": {"CloudWatchMetrics": [
        {"Namespace": "Ours", "Dimensions": [["service"]], "Metrics": [{"Name": "Tries"}]}]},
        "service": event["Records"][0]["body"], "Tries": [1.0]}
    print(json.dumps(document))
    raise ValueError("broken")
"""
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


def test_a_function_that_a_queue_calls_is_measured_and_so_is_what_it_logs(
    aws: Any, named: Any, wait: Any
) -> None:
    name, sqs, functions = named("function"), aws.client("sqs"), aws.client("lambda")
    url = sqs.create_queue(QueueName=named("queue"))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("index.py", BROKEN)
    functions.create_function(
        FunctionName=name,
        Runtime="python3.12",
        Handler="index.handler",
        Role=aws.role({"Effect": "Allow", "Action": "*", "Resource": "*"}, trust=TRUST),
        Code={"ZipFile": code.getvalue()},
    )
    functions.create_event_source_mapping(FunctionName=name, EventSourceArn=arn, BatchSize=1)
    sqs.send_message(QueueUrl=url, MessageBody=name)

    def total(namespace: str, metric: str, dimension: str) -> float | None:
        now = datetime.now(UTC)
        points = aws.client("cloudwatch").get_metric_statistics(
            Namespace=namespace,
            MetricName=metric,
            Dimensions=[{"Name": dimension, "Value": name}],
            StartTime=now - timedelta(minutes=5),
            EndTime=now + timedelta(minutes=1),
            Period=600,
            Statistics=["Sum"],
        )["Datapoints"]
        return sum(point["Sum"] for point in points) or None

    assert wait(lambda: total("AWS/Lambda", "Errors", "FunctionName"), 30) == 1
    assert total("AWS/Lambda", "Invocations", "FunctionName") == 1
    assert total("Ours", "Tries", "service") == 1


class TestAlarms:
    @pytest.fixture
    def state(self, aws: Any) -> Any:
        def look(name: str) -> str:
            (found,) = aws.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
            return str(found["StateValue"])

        return look

    def test_a_filled_queue_sets_off_its_alarm_which_tells_the_topic_and_ends_again(
        self, aws: Any, named: Any, wait: Any, state: Any
    ) -> None:
        sqs, sns, cloudwatch = aws.client("sqs"), aws.client("sns"), aws.client("cloudwatch")
        url, told = (sqs.create_queue(QueueName=named("queue"))["QueueUrl"] for _ in range(2))
        arn = sqs.get_queue_attributes(QueueUrl=told, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        allow = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        sqs.set_queue_attributes(QueueUrl=told, Attributes={"Policy": policy})
        topic = sns.create_topic(Name=named("topic"))["TopicArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        alarm = named("alarm")
        cloudwatch.put_metric_alarm(
            AlarmName=alarm,
            Namespace="AWS/SQS",
            MetricName="ApproximateNumberOfMessagesVisible",
            Dimensions=[{"Name": "QueueName", "Value": url.rsplit("/", 1)[1]}],
            Statistic="Maximum",
            Period=1,
            EvaluationPeriods=6,
            DatapointsToAlarm=1,
            Threshold=0,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",
            AlarmActions=[topic],
        )
        sqs.send_message(QueueUrl=url, MessageBody="poison")
        wait(lambda: state(alarm) == "ALARM" or None, 20)
        message = wait(lambda: sqs.receive_message(QueueUrl=told).get("Messages"), 20)[0]
        assert json.loads(json.loads(message["Body"])["Message"])["AlarmName"] == alarm
        sqs.purge_queue(QueueUrl=url)
        wait(lambda: state(alarm) == "OK" or None, 30)

    def test_an_alarm_on_what_never_comes_goes_off(self, aws: Any, named: Any, wait: Any, state: Any) -> None:
        alarm = named("alarm")
        aws.client("cloudwatch").put_metric_alarm(
            AlarmName=alarm,
            Namespace="AWS/Lambda",
            MetricName="Invocations",
            Dimensions=[{"Name": "FunctionName", "Value": "never-called"}],
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="LessThanThreshold",
            TreatMissingData="breaching",
        )
        wait(lambda: state(alarm) == "ALARM" or None, 20)
