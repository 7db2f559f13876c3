"""The whole stack, built and deployed by SAM onto a local AWS of its own, with IAM enforced.

What the tests do to it is what people do: put objects into the bucket, call the API, read the tables.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pytest

ROOT = Path(__file__).parents[2]
REGION = "us-east-1"
ENDED = {"SERVED", "BLOCKED", "REJECTED", "FAILED", "CANCELLED"}

T = TypeVar("T")


def wait_until(what: str, look: Callable[[], T | None], seconds: float, every: float = 0.25) -> T:
    """The first thing ``look`` returns that is true; fails after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:.0f} s for {what}")
        time.sleep(every)


@dataclass
class Answer:
    """An HTTP answer; ``json`` reads its body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class System:
    """The deployed stack as its users see it."""

    endpoint_url: str
    state: Path
    outputs: dict[str, str] = field(default_factory=dict)

    def parameter(self, name: str) -> str:
        """A parameter of the stack."""
        [stack] = self.client("cloudformation").describe_stacks(StackName="nestbox")["Stacks"]
        return {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}[name]

    def client(self, service: str, **credentials: str) -> Any:
        keys = credentials or {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(service, region_name=REGION, endpoint_url=self.endpoint_url, **keys)

    @cached_property
    def s3(self) -> Any:
        return self.client("s3")

    @cached_property
    def tables(self) -> Any:
        return boto3.resource(
            "dynamodb",
            region_name=REGION,
            endpoint_url=self.endpoint_url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    # -- annotation team
    def put(self, dataset: str, name: str, body: bytes) -> None:
        self.s3.put_object(Bucket=self.outputs["UploadsBucket"], Key=f"datasets/{dataset}/{name}", Body=body)

    def upload(self, dataset: str, folder: Path) -> int:
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        for path in files:
            self.put(dataset, path.relative_to(folder).as_posix(), path.read_bytes())
        return len(files)

    # -- operator
    def row(self, dataset: str) -> dict[str, Any]:
        table = self.tables.Table(self.outputs["DatasetsTable"])
        return table.get_item(Key={"dataset": dataset}, ConsistentRead=True).get("Item", {})

    def runs(self, dataset: str) -> list[dict[str, Any]]:
        from boto3.dynamodb.conditions import Key

        table = self.tables.Table(self.outputs["RunsTable"])
        return table.query(KeyConditionExpression=Key("dataset").eq(dataset), ConsistentRead=True)["Items"]

    def epochs(self, run: str) -> list[dict[str, Any]]:
        from boto3.dynamodb.conditions import Key

        table = self.tables.Table(self.outputs["EpochsTable"])
        return table.query(KeyConditionExpression=Key("run").eq(run), ConsistentRead=True)["Items"]

    def run_number(self, dataset: str, number: int, seconds: float = 300) -> dict[str, Any]:
        """The dataset's run of this number (from 1), once it has ended."""

        what = f"run {number} of {dataset} to end ({self.describe(dataset)})"
        return wait_until(what, lambda: self.ended_run(dataset, number), seconds)

    def ended_run(self, dataset: str, number: int) -> dict[str, Any] | None:
        """The dataset's run of this number (from 1), if it has ended."""
        runs = self.runs(dataset)
        if len(runs) < number or runs[number - 1]["state"] not in ENDED:
            return None
        return runs[number - 1]

    def describe(self, dataset: str) -> str:
        return ", ".join(f"{run['run']}: {run['state']}" for run in self.runs(dataset)) or "no run"

    def champion_config(self, dataset: str) -> str:
        sagemaker = self.client("sagemaker")
        return str(sagemaker.describe_endpoint(EndpointName=f"nestbox-{dataset}")["EndpointConfigName"])

    # -- the machines of SageMaker and Batch
    def working(self, kind: str, name: str) -> int | None:
        """The process of a job or endpoint of this kind whose directory or command has the name in it."""
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # ended meanwhile
                directory = (entry / "cwd").readlink()
                command = (entry / "cmdline").read_bytes()
                # Not what starts it, nor a process of that which has yet to become it.
                starting = b"leash.py" in command or b"\0local\0serve\0" in command
                ours = name in f"{directory} {command!r}"
                if directory.is_relative_to(self.state / "work" / kind) and ours and not starting:
                    return int(entry.name)
        return None

    def reconcile(self) -> str | None:
        """What the schedule does every minute; returns what was wrong, where calls fail."""
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": "000000000000",
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": REGION,
            "resources": [],
            "detail": {},
        }
        answer = self.client("lambda").invoke(
            FunctionName="nestbox-reconcile", Payload=json.dumps(event).encode()
        )
        return answer["Payload"].read().decode() if "FunctionError" in answer else None

    @contextmanager
    def function_set(self, step: str, *, timeout: int | None = None, **variables: str) -> Iterator[None]:
        """As if the stack had been deployed with another timeout or environment of one step's function."""
        functions = self.client("lambda")
        name = f"nestbox-{step.replace('_', '-')}"
        deployed = functions.get_function_configuration(FunctionName=name)
        before = deployed["Environment"]["Variables"]
        assert variables.keys() <= before.keys(), variables

        def put(seconds: int, environment: dict[str, str]) -> None:
            functions.update_function_configuration(
                FunctionName=name, Timeout=seconds, Environment={"Variables": environment}
            )
            functions.get_waiter("function_updated_v2").wait(FunctionName=name)

        put(timeout or deployed["Timeout"], {**before, **variables})
        try:
            yield
        finally:
            put(deployed["Timeout"], before)

    # -- client app
    @cached_property
    def token(self) -> str:
        return self.make_token("detect", "read")

    def make_token(self, *scopes: str) -> str:
        command = [sys.executable, "-m", "cli.main", "token", "create", "end-to-end", "--json"]
        for scope in scopes:
            command += ["--scope", scope]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["token"])

    def nestbox(self, *arguments: str) -> int:
        """Run a command of the CLI against this stack; returns its exit code."""
        command = [sys.executable, "-m", "cli.main", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True)
        print(done.stdout, done.stderr)
        return done.returncode

    @property
    def environment(self) -> dict[str, str]:
        """For commands a person would run against this stack."""
        keep = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "NESTBOX_"))}
        return keep | {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "HOME": str(self.state),
        }

    def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        request = urllib.request.Request(self.api_url + path, data=body, method=method)
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, dict(error.headers), error.read())

    def detect(self, dataset: str, image: bytes, query: str = "", **headers: str) -> Answer:
        asked = {"Authorization": f"Bearer {self.token}", "Content-Type": "image/jpeg"} | headers
        return self.call("POST", f"/detect/{dataset}{query}", image, **asked)

    @property
    def api_url(self) -> str:
        return f"{self.endpoint_url}/_aws/execute-api/{self.outputs['ApiId']}/v1"


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
