"""AWS::Batch::ComputeEnvironment, JobQueue and JobDefinition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.model import Shape
from ministack.services.cloudformation import provisioners

from local.batch.service import Batch
from local.cloudformation.properties import checked
from local.errors import AwsError
from local.protocol import service_model
from local.scope import Scope

Properties = dict[str, Any]
Provisioned = tuple[str, dict[str, str]]

# Properties that are CloudFormation's own and no member of the request.
_DEFINITION_ONLY = ("ResourceRetentionPolicy",)
_ENVIRONMENT_ONLY = ("ReplaceComputeEnvironment",)
_ENVIRONMENT_IMMUTABLE = ("Type", "ComputeEnvironmentName", "Tags", "EksConfiguration")
_QUEUE_IMMUTABLE = ("JobQueueName", "Tags", "JobQueueType")


def install(batch_of: Callable[[Scope], Batch]) -> None:
    """Registers the three types; `batch_of` gives the Batch of an account and region."""
    handlers = provisioners._RESOURCE_HANDLERS
    types = _BatchTypes(batch_of)
    handlers["AWS::Batch::ComputeEnvironment"] = {
        "create": types.create_environment,
        "update": types.update_environment,
        "update_with_logical_id": True,
        "delete": types.delete_environment,
    }
    handlers["AWS::Batch::JobQueue"] = {
        "create": types.create_queue,
        "update": types.update_queue,
        "update_with_logical_id": True,
        "delete": types.delete_queue,
    }
    handlers["AWS::Batch::JobDefinition"] = {
        "create": types.create_definition,
        "update": types.update_definition,
        "update_with_logical_id": True,
        "delete": types.delete_definition,
    }


class _BatchTypes:
    def __init__(self, batch_of: Callable[[Scope], Batch]) -> None:
        self._batch_of = batch_of

    def create_environment(self, logical_id: str, properties: Properties, stack: str) -> Provisioned:
        named = _named(properties, "ComputeEnvironmentName", logical_id, stack)
        answer = self._call("CreateComputeEnvironment", _without(named, _ENVIRONMENT_ONLY))
        arn = answer["computeEnvironmentArn"]
        described = self._call("DescribeComputeEnvironments", {"computeEnvironments": [arn]})
        environment = described["computeEnvironments"][0]
        if environment["status"] != "VALID":
            self._delete_environment(arn)
            raise ValueError(f"Resource {arn} did not stabilize: {environment['statusReason']}")
        return arn, {"ComputeEnvironmentArn": arn}

    def update_environment(
        self, arn: str, old: Properties, new: Properties, stack: str, logical_id: str
    ) -> Provisioned:
        if _changed(old, new, _ENVIRONMENT_IMMUTABLE):
            return self.create_environment(logical_id, new, stack)
        change = _without(new, (*_ENVIRONMENT_ONLY, *_ENVIRONMENT_IMMUTABLE))
        resources = {k: v for k, v in (change.pop("ComputeResources", None) or {}).items() if k != "Type"}
        if resources:
            change["ComputeResources"] = resources
        self._call("UpdateComputeEnvironment", {"ComputeEnvironment": arn, **change})
        return arn, {"ComputeEnvironmentArn": arn}

    def delete_environment(self, arn: str, _properties: Properties) -> None:
        self._delete_environment(arn)

    def create_queue(self, logical_id: str, properties: Properties, stack: str) -> Provisioned:
        named = _named(properties, "JobQueueName", logical_id, stack)
        arn = self._call("CreateJobQueue", named)["jobQueueArn"]
        return arn, {"JobQueueArn": arn}

    def update_queue(
        self, arn: str, old: Properties, new: Properties, stack: str, logical_id: str
    ) -> Provisioned:
        if _changed(old, new, _QUEUE_IMMUTABLE):
            return self.create_queue(logical_id, new, stack)
        self._call("UpdateJobQueue", {"JobQueue": arn, **_without(new, _QUEUE_IMMUTABLE)})
        return arn, {"JobQueueArn": arn}

    def delete_queue(self, arn: str, _properties: Properties) -> None:
        if self._call("DescribeJobQueues", {"jobQueues": [arn]})["jobQueues"]:
            self._call("UpdateJobQueue", {"jobQueue": arn, "state": "DISABLED"})
            self._call("DeleteJobQueue", {"jobQueue": arn})

    def create_definition(self, logical_id: str, properties: Properties, stack: str) -> Provisioned:
        named = _named(properties, "JobDefinitionName", logical_id, stack)
        request = _without(named, _DEFINITION_ONLY)
        request["Type"] = str(request.get("Type", "container")).lower()
        arn = self._call("RegisterJobDefinition", request)["jobDefinitionArn"]
        return arn, {"JobDefinitionArn": arn}

    def update_definition(
        self, _arn: str, _old: Properties, new: Properties, stack: str, logical_id: str
    ) -> Provisioned:
        # A new revision has a new ARN, so CloudFormation then deletes (deregisters) the old one.
        return self.create_definition(logical_id, new, stack)

    def delete_definition(self, arn: str, properties: Properties) -> None:
        retention = properties.get("ResourceRetentionPolicy") or {}
        if str(retention.get("SkipDeregisterOnUpdate", "")).lower() != "true":
            self._call("DeregisterJobDefinition", {"jobDefinition": arn})

    def _delete_environment(self, arn: str) -> None:
        found = self._call("DescribeComputeEnvironments", {"computeEnvironments": [arn]})
        if found["computeEnvironments"]:
            self._call("UpdateComputeEnvironment", {"computeEnvironment": arn, "state": "DISABLED"})
            self._call("DeleteComputeEnvironment", {"computeEnvironment": arn})

    def _call(self, operation: str, properties: Properties) -> dict[str, Any]:
        shape: Shape | None = service_model("batch").operation_model(operation).input_shape
        if shape is None:
            raise AssertionError(f"batch:{operation} has an input")
        try:
            return self._batch_of(Scope.current()).call(operation, checked(shape, properties))
        except AwsError as error:
            raise ValueError(f"Resource handler returned message: {error.message}") from error


def _named(properties: Properties, member: str, logical_id: str, stack: str) -> Properties:
    if properties.get(member):
        return dict(properties)
    return {**properties, member: provisioners._physical_name(stack, logical_id, max_len=128)}


def _without(properties: Properties, members: tuple[str, ...]) -> Properties:
    return {name: value for name, value in properties.items() if name not in members}


def _changed(old: Properties, new: Properties, members: tuple[str, ...]) -> bool:
    return any(old.get(member) != new.get(member) for member in members)
