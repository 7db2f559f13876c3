"""The operations of SageMaker and its runtime, with who may call them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from local.authorization import Caller
from local.capacity import Capacity
from local.errors import AwsError
from local.pages import page
from local.platform import Platform
from local.sagemaker.endpoints import Endpoints
from local.sagemaker.models import EndpointConfigs, Models
from local.sagemaker.resources import ROLE_SERVICE, Record, arn_of, refuse
from local.sagemaker.training import TrainingJobs
from local.sagemaker.transform import TransformJobs
from local.scope import Scope

_MAX_TAGS = 50
# The member that names what an operation works on, and the kind of resource that IAM policies name.
_NAMED = {
    "TrainingJobName": "training-job",
    "TransformJobName": "transform-job",
    "ModelName": "model",
    "EndpointName": "endpoint",
    "EndpointConfigName": "endpoint-config",
}


# Models inside these requests are no resources of theirs.
_MODEL_IS_NO_RESOURCE = frozenset({"CreateEndpointConfig", "CreateTransformJob"})


def job_capacity() -> Capacity:
    """How many jobs of one kind run at once: one for every two vCPUs, at least one."""
    return Capacity(max(1, (os.cpu_count() or 1) // 2))


class SageMaker:
    """SageMaker in one scope."""

    def __init__(self, scope: Scope, platform: Platform, training: Capacity, transforming: Capacity) -> None:
        self._scope = scope
        self.training = TrainingJobs(scope, platform, training)
        self.models = Models(scope, platform)
        self.transform = TransformJobs(scope, platform, self.models, transforming)
        self.configs = EndpointConfigs(scope, platform, self.models)
        self.endpoints = Endpoints(scope, platform, self.models, self.configs)
        self._holders = (self.models, self.configs, self.training, self.transform, self.endpoints)
        self._operations: dict[str, Callable[[Record], Record]] = {
            "CreateTrainingJob": self.training.create,
            "DescribeTrainingJob": self.training.describe,
            "ListTrainingJobs": self.training.list_,
            "StopTrainingJob": self.training.stop,
            "CreateTransformJob": self.transform.create,
            "DescribeTransformJob": self.transform.describe,
            "ListTransformJobs": self.transform.list_,
            "StopTransformJob": self.transform.stop,
            "CreateModel": self.models.create,
            "DescribeModel": self.models.describe,
            "DeleteModel": self.models.delete,
            "ListModels": self.models.list_,
            "CreateEndpointConfig": self.configs.create,
            "DescribeEndpointConfig": self.configs.describe,
            "DeleteEndpointConfig": self.configs.delete,
            "ListEndpointConfigs": self.configs.list_,
            "CreateEndpoint": self.endpoints.create,
            "UpdateEndpoint": self.endpoints.update,
            "DescribeEndpoint": self.endpoints.describe,
            "DeleteEndpoint": self.endpoints.delete,
            "ListEndpoints": self.endpoints.list_,
            "InvokeEndpoint": self.endpoints.invoke,
            "AddTags": self.add_tags,
            "ListTags": self.list_tags,
            "DeleteTags": self.delete_tags,
        }

    def restore(self) -> None:
        """Puts back what an earlier server kept in this scope."""
        for holder in self._holders:
            holder.restore()

    def resume(self) -> None:
        """Starts endpoints again, and ends or starts again the jobs that an earlier server ran."""
        self.training.resume()
        self.transform.resume()
        self.endpoints.resume()

    def call(self, operation: str, request: Record, caller: Caller) -> Record:
        """Runs an operation. Raises AwsError for one that is not offered, a refusal, a caller who may not."""
        if operation not in self._operations:
            raise AwsError(
                "UnknownOperationException",
                f"The AWS on this machine does not offer sagemaker:{operation}.",
                404,
            )
        self._authorize(caller, operation, request)
        if len(request.get("Tags") or []) > _MAX_TAGS:
            refuse(f"At most {_MAX_TAGS} tags can be set")
        return self._operations[operation](request)

    def add_tags(self, request: Record) -> Record:
        """AddTags: a tag with a key that exists takes the new value."""
        tags = self._tags(request["ResourceArn"])
        added = {tag["Key"] for tag in request["Tags"]}
        tags[:] = [tag for tag in tags if tag["Key"] not in added] + list(request["Tags"])
        self._keep_tags(request["ResourceArn"])
        return {"Tags": list(tags)}

    def list_tags(self, request: Record) -> Record:
        """ListTags."""
        tags, token = page(
            self._tags(request["ResourceArn"]), request.get("MaxResults", 50), request.get("NextToken")
        )
        return {"Tags": tags, "NextToken": token}

    def delete_tags(self, request: Record) -> Record:
        """DeleteTags."""
        tags = self._tags(request["ResourceArn"])
        tags[:] = [tag for tag in tags if tag["Key"] not in request["TagKeys"]]
        self._keep_tags(request["ResourceArn"])
        return {}

    def _tags(self, arn: str) -> list[dict[str, str]]:
        for holder in self._holders:
            tags = holder.tags(arn)
            if tags is not None:
                return tags
        return refuse(f"Could not find resource {arn}")

    def _keep_tags(self, arn: str) -> None:
        for holder in self._holders:
            holder.keep_tags(arn)

    def _authorize(self, caller: Caller, operation: str, request: Mapping[str, Any]) -> None:
        """Asks IAM, with the resources of AWS's service authorization reference for SageMaker."""
        action = f"sagemaker:{operation}"
        resources = ["*"] if operation.startswith("List") else self._resources(operation, request)
        tags = request.get("Tags") or []
        caller.require(action, *resources, context=_tag_context(tags) if tags else None)
        if tags and operation != "AddTags":
            caller.require("sagemaker:AddTags", resources[0], context=_tag_context(tags))
        for member in ("RoleArn", "ExecutionRoleArn"):
            if member in request:
                caller.require_passing(request[member], ROLE_SERVICE)

    def _resources(self, operation: str, request: Mapping[str, Any]) -> list[str]:
        if "ResourceArn" in request:
            return [request["ResourceArn"]]
        return [
            arn_of(self._scope, kind, request[member])
            for member, kind in _NAMED.items()
            if member in request and not (member == "ModelName" and operation in _MODEL_IS_NO_RESOURCE)
        ]


def _tag_context(tags: Iterable[Mapping[str, str]]) -> dict[str, Any]:
    context: dict[str, Any] = {f"aws:RequestTag/{tag['Key']}": tag["Value"] for tag in tags}
    context["aws:TagKeys"] = [tag["Key"] for tag in tags]
    return context
