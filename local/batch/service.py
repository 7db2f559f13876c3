"""The operations of AWS Batch, with who may call them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from local.authorization import Caller
from local.batch.compute import Compute
from local.batch.definitions import JobDefinitions
from local.batch.jobs import listed, make_job
from local.batch.names import name_in, refuse_request
from local.batch.records import BatchRecords
from local.batch.scheduler import Scheduler
from local.capacity import Capacity
from local.errors import AwsError
from local.pages import page
from local.platform import Platform
from local.scope import Scope

Record = dict[str, Any]

_ROLE_SERVICE = "ecs-tasks.amazonaws.com"
_MAX_DESCRIBED_JOBS = 100
_MAX_REASON = 1024
# Operations that only read, or are about jobs, which have rows of their own.
_NO_SET_UP = ("Describe", "List", "SubmitJob", "CancelJob", "TerminateJob")


class Batch:
    """AWS Batch in one scope."""

    def __init__(self, scope: Scope, platform: Platform, capacity: Capacity) -> None:
        self._scope = scope
        self._lock = threading.RLock()
        self.compute = Compute(scope)
        self.definitions = JobDefinitions(scope)
        self._records = BatchRecords(platform.store, scope)
        self._scheduler = Scheduler(scope, self.compute, platform, capacity, self._records)
        self._operations: dict[str, Callable[[Record], Record]] = {
            "CreateComputeEnvironment": self.compute.create_environment,
            "UpdateComputeEnvironment": self.compute.update_environment,
            "DeleteComputeEnvironment": self.compute.delete_environment,
            "DescribeComputeEnvironments": self.compute.describe_environments,
            "CreateJobQueue": self.compute.create_queue,
            "UpdateJobQueue": self.compute.update_queue,
            "DeleteJobQueue": self.delete_queue,
            "DescribeJobQueues": self.compute.describe_queues,
            "RegisterJobDefinition": self.definitions.register,
            "DeregisterJobDefinition": self.definitions.deregister,
            "DescribeJobDefinitions": self.definitions.describe,
            "SubmitJob": self.submit_job,
            "DescribeJobs": self.describe_jobs,
            "ListJobs": self.list_jobs,
            "CancelJob": self.cancel_job,
            "TerminateJob": self.terminate_job,
            "TagResource": self.tag,
            "UntagResource": self.untag,
            "ListTagsForResource": self.list_tags,
        }

    def call(self, operation: str, request: Record, caller: Caller | None = None) -> Record:
        """Runs an operation; `caller` None is CloudFormation, which has been asked already.

        Raises AwsError for an operation that is not offered, a refusal or a caller who may not.
        """
        if operation not in self._operations:
            raise AwsError(
                "UnknownOperationException", f"The AWS on this machine does not offer batch:{operation}.", 404
            )
        with self._lock:
            if caller is not None:
                self._authorize(caller, operation, request)
            answer = self._operations[operation](request)
            if not operation.startswith(_NO_SET_UP):
                self._records.save_set_up(self.compute, self.definitions)
            return answer

    def restore(self) -> None:
        """Puts back what an earlier server kept in this scope."""
        self._records.restore_set_up(self.compute, self.definitions)
        self._scheduler.restore()

    def start(self) -> None:
        """Runs jobs from here on."""
        self._scheduler.start()

    def delete_queue(self, request: Record) -> Record:
        """DeleteJobQueue: what waits in the queue is ended."""
        arn = self.compute.queue(request["jobQueue"])["jobQueueArn"]
        self.compute.delete_queue(request)
        for job in self._scheduler.of_queue(arn):
            self._scheduler.terminate(job, "The job queue is deleted")
        return {}

    def submit_job(self, request: Record) -> Record:
        """SubmitJob."""
        queue = self.compute.queue(request["jobQueue"])
        if queue["state"] != "ENABLED":
            refuse_request(f"JobQueue {queue['jobQueueName']} is not in ENABLED state")
        for member in ("nodeOverrides", "eksPropertiesOverride", "ecsPropertiesOverride"):
            if member in request:
                refuse_request(f"{member} is not available on this machine: it runs container jobs only")
        definition = self.definitions.find(request["jobDefinition"])
        fargate = self.compute.runs_fargate(queue)
        if fargate != ("FARGATE" in definition["platformCapabilities"]):
            refuse_request(
                f"The platform capabilities of {definition['jobDefinitionArn']} do not fit the compute "
                f"environments of {queue['jobQueueArn']}"
            )
        job = make_job(self._scope, request, queue, definition)
        for dependency in job.depends_on:
            if dependency.get("jobId") and self._scheduler.find(dependency["jobId"]) is None:
                refuse_request(f"The dependency {dependency['jobId']} does not exist")
        self._scheduler.submit(job)
        return {"jobArn": job.arn, "jobName": job.name, "jobId": job.id}

    def describe_jobs(self, request: Record) -> Record:
        """DescribeJobs: unknown ids are left out."""
        if len(request["jobs"]) > _MAX_DESCRIBED_JOBS:
            refuse_request(f"At most {_MAX_DESCRIBED_JOBS} jobs can be described at once")
        jobs = [self._scheduler.find(name_in(job, "job", self._scope)) for job in request["jobs"]]
        return {"jobs": [job.detail() for job in jobs if job is not None]}

    def list_jobs(self, request: Record) -> Record:
        """ListJobs of a queue or of an array job."""
        if request.get("arrayJobId"):
            parent = self._scheduler.find(name_in(request["arrayJobId"], "job", self._scope))
            jobs = list(parent.children) if parent else refuse_request("arrayJobId does not exist")
        elif request.get("jobQueue"):
            jobs = self._scheduler.of_queue(self.compute.queue(request["jobQueue"])["jobQueueArn"])
        else:
            refuse_request("jobQueue, arrayJobId or multiNodeJobId is required")
        found, token = page(
            listed(jobs, request), request.get("maxResults", 100), request.get("nextToken"), "ClientException"
        )
        return {"jobSummaryList": [job.summary() for job in found], "nextToken": token}

    def cancel_job(self, request: Record) -> Record:
        """CancelJob: jobs that run go on."""
        if job := self._stoppable(request):
            self._scheduler.cancel(job, request["reason"])
        return {}

    def terminate_job(self, request: Record) -> Record:
        """TerminateJob."""
        if job := self._stoppable(request):
            self._scheduler.terminate(job, request["reason"])
        return {}

    def tag(self, request: Record) -> Record:
        """TagResource."""
        self._tags(request["resourceArn"]).update(request["tags"])
        self._keep_tags_of_job(request["resourceArn"])
        return {}

    def untag(self, request: Record) -> Record:
        """UntagResource."""
        tags = self._tags(request["resourceArn"])
        for key in request["tagKeys"]:
            tags.pop(key, None)
        self._keep_tags_of_job(request["resourceArn"])
        return {}

    def list_tags(self, request: Record) -> Record:
        """ListTagsForResource."""
        return {"tags": dict(self._tags(request["resourceArn"]))}

    def _stoppable(self, request: Record) -> Any:
        if len(request["reason"]) > _MAX_REASON:
            refuse_request(f"reason holds at most {_MAX_REASON} characters")
        # AWS answers for jobs it does not know as for ended ones: with success.
        return self._scheduler.find(name_in(request["jobId"], "job", self._scope))

    def _tags(self, arn: str) -> dict[str, str]:
        tags = self._find_tags(arn)
        if tags is None:
            refuse_request(f"Resource {arn} does not exist")
        return tags

    def _keep_tags_of_job(self, arn: str) -> None:
        if ":job/" in arn and (job := self._scheduler.find(name_in(arn, "job", self._scope))):
            self._records.moved(job)

    def _find_tags(self, arn: str) -> dict[str, str] | None:
        job = self._scheduler.find(name_in(arn, "job", self._scope)) if ":job/" in arn else None
        if job is not None:
            return job.tags
        record = {**self.compute.tagged(), **self.definitions.tagged()}.get(arn)
        return record["tags"] if record is not None else None

    def _authorize(self, caller: Caller, operation: str, request: Record) -> None:
        """Asks IAM, with the resources of AWS's service authorization reference for Batch."""
        action = f"batch:{operation}"
        arn = self._scope.arn
        if operation == "SubmitJob":
            queue = name_in(request["jobQueue"], "job-queue", self._scope)
            caller.require(action, arn("batch", f"job-queue/{queue}"))
            # Policies name a definition with or without its revision; AWS takes both.
            name = name_in(request["jobDefinition"], "job-definition", self._scope)
            newest = name if ":" in name else f"{name}:{self.definitions.newest_revision(name)}"
            caller.require(
                action,
                arn("batch", f"job-definition/{newest}"),
                arn("batch", f"job-definition/{name.partition(':')[0]}"),
                any_of=True,
            )
            resources = [arn("batch", f"job-queue/{queue}")]
        else:
            resources = self._resources(operation, request)
            for resource in resources or ["*"]:
                held = self._find_tags(resource) or {}
                caller.require(action, resource, context={f"aws:ResourceTag/{k}": v for k, v in held.items()})
        if operation != "TagResource" and request.get("tags"):
            caller.require("batch:TagResource", *resources, context=_tag_context(request["tags"]))
        container = request.get("containerProperties") or {}
        for member in ("jobRoleArn", "executionRoleArn"):
            if container.get(member):
                caller.require_passing(container[member], _ROLE_SERVICE)

    def _resources(self, operation: str, request: Mapping[str, Any]) -> list[str]:
        kinds = {
            "computeEnvironmentName": "compute-environment",
            "computeEnvironment": "compute-environment",
            "jobQueueName": "job-queue",
            "jobQueue": "job-queue",
            "jobDefinitionName": "job-definition",
            "jobDefinition": "job-definition",
            "jobId": "job",
        }
        if operation.startswith(("Describe", "ListJobs")):
            return ["*"]
        if "resourceArn" in request:
            return [request["resourceArn"]]
        return [
            self._scope.arn("batch", f"{kind}/{name_in(request[member], kind, self._scope)}")
            for member, kind in kinds.items()
            if member in request
        ]


def _tag_context(tags: Mapping[str, str]) -> dict[str, Any]:
    context: dict[str, Any] = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
    context["aws:TagKeys"] = list(tags)
    return context
