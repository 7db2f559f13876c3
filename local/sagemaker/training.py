"""Training jobs: the container's files, its process, its end, and what becomes of its output.

The life of a job in File mode, as SageMaker documents it:
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
"""

from __future__ import annotations

import json
import logging
import math
import re
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local import roles
from local.capacity import Capacity
from local.endpoint import Credentials
from local.errors import AwsError, ImagePullError, RoleError, TransferError
from local.metrics import Metric
from local.objects import MirroredDirectory, download_prefix, upload_archive
from local.platform import Platform
from local.processes import ContainerProcess
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
from local.scope import Scope
from local.scratch import process_environment

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from local.images import Image

logger = logging.getLogger("local.sagemaker.training")

LOG_GROUP = METRIC_NAMESPACE = "/aws/sagemaker/TrainingJobs"
_HOST = "algo-1"
_STOP_SECONDS = 120.0
_CHECKPOINT_SECONDS = 5.0
_MAX_FAILURE_REASON = 1024
_MAX_RUNTIME_SECONDS = 28 * 24 * 3600
_MESSAGES = {
    "Starting": "Starting the training job",
    "Interrupted": "The machine of the training job was lost",
    "Restarting": "Starting the training job again on another machine",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Stopping": "Stopping the training job",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
}


class TrainingJob:
    """One job: its description, and what runs."""

    def __init__(self, record: Record, tags: list[dict[str, str]]) -> None:
        self.record = record
        self.tags = tags
        self.stopping = threading.Event()
        self.process: ContainerProcess | None = None
        self.metrics: dict[str, Record] = {}
        self.retries = 0

    @property
    def retries_left(self) -> bool:
        """Whether the job goes on after its machine was lost: as a spot job, or by its RetryStrategy.

        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_RetryStrategy.html
        """
        attempts = (self.record.get("RetryStrategy") or {}).get("MaximumRetryAttempts", 0)
        return bool(self.record["EnableManagedSpotTraining"]) or self.retries < attempts

    @property
    def name(self) -> str:
        return str(self.record["TrainingJobName"])

    def specification(self, name: str) -> Any:
        """A member of the AlgorithmSpecification."""
        return self.record["AlgorithmSpecification"].get(name)

    def measure(self, line: str) -> dict[str, float]:
        """The metrics that MetricDefinitions find in a log line; of each the last value stays."""
        found = {}
        for definition in self.specification("MetricDefinitions") or []:
            match = re.search(definition["Regex"], line)
            if match and match.groups():
                try:
                    value = float(match.group(1))
                except (TypeError, ValueError):
                    continue
                # CloudWatch takes no NaN and no infinity, and JSON has none.
                if not math.isfinite(value):
                    continue
                found[definition["Name"]] = value
                self.metrics[definition["Name"]] = {
                    "MetricName": definition["Name"],
                    "Value": value,
                    "Timestamp": now(),
                }
        return found


class TrainingJobs:
    """The training jobs of one scope."""

    def __init__(self, scope: Scope, platform: Platform, capacity: Capacity) -> None:
        self._scope = scope
        self._platform = platform
        self._capacity = capacity
        self._records = SageMakerRecords(platform.store, scope, "training-job")
        self._jobs: dict[str, TrainingJob] = {}
        self._lock = threading.RLock()

    def restore(self) -> None:
        """Puts back what an earlier server kept."""
        for record, tags, metrics, retries in self._records.read():
            job = TrainingJob(record, tags)
            job.metrics, job.retries = metrics, retries
            self._jobs[job.name] = job

    def resume(self) -> None:
        """Ends the jobs that an earlier server ran, or starts them again: they have lost their machine."""
        for job in list(self._jobs.values()):
            status = job.record["TrainingJobStatus"]
            if status == "Stopping":
                self._end(job, "Stopped", "Stopped")
            elif status == "InProgress" and job.retries_left:
                self._restart(job)
            elif status == "InProgress":
                self._fail(job, MACHINE_LOST)

    def create(self, request: Record) -> Record:
        """CreateTrainingJob: checks, then starts the job's thread."""
        name = request["TrainingJobName"]
        arn = arn_of(self._scope, "training-job", name)
        _check(request)
        with self._lock:
            if name in self._jobs:
                raise AwsError(
                    "ResourceInUse",
                    "Job name must be unique within an AWS account and region, and a training job with this "
                    f"name already exists ({arn})",
                )
            try:
                credentials = roles.assume(self._scope, request["RoleArn"], ROLE_SERVICE, "SageMaker")
            except RoleError as error:
                refuse(
                    f"Could not assume role {request['RoleArn']}. Please ensure that the role exists and "
                    f"allows principal '{ROLE_SERVICE}' to assume the role. ({error})"
                )
            record = {
                **kept(request, "DescribeTrainingJob"),
                "TrainingJobArn": arn,
                "TrainingJobStatus": "InProgress",
                "CreationTime": now(),
                "LastModifiedTime": now(),
                "SecondaryStatusTransitions": [],
                "EnableNetworkIsolation": request.get("EnableNetworkIsolation", False),
                "EnableInterContainerTrafficEncryption": request.get(
                    "EnableInterContainerTrafficEncryption", False
                ),
                "EnableManagedSpotTraining": request.get("EnableManagedSpotTraining", False),
            }
            record["OutputDataConfig"] = {"KmsKeyId": "", **request["OutputDataConfig"]}
            job = TrainingJob(record, list(request.get("Tags") or []))
            self._jobs[name] = job
            self._enter(job, "Starting")
        self._start(job, credentials)
        return {"TrainingJobArn": arn}

    def describe(self, request: Mapping[str, Any]) -> Record:
        """DescribeTrainingJob."""
        with self._lock:
            job = self._find(request["TrainingJobName"])
            record = dict(job.record)
            record["SecondaryStatusTransitions"] = [dict(t) for t in record["SecondaryStatusTransitions"]]
            if job.metrics:
                record["FinalMetricDataList"] = list(job.metrics.values())
            return record

    def list_(self, request: Mapping[str, Any]) -> Record:
        """ListTrainingJobs."""
        members = (
            "TrainingJobName",
            "TrainingJobArn",
            "CreationTime",
            "TrainingEndTime",
            "LastModifiedTime",
            "TrainingJobStatus",
            "SecondaryStatus",
        )
        with self._lock:
            summaries, token = listed(
                [job.record for job in self._jobs.values()],
                request,
                name="TrainingJobName",
                status="TrainingJobStatus",
                summary=lambda record: {member: record.get(member) for member in members},
            )
        return {"TrainingJobSummaries": summaries, "NextToken": token}

    def stop(self, request: Mapping[str, Any]) -> Record:
        """StopTrainingJob: SIGTERM, and after two minutes SIGKILL. What the model directory holds is kept."""
        with self._lock:
            job = self._find(request["TrainingJobName"])
            status = job.record["TrainingJobStatus"]
            if status == "Stopping":
                return {}
            if status != "InProgress":
                refuse(f"The request was rejected because the training job is in status {status}.")
            job.stopping.set()
            job.record["TrainingJobStatus"] = "Stopping"
            self._enter(job, "Stopping")
            if job.process is not None:
                job.process.stop(_STOP_SECONDS)
        return {}

    def tags(self, arn: str) -> list[dict[str, str]] | None:
        """The tags of the job with this ARN."""
        for job in self._jobs.values():
            if job.record["TrainingJobArn"] == arn:
                return job.tags
        return None

    def keep_tags(self, arn: str) -> None:
        """Writes the row of the job with this ARN, whose tags have changed."""
        for job in self._jobs.values():
            if job.record["TrainingJobArn"] == arn:
                self._keep(job)

    def _keep(self, job: TrainingJob) -> None:
        self._records.put(job.name, job.record, job.tags, job.metrics, job.retries)

    def _start(self, job: TrainingJob, credentials: Credentials) -> None:
        threading.Thread(
            target=self._run, args=(job, credentials), daemon=True, name=f"local-training-{job.name}"
        ).start()

    def _restart(self, job: TrainingJob) -> None:
        job.retries += 1
        for secondary in ("Interrupted", "Restarting"):
            self._enter(job, secondary)
        try:
            credentials = roles.assume(self._scope, job.record["RoleArn"], ROLE_SERVICE, "SageMaker")
        except RoleError as error:
            self._fail(job, f"ClientError: {error}")
        else:
            self._start(job, credentials)

    def _find(self, name: str) -> TrainingJob:
        return self._jobs.get(name) or refuse("Requested resource not found.")

    def _run(self, job: TrainingJob, credentials: Credentials) -> None:
        root = self._platform.scratch.make("training", job.name)
        taken = False
        try:
            taken = self._capacity.take(1, job.stopping)
            if taken:
                self._train(job, root, credentials)
            else:
                self._end(job, "Stopped", "Stopped")
        except (ImagePullError, TransferError) as error:
            self._fail(job, f"ClientError: {error}")
        except Exception as error:
            logger.exception("training job %s", job.name)
            self._fail(job, f"InternalServerError: the AWS on this machine failed: {error}")
        finally:
            if taken:
                self._capacity.give_back(1)
            roles.revoke(credentials)
            self._platform.scratch.remove(root)

    def _train(self, job: TrainingJob, root: Path, credentials: Credentials) -> None:
        image = self._platform.images.find(job.specification("TrainingImage"))
        command = image.train_command(root)
        s3 = self._platform.endpoint.s3(self._scope.region, credentials)
        self._enter(job, "Downloading")
        self._lay_out(job, root, s3)
        checkpoints = self._checkpoints(job, root, s3)
        if job.stopping.is_set():
            self._end(job, "Stopped", "Stopped")
            return
        log = self._platform.logs.stream(
            self._scope.region, LOG_GROUP, f"{job.name}/{_HOST}-{int(time.time())}"
        )

        dimensions = (("TrainingJobName", job.name),)

        def on_line(line: str) -> None:
            log.write(line)
            if found := job.measure(line):
                self._platform.metrics.put(
                    {
                        Metric(self._scope.region, METRIC_NAMESPACE, name, "None", dimensions): value
                        for name, value in found.items()
                    }
                )

        with self._lock:
            process = self._platform.processes.start(
                command, self._environment(job, root, image, credentials), root, on_line
            )
            job.process = process
            job.record["TrainingStartTime"] = now()
            self._enter(job, "Training")
            if job.stopping.is_set():
                process.stop(_STOP_SECONDS)
        overran, exit_code = self._wait(job, process, checkpoints)
        log.flush()
        with self._lock:
            job.process = None
            ended = job.record["TrainingEndTime"] = now()
            seconds = max(1, round((ended - job.record["TrainingStartTime"]).total_seconds()))
            job.record["TrainingTimeInSeconds"] = job.record["BillableTimeInSeconds"] = seconds
        if checkpoints is not None:
            checkpoints.sync()
        self._upload_output(job, root, s3)
        if exit_code != 0 and not overran and not job.stopping.is_set():
            self._fail(job, _failure(root, exit_code))
            return
        self._enter(job, "Uploading")
        uri = _model_uri(job.record)
        upload_archive(s3, root / "model", root / "model.tar.gz", uri)
        with self._lock:
            job.record["ModelArtifacts"] = {"S3ModelArtifacts": uri}
        if overran:
            self._end(job, "Stopped", "MaxRuntimeExceeded")
        elif job.stopping.is_set():
            self._end(job, "Stopped", "Stopped")
        else:
            self._end(job, "Completed", "Completed")

    def _lay_out(self, job: TrainingJob, root: Path, s3: S3Client) -> None:
        """Writes what a container finds under /opt/ml."""
        config = root / "input" / "config"
        for directory in (config, root / "model", root / "output" / "data", root / "checkpoints"):
            directory.mkdir(parents=True)
        channels = job.record.get("InputDataConfig") or []
        resources = job.record["ResourceConfig"]
        documents = {
            "hyperparameters": job.record.get("HyperParameters") or {},
            "inputdataconfig": {channel["ChannelName"]: _channel_config(channel) for channel in channels},
            "resourceconfig": {
                "current_host": _HOST,
                "current_instance_type": resources.get("InstanceType"),
                "current_group_name": "homogeneousCluster",
                "hosts": [_HOST],
                "instance_groups": [
                    {
                        "instance_group_name": "homogeneousCluster",
                        "instance_type": resources.get("InstanceType"),
                        "hosts": [_HOST],
                    }
                ],
                "network_interface_name": "lo",
            },
        }
        for name, document in documents.items():
            (config / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
        for channel in channels:
            uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
            directory = root / "input" / "data" / channel["ChannelName"]
            directory.mkdir(parents=True)
            try:
                count = download_prefix(s3, uri, directory)
            except TransferError as error:
                raise TransferError(
                    f"Data download failed:Failed to download data. {error} Please ensure that the role "
                    f'"{job.record["RoleArn"]}" may read {uri}'
                ) from error
            if not count:
                missing = nothing_found(self._scope, uri, job.record["RoleArn"])
                raise TransferError(f"Data download failed:{missing}")

    def _checkpoints(self, job: TrainingJob, root: Path, s3: S3Client) -> MirroredDirectory | None:
        config = job.record.get("CheckpointConfig")
        if not config:
            return None
        mirror = MirroredDirectory(s3, root / "checkpoints", config["S3Uri"])
        mirror.fetch()
        return mirror

    def _environment(
        self, job: TrainingJob, root: Path, image: Image, credentials: Credentials
    ) -> dict[str, str]:
        platform_variables = {
            "TRAINING_JOB_NAME": job.name,
            "TRAINING_JOB_ARN": job.record["TrainingJobArn"],
            "SM_CURRENT_HOST": _HOST,
            "SM_HOSTS": json.dumps([_HOST]),
        }
        return process_environment(
            root,
            self._platform.endpoint,
            self._scope.region,
            credentials,
            image.variables(),
            job.record.get("Environment") or {},
            platform_variables,
        )

    @staticmethod
    def _wait(
        job: TrainingJob, process: ContainerProcess, checkpoints: MirroredDirectory | None
    ) -> tuple[bool, int]:
        """Waits for the end of the process: (whether it ran too long, its exit status)."""
        limit = time.monotonic() + job.record["StoppingCondition"]["MaxRuntimeInSeconds"]
        overran = False
        while True:
            left = limit - time.monotonic()
            exit_code = process.wait(min(left, _CHECKPOINT_SECONDS) if left > 0 else _CHECKPOINT_SECONDS)
            if exit_code is not None:
                return overran, exit_code
            if checkpoints is not None:
                checkpoints.sync()
            if time.monotonic() >= limit and not overran and not job.stopping.is_set():
                overran = True
                process.stop(_STOP_SECONDS)

    def _upload_output(self, job: TrainingJob, root: Path, s3: S3Client) -> None:
        data = root / "output" / "data"
        if data.is_dir() and any(data.iterdir()):
            prefix = _output_prefix(job.record)
            upload_archive(s3, data, root / "output.tar.gz", f"{prefix}/output.tar.gz")

    def _fail(self, job: TrainingJob, reason: str) -> None:
        with self._lock:
            job.record["FailureReason"] = reason[:_MAX_FAILURE_REASON]
        self._end(job, "Failed", "Failed")

    def _end(self, job: TrainingJob, status: str, secondary: str) -> None:
        with self._lock:
            job.record["TrainingJobStatus"] = status
            job.record.setdefault("TrainingEndTime", now())
            self._enter(job, secondary)
            job.record["SecondaryStatusTransitions"][-1]["EndTime"] = now()
            self._keep(job)

    def _enter(self, job: TrainingJob, secondary: str) -> None:
        """Moves the job to a secondary status, and says so on the event bus."""
        with self._lock:
            record = job.record
            transitions = record["SecondaryStatusTransitions"]
            time_of = now()
            if transitions:
                transitions[-1]["EndTime"] = time_of
            message = _MESSAGES[secondary]
            if secondary == "Failed":
                message = f"{message}: {record.get('FailureReason', '')}"
            transitions.append({"Status": secondary, "StartTime": time_of, "StatusMessage": message})
            record["SecondaryStatus"] = secondary
            record["LastModifiedTime"] = time_of
            self._keep(job)
            self._platform.events.emit(
                self._scope,
                "aws.sagemaker",
                "SageMaker Training Job State Change",
                record["TrainingJobArn"],
                event_detail(record, job.tags),
            )


def _check(request: Mapping[str, Any]) -> None:
    """What the model leaves optional, or cannot say, but SageMaker asks of a job with an image."""
    for member in ("AlgorithmSpecification", "ResourceConfig", "StoppingCondition"):
        if member not in request:
            refuse(
                f"1 validation error detected: Value null at '{member[0].lower()}{member[1:]}' failed to "
                "satisfy constraint: Member must not be null"
            )
    specification = request["AlgorithmSpecification"]
    if not specification.get("TrainingImage"):
        refuse(
            "The AWS on this machine trains with images only: AlgorithmSpecification.TrainingImage is missing"
        )
    for definition in specification.get("MetricDefinitions") or []:
        try:
            re.compile(definition["Regex"])
        except re.error as error:
            refuse(f"MetricDefinitions: the regular expression of {definition['Name']} is invalid: {error}")
    stopping = request["StoppingCondition"]
    stopping.setdefault("MaxRuntimeInSeconds", 86_400)
    runtime = stopping["MaxRuntimeInSeconds"]
    if runtime > _MAX_RUNTIME_SECONDS:
        refuse("Requested MaxRuntimeInSeconds exceeds the maximum of 28 days")
    if stopping.get("MaxWaitTimeInSeconds", runtime) < runtime:
        refuse("MaxWaitTimeInSeconds must be greater than or equal to MaxRuntimeInSeconds")
    if request.get("EnableManagedSpotTraining") and "MaxWaitTimeInSeconds" not in stopping:
        refuse("MaxWaitTimeInSeconds is required when EnableManagedSpotTraining is true")
    resources = request["ResourceConfig"]
    if resources.get("InstanceCount", 1) > 1:
        raise AwsError(
            "ResourceLimitExceeded",
            f"The account-level service limit '{resources.get('InstanceType')} for training job usage' is "
            f"1 Instances, with current utilization of 0 Instances and a request delta of "
            f"{resources['InstanceCount']} Instances. This machine is one instance.",
        )
    if not request["OutputDataConfig"]["S3OutputPath"].startswith("s3://"):
        refuse("OutputDataConfig.S3OutputPath must be an S3 URI")
    names = [channel["ChannelName"] for channel in request.get("InputDataConfig") or []]
    if len(names) != len(set(names)):
        refuse("Channel names must be unique")
    for channel in request.get("InputDataConfig") or []:
        _check_channel(channel, specification["TrainingInputMode"])


def _check_channel(channel: Mapping[str, Any], job_mode: str) -> None:
    source = channel["DataSource"].get("S3DataSource")
    if source is None:
        refuse(f"Channel {channel['ChannelName']}: only S3DataSource is available on this machine")
    if source["S3DataType"] != "S3Prefix":
        refuse(f"Channel {channel['ChannelName']}: only S3DataType S3Prefix is available on this machine")
    if channel.get("InputMode", job_mode) == "Pipe":
        refuse(f"Channel {channel['ChannelName']}: InputMode Pipe is not available on this machine; use File")
    if channel.get("CompressionType", "None") != "None":
        refuse(f"Channel {channel['ChannelName']}: CompressionType Gzip is for Pipe mode")


def _channel_config(channel: Mapping[str, Any]) -> dict[str, str]:
    source = channel["DataSource"]["S3DataSource"]
    config = {
        "TrainingInputMode": "File",
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }
    if "ContentType" in channel:
        config["ContentType"] = channel["ContentType"]
    return config


def _output_prefix(record: Mapping[str, Any]) -> str:
    path = record["OutputDataConfig"]["S3OutputPath"].rstrip("/")
    return f"{path}/{record['TrainingJobName']}/output"


def _model_uri(record: Mapping[str, Any]) -> str:
    return f"{_output_prefix(record)}/model.tar.gz"


def _failure(root: Path, exit_code: int) -> str:
    """FailureReason after a container that failed: what it wrote to output/failure, and its exit status."""
    file = root / "output" / "failure"
    text = ""
    if file.is_file():
        text = file.read_text(encoding="utf-8", errors="replace").strip()
    ending = f", exit code: {exit_code}"
    text = text or "See job logs for more information"
    return f"AlgorithmError: {text[: _MAX_FAILURE_REASON - len(ending) - len('AlgorithmError: ')]}{ending}"
