"""What queue messages mean: "look at this run", "look at this dataset", or which uploads there were.

An event is never believed further than that: each step reads the truth itself. So an event that comes
twice, late, out of order or never makes no difference.
"""

import json
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nestbox.errors import BadEventError
from nestbox.names import (
    dataset_of_endpoint,
    is_dataset_name,
    is_run_id,
    run_of_judging_job,
    run_of_prepare_job,
)


class RunLook(BaseModel):
    """Look at this run."""

    model_config = ConfigDict(frozen=True)

    run: str
    follow: bool = False
    """Whether looking again soon is asked for; only such a look may ask for the next one."""


class DatasetLook(BaseModel):
    """Look at this dataset: have its uploads settled, or has its endpoint come to rest?"""

    model_config = ConfigDict(frozen=True)

    dataset: str
    audit: bool = False
    """Whether to look for uploads that no event told of."""


class Upload(BaseModel):
    """An object that was written or deleted in the uploads bucket."""

    model_config = ConfigDict(frozen=True)

    key: str
    at: datetime
    deleted: bool = False


class _Envelope(BaseModel):
    """An EventBridge event, as far as it matters here."""

    source: str
    detail_type: str = Field(alias="detail-type")
    time: datetime
    detail: dict[str, Any]


class _Object(BaseModel):
    key: str


class _ObjectChange(BaseModel):
    object: _Object


class _BatchJob(BaseModel):
    job_name: str = Field(alias="jobName")


class _TrainingJob(BaseModel):
    name: str = Field(alias="TrainingJobName")


class _TransformJob(BaseModel):
    name: str = Field(alias="TransformJobName")


class _Endpoint(BaseModel):
    name: str = Field(alias="EndpointName")


class _NotifiedS3(BaseModel):
    object: _Object


class _NotifiedRecord(BaseModel):
    s3: _NotifiedS3
    event_name: str = Field(alias="eventName")
    event_time: datetime = Field(alias="eventTime")


class _Notification(BaseModel):
    records: list[_NotifiedRecord] = Field(alias="Records")


def run_message(run: str, *, follow: bool = False) -> str:
    """The body of "look at this run"."""
    return json.dumps({"run": run, "follow": True} if follow else {"run": run})


def dataset_message(dataset: str, *, audit: bool = False) -> str:
    """The body of "look at this dataset"."""
    return json.dumps({"dataset": dataset, "audit": True} if audit else {"dataset": dataset})


def look_in(body: str) -> RunLook | DatasetLook | None:
    """What a message asks to look at: our own bodies, or a state change as EventBridge delivers it.

    None where the event is about a job or an endpoint that is not ours (an account may hold others).
    Raises BadEventError where the body is neither.
    """
    content = _json_object(body)
    try:
        if "detail-type" not in content:
            return _own_look(content)
        envelope = _Envelope.model_validate(content)
        if envelope.source == "aws.batch":
            job_name = _BatchJob.model_validate(envelope.detail).job_name
            run = run_of_prepare_job(job_name) or run_of_judging_job(job_name)
            return RunLook(run=run) if run else None
        if envelope.source == "aws.sagemaker" and "TransformJobName" in envelope.detail:
            run = run_of_judging_job(_TransformJob.model_validate(envelope.detail).name)
            return RunLook(run=run) if run else None
        if envelope.source == "aws.sagemaker" and "TrainingJobName" in envelope.detail:
            name = _TrainingJob.model_validate(envelope.detail).name
            return RunLook(run=name) if is_run_id(name) else None
        if envelope.source == "aws.sagemaker" and "EndpointName" in envelope.detail:
            dataset = dataset_of_endpoint(_Endpoint.model_validate(envelope.detail).name)
            return DatasetLook(dataset=dataset) if dataset else None
    except ValidationError as error:
        raise BadEventError(f"the message is not understood: {_summary(error)}") from error
    raise BadEventError(f"no step looks at events {envelope.detail_type!r} of {envelope.source!r}")


def uploads_in(body: str) -> list[Upload]:
    """The uploads and deletions a message tells of; empty for the test message of a new S3 notification.

    Keys in EventBridge events are as they are; keys in S3's own notifications are URL-encoded with ``+``
    for a space (docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html).
    Raises BadEventError where the body is neither.
    """
    content = _json_object(body)
    try:
        if "detail-type" in content:
            envelope = _Envelope.model_validate(content)
            if envelope.source != "aws.s3":
                raise BadEventError(f"expected an event of aws.s3, got one of {envelope.source!r}")
            key = _ObjectChange.model_validate(envelope.detail).object.key
            return [Upload(key=key, at=envelope.time, deleted=envelope.detail_type == "Object Deleted")]
        if content.get("Event") == "s3:TestEvent":
            return []
        return [
            Upload(
                key=unquote_plus(record.s3.object.key),
                at=record.event_time,
                deleted=record.event_name.startswith("ObjectRemoved"),
            )
            for record in _Notification.model_validate(content).records
        ]
    except ValidationError as error:
        raise BadEventError(f"the message tells of no upload: {_summary(error)}") from error


def _own_look(content: dict[str, Any]) -> RunLook | DatasetLook:
    if "run" in content:
        look = RunLook.model_validate(content)
        if not is_run_id(look.run):
            raise BadEventError(f"{look.run!r} is no run id: expected DATASET-YYYYMMDDhhmmss-XXXX")
        return look
    named = DatasetLook.model_validate(content)
    if not is_dataset_name(named.dataset):
        raise BadEventError(f"{named.dataset!r} is no dataset name")
    return named


def _json_object(body: str) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except json.JSONDecodeError as error:
        raise BadEventError(f"the message is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise BadEventError(f"the message is no JSON object but {type(content).__name__}")
    return content


def _summary(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
