"""Models and endpoint configurations."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from local import roles
from local.errors import ImagePullError, RoleError, TransferError
from local.objects import require_object
from local.platform import Platform
from local.sagemaker.records import SageMakerRecords
from local.sagemaker.resources import ROLE_SERVICE, Record, arn_of, kept, listed, now, refuse
from local.scope import Scope

_SERVERLESS_MEMORY = range(1024, 6144 + 1, 1024)


class Models:
    """The models of one scope."""

    def __init__(self, scope: Scope, platform: Platform) -> None:
        self._scope = scope
        self._platform = platform
        self._records = SageMakerRecords(platform.store, scope, "model")
        self._models: dict[str, Record] = {}
        self._tags: dict[str, list[dict[str, str]]] = {}
        self._lock = threading.RLock()

    def restore(self) -> None:
        """Puts back what an earlier server kept."""
        for record, tags in self._records.read():
            name = record["ModelName"]
            self._models[name], self._tags[name] = record, tags

    def create(self, request: Record) -> Record:
        """CreateModel: the image must be known, and the role must be able to read the model data."""
        name = request["ModelName"]
        arn = arn_of(self._scope, "model", name)
        if name in self._models:
            refuse(f'Cannot create already existing model "{arn}".')
        record = {**kept(request, "DescribeModel"), "ModelArn": arn, "CreationTime": now()}
        record.setdefault("EnableNetworkIsolation", False)
        self._check(request, container_of(request))
        with self._lock:
            if name in self._models:
                refuse(f'Cannot create already existing model "{arn}".')
            self._models[name] = record
            self._tags[name] = list(request.get("Tags") or [])
            self._keep(name)
        return {"ModelArn": arn}

    def describe(self, request: Mapping[str, Any]) -> Record:
        """DescribeModel."""
        return dict(self.find(request["ModelName"]))

    def delete(self, request: Mapping[str, Any]) -> Record:
        """DeleteModel."""
        with self._lock:
            name = self.find(request["ModelName"])["ModelName"]
            del self._models[name], self._tags[name]
            self._records.remove(name)
        return {}

    def list_(self, request: Mapping[str, Any]) -> Record:
        """ListModels."""
        summaries, token = listed(
            list(self._models.values()),
            request,
            name="ModelName",
            status=None,
            summary=lambda record: {m: record[m] for m in ("ModelName", "ModelArn", "CreationTime")},
        )
        return {"Models": summaries, "NextToken": token}

    def find(self, name: str) -> Record:
        """The model's description; refused when there is none."""
        return self._models.get(name) or refuse(
            f'Could not find model "{arn_of(self._scope, "model", name)}".'
        )

    def tags(self, arn: str) -> list[dict[str, str]] | None:
        """The tags of the model with this ARN."""
        return next((self._tags[n] for n, m in self._models.items() if m["ModelArn"] == arn), None)

    def keep_tags(self, arn: str) -> None:
        """Writes the row of the model with this ARN, whose tags have changed."""
        for name in [n for n, m in self._models.items() if m["ModelArn"] == arn]:
            self._keep(name)

    def _keep(self, name: str) -> None:
        self._records.put(name, self._models[name], self._tags[name])

    def _check(self, request: Mapping[str, Any], container: Mapping[str, Any]) -> None:
        try:
            self._platform.images.find(container["Image"])
        except ImagePullError as error:
            refuse(f"Requested image {container['Image']} not found. {error}")
        role = request.get("ExecutionRoleArn") or refuse(
            "ExecutionRoleArn is required for models with images"
        )
        data = container.get("ModelDataUrl")
        try:
            credentials = roles.assume(self._scope, role, ROLE_SERVICE, "SageMaker")
        except RoleError as error:
            refuse(
                f"Could not assume role {role}. Please ensure that the role exists and allows principal "
                f"'{ROLE_SERVICE}' to assume the role. ({error})"
            )
        try:
            if data:
                require_object(self._platform.endpoint.s3(self._scope.region, credentials), data)
        except TransferError as error:
            refuse(
                f'Could not access model data at {data}. Please ensure that the role "{role}" exists and '
                'that its trust relationship policy allows the action "sts:AssumeRole" for the service '
                f'principal "{ROLE_SERVICE}". Also ensure that the role has "s3:GetObject" permissions and '
                f"that the object is located in {self._scope.region}. ({error})"
            )
        finally:
            roles.revoke(credentials)


class EndpointConfigs:
    """The endpoint configurations of one scope."""

    def __init__(self, scope: Scope, platform: Platform, models: Models) -> None:
        self._scope = scope
        self._models = models
        self._records = SageMakerRecords(platform.store, scope, "endpoint-config")
        self._configs: dict[str, Record] = {}
        self._tags: dict[str, list[dict[str, str]]] = {}
        self._lock = threading.RLock()

    def restore(self) -> None:
        """Puts back what an earlier server kept."""
        for record, tags in self._records.read():
            name = record["EndpointConfigName"]
            self._configs[name], self._tags[name] = record, tags

    def create(self, request: Record) -> Record:
        """CreateEndpointConfig."""
        name = request["EndpointConfigName"]
        arn = arn_of(self._scope, "endpoint-config", name)
        for member, what in (("AsyncInferenceConfig", "Asynchronous"), ("ExplainerConfig", "Explained")):
            if member in request:
                refuse(f"{what} inference is not available on this machine")
        if (request.get("DataCaptureConfig") or {}).get("EnableCapture"):
            refuse("Data capture is not available on this machine")
        variants = request["ProductionVariants"]
        if len({variant["VariantName"] for variant in variants}) != len(variants):
            refuse("Production variant names must be unique")
        for variant in variants:
            self._check(variant)
        with self._lock:
            if name in self._configs:
                refuse(f'Cannot create already existing endpoint configuration "{arn}".')
            self._configs[name] = {
                **kept(request, "DescribeEndpointConfig"),
                "ProductionVariants": [{"InitialVariantWeight": 1.0, **variant} for variant in variants],
                "EndpointConfigArn": arn,
                "CreationTime": now(),
            }
            self._tags[name] = list(request.get("Tags") or [])
            self._keep(name)
        return {"EndpointConfigArn": arn}

    def describe(self, request: Mapping[str, Any]) -> Record:
        """DescribeEndpointConfig."""
        return dict(self.find(request["EndpointConfigName"]))

    def delete(self, request: Mapping[str, Any]) -> Record:
        """DeleteEndpointConfig: endpoints that use it go on, as on AWS."""
        with self._lock:
            name = self.find(request["EndpointConfigName"])["EndpointConfigName"]
            del self._configs[name], self._tags[name]
            self._records.remove(name)
        return {}

    def list_(self, request: Mapping[str, Any]) -> Record:
        """ListEndpointConfigs."""
        members = ("EndpointConfigName", "EndpointConfigArn", "CreationTime")
        summaries, token = listed(
            list(self._configs.values()),
            request,
            name="EndpointConfigName",
            status=None,
            summary=lambda record: {m: record[m] for m in members},
        )
        return {"EndpointConfigs": summaries, "NextToken": token}

    def find(self, name: str) -> Record:
        """The configuration; refused when there is none."""
        arn = arn_of(self._scope, "endpoint-config", name)
        return self._configs.get(name) or refuse(f'Could not find endpoint configuration "{arn}".')

    def tags(self, arn: str) -> list[dict[str, str]] | None:
        """The tags of the configuration with this ARN."""
        return next((self._tags[n] for n, c in self._configs.items() if c["EndpointConfigArn"] == arn), None)

    def keep_tags(self, arn: str) -> None:
        """Writes the row of the configuration with this ARN, whose tags have changed."""
        for name in [n for n, c in self._configs.items() if c["EndpointConfigArn"] == arn]:
            self._keep(name)

    def _keep(self, name: str) -> None:
        self._records.put(name, self._configs[name], self._tags[name])

    def _check(self, variant: Mapping[str, Any]) -> None:
        self._models.find(variant.get("ModelName") or refuse("ModelName is required in production variants"))
        serverless = variant.get("ServerlessConfig")
        if serverless is None:
            if "InstanceType" not in variant or "InitialInstanceCount" not in variant:
                refuse(
                    f"Variant {variant['VariantName']}: InstanceType and InitialInstanceCount are required "
                    "unless ServerlessConfig is given"
                )
        elif "InstanceType" in variant or "InitialInstanceCount" in variant:
            refuse(f"Variant {variant['VariantName']}: ServerlessConfig excludes InstanceType and its count")
        elif serverless["MemorySizeInMB"] not in _SERVERLESS_MEMORY:
            refuse(f"Variant {variant['VariantName']}: MemorySizeInMB must be a multiple of 1024 up to 6144")


def container_of(model: Mapping[str, Any]) -> Record:
    """The one container of a model; refused when there is none, or a pipeline of several."""
    primary, several = model.get("PrimaryContainer"), model.get("Containers") or []
    if bool(primary) == bool(several):
        refuse("Exactly one of PrimaryContainer and Containers must be given")
    if len(several) > 1:
        refuse("Inference pipelines of several containers are not available on this machine")
    container: Record = primary or several[0]
    if not container.get("Image"):
        refuse("Image is required in the container definition")
    if container.get("Mode", "SingleModel") != "SingleModel" or "ModelDataSource" in container:
        refuse("Only single models with a ModelDataUrl are available on this machine")
    return container
