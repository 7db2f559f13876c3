"""The API's functions in process: tables as template.yaml declares them (moto), SageMaker stubbed."""

import base64
import importlib.util
import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber
from cfnlint.decode.cfn_yaml import load as load_template
from moto import mock_aws
from nestbox.tables import DatasetRow, EpochRow, RunRow, TokenRow, Transition
from PIL import Image

ROOT = Path(__file__).parents[3]
TABLES = {
    "DATASETS_TABLE": "DatasetsTable",
    "RUNS_TABLE": "RunsTable",
    "EPOCHS_TABLE": "EpochsTable",
    "TOKENS_TABLE": "TokensTable",
}
ARTIFACTS = "artifacts"
RUN = "birds-20261124224000-0a1b"
CLASSES = ["auklet", "finch", "wren"]


@pytest.fixture(scope="module")
def cloud() -> Iterator[None]:
    """moto, with the tables and the artifacts bucket, and the functions' environment."""
    resources = load_template(str(ROOT / "template.yaml"))["Resources"]
    with pytest.MonkeyPatch.context() as patch:
        for key in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
            patch.delenv(key, raising=False)
        for key, value in {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_REGION": "eu-central-1",
            "ARTIFACTS_BUCKET": ARTIFACTS,
            "CORS_ORIGIN": "*",
            "POWERTOOLS_TRACE_DISABLED": "true",
            "POWERTOOLS_METRICS_NAMESPACE": "Nestbox",
            "POWERTOOLS_SERVICE_NAME": "test",
            **TABLES,
        }.items():
            patch.setenv(key, value)
        with mock_aws():
            dynamodb = boto3.client("dynamodb")
            for table in TABLES.values():
                declared = resources[table]["Properties"]
                dynamodb.create_table(
                    TableName=table,
                    **{
                        key: declared[key]
                        for key in (
                            "AttributeDefinitions",
                            "KeySchema",
                            "BillingMode",
                            "GlobalSecondaryIndexes",
                        )
                        if key in declared
                    },
                )
            boto3.client("s3").create_bucket(
                Bucket=ARTIFACTS, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
            )
            yield


@pytest.fixture
def aws(cloud: None) -> Iterator[None]:
    """The cloud, its tables empty again afterwards."""
    yield
    for model in (DatasetRow, RunRow, EpochRow, TokenRow):
        for row in model.scan():
            row.delete()


def load_function(name: str) -> ModuleType:
    """The module of a function, fresh, as Lambda's runtime loads it on a cold start."""
    path = ROOT / "functions" / name / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"function_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@dataclass
class Answer:
    """What API Gateway would send on."""

    status: int
    headers: dict[str, str]
    body: Any
    content: bytes

    @property
    def error(self) -> dict[str, str]:
        """The error, once it is known to have the one shape."""
        assert set(self.body) == {"error"}
        assert set(self.body["error"]) == {"code", "message", "hint"}
        assert all(self.body["error"].values())
        found: dict[str, str] = self.body["error"]
        return found


Call = Callable[..., Answer]


@pytest.fixture
def call(aws: None) -> Call:
    """Calls a function as API Gateway does (payload 1.0), cold the first time in a test."""
    functions: dict[str, ModuleType] = {}

    def send(
        function: str,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        query: dict[str, list[str]] | None = None,
    ) -> Answer:
        if function not in functions:
            functions[function] = load_function(function)
        headers = headers or {}
        binary = headers.get("Content-Type", "").startswith("image/")
        event = {
            "resource": path,
            "path": path,
            "httpMethod": method,
            "headers": headers,
            "multiValueHeaders": {key: [value] for key, value in headers.items()},
            "queryStringParameters": {key: values[-1] for key, values in (query or {}).items()} or None,
            "multiValueQueryStringParameters": query,
            "pathParameters": None,
            "requestContext": {
                "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
                "stage": "v1",
                "authorizer": {"token_id": "1a2b3c4d", "token_name": "anna", "scopes": "detect read operate"},
            },
            "body": None if body is None else base64.b64encode(body).decode() if binary else body.decode(),
            "isBase64Encoded": binary and body is not None,
        }
        context = SimpleNamespace(
            function_name=function,
            memory_limit_in_mb=512,
            invoked_function_arn=f"arn:aws:lambda:eu-central-1:123456789012:function:{function}",
            aws_request_id="52fdfc07-2182-154f-163f-5f0f9a621d72",
        )
        answer = functions[function].handler(event, context)
        content = (
            base64.b64decode(answer["body"]) if answer["isBase64Encoded"] else (answer["body"] or "").encode()
        )
        told = {key: values[0] for key, values in answer["multiValueHeaders"].items()}
        is_json = told.get("Content-Type") == "application/json"
        return Answer(answer["statusCode"], told, json.loads(content) if is_json else None, content)

    return send


@pytest.fixture(scope="module")
def runtime(cloud: None) -> Any:
    """A sagemaker-runtime client."""
    return boto3.client("sagemaker-runtime")


@pytest.fixture
def sagemaker(aws: None, runtime: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """The sagemaker-runtime client that functions get, stubbed: an unexpected call fails."""
    make = boto3.client

    def client(service: str, *args: Any, **kwargs: Any) -> Any:
        return runtime if service == "sagemaker-runtime" else make(service, *args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(boto3, "client", client)
    with Stubber(runtime) as stubber:
        yield stubber


def model_answers(stubber: Stubber, answer: Any, variant: str = RUN, expected: Any = None) -> None:
    """The next InvokeEndpoint answers this (bytes as they are, anything else as JSON)."""
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    stubber.add_response(
        "invoke_endpoint",
        {
            "Body": StreamingBody(io.BytesIO(body), len(body)),
            "InvokedProductionVariant": variant,
            "ContentType": "application/json",
        },
        expected,
    )


def store_run(run: str = RUN, state: str = "SERVED", **more: Any) -> RunRow:
    """Stores a run with what every run has."""
    dataset = run.rsplit("-", 2)[0]
    at = "2026-11-24T22:40:00.000Z"
    row = RunRow(
        dataset=dataset,
        run=run,
        state=state,
        revision=1,
        history=[Transition(from_state=None, to_state="PREPARING", at=at, by="start_run", why="quiet")],
        created_at=at,
        updated_at=at,
        snapshot_version="0" * 64,
        snapshot_objects=12,
        classes=CLASSES,
        **more,
    )
    row.save()
    return row


@pytest.fixture
def champion(aws: None) -> str:
    """A dataset ``birds`` whose run serves."""
    store_run()
    DatasetRow(dataset="birds", champion_run=RUN, last_run=RUN, classes=CLASSES).save()
    return RUN


@pytest.fixture(scope="session")
def photo() -> bytes:
    """A JPEG of 640 x 480."""
    out = io.BytesIO()
    Image.effect_noise((640, 480), 60).convert("RGB").save(out, "JPEG")
    return out.getvalue()


@pytest.fixture(name="store_run")
def store_run_fixture(aws: None) -> Callable[..., RunRow]:
    """``store_run``: stores a run with what every run has."""
    return store_run


@pytest.fixture(name="model_answers")
def model_answers_fixture() -> Callable[..., None]:
    """``model_answers``: says what the next InvokeEndpoint answers."""
    return model_answers


@pytest.fixture(name="load_function")
def load_function_fixture() -> Callable[[str], ModuleType]:
    """``load_function``: the module of a function, fresh."""
    return load_function
