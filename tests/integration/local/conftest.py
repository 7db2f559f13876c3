"""One real server for all tests here, with images that are small scripts in `containers/`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pytest
from botocore.config import Config

from local.images import DEFAULT_IMAGES

Found = TypeVar("Found")

CONTAINERS = Path(__file__).with_name("containers")
ACCOUNT = "000000000000"
REGION = "us-east-1"
SERVICE_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": ["sagemaker.amazonaws.com", "ecs-tasks.amazonaws.com"]},
            "Action": "sts:AssumeRole",
        }
    ],
}


class Aws:
    """The server under test, and clients of it."""

    def __init__(self, port: int, state: Path) -> None:
        self.port = port
        self.state = state
        self.url = f"http://127.0.0.1:{port}"

    def client(
        self, service: str, credentials: dict[str, str] | None = None, *, validate: bool = True
    ) -> Any:
        """A boto3 client as root, or with `credentials`; without `validate` it sends what it is given."""
        keys = credentials or {"AccessKeyId": "test", "SecretAccessKey": "test"}
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys.get("SessionToken"),
            config=Config(retries={"max_attempts": 1}, parameter_validation=validate),
        )

    def role(self, *statements: dict[str, Any], trust: dict[str, Any] = SERVICE_TRUST) -> str:
        """A new role with these policy statements; its ARN."""
        iam = self.client("iam")
        name = unique("role")
        arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        if statements:
            policy = {"Version": "2012-10-17", "Statement": list(statements)}
            iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
        return arn

    def user(self, *statements: dict[str, Any]) -> dict[str, str]:
        """The access key of a new user with these policy statements."""
        iam = self.client("iam")
        name = unique("user")
        iam.create_user(UserName=name)
        policy = {"Version": "2012-10-17", "Statement": list(statements)}
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
        key: dict[str, str] = iam.create_access_key(UserName=name)["AccessKey"]
        return key

    def bucket(self) -> str:
        """A new bucket."""
        name = unique("bucket")
        self.client("s3").create_bucket(Bucket=name)
        return name

    def events(self, pattern: dict[str, Any]) -> Callable[[], list[dict[str, Any]]]:
        """Sends the events of a pattern to a queue; the function returns those that came so far."""
        sqs, events, name = self.client("sqs"), self.client("events"), unique("events")
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=name, Targets=[{"Id": "q", "Arn": arn}])
        seen: list[dict[str, Any]] = []

        def received() -> list[dict[str, Any]]:
            while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
                for message in messages:
                    seen.append(json.loads(message["Body"]))
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return seen

        return received

    def log(self, group: str, stream_prefix: str) -> list[str]:
        """The messages of the first stream with this prefix; none while there is no stream."""
        logs = self.client("logs")
        try:
            query = {"logStreamNamePrefix": stream_prefix} if stream_prefix else {}
            streams = logs.describe_log_streams(logGroupName=group, **query)
        except logs.exceptions.ResourceNotFoundException:
            return []
        if not streams["logStreams"]:
            return []
        name = streams["logStreams"][0]["logStreamName"]
        found = logs.get_log_events(logGroupName=group, logStreamName=name, startFromHead=True)
        return [event["message"] for event in found["events"]]


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


def wait_for(condition: Callable[[], Found | None], seconds: float = 20.0) -> Found:
    """The first truthy value of the condition; fails when the deadline passes."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s")
        time.sleep(0.02)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def images_file(folder: Path) -> Path:
    """Images `…/test-batch:*`, `…/test-algorithm:*` and `…/object-detection:1`, which are our scripts.

    Those of images.toml follow; the first that matches is taken.
    """
    entries = [
        ("*test-batch:*", {"run": ["batch_job.py"]}),
        (
            "*test-algorithm:*",
            {"train": ["train.py", "{root}"], "serve": ["serve.py", "{root}", "{port}"]},
        ),
        (
            "*/object-detection:1",
            {"train": ["train.py", "{root}"], "serve": ["serve.py", "{root}", "{port}"]},
        ),
    ]
    text = ""
    for match, commands in entries:
        text += f"[[image]]\nmatch = {json.dumps(match)}\npython = {json.dumps(sys.executable)}\n"
        for key, (script, *rest) in commands.items():
            text += f"{key} = {json.dumps([str(CONTAINERS / script), *rest])}\n"
    file = folder / "images.toml"
    file.write_text(text + DEFAULT_IMAGES.read_text())
    return file


@contextmanager
def running(folder: Path, images: Path) -> Iterator[Aws]:
    """A server with its state and log in `folder`, ended on leaving."""
    port, state = free_port(), folder / "state"
    log = folder / "server.log"
    command = [sys.executable, "-m", "local", "serve", "--port", str(port), "--state", str(state)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--images", str(images)], stdout=output, stderr=subprocess.STDOUT
        )
    server = Aws(port, state)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"the server did not start:\n{log.read_text()}")
                time.sleep(0.05)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            pytest.fail("the server did not stop on SIGTERM")


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    folder = tmp_path_factory.mktemp("local")
    with running(folder, images_file(folder)) as server:
        yield server


@pytest.fixture(scope="module")
def real_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    """A server whose images are the project's own."""
    with running(tmp_path_factory.mktemp("real"), DEFAULT_IMAGES) as server:
        yield server


@pytest.fixture(scope="session")
def wait() -> Callable[..., Any]:
    return wait_for


@pytest.fixture(scope="session")
def named() -> Callable[[str], str]:
    return unique


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return images_file(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="session")
def port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def make_aws() -> Callable[[Path], Aws]:
    """Clients of a server with this state directory, on a port of its own; starting it is up to the test."""
    return lambda state: Aws(free_port(), state)


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def role(aws: Any, bucket: str) -> str:
    """A role that may do everything in the `bucket` of the module that asks for it."""
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    arn: str = aws.role({"Effect": "Allow", "Action": "s3:*", "Resource": resources})
    return arn
