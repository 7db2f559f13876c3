"""What the local AWS measures by itself, and the alarms on it."""

from __future__ import annotations

import json
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
