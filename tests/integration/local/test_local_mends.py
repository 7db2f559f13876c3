"""Each mend of MiniStack, seen from outside as AWS shows it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

LAMBDA_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
ECHO = """
import json
def handler(event, context):
    print(len(event.get("Records", [])))
    return {"statusCode": 200, "body": json.dumps({"method": event.get("httpMethod")})}
"""


@pytest.fixture(scope="module")
def function_role(aws: Any) -> str:
    arn: str = aws.role({"Effect": "Allow", "Action": "*", "Resource": "*"}, trust=LAMBDA_TRUST)
    return arn


@pytest.fixture
def deploy(aws: Any, wait: Any, named: Any) -> Callable[..., dict[str, Any]]:
    """Creates a stack, or updates the one of the same name, and waits for its end."""
    cloudformation = aws.client("cloudformation")

    def run(resources: dict[str, Any], name: str = "", outputs: dict[str, Any] | None = None) -> Any:
        template = {"Resources": resources}
        if outputs:
            template["Outputs"] = {key: {"Value": value} for key, value in outputs.items()}
        body = json.dumps(template)
        if name:
            cloudformation.update_stack(StackName=name, TemplateBody=body)
        else:
            name = named("stack")
            cloudformation.create_stack(StackName=name, TemplateBody=body)

        def ended() -> Any:
            stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
            return None if stack["StackStatus"].endswith("IN_PROGRESS") else stack

        stack: dict[str, Any] = wait(ended, 30)
        stack["Outputs"] = {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])}
        return stack

    return run


def function(role: str, **properties: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Runtime": "python3.12",
            "Handler": "index.handler",
            "Role": role,
            "Code": {"ZipFile": ECHO},
            **properties,
        },
    }


class TestRestApis:
    def body(self, *routes: str) -> dict[str, Any]:
        integration = {
            "type": "aws_proxy",
            "httpMethod": "POST",
            "uri": {
                "Fn::Sub": "arn:aws:apigateway:${AWS::Region}:lambda:path"
                "/2015-03-31/functions/${F.Arn}/invocations"
            },
        }
        preflight = {
            "x-amazon-apigateway-integration": {
                "type": "mock",
                "requestTemplates": {"application/json": '{"statusCode": 200}'},
                "responses": {
                    "default": {
                        "statusCode": "200",
                        "responseParameters": {"method.response.header.Access-Control-Allow-Origin": "'*'"},
                    }
                },
            },
            "responses": {"200": {"headers": {"Access-Control-Allow-Origin": {"type": "string"}}}},
        }
        methods = {
            "x-amazon-apigateway-any-method": {"x-amazon-apigateway-integration": integration},
            "options": preflight,
        }
        return {
            "swagger": "2.0",
            "info": {"title": "test", "version": "1"},
            "paths": dict.fromkeys(routes, methods),
            "x-amazon-apigateway-gateway-responses": {
                "MISSING_AUTHENTICATION_TOKEN": {
                    "statusCode": 404,
                    "responseTemplates": {"application/json": '{"error": {"code": "no-such-route"}}'},
                }
            },
        }

    def resources(self, role: str, deployment: str, *routes: str) -> dict[str, Any]:
        return {
            "F": function(role),
            "Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Body": self.body(*routes)}},
            deployment: {"Type": "AWS::ApiGateway::Deployment", "Properties": {"RestApiId": {"Ref": "Api"}}},
            "Stage": {
                "Type": "AWS::ApiGateway::Stage",
                "Properties": {
                    "RestApiId": {"Ref": "Api"},
                    "DeploymentId": {"Ref": deployment},
                    "StageName": "v1",
                },
            },
        }

    def ask(self, url: str, method: str = "GET") -> tuple[int, Any, Any]:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def test_what_sam_generates_works_and_keeps_its_address(
        self, aws: Any, deploy: Any, function_role: str
    ) -> None:
        outputs = {"Id": {"Ref": "Api"}}
        stack = deploy(self.resources(function_role, "D1", "/birds"), outputs=outputs)
        assert stack["StackStatus"] == "CREATE_COMPLETE"
        api = stack["Outputs"]["Id"]
        # The address that works on 127.0.0.1 without names or a Host header.
        url = f"{aws.url}/_aws/execute-api/{api}/v1"
        for method in ("GET", "DELETE"):
            status, _, body = self.ask(f"{url}/birds", method)
            assert (status, json.loads(body)) == (200, {"method": method})
        status, headers, _ = self.ask(f"{url}/birds", "OPTIONS")
        assert (status, headers["Access-Control-Allow-Origin"]) == (200, "*")
        status, _, body = self.ask(f"{url}/nothing")
        assert (status, json.loads(body)) == (404, {"error": {"code": "no-such-route"}})

        updated = deploy(
            self.resources(function_role, "D2", "/birds", "/nests"), stack["StackName"], outputs=outputs
        )
        assert updated["StackStatus"] == "UPDATE_COMPLETE"
        assert updated["Outputs"]["Id"] == api
        assert self.ask(f"{url}/nests")[0] == 200
        status, _, body = self.ask(f"{url}/nothing")
        assert (status, json.loads(body)) == (404, {"error": {"code": "no-such-route"}})


class TestLambdaFunctions:
    def test_reserved_concurrency_and_dead_letters(self, aws: Any, deploy: Any, function_role: str) -> None:
        queue = {"Type": "AWS::SQS::Queue"}
        target = {"TargetArn": {"Fn::GetAtt": ["Q", "Arn"]}}
        resources = {"Q": queue, "F": function(function_role, ReservedConcurrentExecutions=3)}
        stack = deploy(resources, outputs={"F": {"Ref": "F"}})
        client, name = aws.client("lambda"), stack["Outputs"]["F"]
        assert client.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 3
        changed = function(function_role, ReservedConcurrentExecutions=5, DeadLetterConfig=target)
        deploy({"Q": queue, "F": changed}, stack["StackName"])
        assert client.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 5
        configuration = client.get_function_configuration(FunctionName=name)
        assert configuration["DeadLetterConfig"]["TargetArn"].startswith("arn:aws:sqs:")

    def test_code_that_is_not_there_fails_the_stack(self, aws: Any, deploy: Any, function_role: str) -> None:
        code = {"S3Bucket": aws.bucket(), "S3Key": "nothing.zip"}
        assert deploy({"F": function(function_role, Code=code)})["StackStatus"] == "ROLLBACK_COMPLETE"
        layer = {"Type": "AWS::Lambda::LayerVersion", "Properties": {"Content": code}}
        assert deploy({"L": layer})["StackStatus"] == "ROLLBACK_COMPLETE"

    def test_why_a_function_cannot_start_is_in_its_log(
        self, aws: Any, deploy: Any, function_role: str
    ) -> None:
        stack = deploy(
            {"F": function(function_role, Code={"ZipFile": "import nothing_of_this_name"})},
            outputs={"Name": {"Ref": "F"}},
        )
        name = stack["Outputs"]["Name"]
        assert aws.client("lambda").invoke(FunctionName=name)["FunctionError"] == "Unhandled"
        events = aws.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        [told] = [event["message"] for event in events if event["message"].startswith("[ERROR]")]
        assert "nothing_of_this_name" in told


def test_s3_events_name_the_version(aws: Any, wait: Any) -> None:
    s3, bucket = aws.client("s3"), aws.bucket()
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    received = aws.events({"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}})
    version = s3.put_object(Bucket=bucket, Key="a b.jpg", Body=b"x")["VersionId"]
    (event,) = wait(received)
    assert event["detail-type"] == "Object Created"
    assert event["detail"]["object"]["version-id"] == version
    assert event["detail"]["object"]["key"] == "a b.jpg"


def test_parts_of_versions_are_parts(aws: Any) -> None:
    s3, bucket = aws.client("s3"), aws.bucket()
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old, new = (s3.put_object(Bucket=bucket, Key="a", Body=body)["VersionId"] for body in (b"0123", b"abcd"))

    def read(version: str, wanted: str) -> tuple[bytes, str, int]:
        answer = s3.get_object(Bucket=bucket, Key="a", VersionId=version, Range=wanted)
        status = answer["ResponseMetadata"]["HTTPStatusCode"]
        return answer["Body"].read(), answer["ContentRange"], status

    assert read(old, "bytes=1-2") == (b"12", "bytes 1-2/4", 206)
    assert read(new, "bytes=2-9") == (b"cd", "bytes 2-3/4", 206)
    assert read(old, "bytes=-1") == (b"3", "bytes 3-3/4", 206)
    assert s3.get_object(Bucket=bucket, Key="a", VersionId=old)["Body"].read() == b"0123"
    with pytest.raises(ClientError, match="InvalidRange"):
        read(old, "bytes=4-")
    with pytest.raises(ClientError, match="NoSuchVersion"):
        read("00000000-0000-0000-0000-000000000000", "bytes=0-1")


def test_parts_of_objects_and_copies_of_parts_are_what_they_are_of_the_whole(aws: Any) -> None:
    s3, bucket = aws.client("s3"), aws.bucket()
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old, new = (bytes([start]) + bytes(range(256)) * (6 << 12) for start in (1, 2))
    version = s3.put_object(Bucket=bucket, Key="a", Body=old)["VersionId"]
    s3.put_object(Bucket=bucket, Key="a", Body=new)
    assert s3.get_object(Bucket=bucket, Key="a", Range="bytes=0-1")["Body"].read() == new[:2]
    assert s3.get_object(Bucket=bucket, Key="a", Range="bytes=-300")["Body"].read() == new[-300:]
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == new
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    with pytest.raises(ClientError, match="InvalidRange"):
        s3.get_object(Bucket=bucket, Key="empty", Range="bytes=0-1")

    upload = {"Bucket": bucket, "Key": "b"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    sources = {1: ({"VersionId": version}, 0, 5 << 20), 2: ({}, 7, 99)}
    parts = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part_copy(
                **upload,
                PartNumber=number,
                CopySource={"Bucket": bucket, "Key": "a", **of},
                CopySourceRange=f"bytes={first}-{last}",
            )["CopyPartResult"]["ETag"],
        }
        for number, (of, first, last) in sources.items()
    ]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    copied = s3.get_object(Bucket=bucket, Key="b")["Body"].read()
    assert copied == old[: (5 << 20) + 1] + new[7:100]


def test_a_batching_window_fills_batches(aws: Any, deploy: Any, function_role: str, wait: Any) -> None:
    mapping = {
        "Type": "AWS::Lambda::EventSourceMapping",
        "Properties": {
            "FunctionName": {"Ref": "F"},
            "EventSourceArn": {"Fn::GetAtt": ["Q", "Arn"]},
            "BatchSize": 100,
            "MaximumBatchingWindowInSeconds": 1,
        },
    }
    resources = {"Q": {"Type": "AWS::SQS::Queue"}, "F": function(function_role), "M": mapping}
    stack = deploy(resources, outputs={"F": {"Ref": "F"}, "Q": {"Ref": "Q"}})
    sqs, queue = aws.client("sqs"), stack["Outputs"]["Q"]
    for _ in range(12):
        sqs.send_message(QueueUrl=queue, MessageBody="x")
    group = f"/aws/lambda/{stack['Outputs']['F']}"
    lines = wait(lambda: [line.strip() for line in aws.log(group, "") if line.strip().isdigit()])
    assert lines == ["12"]

    def empty() -> bool:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        return set(counts.values()) == {"0"}

    assert wait(empty)


def test_filtered_log_events_come_in_pages(aws: Any, named: Any) -> None:
    logs, group = aws.client("logs"), named("group")
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    events = [{"timestamp": 1_700_000_000_000 + n, "message": f"line {n}"} for n in range(70)]
    events += [{"timestamp": 1_700_000_000_100, "message": "other"}]
    logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=events)
    pages = list(
        logs.get_paginator("filter_log_events").paginate(
            logGroupName=group, filterPattern="line", PaginationConfig={"PageSize": 30}
        )
    )
    assert [len(page["events"]) for page in pages] == [30, 30, 10]
    messages = [event["message"] for page in pages for event in page["events"]]
    assert messages == [f"line {n}" for n in range(70)]
    with pytest.raises(ClientError, match="nextToken is invalid"):
        logs.filter_log_events(logGroupName=group, nextToken="made up")
    with pytest.raises(ClientError, match="does not exist"):
        logs.filter_log_events(logGroupName="nothing")


def test_tables_keep_expiry_and_recovery(aws: Any, deploy: Any) -> None:
    def table(**properties: Any) -> dict[str, Any]:
        return {
            "T": {
                "Type": "AWS::DynamoDB::Table",
                "Properties": {
                    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
                    "BillingMode": "PAY_PER_REQUEST",
                    **properties,
                },
            }
        }

    expiry = {"AttributeName": "expires_at", "Enabled": True}
    recovery = {"PointInTimeRecoveryEnabled": True}
    stack = deploy(
        table(TimeToLiveSpecification=expiry, PointInTimeRecoverySpecification=recovery),
        outputs={"T": {"Ref": "T"}},
    )
    client, name = aws.client("dynamodb"), stack["Outputs"]["T"]

    def seen() -> tuple[str, str]:
        backups = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
        ttl = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        return (
            ttl["TimeToLiveStatus"],
            backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"],
        )

    assert seen() == ("ENABLED", "ENABLED")
    deploy(table(), stack["StackName"], outputs={"T": {"Ref": "T"}})
    assert seen() == ("DISABLED", "DISABLED")


class TestPolicyConditions:
    def test_loopback_counts_as_secure_transport(self, aws: Any) -> None:
        bucket = aws.bucket()
        s3, resources = aws.client("s3"), [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
        deny = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": resources,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
        policy = {"Version": "2012-10-17", "Statement": [deny]}
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
        user = aws.client("s3", aws.user({"Effect": "Allow", "Action": "s3:*", "Resource": resources}))
        user.put_object(Bucket=bucket, Key="k", Body=b"x")
        assert user.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"

    def test_metrics_are_allowed_by_namespace(self, aws: Any) -> None:
        allow = {
            "Effect": "Allow",
            "Action": "cloudwatch:PutMetricData",
            "Resource": "*",
            "Condition": {"StringEquals": {"cloudwatch:namespace": "Nestbox"}},
        }
        cloudwatch = aws.client("cloudwatch", aws.user(allow))
        data = [{"MetricName": "m", "Value": 1.0}]
        cloudwatch.put_metric_data(Namespace="Nestbox", MetricData=data)
        with pytest.raises(ClientError, match="not authorized"):
            cloudwatch.put_metric_data(Namespace="Other", MetricData=data)

    def test_events_are_allowed_by_source(self, aws: Any) -> None:
        allow = {
            "Effect": "Allow",
            "Action": "events:PutEvents",
            "Resource": "*",
            "Condition": {"StringEquals": {"events:source": "mine"}},
        }
        events = aws.client("events", aws.user(allow))
        entry = {"Source": "mine", "DetailType": "d", "Detail": "{}"}
        assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0
        with pytest.raises(ClientError, match="not authorized"):
            events.put_events(Entries=[entry, entry | {"Source": "another"}])

    def test_alarms_are_allowed_by_name(self, aws: Any, named: Any) -> None:
        mine = named("mine")
        allow = {
            "Effect": "Allow",
            "Action": ["cloudwatch:PutMetricAlarm", "cloudwatch:DescribeAlarms", "cloudwatch:DeleteAlarms"],
            "Resource": f"arn:aws:cloudwatch:us-east-1:000000000000:alarm:{mine}-*",
        }
        cloudwatch = aws.client("cloudwatch", aws.user(allow))
        cloudwatch.put_metric_alarm(
            AlarmName=f"{mine}-errors",
            Namespace="n",
            MetricName="m",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1.0,
            ComparisonOperator="GreaterThanThreshold",
        )
        names = [f"{mine}-errors", f"{mine}-latency"]
        assert len(cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"]) == 1
        cloudwatch.delete_alarms(AlarmNames=names)
        with pytest.raises(ClientError, match="not authorized"):
            cloudwatch.delete_alarms(AlarmNames=["another"])

    def test_log_groups_are_allowed_by_the_arn_with_a_star(self, aws: Any, named: Any) -> None:
        group = named("group")
        logs = aws.client("logs")
        logs.create_log_group(logGroupName=group)
        logs.create_log_stream(logGroupName=group, logStreamName="s")
        arn = f"arn:aws:logs:us-east-1:000000000000:log-group:{group}"
        actions = ["logs:GetLogEvents", "logs:DescribeLogStreams"]
        allowed = aws.client("logs", aws.user({"Effect": "Allow", "Action": actions, "Resource": f"{arn}:*"}))
        assert allowed.describe_log_streams(logGroupName=group)["logStreams"]
        assert allowed.get_log_events(logGroupName=group, logStreamName="s")["events"] == []
        bare = aws.client("logs", aws.user({"Effect": "Allow", "Action": actions, "Resource": arn}))
        with pytest.raises(ClientError, match=f"{group}:log-stream:s"):
            bare.get_log_events(logGroupName=group, logStreamName="s")


class TestAlarms:
    @pytest.fixture
    def alarm(self, aws: Any, named: Any) -> Callable[..., str]:
        def make(service: str, **changes: Any) -> str:
            name: str = named("alarm")
            aws.client("cloudwatch").put_metric_alarm(
                AlarmName=name,
                Namespace="Test/Alarms",
                MetricName="Errors",
                Dimensions=[{"Name": "Service", "Value": service}],
                **{
                    "Statistic": "Sum",
                    "Period": 60,
                    "EvaluationPeriods": 1,
                    "Threshold": 1,
                    "ComparisonOperator": "GreaterThanOrEqualToThreshold",
                    **changes,
                },
            )
            return name

        return make

    @pytest.fixture
    def put(self, aws: Any) -> Callable[..., None]:
        def send(service: str, value: float, seconds_ago: float = 0) -> None:
            datum = {
                "MetricName": "Errors",
                "Dimensions": [{"Name": "Service", "Value": service}],
                "Timestamp": time.time() - seconds_ago,
                "Value": value,
            }
            aws.client("cloudwatch").put_metric_data(Namespace="Test/Alarms", MetricData=[datum])

        return send

    @pytest.fixture
    def state(self, aws: Any) -> Callable[[str], str]:
        def look(name: str) -> str:
            (found,) = aws.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
            value: str = found["StateValue"]
            return value

        return look

    def test_they_look_at_their_own_dimensions(self, alarm: Any, put: Any, state: Any, named: Any) -> None:
        one, two = named("one"), named("two")
        first, second = alarm(one), alarm(two, TreatMissingData="notBreaching")
        put(one, 1)
        assert (state(first), state(second)) == ("ALARM", "OK")

    def test_they_look_at_each_period_by_itself(self, alarm: Any, put: Any, state: Any, named: Any) -> None:
        service = named("service")
        put(service, 1, 70)
        put(service, 1, 10)
        # Two errors in two periods are one in each.
        assert state(alarm(service, Threshold=2, EvaluationPeriods=2)) == "OK"
        assert state(alarm(service, Threshold=1, EvaluationPeriods=2)) == "ALARM"
        put(service, 1, 130)
        assert state(alarm(service, Threshold=1, EvaluationPeriods=4, DatapointsToAlarm=3)) == "ALARM"
