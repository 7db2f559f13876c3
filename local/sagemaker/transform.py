"""Batch transform jobs: a model's container serves, the objects of a prefix go through it, answers to S3.

https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform.html and
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-batch-code.html
"""

from __future__ import annotations

import datetime
import logging
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local import roles
from local.capacity import Capacity
from local.errors import AwsError, ImagePullError, InputDataError, RoleError, TransferError
from local.log_streams import LogStream
from local.objects import list_keys, read_object, upload_object
from local.platform import Platform
from local.sagemaker.containers import ModelContainer
from local.sagemaker.models import Models
from local.sagemaker.records import SageMakerRecords
from local.sagemaker.resources import (
    MACHINE_LOST,
    ROLE_SERVICE,
    Record,
    arn_of,
    event_detail,
    kept,
    listed,
    nothing_found,
    now,
    refuse,
)
from local.sagemaker.transform_inputs import InputObject, manifest_objects, output_uri, prefix_objects
from local.sagemaker.transform_requests import (
    MAX_CONCURRENT,
    MAX_PAYLOAD_MB,
    Output,
    Parameters,
    Requests,
    parameters_for,
)
from local.scope import Scope

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger("local.sagemaker.transform")

LOG_GROUP = "/aws/sagemaker/TransformJobs"
# https://github.com/aws/amazon-sagemaker-examples/issues/815: a container gets half an hour to answer /ping.
_HEALTH_CHECK_SECONDS = 30 * 60
_PING_EVERY_SECONDS = 0.05
_MAX_INSTANCES = 100
_MAX_FAILURE_REASON = 1024
_MAX_MANIFEST_BYTES = 64 << 20
_SEE_LOGS = "See job logs for more information"


class TransformJob:
    """One job: its description, and what runs."""

    def __init__(self, record: Record, tags: list[dict[str, str]], model: Record) -> None:
        self.record = record
        self.tags = tags
        self.model = model
        self.last_modified = now()
        self.stopping = threading.Event()
        self.container: ModelContainer | None = None

    @property
    def name(self) -> str:
        return str(self.record["TransformJobName"])

    @property
    def status(self) -> str:
        return str(self.record["TransformJobStatus"])

    @property
    def source(self) -> Mapping[str, str]:
        """The S3DataSource of the input."""
        source: Mapping[str, str] = self.record["TransformInput"]["DataSource"]["S3DataSource"]
        return source


class _JobFailedError(Exception):
    """Ends a job as Failed; the text is its FailureReason."""


class TransformJobs:
    """The transform jobs of one scope."""

    def __init__(self, scope: Scope, platform: Platform, models: Models, capacity: Capacity) -> None:
        self._scope = scope
        self._platform = platform
        self._models = models
        self._capacity = capacity
        self._records = SageMakerRecords(platform.store, scope, "transform-job")
        self._jobs: dict[str, TransformJob] = {}
        self._lock = threading.RLock()

    def restore(self) -> None:
        """Puts back what an earlier server kept."""
        for record, tags, model, last_modified in self._records.read():
            job = TransformJob(record, tags, model)
            job.last_modified = last_modified
            self._jobs[job.name] = job

    def resume(self) -> None:
        """Ends the jobs that an earlier server ran: they have lost their machine."""
        with self._lock:
            for job in list(self._jobs.values()):
                if job.status not in ("InProgress", "Stopping"):
                    continue
                job.record["TransformEndTime"] = now()
                if job.status == "InProgress":
                    job.record["FailureReason"] = MACHINE_LOST
                self._enter(job, "Failed" if job.status == "InProgress" else "Stopped")

    def create(self, request: Record) -> Record:
        """CreateTransformJob: checks, then starts the job's thread."""
        name = request["TransformJobName"]
        arn = arn_of(self._scope, "transform-job", name)
        _check(request)
        with self._lock:
            if name in self._jobs:
                raise AwsError(
                    "ResourceInUse",
                    "Job name must be unique within an AWS account and region, and a transform job with this "
                    f"name already exists ({arn})",
                )
            model = dict(self._models.find(request["ModelName"]))
            self._check_role(model["ExecutionRoleArn"])
            record = {
                **kept(request, "DescribeTransformJob"),
                "TransformJobArn": arn,
                "TransformJobStatus": "InProgress",
                "CreationTime": now(),
                "TransformInput": {
                    "CompressionType": "None",
                    "SplitType": "None",
                    **request["TransformInput"],
                },
                "TransformOutput": {"AssembleWith": "None", "KmsKeyId": "", **request["TransformOutput"]},
                "DataProcessing": {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"},
            }
            job = TransformJob(record, list(request.get("Tags") or []), model)
            self._jobs[name] = job
            self._enter(job, "InProgress")
        threading.Thread(target=self._run, args=(job,), daemon=True, name=f"local-transform-{name}").start()
        return {"TransformJobArn": arn}

    def describe(self, request: Mapping[str, Any]) -> Record:
        """DescribeTransformJob."""
        with self._lock:
            return dict(self._find(request["TransformJobName"]).record)

    def list_(self, request: Mapping[str, Any]) -> Record:
        """ListTransformJobs."""
        members = (
            "TransformJobName",
            "TransformJobArn",
            "CreationTime",
            "TransformEndTime",
            "LastModifiedTime",
            "TransformJobStatus",
            "FailureReason",
        )
        with self._lock:
            summaries, token = listed(
                [{**job.record, "LastModifiedTime": job.last_modified} for job in self._jobs.values()],
                request,
                name="TransformJobName",
                status="TransformJobStatus",
                summary=lambda record: {member: record.get(member) for member in members},
            )
        return {"TransformJobSummaries": summaries, "NextToken": token}

    def stop(self, request: Mapping[str, Any]) -> Record:
        """StopTransformJob: the container is told to end, and nothing of the output is stored."""
        with self._lock:
            job = self._find(request["TransformJobName"])
            if job.status == "Stopping":
                return {}
            if job.status != "InProgress":
                refuse(f"The request was rejected because the transform job is in status {job.status}.")
            job.stopping.set()
            self._enter(job, "Stopping")
            if job.container is not None:
                job.container.stop()
        return {}

    def tags(self, arn: str) -> list[dict[str, str]] | None:
        """The tags of the job with this ARN."""
        with self._lock:
            return next((j.tags for j in self._jobs.values() if j.record["TransformJobArn"] == arn), None)

    def keep_tags(self, arn: str) -> None:
        """Writes the row of the job with this ARN, whose tags have changed."""
        with self._lock:
            for job in self._jobs.values():
                if job.record["TransformJobArn"] == arn:
                    self._keep(job)

    def _keep(self, job: TransformJob) -> None:
        self._records.put(job.name, job.record, job.tags, job.model, job.last_modified)

    def _find(self, name: str) -> TransformJob:
        return self._jobs.get(name) or refuse(f"Could not find requested job with name: {name}")

    def _check_role(self, role: str) -> None:
        """The model's role may have changed since the model was made."""
        try:
            roles.revoke(roles.assume(self._scope, role, ROLE_SERVICE, "SageMaker"))
        except RoleError as error:
            refuse(
                f"Could not assume role {role}. Please ensure that the role exists and allows principal "
                f"'{ROLE_SERVICE}' to assume the role. ({error})"
            )

    def _run(self, job: TransformJob) -> None:
        root = self._platform.scratch.make("transform", job.name)
        taken = False
        failure: str | None = None
        try:
            taken = self._capacity.take(1, job.stopping)
            if taken:
                self._transform(job, root)
        except _JobFailedError as error:
            failure = str(error)
        except (ImagePullError, InputDataError, RoleError, TransferError) as error:
            failure = f"ClientError: {error}"
        except Exception as error:
            logger.exception("transform job %s", job.name)
            failure = f"InternalServerError: the AWS on this machine failed: {error}"
        finally:
            self._clear(job, root)
            if taken:
                self._capacity.give_back(1)
        with self._lock:
            job.record["TransformEndTime"] = now()
            if job.stopping.is_set():
                self._enter(job, "Stopped")
            elif failure is not None:
                job.record["FailureReason"] = failure[:_MAX_FAILURE_REASON]
                self._enter(job, "Failed")
            else:
                self._enter(job, "Completed")

    def _clear(self, job: TransformJob, root: Path) -> None:
        if job.container is not None:
            job.container.stop()
            job.container.close()
            job.container.log.flush()
        self._platform.scratch.remove(root)

    def _transform(self, job: TransformJob, root: Path) -> None:
        stream = f"{job.name}/i-{secrets.token_hex(9)[:17]}-{int(time.time())}"
        container = ModelContainer(
            self._scope,
            self._platform,
            job.model,
            root / "container",
            self._platform.logs.stream(self._scope.region, LOG_GROUP, stream),
            _environment(job.record),
            MAX_CONCURRENT,
        )
        with self._lock:
            job.container = container
            job.record["TransformStartTime"] = now()
        s3 = self._platform.endpoint.s3(self._scope.region, container.prepare())
        sources = self._sources(job, s3)
        with self._lock:
            if job.stopping.is_set():
                return
            process = container.launch()
        data_log = _DataLog(self._platform.logs.stream(self._scope.region, LOG_GROUP, f"{stream}/data-log"))
        parameters = self._parameters(job, container)
        if parameters is None:
            return
        data_log.note(str(parameters))
        answers = root / "answers"
        answers.mkdir()
        requests = Requests(
            job.record, parameters, sources, s3, container, process, answers, job.stopping, data_log.note
        )
        requests.send()
        if job.stopping.is_set():
            return
        # The answers are in: what becomes of the container now is no failure of the job.
        status = None if process.running else process.wait()
        unfinished = [output for output in requests.outputs if not output.complete]
        for output in requests.outputs:
            if output.complete:
                target = output_uri(job.record["TransformOutput"]["S3OutputPath"], output.source)
                upload_object(s3, output.file, target)
        if status is not None and (unfinished or len(requests.outputs) < len(sources)):
            asked = [o for o in unfinished if o.refusal is not None and o.refusal.kind == "AlgorithmError"]
            what = asked[0].source.path if asked else "the input"
            raise _JobFailedError(
                f"AlgorithmError: {_ended(status)} while it transformed {what}. {_SEE_LOGS}"
            )
        if unfinished:
            raise _JobFailedError(_failure(unfinished))

    def _sources(self, job: TransformJob, s3: S3Client) -> Sequence[InputObject]:
        """The objects of the input; a job without any fails."""
        uri = job.source["S3Uri"]
        if job.source["S3DataType"] == "ManifestFile":
            sources = manifest_objects(uri, read_object(s3, uri, _MAX_MANIFEST_BYTES))
        else:
            sources = prefix_objects(uri, list_keys(s3, uri))
        if not sources:
            raise _JobFailedError(
                f"ClientError: {nothing_found(self._scope, uri, job.model['ExecutionRoleArn'])}"
            )
        return sources

    def _parameters(self, job: TransformJob, container: ModelContainer) -> Parameters | None:
        """Waits for /ping and settles how requests are made; None when the job is stopped meanwhile."""
        process = container.process
        deadline = time.monotonic() + _HEALTH_CHECK_SECONDS
        while not container.ready():
            if job.stopping.wait(_PING_EVERY_SECONDS):
                return None
            if process is not None and not process.running:
                raise _JobFailedError(
                    f"AlgorithmError: {_ended(process.wait())} before it answered /ping. {_SEE_LOGS}"
                )
            if time.monotonic() > deadline:
                raise _JobFailedError(
                    f"AlgorithmError: the container did not answer /ping with 200 in "
                    f"{_HEALTH_CHECK_SECONDS} seconds. {_SEE_LOGS}"
                )
        try:
            return parameters_for(job.record, container.get("/execution-parameters"))
        except TransferError:
            return parameters_for(job.record, None)

    def _enter(self, job: TransformJob, status: str) -> None:
        """Moves the job to a status, and says so on the event bus."""
        job.record["TransformJobStatus"] = status
        job.last_modified = now()
        self._keep(job)
        self._platform.events.emit(
            self._scope,
            "aws.sagemaker",
            "SageMaker Transform Job State Change",
            job.record["TransformJobArn"],
            event_detail(job.record, job.tags),
        )


class _DataLog:
    """The stream where SageMaker writes about objects, in its own format."""

    def __init__(self, stream: LogStream) -> None:
        self._stream = stream

    def note(self, text: str) -> None:
        """Adds a line."""
        time_of = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        self._stream.write(f"{time_of.removesuffix('+00:00')}:[sagemaker logs]: {text}")


def _check(request: Mapping[str, Any]) -> None:
    """What the model leaves optional, or cannot say, but SageMaker asks; and what this machine lacks."""
    source = request["TransformInput"]["DataSource"].get("S3DataSource")
    if source is None:
        refuse("TransformInput.DataSource must have an S3DataSource")
    if source["S3DataType"] not in ("S3Prefix", "ManifestFile"):
        refuse(
            f"S3DataType {source['S3DataType']} is not available for transform jobs; "
            "use S3Prefix or ManifestFile"
        )
    for what, uri in (
        ("TransformInput.DataSource.S3DataSource.S3Uri", source["S3Uri"]),
        ("TransformOutput.S3OutputPath", request["TransformOutput"]["S3OutputPath"]),
    ):
        if not uri.startswith("s3://"):
            refuse(f"{what} must be an S3 URI (s3://…)")
    if request["TransformInput"].get("SplitType") == "TFRecord":
        refuse("SplitType TFRecord is not available on this machine; use None, Line or RecordIO")
    processing = {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"}
    for member, value in (request.get("DataProcessing") or {}).items():
        if value != processing[member]:
            refuse(
                f"DataProcessing.{member} {value!r} is not available on this machine, only the default "
                f"{processing[member]!r}"
            )
    if "DataCaptureConfig" in request:
        refuse("Data capture is not available on this machine")
    if request["TransformResources"]["InstanceCount"] > _MAX_INSTANCES:
        refuse(f"TransformResources.InstanceCount must be at most {_MAX_INSTANCES}")
    payload, concurrent = request.get("MaxPayloadInMB"), request.get("MaxConcurrentTransforms") or 0
    if payload == 0:
        refuse(
            "MaxPayloadInMB 0 (payloads of any size in HTTP chunks) is not available on this machine; give a "
            f"size up to {MAX_PAYLOAD_MB}"
        )
    if (payload or 0) > MAX_PAYLOAD_MB:
        refuse(f"MaxPayloadInMB must not be greater than {MAX_PAYLOAD_MB}")
    if concurrent > MAX_CONCURRENT or concurrent * (payload or 0) > MAX_PAYLOAD_MB:
        refuse(f"MaxConcurrentTransforms * MaxPayloadInMB must not be greater than {MAX_PAYLOAD_MB}")


def _environment(record: Mapping[str, Any]) -> dict[str, str]:
    """What the container's environment has besides the model's. What the request leaves open is not set."""
    environment: dict[str, str] = {**(record.get("Environment") or {}), "SAGEMAKER_BATCH": "true"}
    if record.get("MaxPayloadInMB"):
        environment["SAGEMAKER_MAX_PAYLOAD_IN_MB"] = str(record["MaxPayloadInMB"])
    if record.get("BatchStrategy"):
        single = record["BatchStrategy"] == "SingleRecord"
        environment["SAGEMAKER_BATCH_STRATEGY"] = "SINGLE_RECORD" if single else "MULTI_RECORD"
    if record.get("MaxConcurrentTransforms"):
        environment["SAGEMAKER_MAX_CONCURRENT_TRANSFORMS"] = str(record["MaxConcurrentTransforms"])
    return environment


def _ended(status: int | None) -> str:
    return f"the container ended with exit code {status}"


def _failure(outputs: Sequence[Output]) -> str:
    """FailureReason of a job with objects that failed: the first by name, and how many others."""
    first = outputs[0]
    refusal = first.refusal
    if refusal is None:
        raise AssertionError(f"{first.source.path} is neither complete nor given up")
    text = refusal.text if refusal.text.startswith(refusal.kind) else f"{refusal.kind}: {refusal.text}"
    message = f" ({' '.join(refusal.message.split())[:300]})" if refusal.message else ""
    others = f", and {len(outputs) - 1} more objects failed" if len(outputs) > 1 else ""
    return f"{text}{message} for {first.source.path}{others}. {_SEE_LOGS}"
