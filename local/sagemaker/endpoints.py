"""Endpoints: create, blue/green update with rollback, invoke, delete."""

from __future__ import annotations

import logging
import random
import re
import threading
import time
from collections.abc import Mapping
from typing import Any

from ministack.services import cloudwatch

from local.errors import AwsError, ImagePullError, RoleError, TransferError
from local.platform import Platform
from local.sagemaker.containers import Answer
from local.sagemaker.endpoint_metrics import invocation_metrics
from local.sagemaker.models import EndpointConfigs, Models
from local.sagemaker.resources import Record, arn_of, event_detail, listed, now, refuse
from local.sagemaker.serving import INVOCATION_SECONDS, Container, Fleet
from local.scope import Scope

logger = logging.getLogger("local.sagemaker.endpoints")

# A day; SageMaker's longest bake is an hour for each shift.
_MAX_WAIT_SECONDS = 3600


class Endpoint:
    """One endpoint: its description, and the fleets its traffic goes to with their shares."""

    def __init__(self, record: Record, tags: list[dict[str, str]]) -> None:
        self.record = record
        self.tags = tags
        self.traffic: list[tuple[Fleet, float]] = []
        self.pending: Fleet | None = None
        self.deployment_started = now()
        self.deleted = threading.Event()

    @property
    def name(self) -> str:
        return str(self.record["EndpointName"])

    @property
    def status(self) -> str:
        return str(self.record["EndpointStatus"])

    @property
    def serving(self) -> Fleet | None:
        """The fleet of the configuration in service."""
        return self.traffic[0][0] if self.traffic else None


class Endpoints:
    """The endpoints of one scope."""

    def __init__(self, scope: Scope, platform: Platform, models: Models, configs: EndpointConfigs) -> None:
        self._scope = scope
        self._platform = platform
        self._models = models
        self._configs = configs
        self._endpoints: dict[str, Endpoint] = {}
        self._deployments = 0
        self._lock = threading.RLock()

    def create(self, request: Record) -> Record:
        """CreateEndpoint."""
        name = request["EndpointName"]
        arn = arn_of(self._scope, "endpoint", name)
        with self._lock:
            if name in self._endpoints:
                refuse(f'Cannot create already existing endpoint "{arn}".')
            config = self._configs.find(request["EndpointConfigName"])
            _check_deployment(request.get("DeploymentConfig"))
            record = {
                "EndpointName": name,
                "EndpointArn": arn,
                "EndpointConfigName": config["EndpointConfigName"],
                "CreationTime": now(),
                "LastDeploymentConfig": request.get("DeploymentConfig"),
            }
            endpoint = Endpoint(record, list(request.get("Tags") or []))
            self._endpoints[name] = endpoint
            self._enter(endpoint, "Creating")
        self._start(self._bring_up, endpoint, dict(config))
        return {"EndpointArn": arn}

    def update(self, request: Record) -> Record:
        """UpdateEndpoint: the new fleet must be healthy before the old one goes."""
        with self._lock:
            endpoint = self._find(request["EndpointName"])
            arn = endpoint.record["EndpointArn"]
            if endpoint.status not in ("InService", "Failed"):
                refuse(f'Cannot update in-progress endpoint "{arn}".')
            if endpoint.status == "Failed":
                refuse(f'Cannot update endpoint "{arn}" in status Failed: delete it and create it again.')
            config = self._configs.find(request["EndpointConfigName"])
            _check_deployment(request.get("DeploymentConfig"))
            deployment = request.get("DeploymentConfig")
            if request.get("RetainDeploymentConfig"):
                deployment = endpoint.record.get("LastDeploymentConfig")
            if deployment and endpoint.serving is not None:
                _check_variants(endpoint.serving, config)
                with self._scope.pinned():
                    _check_alarms(deployment)
            endpoint.record["LastDeploymentConfig"] = deployment
            endpoint.record.pop("FailureReason", None)
            self._enter(endpoint, "Updating")
        self._start(self._replace, endpoint, dict(config), deployment or {})
        return {"EndpointArn": arn}

    def describe(self, request: Mapping[str, Any]) -> Record:
        """DescribeEndpoint."""
        with self._lock:
            endpoint = self._find(request["EndpointName"])
            record = dict(endpoint.record)
            if endpoint.serving is not None:
                record["ProductionVariants"] = endpoint.serving.describe()
            if endpoint.pending is not None and endpoint.status == "Updating":
                record["PendingDeploymentSummary"] = {
                    "EndpointConfigName": endpoint.pending.config_name,
                    "ProductionVariants": endpoint.pending.describe("Creating"),
                    "StartTime": endpoint.deployment_started,
                }
            return record

    def list_(self, request: Mapping[str, Any]) -> Record:
        """ListEndpoints."""
        members = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")
        with self._lock:
            summaries, token = listed(
                [endpoint.record for endpoint in self._endpoints.values()],
                request,
                name="EndpointName",
                status="EndpointStatus",
                summary=lambda record: {member: record[member] for member in members},
            )
        return {"Endpoints": summaries, "NextToken": token}

    def delete(self, request: Mapping[str, Any]) -> Record:
        """DeleteEndpoint: model and configuration stay."""
        with self._lock:
            endpoint = self._find(request["EndpointName"])
            if endpoint.status in ("Creating", "Updating", "Deleting", "RollingBack"):
                refuse(f'Cannot update in-progress endpoint "{endpoint.record["EndpointArn"]}".')
            endpoint.deleted.set()
            self._enter(endpoint, "Deleting")
        self._start(self._take_down, endpoint)
        return {}

    def invoke(self, request: Mapping[str, Any]) -> Record:
        """InvokeEndpoint: the request goes to a container as it is, and its answer comes back as it is."""
        started = time.monotonic()
        name = request["EndpointName"]
        with self._lock:
            endpoint = self._endpoints.get(name)
            traffic = list(endpoint.traffic) if endpoint is not None else []
        if endpoint is None or not traffic or endpoint.status in ("Creating", "Deleting", "Failed"):
            raise AwsError(
                "ValidationError", f"Endpoint {name} of account {self._scope.account} not found.", 400
            )
        fleet = random.choices([f for f, _ in traffic], [share for _, share in traffic])[0]
        wanted = request.get("TargetVariant")
        container = fleet.choose(wanted)
        if container is None:
            raise AwsError(
                "ValidationError", f"Variant {wanted or '(any)'} of endpoint {name} takes no requests.", 400
            )
        answer: Answer | None = None
        try:
            answer = self._ask(container, request)
        finally:
            total = round((time.monotonic() - started) * 1_000_000)
            status, model = (answer.status, answer.microseconds) if answer is not None else (0, None)
            self._platform.metrics.put(
                invocation_metrics(self._scope, name, container.name, status, model, total)
            )
        if not answer.ok:
            raise _model_error(container, answer.status, answer.body.decode("utf-8", errors="replace"))
        return {
            "Body": answer.body,
            "ContentType": answer.content_type,
            "InvokedProductionVariant": container.name,
        }

    def tags(self, arn: str) -> list[dict[str, str]] | None:
        """The tags of the endpoint with this ARN."""
        with self._lock:
            return next((e.tags for e in self._endpoints.values() if e.record["EndpointArn"] == arn), None)

    def _ask(self, container: Container, request: Mapping[str, Any]) -> Answer:
        headers = {"Content-Type": request.get("ContentType") or "application/octet-stream"}
        if "Accept" in request:
            headers["Accept"] = request["Accept"]
        if "CustomAttributes" in request:
            headers["X-Amzn-SageMaker-Custom-Attributes"] = request["CustomAttributes"]
        try:
            return container.invoke(request.get("Body", b""), headers, INVOCATION_SECONDS)
        except TransferError as error:
            logger.info("%s does not answer: %s", container.name, error)
            raise _model_error(
                container,
                0,
                "Your invocation timed out while waiting for a response from container primary. Review the "
                "latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again.",
            ) from error

    def _bring_up(self, endpoint: Endpoint, config: Record) -> None:
        fleet, problem = self._launch(endpoint, config)
        with self._lock:
            if problem is None and fleet is not None:
                endpoint.traffic = [(fleet, 1.0)]
                self._enter(endpoint, "InService")
                return
            endpoint.record["FailureReason"] = problem
            self._enter(endpoint, "Failed")
        if fleet is not None:
            fleet.stop()

    def _replace(self, endpoint: Endpoint, config: Record, deployment: Record) -> None:
        old = endpoint.serving
        endpoint.deployment_started = now()
        fleet, problem = self._launch(endpoint, config)
        if problem is None and fleet is not None and old is not None:
            problem = self._shift(endpoint, old, fleet, deployment)
        with self._lock:
            endpoint.pending = None
            if problem is None and fleet is not None:
                endpoint.traffic = [(fleet, 1.0)]
                endpoint.record["EndpointConfigName"] = config["EndpointConfigName"]
                self._enter(endpoint, "InService")
            else:
                logger.info("update of %s is rolled back: %s", endpoint.name, problem)
                self._enter(endpoint, "RollingBack")
                if old is not None:
                    endpoint.traffic = [(old, 1.0)]
                endpoint.record["FailureReason"] = problem
                self._enter(endpoint, "InService")
        leaving = old if problem is None else fleet
        if leaving is not None:
            leaving.stop()

    def _shift(self, endpoint: Endpoint, old: Fleet, new: Fleet, deployment: Record) -> str | None:
        """Moves traffic to the new fleet as the policy says; the reason when an alarm fires."""
        policy = deployment.get("BlueGreenUpdatePolicy") or {}
        routing = policy.get("TrafficRoutingConfiguration") or {"Type": "ALL_AT_ONCE"}
        alarms = [
            alarm["AlarmName"]
            for alarm in (deployment.get("AutoRollbackConfiguration") or {}).get("Alarms", [])
        ]
        for share in _shares(routing, old):
            with self._lock:
                endpoint.traffic = [(old, 1.0 - share), (new, share)]
            if fired := self._bake(endpoint, routing.get("WaitIntervalInSeconds", 0), alarms):
                return fired
        return self._bake(endpoint, policy.get("TerminationWaitInSeconds", 0), alarms)

    def _bake(self, endpoint: Endpoint, seconds: float, alarms: list[str]) -> str | None:
        deadline = time.monotonic() + min(seconds, _MAX_WAIT_SECONDS)
        while True:
            with self._scope.pinned():
                fired = [name for name in alarms if _alarm_state(name) == "ALARM"]
            if fired:
                return f"One or more configured alarm(s) have gone into 'ALARM' state: {fired}"
            left = deadline - time.monotonic()
            if left <= 0 or endpoint.deleted.wait(min(left, 1.0)):
                return None

    def _launch(self, endpoint: Endpoint, config: Record) -> tuple[Fleet | None, str | None]:
        """Starts the containers of a configuration: (the fleet so far, why it is not healthy)."""
        containers: list[Container] = []
        fleet = Fleet(config["EndpointConfigName"], containers)
        with self._lock:
            self._deployments += 1
            number = self._deployments
        try:
            for variant in config["ProductionVariants"]:
                directory = self._platform.scratch.make(
                    "endpoints", f"{endpoint.name}-{number}-{variant['VariantName']}"
                )
                model = self._models.find(variant["ModelName"])
                containers.append(
                    Container(self._scope, self._platform, endpoint.name, variant, model, directory)
                )
            with self._lock:
                endpoint.pending = fleet
            for container in containers:
                container.start()
            for container in containers:
                if problem := container.wait_until_healthy(endpoint.deleted):
                    return fleet, problem
        except (TransferError, RoleError, ImagePullError, AwsError) as error:
            return fleet, str(error)
        return fleet, None

    def _take_down(self, endpoint: Endpoint) -> None:
        for fleet, _ in endpoint.traffic:
            fleet.stop()
        with self._lock:
            del self._endpoints[endpoint.name]

    def _start(self, work: Any, endpoint: Endpoint, *arguments: Any) -> None:
        def run() -> None:
            try:
                work(endpoint, *arguments)
            except Exception as error:
                logger.exception("endpoint %s", endpoint.name)
                with self._lock:
                    endpoint.record["FailureReason"] = f"the AWS on this machine failed: {error}"
                    self._enter(endpoint, "Failed")

        threading.Thread(target=run, daemon=True, name=f"local-endpoint-{endpoint.name}").start()

    def _find(self, name: str) -> Endpoint:
        arn = arn_of(self._scope, "endpoint", name)
        return self._endpoints.get(name) or refuse(f'Could not find endpoint "{arn}".')

    def _enter(self, endpoint: Endpoint, status: str) -> None:
        endpoint.record["EndpointStatus"] = status
        endpoint.record["LastModifiedTime"] = now()
        detail = event_detail(endpoint.record, endpoint.tags)
        # The API says InService, the event says IN_SERVICE.
        detail["EndpointStatus"] = re.sub(r"(?<!^)(?=[A-Z])", "_", status).upper()
        self._platform.events.emit(
            self._scope,
            "aws.sagemaker",
            "SageMaker Endpoint State Change",
            endpoint.record["EndpointArn"],
            detail,
        )


def _model_error(container: Container, status: int, message: str) -> AwsError:
    kind = "client" if 400 <= status < 500 else "server"
    return AwsError(
        "ModelError",
        f'Received {kind} error ({status}) from primary with message "{message}". See the log stream '
        f"{container.log_stream_arn} for more information.",
        424,
        {
            "OriginalStatusCode": status,
            "OriginalMessage": message,
            "LogStreamArn": container.log_stream_arn,
        },
    )


def _alarm_state(name: str) -> str | None:
    alarm = cloudwatch._alarms.get(name)
    return str(alarm["StateValue"]) if alarm else None


def _shares(routing: Mapping[str, Any], old: Fleet) -> list[float]:
    """The new fleet's share of the traffic after each shift."""
    kind = routing["Type"]
    if kind == "CANARY":
        return [_fraction(routing["CanarySize"], old), 1.0]
    if kind == "LINEAR":
        step = _fraction(routing["LinearStepSize"], old)
        shares = [step * count for count in range(1, int(1 / step) + 1)]
        return shares if shares[-1] >= 1.0 else [*shares, 1.0]
    return [1.0]


def _fraction(size: Mapping[str, Any], old: Fleet) -> float:
    if size["Type"] == "CAPACITY_PERCENT":
        return float(size["Value"]) / 100
    instances = sum(int(c.variant.get("InitialInstanceCount", 1)) for c in old.containers)
    return min(1.0, float(size["Value"]) / max(1, instances))


def _check_variants(old: Fleet, config: Mapping[str, Any]) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-exclusions.html"""
    before = {container.name for container in old.containers}
    after = {str(variant["VariantName"]) for variant in config["ProductionVariants"]}
    if before != after:
        refuse(
            f"A DeploymentConfig needs the same variant names in both configurations: {sorted(before)} "
            f"are in service, {sorted(after)} are in {config['EndpointConfigName']}"
        )


def _check_alarms(deployment: Mapping[str, Any]) -> None:
    alarms = (deployment.get("AutoRollbackConfiguration") or {}).get("Alarms", [])
    missing = [alarm["AlarmName"] for alarm in alarms if _alarm_state(alarm["AlarmName"]) is None]
    if missing:
        refuse(f"Could not find the CloudWatch alarms {missing} of the AutoRollbackConfiguration")


def _check_deployment(deployment: Mapping[str, Any] | None) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_TrafficRoutingConfig.html"""
    if not deployment:
        return
    if deployment.get("RollingUpdatePolicy"):
        refuse("Rolling updates are not available on this machine; use BlueGreenUpdatePolicy")
    policy = deployment.get("BlueGreenUpdatePolicy")
    if not policy:
        refuse("DeploymentConfig needs BlueGreenUpdatePolicy")
    routing = policy["TrafficRoutingConfiguration"]
    kind = routing["Type"]
    for needed, member in (("CANARY", "CanarySize"), ("LINEAR", "LinearStepSize")):
        if (kind == needed) != (member in routing):
            refuse(f"{member} goes with traffic routing of type {needed}")
    percents = {"CanarySize": (1, 50), "LinearStepSize": (10, 50)}
    for member, (low, high) in percents.items():
        size = routing.get(member)
        if size and size["Type"] == "CAPACITY_PERCENT" and not low <= size["Value"] <= high:
            refuse(f"{member} must be between {low} and {high} percent")
