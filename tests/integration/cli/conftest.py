"""A stack of its own for every test, without functions: buckets, tables and outputs on a local AWS."""

import json
import socket
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest

from cli.stack import QUEUES
from local.background import Connection, down, up
from local.images import DEFAULT_IMAGES

API_ID = "abcd1234"
KEYS = {
    "Datasets": ("dataset", "S", None, None),
    "Runs": ("dataset", "S", "run", "S"),
    "Epochs": ("run", "S", "epoch", "N"),
    "Tokens": ("token_hash", "S", None, None),
}


@dataclass(frozen=True)
class DeployedStack:
    """What the tests look at."""

    name: str
    uploads_bucket: str
    api_url: str


@pytest.fixture(scope="session")
def local_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    state = tmp_path_factory.mktemp("local-aws")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    yield up(port, state, DEFAULT_IMAGES)
    down(state)


@pytest.fixture
def aws(local_aws: Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment in which every client talks to the local AWS; what commands set in it is undone."""
    for name in (
        *("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN"),
        *("NESTBOX_LOCAL", "NESTBOX_STACK", "NESTBOX_TOKEN", "NESTBOX_URL"),
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", local_aws.endpoint_url)
    monkeypatch.setenv("AWS_REGION", local_aws.region)
    monkeypatch.setenv("AWS_DEFAULT_REGION", local_aws.region)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", local_aws.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", local_aws.secret_access_key)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def stack(aws: None, local_aws: Connection, monkeypatch: pytest.MonkeyPatch) -> DeployedStack:
    name = f"cli-{uuid.uuid4().hex[:8]}"
    outputs: dict[str, object] = {
        "UploadsBucket": {"Ref": "Uploads"},
        "ArtifactsBucket": {"Ref": "Artifacts"},
        "ApiId": API_ID,
        "ApiUrl": f"https://{API_ID}.execute-api.us-east-1.amazonaws.com/v1",
        "Region": {"Ref": "AWS::Region"},
        **{f"{table}Table": {"Ref": table} for table in KEYS},
        **{queue: {"Ref": queue} for queue in QUEUES},
    }
    resources: dict[str, object] = {
        bucket: {"Type": "AWS::S3::Bucket"} for bucket in ("Uploads", "Artifacts")
    }
    resources |= {queue: {"Type": "AWS::SQS::Queue"} for queue in QUEUES}
    for table, (hash_key, hash_type, range_key, range_type) in KEYS.items():
        keys = [(hash_key, hash_type, "HASH"), *([(range_key, range_type, "RANGE")] if range_key else [])]
        resources[table] = {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [
                    {"AttributeName": key, "AttributeType": kind} for key, kind, _ in keys
                ],
                "KeySchema": [{"AttributeName": key, "KeyType": role} for key, _, role in keys],
            },
        }
    template = {"Resources": resources, "Outputs": {key: {"Value": value} for key, value in outputs.items()}}
    cloudformation = boto3.client("cloudformation")
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    told = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]
    values = {output["OutputKey"]: output["OutputValue"] for output in told}
    monkeypatch.setenv("NESTBOX_STACK", name)
    for table in KEYS:
        monkeypatch.setenv(f"{table.upper()}_TABLE", values[f"{table}Table"])
    return DeployedStack(
        name, values["UploadsBucket"], f"{local_aws.endpoint_url}/_aws/execute-api/{API_ID}/v1"
    )
