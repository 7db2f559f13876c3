"""A server that is killed and started again has everything that it had answered for."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from local.background import Connection

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {
                "Service": ["lambda.amazonaws.com", "sagemaker.amazonaws.com", "ecs-tasks.amazonaws.com"]
            },
            "Action": "sts:AssumeRole",
        }
    ],
}
NOTE = """
import boto3, json, os
def handler(event, context):
    print("noting", len(event["Records"]))
    for record in event["Records"]:
        boto3.client("dynamodb").put_item(
            TableName=os.environ["TABLE"], Item={"id": {"S": record["body"]}, "n": {"N": "1"}})
"""
STACK = {
    "Resources": {
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "made-by-a-stack"}},
        "Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": "made-by-a-stack"}},
    }
}


class Machine:
    """A server that can be killed and started again on the same port and directory."""

    def __init__(self, port: int, state: Path, images: Path, client_of: Any) -> None:
        self.port = port
        self.state = state
        self.images = images
        self.client = client_of

    def up(self, *options: str) -> None:
        command = ["up", "--port", str(self.port), "--state", str(self.state), "--images", str(self.images)]
        subprocess.run(
            [sys.executable, "-m", "local", *command, *options], check=True, capture_output=True, timeout=90
        )

    def kill(self) -> None:
        connection = Connection.read(self.state)
        assert connection is not None
        os.kill(connection.pid, signal.SIGKILL)

    def down(self) -> None:
        subprocess.run([sys.executable, "-m", "local", "down", "--state", str(self.state)], check=True)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, images: Path, make_aws: Any) -> Iterator[Machine]:
    state = tmp_path_factory.mktemp("survival") / "state"
    aws = make_aws(state)
    server = Machine(aws.port, state, images, aws.client)
    server.up()
    try:
        yield server
    finally:
        server.down()


@pytest.fixture(scope="module")
def role(machine: Machine) -> str:
    iam = machine.client("iam")
    arn: str = iam.create_role(RoleName="worker", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    allow = {"Effect": "Allow", "Action": ["s3:*", "sqs:*", "dynamodb:*", "logs:*"], "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [allow]}
    iam.put_role_policy(RoleName="worker", PolicyName="p", PolicyDocument=json.dumps(policy))
    return arn


@pytest.fixture(scope="module")
def before(machine: Machine, role: str, wait: Any) -> dict[str, Any]:
    """Everything is made, and the server killed the moment the last request is answered."""
    s3, dynamodb, sqs = machine.client("s3"), machine.client("dynamodb"), machine.client("sqs")
    s3.create_bucket(Bucket="kept")
    s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    versions = [s3.put_object(Bucket="kept", Key="a/b", Body=body)["VersionId"] for body in (b"1", b"22")]
    s3.put_object(Bucket="kept", Key="gone", Body=b"x")
    s3.delete_object(Bucket="kept", Key="gone")

    dynamodb.create_table(
        TableName="things",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for name in ("stays", "goes", "changes"):
        dynamodb.put_item(TableName="things", Item={"id": {"S": name}, "n": {"N": "1"}})

    waiting = sqs.create_queue(QueueName="waiting")["QueueUrl"]
    for body in ("received", "deleted", "never received"):
        sqs.send_message(QueueUrl=waiting, MessageBody=body)
    first = sqs.receive_message(QueueUrl=waiting, MaxNumberOfMessages=2)["Messages"]
    deleted = next(message for message in first if message["Body"] == "deleted")
    sqs.delete_message(QueueUrl=waiting, ReceiptHandle=deleted["ReceiptHandle"])

    work = sqs.create_queue(QueueName="work")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=work, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("note.py", NOTE)
    functions = machine.client("lambda")
    functions.create_function(
        FunctionName="note",
        Runtime="python3.11",
        Role=role,
        Handler="note.handler",
        Code={"ZipFile": code.getvalue()},
        Environment={"Variables": {"TABLE": "things"}},
        Timeout=30,
    )
    functions.create_event_source_mapping(FunctionName="note", EventSourceArn=arn)

    events = machine.client("events")
    events.put_rule(Name="uploads", EventPattern=json.dumps({"source": ["aws.s3"]}))
    events.put_targets(Rule="uploads", Targets=[{"Id": "q", "Arn": arn}])
    machine.client("scheduler").create_schedule(
        Name="nightly",
        ScheduleExpression="rate(1 day)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": arn, "RoleArn": role},
    )
    machine.client("cloudwatch").put_metric_alarm(
        AlarmName="too-many",
        Namespace="n",
        MetricName="m",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    logs = machine.client("logs")
    logs.create_log_group(logGroupName="/kept")
    logs.create_log_stream(logGroupName="/kept", logStreamName="s")
    lines = [{"timestamp": 1_700_000_000_000 + n, "message": f"line {n}"} for n in range(1_200)]
    for part in (lines[:700], lines[700:]):
        logs.put_log_events(logGroupName="/kept", logStreamName="s", logEvents=part)
    formation = machine.client("cloudformation")
    formation.create_stack(StackName="made", TemplateBody=json.dumps(STACK))
    wait(lambda: formation.describe_stacks(StackName="made")["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE")

    dynamodb.delete_item(TableName="things", Key={"id": {"S": "goes"}})
    dynamodb.update_item(
        TableName="things",
        Key={"id": {"S": "changes"}},
        UpdateExpression="ADD n :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )
    sqs.send_message(QueueUrl=work, MessageBody="delayed", DelaySeconds=5)
    machine.kill()
    machine.up()
    return {"versions": versions, "waiting": waiting, "work": work}


def test_objects_and_their_versions(machine: Machine, before: dict[str, Any]) -> None:
    s3 = machine.client("s3")
    assert s3.get_object(Bucket="kept", Key="a/b")["Body"].read() == b"22"
    found = [
        s3.get_object(Bucket="kept", Key="a/b", VersionId=version)["Body"].read()
        for version in before["versions"]
    ]
    assert found == [b"1", b"22"]
    listed = s3.list_object_versions(Bucket="kept")
    assert [marker["Key"] for marker in listed["DeleteMarkers"]] == ["gone"]
    assert "gone" not in [entry["Key"] for entry in s3.list_objects_v2(Bucket="kept")["Contents"]]
    assert s3.get_bucket_versioning(Bucket="kept")["Status"] == "Enabled"


def test_items_of_tables(machine: Machine, before: dict[str, Any]) -> None:
    dynamodb = machine.client("dynamodb")
    items = {item["id"]["S"]: item["n"]["N"] for item in dynamodb.scan(TableName="things")["Items"]}
    assert {name: items.get(name) for name in ("stays", "goes", "changes")} == {
        "stays": "1", "goes": None, "changes": "2",
    }  # fmt: skip


def test_messages_come_again_unless_they_were_deleted(machine: Machine, before: dict[str, Any]) -> None:
    sqs = machine.client("sqs")
    messages = sqs.receive_message(QueueUrl=before["waiting"], MaxNumberOfMessages=10)["Messages"]
    assert {message["Body"] for message in messages} == {"received", "never received"}


def test_a_delayed_message_reaches_the_function_of_its_queue(
    machine: Machine, before: dict[str, Any], wait: Any
) -> None:
    dynamodb = machine.client("dynamodb")
    wait(lambda: "Item" in dynamodb.get_item(TableName="things", Key={"id": {"S": "delayed"}}), 30)


def test_rules_schedules_alarms_stacks_roles_and_logs(
    machine: Machine, before: dict[str, Any], role: str
) -> None:
    events = machine.client("events")
    assert events.list_targets_by_rule(Rule="uploads")["Targets"][0]["Id"] == "q"
    assert machine.client("scheduler").get_schedule(Name="nightly")["ScheduleExpression"] == "rate(1 day)"
    alarms = machine.client("cloudwatch").describe_alarms(AlarmNames=["too-many"])["MetricAlarms"]
    assert alarms[0]["Threshold"] == 1
    assert machine.client("iam").get_role(RoleName="worker")["Role"]["Arn"] == role
    resources = machine.client("cloudformation").describe_stack_resources(StackName="made")["StackResources"]
    assert {resource["LogicalResourceId"] for resource in resources} == {"Queue", "Api"}
    assert machine.client("sqs").get_queue_url(QueueName="made-by-a-stack")["QueueUrl"]
    apis = machine.client("apigateway").get_rest_apis()["items"]
    assert [api["name"] for api in apis] == ["made-by-a-stack"]
    logs = machine.client("logs")
    found = logs.get_log_events(logGroupName="/kept", logStreamName="s", startFromHead=True)["events"]
    assert [event["message"] for event in found] == [f"line {n}" for n in range(1_200)]


def submit(machine: Machine, role: str, attempts: int) -> str:
    """A Batch job that sleeps when it runs; it may be tried `attempts` times."""
    batch = machine.client("batch")
    name = f"sleeper-{attempts}"
    batch.register_job_definition(
        jobDefinitionName=name,
        type="container",
        platformCapabilities=["FARGATE"],
        retryStrategy={"attempts": attempts},
        containerProperties={
            "image": "r/test-batch:1",
            "command": ["sleep"],
            "executionRoleArn": role,
            "jobRoleArn": role,
            "resourceRequirements": [{"type": "VCPU", "value": "0.5"}, {"type": "MEMORY", "value": "1024"}],
        },
    )
    job: str = batch.submit_job(jobName=name, jobQueue="jobs", jobDefinition=name)["jobId"]
    return job


def train(machine: Machine, role: str, name: str, attempts: int) -> None:
    """A training job that sleeps."""
    machine.client("sagemaker").create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={"TrainingImage": "r/test-algorithm:1", "TrainingInputMode": "File"},
        RoleArn=role,
        HyperParameters={"behaviour": "sleep"},
        OutputDataConfig={"S3OutputPath": "s3://kept/output"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
        **({"RetryStrategy": {"MaximumRetryAttempts": attempts}} if attempts else {}),
    )


def serve(machine: Machine, role: str) -> None:
    """The endpoint `kept`, from a model in S3."""
    weights = io.BytesIO()
    with tarfile.open(fileobj=weights, mode="w:gz") as archive:
        body = json.dumps({"kept": True}).encode()
        entry = tarfile.TarInfo("weights.json")
        entry.size = len(body)
        archive.addfile(entry, io.BytesIO(body))
    machine.client("s3").put_object(Bucket="kept", Key="model.tar.gz", Body=weights.getvalue())
    sagemaker = machine.client("sagemaker")
    sagemaker.create_model(
        ModelName="kept",
        ExecutionRoleArn=role,
        PrimaryContainer={"Image": "r/test-algorithm:1", "ModelDataUrl": "s3://kept/model.tar.gz"},
    )
    sagemaker.create_endpoint_config(
        EndpointConfigName="kept",
        ProductionVariants=[
            {
                "VariantName": "v",
                "ModelName": "kept",
                "InitialInstanceCount": 1,
                "InstanceType": "ml.m5.large",
            }
        ],
    )
    sagemaker.create_endpoint(EndpointName="kept", EndpointConfigName="kept")


@pytest.fixture(scope="module")
def lost(machine: Machine, before: dict[str, Any], role: str, wait: Any) -> dict[str, Any]:
    """Jobs run and an endpoint serves when the server is killed, and started again."""
    ec2, batch, sagemaker = machine.client("ec2"), machine.client("batch"), machine.client("sagemaker")
    subnet = ec2.describe_subnets()["Subnets"][0]
    group = ec2.describe_security_groups()["SecurityGroups"][0]
    batch.create_compute_environment(
        computeEnvironmentName="fargate",
        type="MANAGED",
        computeResources={
            "type": "FARGATE",
            "maxvCpus": 4,
            "subnets": [subnet["SubnetId"]],
            "securityGroupIds": [group["GroupId"]],
        },
    )
    batch.create_job_queue(
        jobQueueName="jobs",
        priority=1,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "fargate"}],
    )
    serve(machine, role)
    wait(lambda: sagemaker.describe_endpoint(EndpointName="kept")["EndpointStatus"] == "InService")
    train(machine, role, "once", 0)
    wait(lambda: sagemaker.describe_training_job(TrainingJobName="once")["SecondaryStatus"] == "Training")
    train(machine, role, "waits-behind-it", 1)
    jobs = {attempts: submit(machine, role, attempts) for attempts in (1, 2)}
    wait(lambda: all(job["status"] == "RUNNING" for job in described(machine, jobs)))
    pids = container_pids(machine.state)
    assert len(pids) >= 4
    machine.kill()
    machine.up()
    return {"jobs": jobs, "pids": pids}


def described(machine: Machine, jobs: dict[int, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = machine.client("batch").describe_jobs(jobs=list(jobs.values()))["jobs"]
    return found


def container_pids(state: Path) -> set[int]:
    """The processes that work below the state directory."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (entry / "cwd").readlink().is_relative_to(state / "work"):
                found.add(int(entry.name))
    return found


def test_no_process_of_the_killed_server_is_left(machine: Machine, lost: dict[str, Any]) -> None:
    assert not lost["pids"] & container_pids(machine.state)


def test_a_batch_job_has_lost_its_host_and_is_tried_again_as_its_strategy_says(
    machine: Machine, lost: dict[str, Any], wait: Any
) -> None:
    def both() -> list[dict[str, Any]] | None:
        jobs = described(machine, lost["jobs"])
        return jobs if [job["status"] for job in jobs] == ["FAILED", "RUNNING"] else None

    for job in wait(both):
        assert len(job["attempts"]) == 1
        assert re.fullmatch(r"Host EC2 \(instance .+\) terminated\.", job["attempts"][0]["statusReason"])


def test_a_training_job_fails_or_starts_again_as_its_strategy_says(
    machine: Machine, lost: dict[str, Any], wait: Any
) -> None:
    sagemaker = machine.client("sagemaker")
    failed = sagemaker.describe_training_job(TrainingJobName="once")
    assert failed["TrainingJobStatus"] == "Failed"
    assert failed["FailureReason"].startswith("InternalServerError:")

    def training() -> list[str] | None:
        job = sagemaker.describe_training_job(TrainingJobName="waits-behind-it")
        return (
            [t["Status"] for t in job["SecondaryStatusTransitions"]]
            if job["SecondaryStatus"] == "Training"
            else None
        )

    assert wait(training)[1:3] == ["Interrupted", "Restarting"]


def test_an_endpoint_serves_again(machine: Machine, lost: dict[str, Any], wait: Any) -> None:
    sagemaker = machine.client("sagemaker")
    wait(lambda: sagemaker.describe_endpoint(EndpointName="kept")["EndpointStatus"] == "InService")
    answer = machine.client("sagemaker-runtime").invoke_endpoint(EndpointName="kept", Body=b"x")
    assert json.load(answer["Body"])["model"] == {"kept": True}


def test_stopping_keeps_everything_too_and_fresh_forgets_it(
    machine: Machine, lost: dict[str, Any], wait: Any
) -> None:
    machine.down()
    machine.up()
    assert machine.client("s3").get_object(Bucket="kept", Key="a/b")["Body"].read() == b"22"
    jobs = wait(lambda: [job for job in described(machine, lost["jobs"]) if job["status"] == "FAILED"])
    assert "Host EC2" in jobs[-1]["statusReason"]
    machine.down()
    machine.up("--fresh")
    assert machine.client("s3").list_buckets()["Buckets"] == []
    assert machine.client("dynamodb").list_tables()["TableNames"] == []
    assert machine.client("sagemaker").list_endpoints()["Endpoints"] == []
