"""Jobs: what a submission makes, how it is described, and how its command and environment come about."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from local.batch.definitions import check_retries, check_timeout
from local.batch.names import check_name, refuse_request
from local.processes import ContainerProcess
from local.scope import Scope

Record = dict[str, Any]

STATES = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED")
ENDED = ("SUCCEEDED", "FAILED")
_WAITING = ("SUBMITTED", "PENDING", "RUNNABLE")
_DEFAULT_LOG_GROUP = "/aws/batch/job"
_MAX_DEPENDENCIES = 20
_ARRAY_SIZES = range(2, 10_001)


@dataclass
class Job:
    """One job, or one child of an array job."""

    id: str
    arn: str
    name: str
    queue: Record
    definition: Record
    container: Record
    parameters: dict[str, str]
    retry: Record | None
    timeout_seconds: int | None
    depends_on: list[Record]
    tags: dict[str, str]
    created_at: int
    array_size: int | None = None
    array_index: int | None = None
    parent_id: str | None = None
    share_identifier: str | None = None
    status: str = "SUBMITTED"
    status_reason: str | None = None
    started_at: int | None = None
    stopped_at: int | None = None
    attempts: list[Record] = field(default_factory=list)
    log_stream: str | None = None
    task_arn: str | None = None
    exit_code: int | None = None
    container_reason: str | None = None
    cancelled: bool = False
    terminated: bool = False
    stop_reason: str | None = None
    children: list[Job] = field(default_factory=list)
    process: ContainerProcess | None = None
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def waiting(self) -> bool:
        """Whether it has not been placed yet, so that it can be cancelled."""
        return self.status in _WAITING

    @property
    def vcpus(self) -> float:
        vcpus: str | int = self._needs().get("VCPU") or self.container.get("vcpus", 1)
        return float(vcpus)

    @property
    def log_group(self) -> str:
        options: Mapping[str, str] = (self.container.get("logConfiguration") or {}).get("options") or {}
        return options.get("awslogs-group", _DEFAULT_LOG_GROUP)

    @property
    def log_prefix(self) -> str:
        options: Mapping[str, str] = (self.container.get("logConfiguration") or {}).get("options") or {}
        return options.get("awslogs-stream-prefix", str(self.definition["jobDefinitionName"]))

    @property
    def arguments(self) -> list[str]:
        """The container's command, with `Ref::name` replaced; a name without a value stays as it is."""
        return [
            self.parameters.get(part.removeprefix("Ref::"), part) if part.startswith("Ref::") else part
            for part in self.container.get("command", [])
        ]

    def variables(self, environment_name: str) -> dict[str, str]:
        """The container's environment: the definition's and submission's variables, and Batch's own.

        https://docs.aws.amazon.com/batch/latest/userguide/job_env_vars.html
        """
        variables = {v["name"]: v.get("value", "") for v in self.container.get("environment", [])}
        variables |= {
            "AWS_BATCH_JOB_ID": self.id,
            "AWS_BATCH_JOB_ATTEMPT": str(len(self.attempts) + 1),
            "AWS_BATCH_JQ_NAME": self.queue["jobQueueName"],
            "AWS_BATCH_CE_NAME": environment_name,
        }
        if self.array_index is not None:
            variables["AWS_BATCH_JOB_ARRAY_INDEX"] = str(self.array_index)
        return variables

    def detail(self) -> Record:
        """JobDetail, as DescribeJobs and the events show it."""
        detail: Record = {
            "jobArn": self.arn,
            "jobName": self.name,
            "jobId": self.id,
            "jobQueue": self.queue["jobQueueArn"],
            "status": self.status,
            "attempts": [dict(attempt) for attempt in self.attempts],
            "statusReason": self.status_reason,
            "createdAt": self.created_at,
            "retryStrategy": self.retry or {"attempts": 1, "evaluateOnExit": []},
            "startedAt": self.started_at,
            "stoppedAt": self.stopped_at,
            "dependsOn": self.depends_on,
            "jobDefinition": self.definition["jobDefinitionArn"],
            "parameters": self.parameters,
            "tags": self.tags,
            "platformCapabilities": self.definition["platformCapabilities"],
            "propagateTags": self.definition["propagateTags"],
            "shareIdentifier": self.share_identifier,
            "isCancelled": self.cancelled,
            "isTerminated": self.terminated,
        }
        if self.timeout_seconds is not None:
            detail["timeout"] = {"attemptDurationSeconds": self.timeout_seconds}
        if self.array_size is not None:
            detail["arrayProperties"] = {
                "size": self.array_size,
                "statusSummary": {s: Counter(c.status for c in self.children)[s] for s in STATES},
            }
        else:
            detail["container"] = {
                **self.container,
                "command": self.arguments,
                "exitCode": self.exit_code,
                "reason": self.container_reason,
                "logStreamName": self.log_stream,
                "taskArn": self.task_arn,
            }
            if self.array_index is not None:
                detail["arrayProperties"] = {"index": self.array_index}
        return detail

    def summary(self) -> Record:
        """JobSummary, as ListJobs shows it."""
        summary: Record = {
            "jobArn": self.arn,
            "jobId": self.id,
            "jobName": self.name,
            "createdAt": self.created_at,
            "status": self.status,
            "statusReason": self.status_reason,
            "startedAt": self.started_at,
            "stoppedAt": self.stopped_at,
            "jobDefinition": self.definition["jobDefinitionArn"],
        }
        if self.exit_code is not None or self.container_reason is not None:
            summary["container"] = {"exitCode": self.exit_code, "reason": self.container_reason}
        if self.array_size is not None:
            summary["arrayProperties"] = {"size": self.array_size}
        elif self.array_index is not None:
            summary["arrayProperties"] = {"index": self.array_index}
        return summary

    def _needs(self) -> dict[str, str]:
        return {need["type"]: need["value"] for need in self.container.get("resourceRequirements", [])}


def now_ms() -> int:
    """Batch's times are epoch milliseconds."""
    return time.time_ns() // 1_000_000


def make_job(scope: Scope, request: Mapping[str, Any], queue: Record, definition: Record) -> Job:
    """The job of a SubmitJob request; refused when the request breaks Batch's limits."""
    check_name(request["jobName"], "jobName")
    retry = request.get("retryStrategy") or definition["retryStrategy"]
    check_retries(retry)
    timeout = request.get("timeout") or definition["timeout"]
    check_timeout(timeout)
    size = (request.get("arrayProperties") or {}).get("size")
    if size is not None and size not in _ARRAY_SIZES:
        refuse_request(f"arrayProperties.size must be between 2 and 10000, got {size}")
    dependencies = list(request.get("dependsOn") or [])
    _check_dependencies(dependencies, size)
    job_id = str(uuid.uuid4())
    job = Job(
        id=job_id,
        arn=scope.arn("batch", f"job/{job_id}"),
        name=request["jobName"],
        queue=queue,
        definition=definition,
        container=_overridden(definition["containerProperties"], request.get("containerOverrides") or {}),
        parameters={**definition["parameters"], **(request.get("parameters") or {})},
        retry=dict(retry) if retry else None,
        timeout_seconds=(timeout or {}).get("attemptDurationSeconds"),
        depends_on=dependencies,
        tags=dict(request.get("tags") or {}),
        created_at=now_ms(),
        array_size=size,
        share_identifier=request.get("shareIdentifier"),
    )
    job.children = make_children(scope, job)
    return job


def make_children(scope: Scope, job: Job) -> list[Job]:
    """The children of an array job, just submitted; none of another job."""
    return [_child(scope, job, index) for index in range(job.array_size or 0)]


def listed(jobs: list[Job], request: Mapping[str, Any]) -> list[Job]:
    """The jobs that a ListJobs request selects, newest first.

    A filter other than the status takes the place of the status, which is RUNNING if nothing is asked.
    https://docs.aws.amazon.com/batch/latest/APIReference/API_ListJobs.html
    """
    filters = request.get("filters") or []
    if len(filters) > 1:
        refuse_request("Only one filter can be used at a time")
    selected = sorted(jobs, key=lambda job: (job.created_at, job.array_index or 0), reverse=True)
    if not filters:
        status = request.get("jobStatus", "RUNNING")
        return [job for job in selected if job.status == status]
    name, values = filters[0].get("name", ""), filters[0].get("values") or []
    if name == "JOB_NAME":
        return [job for job in selected if any(_like(job.name, value) for value in values)]
    if name == "JOB_DEFINITION":
        return [job for job in selected if any(_defined(job, value) for value in values)]
    if name in ("BEFORE_CREATED_AT", "AFTER_CREATED_AT"):
        limit = int(values[0])
        before = name == "BEFORE_CREATED_AT"
        return [job for job in selected if (job.created_at < limit if before else job.created_at > limit)]
    return refuse_request(f"{name} is not a valid filter name")


def _like(text: str, pattern: str) -> bool:
    return fnmatchcase(text.lower(), pattern.lower().replace("[", "[[]"))


def _defined(job: Job, value: str) -> bool:
    arn, name = job.definition["jobDefinitionArn"], job.definition["jobDefinitionName"]
    return _like(arn, value) or _like(name, value) or _like(f"{name}:{job.definition['revision']}", value)


def _check_dependencies(dependencies: list[Record], size: int | None) -> None:
    if len(dependencies) > _MAX_DEPENDENCIES:
        refuse_request(f"dependsOn holds at most {_MAX_DEPENDENCIES} dependencies")
    for dependency in dependencies:
        kind = dependency.get("type")
        if kind == "SEQUENTIAL":
            if size is None or dependency.get("jobId"):
                refuse_request("A SEQUENTIAL dependency is for array jobs and has no jobId")
        elif not dependency.get("jobId"):
            refuse_request("dependsOn.jobId is missing")
        elif kind == "N_TO_N" and size is None:
            refuse_request("An N_TO_N dependency is for array jobs")


def _overridden(container: Mapping[str, Any], overrides: Mapping[str, Any]) -> Record:
    result = dict(container)
    for member in ("command", "vcpus", "memory", "instanceType"):
        if member in overrides:
            result[member] = overrides[member]
    for member, key in (("environment", "name"), ("resourceRequirements", "type")):
        if member in overrides:
            merged = {entry[key]: entry for entry in (*container.get(member, []), *overrides[member])}
            result[member] = list(merged.values())
    for variable in overrides.get("environment", []):
        if str(variable.get("name", "")).startswith("AWS_BATCH"):
            refuse_request("Environment variables must not start with AWS_BATCH; this naming is reserved")
    return result


def _child(scope: Scope, parent: Job, index: int) -> Job:
    return Job(
        id=f"{parent.id}:{index}",
        arn=scope.arn("batch", f"job/{parent.id}:{index}"),
        name=parent.name,
        queue=parent.queue,
        definition=parent.definition,
        container=parent.container,
        parameters=parent.parameters,
        retry=parent.retry,
        timeout_seconds=parent.timeout_seconds,
        depends_on=parent.depends_on,
        tags=parent.tags,
        created_at=parent.created_at,
        array_index=index,
        parent_id=parent.id,
        share_identifier=parent.share_identifier,
    )
