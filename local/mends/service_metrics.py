"""Metrics that AWS makes by itself (queues, functions, REST APIs, lines in the embedded metric format), and
alarms that are evaluated as time passes.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ministack.services import apigateway_v1, cloudwatch, lambda_svc, sqs

from local.scope import Scope

logger = logging.getLogger("local.metrics")

EVERY_SECONDS = 5.0
"""How often queues are counted and alarms evaluated. (AWS does both once a minute.)"""


def install() -> None:
    """Puts the mends of this module in place."""
    read_embedded_metrics()
    measure_functions()
    measure_rest_apis()
    threading.Thread(target=_watch, daemon=True, name="local-alarms").start()


def read_embedded_metrics() -> None:
    """What functions log in the embedded metric format never becomes metrics.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    original = lambda_svc._emit_lambda_logs

    def emit(func: dict[str, Any], request_id: str, log_text: str, *rest: Any, **named: Any) -> None:
        original(func, request_id, log_text, *rest, **named)
        for line in (log_text or "").splitlines():
            if '"_aws"' in line:
                for namespace, name, value, unit, dimensions in embedded_metrics(line):
                    cloudwatch.record_metric(namespace, name, value, unit, dimensions)

    lambda_svc._emit_lambda_logs = emit


def embedded_metrics(line: str) -> Iterator[tuple[str, str, float, str, dict[str, str]]]:
    """Namespace, name, value, unit and dimensions of each value in a line of this format; else nothing."""
    try:
        document = json.loads(line)
        directives = document["_aws"]["CloudWatchMetrics"]
    except (ValueError, KeyError, TypeError):
        return
    for directive in directives:
        for names in directive.get("Dimensions") or [[]]:
            dimensions = {name: str(document[name]) for name in names if name in document}
            for metric in directive.get("Metrics", []):
                values = document.get(metric["Name"], [])
                for value in values if isinstance(values, list) else [values]:
                    unit = metric.get("Unit", "None")
                    yield directive["Namespace"], metric["Name"], float(value), unit, dimensions


def measure_functions() -> None:
    """Only calls of Invoke are measured: errors of functions that queues, streams, schedules or REST APIs
    call set off no alarm. Every execution ends in writing its log, so that is where all are counted.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    """
    log = lambda_svc._emit_lambda_logs

    def emit(
        func: dict[str, Any], request_id: str, log_text: str, error: bool, duration_ms: int, **named: Any
    ) -> None:
        log(func, request_id, log_text, error, duration_ms, **named)
        dimensions = {"FunctionName": str((func.get("config") or func).get("FunctionName", "unknown"))}
        for name, value, unit in (
            ("Invocations", 1, "Count"),
            ("Errors", int(error), "Count"),
            ("Duration", duration_ms, "Milliseconds"),
        ):
            cloudwatch.record_metric("AWS/Lambda", name, value, unit, dimensions)

    def throttled(function_name: str, duration_ms: float, error: bool, throttle: bool) -> None:  # noqa: ARG001
        if throttle:
            cloudwatch.record_metric("AWS/Lambda", "Throttles", 1, "Count", {"FunctionName": function_name})

    lambda_svc._emit_lambda_logs = emit
    lambda_svc._emit_lambda_metrics = throttled


def measure_rest_apis() -> None:
    """Calls of REST APIs are not measured, so alarms on 5XXError never see one."""
    original = apigateway_v1._handle_execute_in_scope

    async def execute(api_id: str, stage: str, *rest: Any) -> Any:
        began = time.monotonic()
        answer = await original(api_id, stage, *rest)
        api: Mapping[str, Any] = apigateway_v1._rest_apis.get(api_id) or {}
        dimensions = {"ApiName": str(api.get("name", api_id)), "Stage": stage}
        status, took = int(answer[0]), (time.monotonic() - began) * 1000
        for name, value, unit in (
            ("Count", 1, "Count"),
            ("4XXError", int(400 <= status < 500), "Count"),
            ("5XXError", int(status >= 500), "Count"),
            ("Latency", took, "Milliseconds"),
        ):
            cloudwatch.record_metric("AWS/ApiGateway", name, value, unit, dimensions)
        return answer

    apigateway_v1._handle_execute_in_scope = execute


def _watch() -> None:
    """Counts the messages of queues, which nobody does, and evaluates alarms, which MiniStack does only when
    data are put: one on missing data would never go off, and none would ever come back to OK.
    """
    filled: set[tuple[Scope, str]] = set()
    while True:
        time.sleep(EVERY_SECONDS)
        try:
            filled = _count_messages(filled)
            for scope in {
                Scope(account, region) for (account, region, _), _ in list(cloudwatch._alarms.all_items())
            }:
                with scope.pinned():
                    for alarm in list(cloudwatch._alarms.values()):
                        cloudwatch._evaluate_alarm(alarm)
        except RuntimeError as error:
            # A request changed one of the dictionaries meanwhile; the next round sees it whole.
            logger.debug("alarms: %s", error)


def _count_messages(filled: set[tuple[Scope, str]]) -> set[tuple[Scope, str]]:
    """Measures the queues that hold messages, and once more those that did; returns the former."""
    now = time.time()
    with sqs._queues_lock:
        counts = {
            (Scope(account, region), queue["name"]): (
                sum(1 for message in queue["messages"] if message.get("visible_at", 0) <= now),
                len(queue["messages"]),
            )
            for (account, region, _), queue in sqs._queues.all_items()
            if queue["messages"] or (Scope(account, region), queue["name"]) in filled
        }
    for (scope, name), (visible, _) in counts.items():
        with scope.pinned():
            cloudwatch.record_metric(
                "AWS/SQS", "ApproximateNumberOfMessagesVisible", visible, "Count", {"QueueName": name}
            )
    return {key for key, (_, held) in counts.items() if held}
