"""Job definitions: revisions, what Fargate allows, and the container that a submission makes of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from local.batch.names import check_name, name_in, refuse_request
from local.pages import page
from local.scope import Scope

Record = dict[str, Any]

# https://docs.aws.amazon.com/batch/latest/APIReference/API_ResourceRequirement.html (MiB for each vCPU count)
_FARGATE_MEMORY: dict[float, range | tuple[int, ...]] = {
    0.25: (512, 1024, 2048),
    0.5: range(1024, 4096 + 1, 1024),
    1: range(2048, 8192 + 1, 1024),
    2: range(4096, 16384 + 1, 1024),
    4: range(8192, 30720 + 1, 1024),
    8: range(16384, 61440 + 1, 4096),
    16: range(32768, 122880 + 1, 8192),
}
_MAX_ATTEMPTS = 10
_MAX_RETRY_RULES = 5
_MIN_TIMEOUT_SECONDS = 60
# https://docs.aws.amazon.com/batch/latest/APIReference/API_EvaluateOnExit.html
_PATTERNS = {
    "onExitCode": re.compile(r"[0-9]*\*?"),
    "onReason": re.compile(r"[A-Za-z0-9.:\s]*\*?"),
    "onStatusReason": re.compile(r"[A-Za-z0-9.:\s]*\*?"),
}


class JobDefinitions:
    """The job definitions of one scope. The caller holds the service's lock."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._revisions: dict[str, list[Record]] = {}

    def records(self) -> dict[str, list[Record]]:
        """Every revision by name."""
        return self._revisions

    def restore(self, revisions: dict[str, list[Record]]) -> None:
        """Puts back what `records` gave."""
        self._revisions = revisions

    def register(self, request: Mapping[str, Any]) -> Record:
        """RegisterJobDefinition: revision 1, or one more than the last."""
        name = request["jobDefinitionName"]
        check_name(name, "jobDefinitionName")
        container = request.get("containerProperties")
        if request["type"] != "container" or container is None:
            refuse_request("the AWS on this machine runs job definitions of type container only")
        capabilities = request.get("platformCapabilities") or ["EC2"]
        check_container(container, fargate="FARGATE" in capabilities)
        check_retries(request.get("retryStrategy"))
        check_timeout(request.get("timeout"))
        revisions = self._revisions.setdefault(name, [])
        revision = len(revisions) + 1
        arn = self._scope.arn("batch", f"job-definition/{name}:{revision}")
        revisions.append(
            {
                "jobDefinitionName": name,
                "jobDefinitionArn": arn,
                "revision": revision,
                "status": "ACTIVE",
                "type": request["type"],
                "parameters": dict(request.get("parameters", {})),
                "containerProperties": container,
                "retryStrategy": request.get("retryStrategy"),
                "timeout": request.get("timeout"),
                "propagateTags": request.get("propagateTags", False),
                "platformCapabilities": capabilities,
                "tags": dict(request.get("tags", {})),
                "containerOrchestrationType": "ECS",
            }
        )
        return {"jobDefinitionName": name, "jobDefinitionArn": arn, "revision": revision}

    def deregister(self, request: Mapping[str, Any]) -> Record:
        """DeregisterJobDefinition: needs the revision; running jobs go on."""
        reference = request["jobDefinition"]
        if ":" not in name_in(reference, "job-definition", self._scope):
            refuse_request(f"{reference}: the revision is missing (name:revision)")
        self.find(reference, active=False)["status"] = "INACTIVE"
        return {}

    def describe(self, request: Mapping[str, Any]) -> Record:
        """DescribeJobDefinitions by references, name and status; newest revision first."""
        definitions = [d for revisions in self._revisions.values() for d in reversed(revisions)]
        if references := request.get("jobDefinitions"):
            names = [name_in(r, "job-definition", self._scope) for r in references]
            definitions = [
                d
                for d in definitions
                if d["jobDefinitionName"] in names or f"{d['jobDefinitionName']}:{d['revision']}" in names
            ]
        elif name := request.get("jobDefinitionName"):
            definitions = [d for d in definitions if d["jobDefinitionName"] == name]
        if status := request.get("status"):
            definitions = [d for d in definitions if d["status"] == status]
        found, token = page(definitions, request.get("maxResults", 100), request.get("nextToken"))
        return {"jobDefinitions": found, "nextToken": token}

    def find(self, reference: str, active: bool = True) -> Record:
        """The definition of `name`, `name:revision` or an ARN; the newest active revision of a bare name."""
        name, _, revision = name_in(reference, "job-definition", self._scope).partition(":")
        for definition in reversed(self._revisions.get(name, [])):
            if revision and str(definition["revision"]) != revision:
                continue
            if active and definition["status"] != "ACTIVE":
                continue
            return definition
        return refuse_request(f"JobDefinition {reference} not found or not ACTIVE")

    def newest_revision(self, name: str) -> int:
        """The newest active revision, or 1 where there is none."""
        active = [d["revision"] for d in self._revisions.get(name, []) if d["status"] == "ACTIVE"]
        return max(active, default=1)

    def tagged(self) -> dict[str, Record]:
        """ARN → record."""
        return {d["jobDefinitionArn"]: d for revisions in self._revisions.values() for d in revisions}


def check_container(container: Mapping[str, Any], *, fargate: bool) -> None:
    """Refuses container properties that Batch refuses when a definition is registered."""
    if not container.get("image"):
        refuse_request("Container properties: image is required")
    needs = {need["type"]: need["value"] for need in container.get("resourceRequirements", [])}
    vcpus = float(needs.get("VCPU", container.get("vcpus", 0)))
    memory = int(needs.get("MEMORY", container.get("memory", 0)))
    if not vcpus or not memory:
        refuse_request("Container properties: resourceRequirements must hold VCPU and MEMORY")
    for variable in container.get("environment", []):
        if str(variable.get("name", "")).startswith("AWS_BATCH"):
            refuse_request("Environment variables must not start with AWS_BATCH; this naming is reserved")
    if not fargate:
        return
    if not container.get("executionRoleArn"):
        refuse_request("Container properties: executionRoleArn is required for Fargate jobs")
    if memory not in _FARGATE_MEMORY.get(vcpus, ()):
        refuse_request(
            f"Fargate resource requirements (vcpu={vcpus:g}, memory={memory}) is not a valid combination"
        )
    for member in ("instanceType", "vcpus", "memory", "privileged", "ulimits"):
        if member in container:
            refuse_request(f"Container properties: {member} is not applicable to jobs on Fargate")


def check_retries(strategy: Mapping[str, Any] | None) -> None:
    """Refuses a retry strategy outside Batch's limits."""
    if not strategy:
        return
    rules = strategy.get("evaluateOnExit") or []
    attempts = strategy.get("attempts")
    if attempts is not None and not 1 <= attempts <= _MAX_ATTEMPTS:
        refuse_request(f"retryStrategy.attempts must be between 1 and {_MAX_ATTEMPTS}, got {attempts}")
    if rules and attempts is None:
        refuse_request("retryStrategy.evaluateOnExit needs retryStrategy.attempts")
    if len(rules) > _MAX_RETRY_RULES:
        refuse_request(f"retryStrategy.evaluateOnExit holds at most {_MAX_RETRY_RULES} conditions")
    for rule in rules:
        if str(rule["action"]).upper() not in ("RETRY", "EXIT"):
            refuse_request(f"evaluateOnExit.action must be RETRY or EXIT, got {rule['action']}")
        if not any(rule.get(on) for on in _PATTERNS):
            refuse_request("evaluateOnExit needs one of onStatusReason, onReason, onExitCode")
        for on, allowed in _PATTERNS.items():
            if not allowed.fullmatch(rule.get(on) or ""):
                refuse_request(f"evaluateOnExit.{on} is not a valid pattern: {rule[on]}")


def check_timeout(timeout: Mapping[str, Any] | None) -> None:
    """Refuses a timeout under a minute."""
    if timeout and timeout.get("attemptDurationSeconds", _MIN_TIMEOUT_SECONDS) < _MIN_TIMEOUT_SECONDS:
        refuse_request(
            f"timeout.attemptDurationSeconds must be at least {_MIN_TIMEOUT_SECONDS}, "
            f"got {timeout['attemptDurationSeconds']}"
        )


def should_retry(
    strategy: Mapping[str, Any] | None, attempt: int, status_reason: str, reason: str, exit_code: int | None
) -> bool:
    """Whether a failed attempt (1-based) is followed by another.

    Without a matching rule Batch retries; a rule matches when each of its patterns (`*` at the end) does.
    https://docs.aws.amazon.com/batch/latest/userguide/job_retries.html
    """
    if not strategy or attempt >= strategy.get("attempts", 1):
        return False
    seen = {
        "onStatusReason": status_reason,
        "onReason": reason,
        "onExitCode": "" if exit_code is None else str(exit_code),
    }
    for rule in strategy.get("evaluateOnExit") or []:
        if all(_matches(rule[on], value) for on, value in seen.items() if rule.get(on)):
            return str(rule["action"]).upper() == "RETRY"
    return True


def _matches(pattern: str, value: str) -> bool:
    if pattern.endswith("*"):
        return value.lower().startswith(pattern[:-1].lower())
    return value.lower() == pattern.lower()
