"""botocore's calls, led into the world: checked, permitted, delayed, refused, cut off, done twice."""

import contextlib
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from unittest import mock

import boto3
import botocore.session
from botocore import xform_name
from botocore.client import BaseClient
from botocore.exceptions import ClientError, ParamValidationError, ReadTimeoutError
from botocore.validate import ParamValidator
from pynamodb.connection import Connection

from local.constraints import violations
from simulation.services.refusal import RefusedError
from simulation.timeline import Killed, current_process
from simulation.wiring import REGION

if TYPE_CHECKING:
    from simulation.functions import Invocation
    from simulation.world import World

READS = ("get_", "describe_", "list_", "query", "scan", "batch_get", "head_")

_THROTTLED = {
    "dynamodb": "ProvisionedThroughputExceededException",
    "s3": "SlowDown",
    "sqs": "RequestThrottled",
    "batch": "TooManyRequestsException",
}

_PERMISSIONS = {
    ("s3", "ListObjectVersions"): ["s3:ListBucketVersions"],
    ("s3", "ListObjectsV2"): ["s3:ListBucket"],
    ("s3", "HeadObject"): ["s3:GetObject"],
    ("sqs", "SendMessageBatch"): ["sqs:SendMessage"],
}
"""Where an action is not named after its operation."""

_TRANSACTION = {
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
}

_clients: dict[str, Any] = {}
_validator = ParamValidator()


def client_of(service: str) -> Any:
    """The real client of a service, made once for all worlds."""
    if service not in _clients:
        session = botocore.session.get_session()
        _clients[service] = session.create_client(
            service, region_name=REGION, aws_access_key_id="key", aws_secret_access_key="secret"
        )
    return _clients[service]


@contextlib.contextmanager
def led_into(find_world: Callable[[], "World"]) -> Iterator[None]:
    """Within, every call of every botocore client goes to the current world."""

    def make_api_call(client: BaseClient, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        model = client.meta.service_model
        return Call(
            find_world(), model.service_name, operation, request, model.operation_model(operation)
        ).make()

    with (
        mock.patch.object(BaseClient, "_make_api_call", make_api_call),
        mock.patch.object(boto3, "client", lambda service, **_config: client_of(service)),
        # PynamoDB keeps a client for each thread; one will do.
        mock.patch.object(Connection, "client", property(lambda _self: client_of("dynamodb"))),
    ):
        yield


class Call:
    """One call as the SDK makes it."""

    def __init__(
        self, world: "World", service: str, operation: str, request: dict[str, Any], model: Any
    ) -> None:
        self._world = world
        self._service = service
        self._operation = operation
        self._request = request
        self._model = model

    def make(self) -> dict[str, Any]:
        """The answer; raises botocore's errors, or Killed where the function ends here."""
        self._check()
        process = current_process()
        invocation: Invocation | None = getattr(process, "invocation", None)
        if process is None or invocation is None:
            return self._told()
        if process.killed:
            # Something that cleans up after the end (a context manager's exit) reaches nothing any more.
            raise Killed
        self._permit(invocation)
        for name in self._model.idempotent_members:
            self._request.setdefault(name, str(uuid.UUID(int=self._world.next_number())))
        chance, where = self._world.chance, self._where(invocation)
        process.wait(chance.between(f"{where} takes", 0.005, 0.15))
        return self._go_wrong(invocation, where) if not chance.calm else self._told()

    def _go_wrong(self, invocation: "Invocation", where: str) -> dict[str, Any]:
        happens = self._world.mishap
        writes = not xform_name(self._operation).startswith(READS)
        process = invocation.process
        if happens("throttled", where):
            code = _THROTTLED.get(self._service, "ThrottlingException")
            raise self._error(code, "Rate exceeded", Injected=True)
        if self._service == "dynamodb" and writes and happens("transaction conflict", where):
            raise self._conflict()
        if happens("slow", where):
            process.wait(self._world.chance.between(f"{where} is slow by", 1.0, 90.0))
        if happens("crash before", where):
            invocation.crash()
        answer = self._told()
        if writes:
            if happens("done twice by the SDK's retry", where):
                process.wait(0.2)
                answer = self._told()
            if happens("failed though done", where):
                raise ReadTimeoutError(endpoint_url=f"https://{self._service}")
            if happens("crash after", where):
                invocation.crash()
        return answer

    def _conflict(self) -> ClientError:
        """What DynamoDB says where another transaction is under way on an item."""
        if self._operation != "TransactWriteItems":
            return self._error(
                "TransactionConflictException", "Transaction is ongoing for the item", Injected=True
            )
        asked = self._request["TransactItems"]
        codes = ["TransactionConflict", *["None"] * (len(asked) - 1)]
        return self._error(
            "TransactionCanceledException",
            f"Transaction cancelled, please refer cancellation reasons [{', '.join(codes)}]",
            CancellationReasons=[{"Code": code} for code in codes],
            Injected=True,
        )

    def _told(self) -> dict[str, Any]:
        service = getattr(self._world, self._service)
        try:
            answer: dict[str, Any] = getattr(service, xform_name(self._operation))(self._request)
        except RefusedError as refused:
            raise self._error(refused.code, refused.message, **refused.more) from refused
        return answer

    def _error(self, code: str, message: str, **more: Any) -> ClientError:
        return ClientError({"Error": {"Code": code, "Message": message}, **more}, self._operation)  # type: ignore[arg-type]

    def _check(self) -> None:
        """botocore's own validation, and the bounds and patterns of its models, which only AWS looks at."""
        shape = self._model.input_shape
        if shape is None or self._service == "dynamodb":
            return
        report = _validator.validate(self._request, shape)
        if report.has_errors():
            raise ParamValidationError(report=report.generate_report())
        if self._service == "sagemaker" and (broken := list(violations(shape, self._request))):
            raise self._error("ValidationException", "; ".join(broken))

    def _permit(self, invocation: "Invocation") -> None:
        """Refuse what no statement of the function's role allows (actions only, no resources)."""
        operation = self._operation
        if operation == "TransactWriteItems":
            needed = [_TRANSACTION[next(iter(one))] for one in self._request["TransactItems"]]
        else:
            needed = _PERMISSIONS.get((self._service, operation), [f"{self._service}:{operation}"])
        for action in needed:
            if action not in invocation.function.actions:
                raise self._error("AccessDeniedException", f"{invocation.function.name} may not {action}")

    def _where(self, invocation: "Invocation") -> str:
        about = _named_in(self._request)
        where = f"{invocation.function.name}'s {self._operation}"
        return self._world.chance.numbered(f"{where} of {self._world.alias(about)}" if about else where)


_NAMING = (
    "TrainingJobName",
    "TransformJobName",
    "ModelName",
    "EndpointName",
    "EndpointConfigName",
    "jobName",
    "jobId",
    "MessageBody",
    "logStreamName",
    "Prefix",
)


def _named_in(request: dict[str, Any]) -> str:
    """What a call is about, for people and for the names of incidents."""
    for name in _NAMING:
        if isinstance(request.get(name), str):
            return str(request[name])
    key = request.get("Key")
    if isinstance(key, str):
        return key
    if isinstance(key, dict):
        return " ".join(str(next(iter(one.values()))) for one in key.values())
    return str(request.get("TableName", ""))
