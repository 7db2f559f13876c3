"""The server side of AWS's JSON protocols, driven by botocore's service models.

Covers what the services here speak: `json` 1.1 (SageMaker: operation in X-Amz-Target) and `rest-json`
(Batch, SageMaker Runtime: operation in the path; members in path, query string, headers or a raw body).
"""

from __future__ import annotations

import base64
import datetime
import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape

from local.constraints import mistyped, refusal, violations
from local.errors import AwsError

Response = tuple[int, dict[str, str], bytes]

# The code each service gives to a request that breaks its model's constraints.
_VALIDATION_CODES = {
    "batch": "ClientException",
    "sagemaker": "ValidationException",
    "sagemaker-runtime": "ValidationError",
}


@dataclass(frozen=True)
class Call:
    """One request, parsed and checked; members the model does not know are dropped, as AWS does."""

    service: str
    operation: OperationModel
    parameters: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.operation.name)


@functools.cache
def service_model(service: str) -> ServiceModel:
    """botocore's model of `service`."""
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def parse(
    service: str,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    query: Mapping[str, list[str]],
) -> Call:
    """Reads one request.

    `path` is the decoded path, `headers` have lower-case names. Raises AwsError for an unknown operation,
    a body that is no JSON object, wrong types (SerializationException) and broken constraints.
    """
    model = service_model(service)
    labels: dict[str, str] = {}
    if model.metadata["protocol"] == "json":
        operation = _targeted_operation(model, headers)
    else:
        operation, labels = _routed_operation(service, method, path)
    shape = operation.input_shape
    if not isinstance(shape, StructureShape):
        return Call(service, operation, {})
    document = _document(shape, body)
    parameters = {
        name: _read(member, value) for name, member, value in _placed(shape, document, labels, headers, query)
    }
    payload = shape.serialization.get("payload")
    if payload is not None and shape.members[payload].type_name == "blob":
        parameters[payload] = body
    if wrong := list(mistyped(shape, parameters)):
        raise AwsError("SerializationException", wrong[0], 400)
    if broken := list(violations(shape, parameters)):
        raise AwsError(_VALIDATION_CODES[service], refusal(broken), 400)
    return Call(service, operation, parameters)


def answer(call: Call, result: Mapping[str, Any] | None) -> Response:
    """Writes the answer of a call. A member the model does not have is a bug here, and raises KeyError."""
    shape = call.operation.output_shape
    status = int(call.operation.http.get("responseCode", 200))
    # Lower case: MiniStack rewrites a `Content-Type` that it takes for an envelope's.
    headers = {"content-type": _content_type(call.service)}
    if not isinstance(shape, StructureShape):
        return status, headers, b"" if call.service == "sagemaker" else b"{}"
    document: dict[str, Any] = {}
    body: bytes | None = None
    payload = shape.serialization.get("payload")
    for name, value in (result or {}).items():
        member = shape.members[name]
        if value is None:
            continue
        if name == payload:
            body = value
        elif member.serialization.get("location") == "header":
            headers[member.serialization["name"].lower()] = str(value)
        else:
            document[member.serialization.get("name", name)] = write(member, value)
    return status, headers, body if body is not None else json.dumps(document).encode()


def refuse(service: str, error: AwsError) -> Response:
    """Writes a refusal in the service's protocol."""
    shapes = service_model(service).error_shapes
    modelled = {s.error_code: s.metadata.get("error", {}) for s in shapes if isinstance(s, StructureShape)}
    status = error.status or int(modelled.get(error.code, {}).get("httpStatusCode", 400))
    document = {"message": error.message, "Message": error.message, **error.members}
    if service == "sagemaker":
        document["__type"] = error.code
    headers = {"content-type": _content_type(service), "x-amzn-errortype": error.code}
    return status, headers, json.dumps(document).encode()


def read(shape: Shape, value: Any) -> Any:
    """Turns JSON into the parameters a service sees: known members only, timestamps and blobs decoded."""
    return _read(shape, value)


def write(shape: Shape, value: Any) -> Any:
    """Turns a result into JSON after the model; datetimes become epoch seconds, blobs base64.

    A member that the model does not have raises KeyError: answers stay inside the model.
    """
    if isinstance(shape, StructureShape):
        return {
            shape.members[name].serialization.get("name", name): write(shape.members[name], member)
            for name, member in value.items()
            if member is not None
        }
    if isinstance(shape, ListShape):
        return [write(shape.member, member) for member in value]
    if isinstance(shape, MapShape):
        return {key: write(shape.value, member) for key, member in value.items()}
    if isinstance(value, datetime.datetime):
        return round(value.timestamp(), 3)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value


def _read(shape: Shape, value: Any) -> Any:
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        wire = {m.serialization.get("name", name): (name, m) for name, m in shape.members.items()}
        return {
            wire[key][0]: _read(wire[key][1], member)
            for key, member in value.items()
            if key in wire and member is not None
        }
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [_read(shape.member, member) for member in value]
    if isinstance(shape, MapShape) and isinstance(value, dict):
        return {key: _read(shape.value, member) for key, member in value.items()}
    if shape.type_name == "timestamp" and isinstance(value, int | float):
        return datetime.datetime.fromtimestamp(value, datetime.UTC)
    if shape.type_name == "blob" and isinstance(value, str):
        return base64.b64decode(value)
    return value


def _targeted_operation(model: ServiceModel, headers: Mapping[str, str]) -> OperationModel:
    name = headers.get("x-amz-target", "").rpartition(".")[2]
    if name not in model.operation_names:
        raise AwsError("UnknownOperationException", f"The operation {name!r} does not exist.", 404)
    return model.operation_model(name)


@functools.cache
def _routes(service: str) -> list[tuple[str, re.Pattern[str], OperationModel]]:
    routes = []
    for name in service_model(service).operation_names:
        operation = service_model(service).operation_model(name)
        path = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(operation.http["requestUri"].split("?")[0]))
        routes.append((operation.http["method"], re.compile(path), operation))
    return routes


def _routed_operation(service: str, method: str, path: str) -> tuple[OperationModel, dict[str, str]]:
    for verb, pattern, operation in _routes(service):
        if verb == method and (match := pattern.fullmatch(path)):
            return operation, match.groupdict()
    raise AwsError("UnknownOperationException", f"No operation answers {method} {path}.", 404)


def _document(shape: StructureShape, body: bytes) -> dict[str, Any]:
    payload = shape.serialization.get("payload")
    if not body or (payload and shape.members[payload].type_name == "blob"):
        return {}
    try:
        document = json.loads(body)
    except ValueError as error:
        raise AwsError("SerializationException", f"The body is no JSON: {error}", 400) from error
    if not isinstance(document, dict):
        raise AwsError("SerializationException", "The body is no JSON object.", 400)
    return document


def _placed(
    shape: StructureShape,
    document: Mapping[str, Any],
    labels: Mapping[str, str],
    headers: Mapping[str, str],
    query: Mapping[str, list[str]],
) -> list[tuple[str, Shape, Any]]:
    found: list[tuple[str, Shape, Any]] = []
    for name, member in shape.members.items():
        wire = member.serialization.get("name", name)
        location = member.serialization.get("location")
        value: Any
        if location == "uri":
            value = labels.get(wire)
        elif location == "querystring":
            values = query.get(wire)
            value = values if values is None or member.type_name == "list" else values[0]
        elif location == "header":
            value = headers.get(wire.lower())
        else:
            value = document.get(wire)
        if value is not None:
            found.append((name, member, value))
    return found


def _content_type(service: str) -> str:
    return "application/x-amz-json-1.1" if service == "sagemaker" else "application/json"
