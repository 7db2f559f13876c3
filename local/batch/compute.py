"""Compute environments and job queues."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from ministack.services import ec2

from local.batch.names import check_name, name_in, refuse, refuse_request
from local.pages import page
from local.scope import Scope

Record = dict[str, Any]

_MAX_ENVIRONMENTS_OF_A_QUEUE = 3


class Compute:
    """The compute environments and queues of one scope. The caller holds the service's lock."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._environments: dict[str, Record] = {}
        self._queues: dict[str, Record] = {}

    def records(self) -> tuple[dict[str, Record], dict[str, Record]]:
        """Everything here: environments and queues by name."""
        return self._environments, self._queues

    def restore(self, environments: dict[str, Record], queues: dict[str, Record]) -> None:
        """Puts back what `records` gave."""
        self._environments, self._queues = environments, queues

    def queues(self) -> list[Record]:
        """Every job queue."""
        return list(self._queues.values())

    def create_environment(self, request: Mapping[str, Any]) -> Record:
        """CreateComputeEnvironment. The environment is VALID at once, or INVALID with a reason."""
        name = request["computeEnvironmentName"]
        check_name(name, "computeEnvironmentName")
        if name in self._environments:
            refuse("Object already exists")
        resources = request.get("computeResources")
        if request["type"] == "MANAGED" and not resources:
            refuse_request("computeResources must be provided for a MANAGED compute environment")
        if resources:
            _check_resources(resources)
        arn = self._scope.arn("batch", f"compute-environment/{name}")
        self._environments[name] = {
            "computeEnvironmentName": name,
            "computeEnvironmentArn": arn,
            "type": request["type"],
            "state": request.get("state", "ENABLED"),
            "computeResources": resources,
            "serviceRole": request.get("serviceRole")
            or f"arn:aws:iam::{self._scope.account}:role/aws-service-role/batch.amazonaws.com/"
            "AWSServiceRoleForBatch",
            "tags": dict(request.get("tags", {})),
            "containerOrchestrationType": "ECS",
            "ecsClusterArn": self._scope.arn("ecs", f"cluster/AWSBatch-{name}-{uuid.uuid4()}"),
            "uuid": str(uuid.uuid4()),
            **_health(resources),
        }
        return {"computeEnvironmentName": name, "computeEnvironmentArn": arn}

    def update_environment(self, request: Mapping[str, Any]) -> Record:
        """UpdateComputeEnvironment."""
        environment = self.environment(request["computeEnvironment"])
        if resources := request.get("computeResources"):
            merged = {**(environment["computeResources"] or {}), **resources}
            _check_resources(merged)
            environment["computeResources"] = merged
            environment.update(_health(merged))
        for member in ("state", "serviceRole"):
            if member in request:
                environment[member] = request[member]
        return {m: environment[m] for m in ("computeEnvironmentName", "computeEnvironmentArn")}

    def delete_environment(self, request: Mapping[str, Any]) -> Record:
        """DeleteComputeEnvironment: only a disabled one that no queue uses."""
        environment = self.environment(request["computeEnvironment"])
        if environment["state"] != "DISABLED":
            refuse_request(
                "Cannot delete, resource must be disabled first: set the state of compute environment "
                f"{environment['computeEnvironmentName']} to DISABLED"
            )
        arn = environment["computeEnvironmentArn"]
        if any(o["computeEnvironment"] == arn for q in self._queues.values() for o in self._order(q)):
            refuse_request("Cannot delete, found existing JobQueue relationship")
        del self._environments[environment["computeEnvironmentName"]]
        return {}

    def describe_environments(self, request: Mapping[str, Any]) -> Record:
        """DescribeComputeEnvironments: unknown names are left out, as AWS does."""
        wanted = _wanted(self._environments, request.get("computeEnvironments"), self._environment_name)
        found, token = page(wanted, request.get("maxResults", 100), request.get("nextToken"))
        return {"computeEnvironments": found, "nextToken": token}

    def create_queue(self, request: Mapping[str, Any]) -> Record:
        """CreateJobQueue."""
        name = request["jobQueueName"]
        check_name(name, "jobQueueName")
        if name in self._queues:
            refuse("Object already exists")
        arn = self._scope.arn("batch", f"job-queue/{name}")
        self._queues[name] = {
            "jobQueueName": name,
            "jobQueueArn": arn,
            "state": request.get("state", "ENABLED"),
            "status": "VALID",
            "statusReason": "JobQueue Healthy",
            "priority": request["priority"],
            "computeEnvironmentOrder": self._checked_order(request.get("computeEnvironmentOrder") or []),
            "tags": dict(request.get("tags", {})),
        }
        return {"jobQueueName": name, "jobQueueArn": arn}

    def update_queue(self, request: Mapping[str, Any]) -> Record:
        """UpdateJobQueue."""
        queue = self.queue(request["jobQueue"])
        if order := request.get("computeEnvironmentOrder"):
            queue["computeEnvironmentOrder"] = self._checked_order(order)
        for member in ("state", "priority"):
            if member in request:
                queue[member] = request[member]
        return {m: queue[m] for m in ("jobQueueName", "jobQueueArn")}

    def delete_queue(self, request: Mapping[str, Any]) -> str:
        """DeleteJobQueue: only a disabled one. Returns the name, so that its jobs can be ended."""
        queue = self.queue(request["jobQueue"])
        if queue["state"] != "DISABLED":
            refuse_request(
                "Cannot delete, resource must be disabled first: set the state of job queue "
                f"{queue['jobQueueName']} to DISABLED"
            )
        del self._queues[queue["jobQueueName"]]
        return str(queue["jobQueueName"])

    def describe_queues(self, request: Mapping[str, Any]) -> Record:
        """DescribeJobQueues."""
        wanted = _wanted(self._queues, request.get("jobQueues"), self._queue_name)
        found, token = page(wanted, request.get("maxResults", 100), request.get("nextToken"))
        return {"jobQueues": found, "nextToken": token}

    def environment(self, reference: str) -> Record:
        """The compute environment of a name or ARN; refused when there is none."""
        name = self._environment_name(reference)
        if name not in self._environments:
            refuse_request(f"Compute environment {reference} does not exist")
        return self._environments[name]

    def queue(self, reference: str) -> Record:
        """The job queue of a name or ARN; refused when there is none."""
        name = self._queue_name(reference)
        if name not in self._queues:
            refuse_request(f"JobQueue {reference} not found")
        return self._queues[name]

    def first_environment_name(self, queue: Mapping[str, Any]) -> str:
        """The compute environment that runs the queue's jobs (AWS_BATCH_CE_NAME)."""
        return self._environment_name(self._order(queue)[0]["computeEnvironment"])

    def runs_fargate(self, queue: Mapping[str, Any]) -> bool:
        """Whether the queue's environments are Fargate."""
        resources = self.environment(self._order(queue)[0]["computeEnvironment"])["computeResources"] or {}
        return str(resources.get("type", "")).startswith("FARGATE")

    def tagged(self) -> dict[str, Record]:
        """ARN → record, of everything here that can have tags."""
        return {
            **{e["computeEnvironmentArn"]: e for e in self._environments.values()},
            **{q["jobQueueArn"]: q for q in self._queues.values()},
        }

    def _checked_order(self, order: list[Record]) -> list[Record]:
        if not order or len(order) > _MAX_ENVIRONMENTS_OF_A_QUEUE:
            refuse_request("computeEnvironmentOrder must hold 1 to 3 compute environments")
        checked = []
        for entry in order:
            environment = self.environment(entry["computeEnvironment"])
            if environment["status"] != "VALID":
                refuse_request(
                    f"{environment['computeEnvironmentArn']} is not VALID: {environment['statusReason']}"
                )
            checked.append(
                {"order": entry["order"], "computeEnvironment": environment["computeEnvironmentArn"]}
            )
        return sorted(checked, key=lambda entry: int(entry["order"]))

    @staticmethod
    def _order(queue: Mapping[str, Any]) -> list[Record]:
        order: list[Record] = queue["computeEnvironmentOrder"]
        return order

    def _environment_name(self, reference: str) -> str:
        return name_in(reference, "compute-environment", self._scope)

    def _queue_name(self, reference: str) -> str:
        return name_in(reference, "job-queue", self._scope)


def _wanted(records: dict[str, Record], references: list[str] | None, name_of: Any) -> list[Record]:
    if not references:
        return list(records.values())
    names = [name_of(reference) for reference in references]
    return [records[name] for name in names if name in records]


def _check_resources(resources: Mapping[str, Any]) -> None:
    kind = resources.get("type", "EC2")
    if resources.get("maxvCpus", 1) < 1:
        refuse_request("maxvCpus must be at least 1")
    if kind.startswith("FARGATE"):
        if not resources.get("subnets") or not resources.get("securityGroupIds"):
            refuse_request("subnets and securityGroupIds are required for Fargate compute environments")
        for member in ("instanceRole", "instanceTypes", "minvCpus", "desiredvCpus", "allocationStrategy"):
            if member in resources:
                refuse_request(f"{member} is not applicable to jobs that run on Fargate resources")
    elif not resources.get("instanceRole") or not resources.get("instanceTypes"):
        refuse_request("instanceRole and instanceTypes are required for EC2 compute environments")


def _health(resources: Mapping[str, Any] | None) -> dict[str, str]:
    missing = [s for s in (resources or {}).get("subnets", []) if s not in ec2._subnets]
    missing += [g for g in (resources or {}).get("securityGroupIds", []) if g not in ec2._security_groups]
    if missing:
        return {"status": "INVALID", "statusReason": f"CLIENT_ERROR - {', '.join(missing)} does not exist"}
    return {"status": "VALID", "statusReason": "ComputeEnvironment Healthy"}
