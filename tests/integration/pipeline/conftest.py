"""A world to drive the steps in: DynamoDB, S3 and CloudWatch Logs by moto.

Batch, SageMaker and the queues are small fakes whose clock and outcomes the tests decide; they check every
call against botocore's models.
"""

import contextlib
import functools
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import boto3
import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator
from moto import mock_aws
from nestbox import bucket_layout, events
from nestbox.gateways.artifacts import Artifacts
from nestbox.gateways.batch_jobs import BatchJobs
from nestbox.gateways.endpoint_alarms import EndpointAlarms
from nestbox.gateways.endpoints import Endpoints
from nestbox.gateways.job_logs import TRAINING_GROUP, TRANSFORM_GROUP, JobLogs
from nestbox.gateways.trainings import Trainings
from nestbox.gateways.transforms import Transforms
from nestbox.gateways.uploads import Uploads
from nestbox.prep_summary import PrepSummary
from nestbox.rules.announcements import Announcement
from nestbox.settings import (
    CancelRunSettings,
    DetectorKind,
    EndpointType,
    IntakeSettings,
    JudgeSettings,
    OperateSettings,
    ReconcileSettings,
    RecordRunSettings,
    StartRunSettings,
    StartTrainingSettings,
    UpdateEndpointSettings,
)
from nestbox.steps.announce import Announce
from nestbox.steps.cancel_run import CancelRun
from nestbox.steps.intake import Intake
from nestbox.steps.judge import Judge
from nestbox.steps.operate import Operate
from nestbox.steps.overdue import OverdueRuns
from nestbox.steps.reconcile import Reconcile
from nestbox.steps.record_run import RecordRun
from nestbox.steps.start_run import StartRun
from nestbox.steps.start_training import StartTraining
from nestbox.steps.stopping import Work
from nestbox.steps.update_endpoint import UpdateEndpoint
from nestbox.tables import DatasetRow, EpochRow, RunRow, TokenRow, find_dataset, get_dataset, get_run

REGION = "us-east-1"
ENVIRONMENT = {
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "DATASETS_TABLE": "Datasets",
    "RUNS_TABLE": "Runs",
    "EPOCHS_TABLE": "Epochs",
    "TOKENS_TABLE": "Tokens",
    "POWERTOOLS_TRACE_DISABLED": "true",
    "POWERTOOLS_SERVICE_NAME": "tests",
    "POWERTOOLS_METRICS_NAMESPACE": "Nestbox/tests",
}
UPLOADS, ARTIFACTS = "uploads", "artifacts"
SETTLE, TRAINING, RECORD, JUDGE, ENDPOINT = "settle", "training", "record", "judge", "endpoint"
PREPARE_MAX_SECONDS, TRAINING_MAX_SECONDS, GRACE_SECONDS = 1200, 3600, 600
CANCEL = "cancel"
ROLE = "arn:aws:iam::000000000000:role/nestbox-training"
_SESSION = botocore.session.get_session()


@functools.cache
def client(service: str) -> object:
    """A client of boto3; making one costs more than most tests."""
    return boto3.client(service, region_name=REGION)


def refusal(operation: str, code: str, message: str = "refused") -> ClientError:
    """The error that boto3 raises where AWS answers with a code."""
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


def check(service: str, operation: str, request: dict) -> None:
    """Raise what botocore would raise for an ill-formed request."""
    shape = _SESSION.get_service_model(service).operation_model(operation).input_shape
    report = ParamValidator().validate(request, shape)
    assert not report.has_errors(), report.generate_report()


class Clock:
    """The time, which tests move on."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def advance(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


class FakeQueues:
    """The queues: messages with the time they are due."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.waiting: list[tuple[datetime, str, str]] = []
        self.sent: list[tuple[str, str, int]] = []

    def send(self, queue_url: str, body: str, delay_seconds: int = 0) -> None:
        assert 0 <= delay_seconds <= 900
        self.sent.append((queue_url, body, delay_seconds))
        self.waiting.append((self._clock() + timedelta(seconds=delay_seconds), queue_url, body))

    def take_due(self) -> list[tuple[str, str]]:
        now = self._clock()
        due = [(url, body) for at, url, body in self.waiting if at <= now]
        self.waiting = [one for one in self.waiting if one[0] > now]
        return due

    def lose_all(self) -> None:
        self.waiting.clear()


class FakeAnnouncing:
    """What people and programs were told."""

    def __init__(self) -> None:
        self.told: list[Announcement] = []
        self.broken = False

    def publish(self, announcement: Announcement) -> None:
        if self.broken:
            raise refusal("Publish", "InternalErrorException", "try again")
        self.told.append(announcement)

    @property
    def events(self) -> list[tuple[str, str]]:
        """Run and event of each announcement."""
        return [(one.run, one.event.value) for one in self.told]


class FakeEventBridge:
    """Takes events, or says that it did not. (moto's own needs a library that nothing else here needs.)"""

    def __init__(self, *, takes: bool = True) -> None:
        self._takes = takes
        self.entries: list[dict] = []

    def put_events(self, **request: object) -> dict:
        check("events", "PutEvents", request)
        if not self._takes:
            return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure", "ErrorMessage": ""}]}
        self.entries += request["Entries"]
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}


class _Pages:
    def __init__(self, call: Callable[..., dict]) -> None:
        self._call = call

    def paginate(self, **request: object) -> list[dict]:
        return [self._call(**request)]


class FakeBatch:
    """AWS Batch as far as the steps call it. Jobs stand still until a test moves them."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict] = {}
        """By id, children of array jobs among them."""
        self.refuse: str | None = None
        self.refuse_only: str = ""
        """The end of the names of the jobs that are refused."""
        self.terminated: list[tuple[str, str]] = []
        self._ids = itertools.count(1)

    def submit_job(self, **request: object) -> dict:
        check("batch", "SubmitJob", request)
        name = str(request["jobName"])
        if self.refuse and name.endswith(self.refuse_only):
            raise refusal("SubmitJob", "ClientException", self.refuse)
        for dependency in request.get("dependsOn", []):
            assert dependency["jobId"] in self.jobs
        job_id = f"job-{next(self._ids)}"
        fresh = {"status": "SUBMITTED", "createdAt": int(job_id[4:]), "container": {}}
        self.jobs[job_id] = {**request, **fresh, "jobId": job_id}
        for index in range(request.get("arrayProperties", {}).get("size", 0)):
            child_id = f"{job_id}:{index}"
            self.jobs[child_id] = {**request, **fresh, "jobId": child_id, "arrayProperties": {"index": index}}
        return {"jobId": job_id, "jobName": name}

    def list_jobs(self, **request: object) -> dict:
        check("batch", "ListJobs", request)
        if array := request.get("arrayJobId"):
            found = [job for job in self.children_of(array) if job["status"] == request["jobStatus"]]
        else:
            names = request["filters"][0]["values"]
            found = [job for job in self.jobs.values() if job["jobName"] in names and ":" not in job["jobId"]]
        return {"jobSummaryList": found}

    def describe_jobs(self, **request: object) -> dict:
        check("batch", "DescribeJobs", request)
        assert request["jobs"], "AWS refuses an empty list"
        return {"jobs": [self._described(job) for job in request["jobs"] if job in self.jobs]}

    def terminate_job(self, **request: object) -> dict:
        check("batch", "TerminateJob", request)
        self.terminated.append((request["jobId"], request["reason"]))
        for job in self._family(request["jobId"]):
            if job["status"] not in ("SUCCEEDED", "FAILED"):
                job.update(status="FAILED", statusReason=request["reason"])
        return {}

    def get_paginator(self, operation: str) -> _Pages:
        return _Pages(getattr(self, operation))

    def children_of(self, job_id: str) -> list[dict]:
        """The children of an array job."""
        return [job for other, job in self.jobs.items() if other.startswith(f"{job_id}:")]

    def succeed(self, job_id: str) -> None:
        """Let a job end well, with its children."""
        for job in self._family(job_id):
            job["status"] = "SUCCEEDED"

    def fail(
        self, job_id: str, reason: str = "Essential container in task exited", **container: object
    ) -> None:
        """Let a job fail for good. What waits for it fails with it; a child's array goes on."""
        self.jobs[job_id].update(status="FAILED", statusReason=reason, container=container)
        for other in list(self.jobs.values()):
            waits_for = [dependency["jobId"] for dependency in other.get("dependsOn", [])]
            if job_id in waits_for and other["status"] != "FAILED":
                self.fail(other["jobId"], "Dependent Job failed")

    def end_array(self, job_id: str) -> None:
        """Let an array end, one of whose children has failed."""
        for child in self.children_of(job_id):
            if child["status"] != "FAILED":
                child["status"] = "SUCCEEDED"
        self.fail(job_id, "Array Child Job failed")

    def _family(self, job_id: str) -> list[dict]:
        return [self.jobs[job_id], *self.children_of(job_id)]

    def _described(self, job_id: str) -> dict:
        children = self.children_of(job_id)
        if not children:
            return self.jobs[job_id]
        array = {"size": len(children), "statusSummary": Counter(child["status"] for child in children)}
        return {**self.jobs[job_id], "arrayProperties": array}


class FakeSageMaker:
    """SageMaker as far as the steps call it."""

    def __init__(self) -> None:
        self.trainings: dict[str, dict] = {}
        self.transforms: dict[str, dict] = {}
        self.models: dict[str, dict] = {}
        self.configs: dict[str, dict] = {}
        self.endpoints: dict[str, dict] = {}
        self.calls: Counter[str] = Counter()
        self.refuse: dict[str, tuple[str, str]] = {}

    def _begin(self, operation: str, request: dict) -> None:
        check("sagemaker", operation, request)
        self.calls[operation] += 1
        if operation in self.refuse:
            raise refusal(operation, *self.refuse[operation])

    def create_training_job(self, **request: object) -> dict:
        self._begin("CreateTrainingJob", request)
        name = request["TrainingJobName"]
        if name in self.trainings:
            raise refusal("CreateTrainingJob", "ResourceInUse")
        self.trainings[name] = {
            **request,
            "TrainingJobStatus": "InProgress",
            "SecondaryStatus": "Training",
        }
        return {}

    def describe_training_job(self, **request: object) -> dict:
        self._begin("DescribeTrainingJob", request)
        if request["TrainingJobName"] not in self.trainings:
            raise refusal("DescribeTrainingJob", "ValidationException", "Requested resource not found.")
        return self.trainings[request["TrainingJobName"]]

    def create_model(self, **request: object) -> dict:
        self._begin("CreateModel", request)
        if request["ModelName"] in self.models:
            raise refusal("CreateModel", "ValidationException", "Cannot create already existing model")
        self.models[request["ModelName"]] = request
        return {}

    def describe_model(self, **request: object) -> dict:
        self._begin("DescribeModel", request)
        if request["ModelName"] not in self.models:
            raise refusal("DescribeModel", "ValidationException", "Could not find model")
        return self.models[request["ModelName"]]

    def create_transform_job(self, **request: object) -> dict:
        self._begin("CreateTransformJob", request)
        name = request["TransformJobName"]
        if name in self.transforms:
            raise refusal("CreateTransformJob", "ResourceInUse")
        if request["ModelName"] not in self.models:
            raise refusal("CreateTransformJob", "ValidationException", "Could not find model")
        self.transforms[name] = {**request, "TransformJobStatus": "InProgress"}
        return {}

    def describe_transform_job(self, **request: object) -> dict:
        self._begin("DescribeTransformJob", request)
        if request["TransformJobName"] not in self.transforms:
            raise refusal("DescribeTransformJob", "ValidationException", "Could not find requested job")
        return self.transforms[request["TransformJobName"]]

    def stop_transform_job(self, **request: object) -> dict:
        self._begin("StopTransformJob", request)
        job = self.transforms.get(request["TransformJobName"])
        if job is None or job["TransformJobStatus"] != "InProgress":
            raise refusal("StopTransformJob", "ValidationException", "The request was rejected")
        job["TransformJobStatus"] = "Stopping"
        return {}

    def create_endpoint_config(self, **request: object) -> dict:
        self._begin("CreateEndpointConfig", request)
        if request["EndpointConfigName"] in self.configs:
            raise refusal("CreateEndpointConfig", "ValidationException", "already existing")
        assert request["ProductionVariants"][0]["ModelName"] in self.models
        self.configs[request["EndpointConfigName"]] = request
        return {}

    def describe_endpoint_config(self, **request: object) -> dict:
        self._begin("DescribeEndpointConfig", request)
        if request["EndpointConfigName"] not in self.configs:
            raise refusal("DescribeEndpointConfig", "ValidationException", "Could not find")
        return self.configs[request["EndpointConfigName"]]

    def delete_endpoint_config(self, **request: object) -> dict:
        self._begin("DeleteEndpointConfig", request)
        name = request["EndpointConfigName"]
        in_use = [e for e in self.endpoints.values() if name in (e["EndpointConfigName"], e.get("target"))]
        assert not in_use, f"the configuration {name} of an endpoint is deleted"
        if self.configs.pop(name, None) is None:
            raise refusal("DeleteEndpointConfig", "ValidationException", "Could not find")
        return {}

    def delete_model(self, **request: object) -> dict:
        self._begin("DeleteModel", request)
        if self.models.pop(request["ModelName"], None) is None:
            raise refusal("DeleteModel", "ValidationException", "Could not find model")
        return {}

    def stop_training_job(self, **request: object) -> dict:
        self._begin("StopTrainingJob", request)
        job = self.trainings.get(request["TrainingJobName"])
        if job is None or job["TrainingJobStatus"] != "InProgress":
            raise refusal("StopTrainingJob", "ValidationException", "The job is not InProgress")
        job["TrainingJobStatus"] = "Stopping"
        return {}

    def create_endpoint(self, **request: object) -> dict:
        self._begin("CreateEndpoint", request)
        name, config = request["EndpointName"], request["EndpointConfigName"]
        if name in self.endpoints:
            raise refusal("CreateEndpoint", "ValidationException", "already existing")
        self.endpoints[name] = {
            "EndpointStatus": "Creating",
            "EndpointConfigName": config,
            "target": config,
            "before": None,
        }
        return {}

    def update_endpoint(self, **request: object) -> dict:
        self._begin("UpdateEndpoint", request)
        endpoint = self.endpoints[request["EndpointName"]]
        if endpoint["EndpointStatus"] != "InService":
            raise refusal("UpdateEndpoint", "ValidationException", "Cannot update in-progress endpoint")
        endpoint.update(
            EndpointStatus="Updating",
            before=endpoint["EndpointConfigName"],
            target=request["EndpointConfigName"],
        )
        return {}

    def describe_endpoint(self, **request: object) -> dict:
        self._begin("DescribeEndpoint", request)
        if request["EndpointName"] not in self.endpoints:
            raise refusal("DescribeEndpoint", "ValidationException", "Could not find endpoint")
        return self.endpoints[request["EndpointName"]]

    def delete_endpoint(self, **request: object) -> dict:
        self._begin("DeleteEndpoint", request)
        if self.endpoints.pop(request["EndpointName"], None) is None:
            raise refusal("DeleteEndpoint", "ValidationException", "Could not find endpoint")
        return {}

    def settle_endpoint(
        self,
        name: str,
        *,
        well: bool = True,
        reason: str = "health check failed",
        at: datetime | None = None,
    ) -> None:
        """Let an endpoint that moves come to rest, ``at`` a time it then shows."""
        endpoint = self.endpoints[name]
        if endpoint["EndpointStatus"] not in ("Creating", "Updating"):
            return
        if well:
            endpoint.update(EndpointStatus="InService", EndpointConfigName=endpoint["target"])
            endpoint.pop("FailureReason", None)
        elif endpoint["before"] is None:
            endpoint.update(EndpointStatus="Failed", FailureReason=reason)
        else:
            endpoint.update(EndpointStatus="InService", FailureReason=reason)
        if at is not None:
            endpoint["LastModifiedTime"] = at


@dataclass
class World:
    """Everything a run needs, and the steps wired to it."""

    clock: Clock = field(default_factory=Clock)
    batch: FakeBatch = field(default_factory=FakeBatch)
    sagemaker: FakeSageMaker = field(default_factory=FakeSageMaker)
    quiet_seconds: int = 60
    max_wait_seconds: int = 900
    min_new_images: int = 1
    array_threshold: int = 50_000
    kind: DetectorKind = DetectorKind.NESTBOX
    bake_seconds: int = 0
    keep_models: int = 5
    endpoint_type: EndpointType = EndpointType.REAL_TIME
    audit_minutes: int = 1_000_000_000
    """By default no dataset's turn to be audited comes while a test runs."""

    def __post_init__(self) -> None:
        self.s3, self.logs = client("s3"), client("logs")
        for table in (DatasetRow, RunRow, EpochRow, TokenRow):
            table.create_table(billing_mode="PAY_PER_REQUEST")
        for bucket in (UPLOADS, ARTIFACTS):
            self.s3.create_bucket(Bucket=bucket)
        self.s3.put_bucket_versioning(Bucket=UPLOADS, VersioningConfiguration={"Status": "Enabled"})
        self.log_start = int(datetime.now(UTC).timestamp() * 1000) - 60_000
        self.queues = FakeQueues(self.clock)
        self.intake = Intake(IntakeSettings(SETTLE, self.quiet_seconds), self.queues, self.clock)
        jobs = BatchJobs(self.batch, "queue", "definition")
        evaluations = BatchJobs(self.batch, "evaluate-queue", "evaluate-definition")
        artifacts = Artifacts(self.s3, ARTIFACTS)
        trainings, logs = Trainings(self.sagemaker), JobLogs(self.logs)
        self.start_run = StartRun(
            StartRunSettings(
                UPLOADS,
                ARTIFACTS,
                SETTLE,
                "queue",
                "definition",
                self.quiet_seconds,
                self.max_wait_seconds,
                self.min_new_images,
                self.array_threshold,
            ),
            Uploads(self.s3, UPLOADS),
            artifacts,
            jobs,
            self.queues,
            self.clock,
        )
        self.start_training = StartTraining(
            StartTrainingSettings(
                uploads_bucket=UPLOADS,
                artifacts_bucket=ARTIFACTS,
                settle_queue_url=SETTLE,
                record_queue_url=RECORD,
                batch_job_queue="queue",
                prepare_job_definition="definition",
                detector_image="000000000000.dkr.ecr.us-east-1.amazonaws.com/nestbox-detector:1",
                detector_kind=self.kind,
                base_network="nestbox-small" if self.kind is DetectorKind.NESTBOX else "resnet-50",
                training_role_arn=ROLE,
                training_instance_type="ml.m5.large",
                training_max_seconds=TRAINING_MAX_SECONDS,
            ),
            artifacts,
            jobs,
            logs,
            trainings,
            self.queues,
            self.clock,
        )
        self.record_run = RecordRun(
            RecordRunSettings(SETTLE, RECORD, JUDGE, ROLE), trainings, logs, self.queues, self.clock
        )
        self.judge = Judge(
            JudgeSettings(
                artifacts_bucket=ARTIFACTS,
                settle_queue_url=SETTLE,
                endpoint_queue_url=ENDPOINT,
                batch_job_queue="evaluate-queue",
                evaluate_job_definition="evaluate-definition",
                transform_instance_type="ml.m5.large",
            ),
            artifacts,
            Transforms(self.sagemaker),
            evaluations,
            logs,
            self.queues,
            self.clock,
        )
        self.update_endpoint = UpdateEndpoint(
            UpdateEndpointSettings(
                settle_queue_url=SETTLE,
                endpoint_queue_url=ENDPOINT,
                serving_role_arn=ROLE,
                endpoint_instance_type="ml.m5.large",
                endpoint_type=self.endpoint_type,
                bake_seconds=self.bake_seconds,
                keep_models=self.keep_models,
            ),
            Endpoints(self.sagemaker),
            trainings,
            EndpointAlarms(client("cloudwatch"), 5000, []),
            self.queues,
            self.clock,
        )
        work = Work(jobs, trainings, Transforms(self.sagemaker), evaluations)
        self.cancel_run = CancelRun(
            CancelRunSettings(SETTLE, ENDPOINT, "queue", "evaluate-queue"),
            work,
            self.queues,
            self.clock,
        )
        self.operate = Operate(OperateSettings(SETTLE, ENDPOINT, CANCEL), self.queues, self.clock)
        self.announcing = FakeAnnouncing()
        self.announce = Announce(self.announcing, self.clock)
        reconcile = ReconcileSettings(
            SETTLE,
            CANCEL,
            TRAINING,
            RECORD,
            JUDGE,
            ENDPOINT,
            "queue",
            "evaluate-queue",
            PREPARE_MAX_SECONDS,
            TRAINING_MAX_SECONDS,
            GRACE_SECONDS,
            "topic",
            UPLOADS,
            self.audit_minutes,
        )
        self.overdue = OverdueRuns(reconcile, work, Endpoints(self.sagemaker), self.queues, self.clock)
        uploads = Uploads(self.s3, UPLOADS)
        self.reconcile = Reconcile(reconcile, uploads, self.queues, self.overdue, self.announce, self.clock)

    # -- people

    def upload(self, *keys: str, content: bytes = b"bytes", tell: bool = True) -> None:
        """Put objects into the uploads bucket, each with an event unless ``tell`` is false."""
        for key in keys:
            self.s3.put_object(Bucket=UPLOADS, Key=key, Body=content)
        if tell:
            self.tell(*keys)

    def tell(self, *keys: str) -> None:
        """Deliver the events of uploads, as one batch."""
        batch = self.intake.batch()
        for key in keys:
            batch.note(events.Upload(key=key, at=self.clock()))
        self.strays = batch.finish()

    # -- AWS

    def pump(self, seconds: float = 0) -> list[str]:
        """Let time pass and deliver every message that is due, and what follows from it; returns outcomes."""
        self.clock.advance(seconds)
        outcomes = []
        for _round in range(100):
            due = self.queues.take_due()
            if not due:
                return outcomes
            outcomes += [self.deliver(url, body) for url, body in due]
        raise AssertionError(f"messages beget messages without end: {outcomes[-10:]}")

    def deliver(self, url: str, body: str) -> str:
        """Hand one message to the step that reads its queue."""
        look = events.look_in(body)
        assert look is not None
        if url == SETTLE:
            step = self.start_run
            return step.audit(look.dataset) if look.audit else step.look(look.dataset)
        if url == RECORD:
            return self.record_run.look(look.run, follow=look.follow)
        if url == ENDPOINT:
            if isinstance(look, events.DatasetLook):
                return self.update_endpoint.look_at_dataset(look.dataset)
            return self.update_endpoint.look(look.run, follow=look.follow)
        return {TRAINING: self.start_training, JUDGE: self.judge, CANCEL: self.cancel_run}[url].look(look.run)

    def finish_preparation(self, run: str, **changes: object) -> None:
        """Let the Batch jobs of a run succeed with a summary."""
        summary = {
            "run": run,
            "dataset": get_run(run).dataset,
            "outcome": "READY",
            "images": 12,
            "usable_images": 12,
            "boxes": 20,
            "train_images": 8,
            "train_samples": 16,
            "validation_images": 4,
            "classes": ["cardinal", "wren"],
            "label_width": 12,
            **changes,
        }
        self.s3.put_object(
            Bucket=ARTIFACTS,
            Key=bucket_layout.summary_key(run),
            Body=PrepSummary(**summary).to_json().encode(),
        )
        for kind in ("plan", "slices", "prepare"):
            for job in self.jobs_of(run, kind):
                self.batch.succeed(job["jobId"])

    def jobs_of(self, run: str, kind: str = "prepare") -> list[dict]:
        """The Batch jobs of a run of one kind, without the children of arrays."""
        return [
            job
            for job in self.batch.jobs.values()
            if job["jobName"] == f"{run}-{kind}" and ":" not in job["jobId"]
        ]

    def log_of_batch_job(self, stream: str, *lines: str) -> dict:
        """Write a Batch job's log; returns the part of its container that says where."""
        group = "/aws/batch/nestbox-prepare"
        with contextlib.suppress(self.logs.exceptions.ResourceAlreadyExistsException):
            self.logs.create_log_group(logGroupName=group)
        self.logs.create_log_stream(logGroupName=group, logStreamName=stream)
        self.logs.put_log_events(
            logGroupName=group,
            logStreamName=stream,
            logEvents=[{"timestamp": self.log_start + n, "message": line} for n, line in enumerate(lines)],
        )
        return {
            "logStreamName": stream,
            "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": group}},
        }

    def log_epochs(
        self, run: str, maps: list[float | None], first: int = 0, *, total: int | None = None
    ) -> None:
        """Write the log lines of epochs, as the training container does."""
        stream = f"{run}/algo-1-1700000000"
        for create, request in (
            (self.logs.create_log_group, {}),
            (self.logs.create_log_stream, {"logStreamName": stream}),
        ):
            try:
                create(logGroupName=TRAINING_GROUP, **request)
            except self.logs.exceptions.ResourceAlreadyExistsException:
                continue
        start = self.log_start
        lines = []
        for epoch, score in enumerate(maps, first):
            base = start + epoch * 1000
            quality = f"#quality_metric: host=algo-1, epoch={epoch},"
            lines += [
                (base, f"{quality} batch=1 train cross_entropy <loss>=(2.5)"),
                (base + 500, "#throughput_metric: host=algo-1, train throughput=120.5 records/second"),
                (base + 600, f"{quality} train cross_entropy <loss>=({1 / (epoch + 1):.4f})"),
                (base + 600, f"{quality} train smooth_l1 <loss>=(0.25)"),
                (base + 900, f"#input_metric: host=algo-1, epoch={epoch}, input size=96 pixels"),
            ]
            if score is not None:
                lines.append((base + 900, f"{quality} validation mAP <score>=({score:.6f})"))
        done = first + len(maps)
        if total is not None:
            lines.append(
                (
                    start + done * 1000,
                    f"#progress_metric: host=algo-1, completed {100 * done // total} % of epochs",
                )
            )
        self.logs.put_log_events(
            logGroupName=TRAINING_GROUP,
            logStreamName=stream,
            logEvents=[{"timestamp": at, "message": f"[INFO 139] {text}"} for at, text in lines],
        )

    def end_training(self, run: str, status: str = "Completed", **changes: object) -> None:
        """Let the training job of a run end."""
        job = self.sagemaker.trainings[run]
        job.update(TrainingJobStatus=status, SecondaryStatus=status, TrainingEndTime=self.clock())
        if status == "Completed":
            job["ModelArtifacts"] = {
                "S3ModelArtifacts": bucket_layout.s3_uri(ARTIFACTS, bucket_layout.model_key(run))
            }
        job.update(changes)

    def finish_training(self, run: str, maps: list[float | None]) -> None:
        """Let the training job of a run complete with these scores."""
        self.log_epochs(run, maps, total=len(maps))
        self.end_training(run)

    def end_transforms(self, run: str, status: str = "Completed", **changes: object) -> None:
        """Let the transform jobs of a run end."""
        for name, job in self.sagemaker.transforms.items():
            if name.startswith(run) and job["TransformJobStatus"] in ("InProgress", "Stopping"):
                job.update(TransformJobStatus=status, **changes)

    def log_of_transform_job(self, name: str, **streams: list[str]) -> None:
        """Write a transform job's log: lines by stream, each stream later than the one before."""
        with contextlib.suppress(self.logs.exceptions.ResourceAlreadyExistsException):
            self.logs.create_log_group(logGroupName=TRANSFORM_GROUP)
        for place, (stream, lines) in enumerate(streams.items()):
            names = {"logGroupName": TRANSFORM_GROUP, "logStreamName": f"{name}/{stream}"}
            self.logs.create_log_stream(**names)
            at = self.log_start + 1000 * place
            self.logs.put_log_events(
                **names, logEvents=[{"timestamp": at + n, "message": line} for n, line in enumerate(lines)]
            )

    def write_evaluation(self, run: str, score: float | None = None, **changes: object) -> None:
        """Let the job that scores a run succeed. Models score what their training said, or ``score``."""
        row = get_run(run)
        judging = row.judging
        champion = None if judging.champion_problem else judging.champion_run

        def model(of: str, value: float | None = None) -> dict:
            value = float(get_run(of).best_map) if value is None else value
            return {"map": value, "classes": [{"name": n, "boxes": 30, "ap": value} for n in row.classes]}

        difference = {"low": -0.1, "high": 0.2, "confidence": 0.95, "share_better": 0.9}
        report = {
            "run": run,
            "champion_run": champion,
            "split": "validation",
            "pictures": 4,
            "left_out": 0,
            "note": "",
            "candidate": model(run, score),
            "champion": model(champion) if champion else None,
            "difference": difference if champion else None,
            **changes,
        }
        self.s3.put_object(
            Bucket=ARTIFACTS, Key=bucket_layout.evaluation_key(run, "json"), Body=json.dumps(report).encode()
        )
        self.end_evaluation(run)

    def end_evaluation(self, run: str) -> None:
        """Let the Batch job that scores a run succeed, whatever it wrote."""
        self.batch.succeed(self.evaluation_of(run)["jobId"])

    def evaluation_of(self, run: str) -> dict:
        """The newest Batch job that scores a run."""
        return [job for job in self.batch.jobs.values() if job["jobName"].startswith(f"{run}-evaluate")][-1]

    # -- shortcuts

    def run_to_training(self, dataset: str = "birds", *keys: str) -> str:
        """Upload, settle and prepare; returns the run, which trains."""
        self.upload(*(keys or [f"datasets/{dataset}/images/{n}.jpg" for n in range(3)]))
        self.pump(self.quiet_seconds + 2)
        run = get_dataset(dataset).active_run
        assert run is not None
        self.finish_preparation(run)
        self.start_training.look(run)
        return run

    def run_to_end(
        self, maps: list[float | None], dataset: str = "birds", *keys: str, well: bool = True
    ) -> str:
        """Take a run through everything; returns it."""
        run = self.run_to_training(dataset, *keys)
        self.finish_training(run, maps)
        self.record_run.look(run)
        self.judge_run(run)
        self.update_endpoint.look(run)
        if f"nestbox-{dataset}" in self.sagemaker.endpoints:
            self.clock.advance(10)
            self.sagemaker.settle_endpoint(f"nestbox-{dataset}", well=well)
        self.update_endpoint.look_at_dataset(dataset)
        return run

    def run_to_judging(self, maps: list[float | None], dataset: str = "birds", *keys: str) -> str:
        """Take a run as far as it has a model; returns it."""
        run = self.run_to_training(dataset, *keys)
        self.finish_training(run, maps)
        self.record_run.look(run)
        return run

    def judge_run(self, run: str, **changes: object) -> str:
        """Take a run that has a model through its judging; returns what the last look did."""
        self.judge.look(run)
        self.end_transforms(run)
        self.judge.look(run)
        self.write_evaluation(run, **changes)
        return self.judge.look(run)

    def writes_to(self, dataset: str) -> int:
        """How often the dataset's row was written."""
        row = find_dataset(dataset)
        return int(row.revision or 0) if row is not None else 0

    def runs(self, dataset: str = "birds") -> list[RunRow]:
        """The dataset's runs, oldest first."""
        return list(RunRow.query(dataset, consistent_read=True))


@contextmanager
def a_world(**parameters: object) -> Iterator[World]:
    """A fresh world."""
    with mock_aws():
        yield World(**parameters)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def new_world() -> Callable[..., object]:
    """Makes worlds: ``with new_world(quiet_seconds=3) as world``."""
    return a_world


@pytest.fixture
def world() -> Iterator[World]:
    """A world with the default parameters."""
    with a_world() as one:
        yield one


def sqs_event(*bodies: str) -> dict:
    """What Lambda hands to a function that reads a queue."""
    return {
        "Records": [
            {
                "messageId": f"message-{n}",
                "receiptHandle": "handle",
                "body": body if isinstance(body, str) else json.dumps(body),
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "ApproximateFirstReceiveTimestamp": "1700000000000",
                    "SenderId": "sender",
                    "SentTimestamp": "1700000000000",
                },
                "messageAttributes": {},
                "md5OfBody": "0" * 32,
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:queue",
                "awsRegion": REGION,
            }
            for n, body in enumerate(bodies)
        ]
    }


@pytest.fixture
def make_sqs_event() -> Callable[..., dict]:
    """Makes the event that Lambda hands to a function that reads a queue."""
    return sqs_event


@pytest.fixture
def new_event_bridge() -> Callable[..., FakeEventBridge]:
    """Makes the EventBridge of a test."""
    return FakeEventBridge
