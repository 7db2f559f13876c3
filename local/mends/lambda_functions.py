"""Properties of AWS::Lambda::Function that CloudFormation drops, code that is not there or does not start."""

from __future__ import annotations

from typing import Any

from ministack.services import lambda_svc
from ministack.services.cloudformation import provisioners

Properties = dict[str, Any]


def install() -> None:
    """Puts the mends of this module in place."""
    refuse_missing_code()
    keep_concurrency_and_dead_letters()
    log_why_a_function_cannot_start()


def refuse_missing_code() -> None:
    """A zip that is not in S3 still gives CREATE_COMPLETE, and a function that answers a canned text."""
    for kind, member in (("AWS::Lambda::Function", "Code"), ("AWS::Lambda::LayerVersion", "Content")):
        _check_code_of(provisioners._RESOURCE_HANDLERS[kind], member)


def keep_concurrency_and_dead_letters() -> None:
    """ReservedConcurrentExecutions and DeadLetterConfig have no effect from a template."""
    handler = provisioners._RESOURCE_HANDLERS["AWS::Lambda::Function"]
    create, update = handler["create"], handler["update"]

    def created(logical_id: str, properties: Properties, stack: str) -> Any:
        provisioned = create(logical_id, properties, stack)
        _apply(provisioned[0], properties)
        return provisioned

    def updated(name: str, old: Properties, new: Properties, *rest: Any) -> Any:
        provisioned = update(name, old, new, *rest)
        _apply(provisioned[0], new)
        return provisioned

    handler["create"], handler["update"] = created, updated


def log_why_a_function_cannot_start() -> None:
    """A function that cannot be imported leaves no word in its log, where Lambda writes the error."""
    original = lambda_svc._execute_function_warm

    def execute(function: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
        result: dict[str, Any] = original(function, event, request_id)
        told = result.get("body")
        if result.get("error") and not result.get("log") and isinstance(told, dict):
            result["log"] = f"[ERROR] {told.get('errorType')}: {told.get('errorMessage')}"
        return result

    lambda_svc._execute_function_warm = execute


def _apply(name: str, properties: Properties) -> None:
    function = lambda_svc._functions[name]
    reserved = properties.get("ReservedConcurrentExecutions")
    function["concurrency"] = None if reserved is None else int(reserved)
    if properties.get("DeadLetterConfig"):
        function["config"]["DeadLetterConfig"] = properties["DeadLetterConfig"]
    else:
        function["config"].pop("DeadLetterConfig", None)


def _check_code_of(handler: dict[str, Any], member: str) -> None:
    create, update = handler["create"], handler.get("update")

    def created(logical_id: str, properties: Properties, stack: str) -> Any:
        _require_code(properties.get(member) or {})
        return create(logical_id, properties, stack)

    def updated(identity: str, old: Properties, new: Properties, *rest: Any) -> Any:
        if old.get(member) != new.get(member):
            _require_code(new.get(member) or {})
        if update is None:
            raise AssertionError("only wrapped where there is an update")
        return update(identity, old, new, *rest)

    handler["create"] = created
    if update is not None:
        handler["update"] = updated


def _require_code(code: dict[str, Any]) -> None:
    bucket, key = code.get("S3Bucket"), code.get("S3Key")
    if not bucket or not key:
        return
    version = code.get("S3ObjectVersion")
    if lambda_svc._fetch_code_from_s3(bucket, key, version_id=version) is None:
        raise ValueError(
            "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key "
            f"does not exist. (s3://{bucket}/{key})"
        )
