"""ARNs, times, refusals, events and listings that SageMaker's resources share."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

from local import protocol
from local.errors import AwsError
from local.objects import split_uri
from local.pages import page
from local.scope import Scope

Record = dict[str, Any]

ROLE_SERVICE = "sagemaker.amazonaws.com"
# FailureReason of jobs that ran when the server was killed.
MACHINE_LOST = (
    "InternalServerError: We encountered an internal error. Please try again. "
    "(The machine of the job was lost.)"
)


def now() -> datetime.datetime:
    """The current time, in whole milliseconds as AWS keeps it."""
    time = datetime.datetime.now(datetime.UTC)
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


def arn_of(scope: Scope, kind: str, name: str) -> str:
    """The ARN of a resource; SageMaker's ARNs hold names in lower case."""
    return scope.arn("sagemaker", f"{kind}/{name.lower()}")


def refuse(message: str) -> NoReturn:
    """Raises ValidationException."""
    raise AwsError("ValidationException", message)


def nothing_found(scope: Scope, uri: str, role: str) -> str:
    """What jobs say of an input without objects."""
    bucket = split_uri(uri)[0]
    return (
        f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket '
        f"exists in the selected region ({scope.region}), that objects exist under that S3 prefix, and that "
        f'the role "{role}" has "s3:ListBucket" permissions on bucket "{bucket}".'
    )


def kept(request: Mapping[str, Any], operation: str) -> Record:
    """The members of a create request that the output of `operation` (a Describe…) shows again."""
    shape = protocol.service_model("sagemaker").operation_model(operation).output_shape
    members: Mapping[str, Any] = getattr(shape, "members", {})
    return {name: value for name, value in request.items() if name in members}


def event_detail(record: Mapping[str, Any], tags: Iterable[Mapping[str, str]]) -> Record:
    """The `detail` of a SageMaker event: times as epoch milliseconds, tags as a map."""
    detail: Record = _milliseconds(dict(record))
    detail["Tags"] = {tag["Key"]: tag["Value"] for tag in tags}
    return detail


def listed(
    records: Iterable[Record],
    request: Mapping[str, Any],
    *,
    name: str,
    status: str | None,
    summary: Callable[[Record], Record],
) -> tuple[list[Record], str | None]:
    """The page of summaries that a List… request asks for: filters, order, limit.

    `name` and `status` are the members of the records that NameContains and StatusEquals look at.
    """
    found = [record for record in records if _selected(record, request, name, status)]
    order = {"Name": name, "Status": status}.get(request.get("SortBy", "CreationTime")) or "CreationTime"
    descending = request.get("SortOrder", "Descending") != "Ascending"
    found.sort(key=lambda record: record[order], reverse=descending)
    page_of, token = page(found, request.get("MaxResults", 10), request.get("NextToken"))
    return [summary(record) for record in page_of], token


def _selected(record: Record, request: Mapping[str, Any], name: str, status: str | None) -> bool:
    if request.get("NameContains", "").lower() not in record[name].lower():
        return False
    if status and "StatusEquals" in request and record[status] != request["StatusEquals"]:
        return False
    for member in ("CreationTime", "LastModifiedTime"):
        if f"{member}After" in request and record[member] <= request[f"{member}After"]:
            return False
        if f"{member}Before" in request and record[member] >= request[f"{member}Before"]:
            return False
    return True


def _milliseconds(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return round(value.timestamp() * 1000)
    if isinstance(value, dict):
        return {key: _milliseconds(member) for key, member in value.items() if member is not None}
    if isinstance(value, list):
        return [_milliseconds(member) for member in value]
    return value
