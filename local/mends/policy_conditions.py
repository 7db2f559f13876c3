"""What policies are matched against: condition keys and resource ARNs that MiniStack leaves out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from ministack import app
from ministack.core import iam_actions, iam_evaluator


def install() -> None:
    """Puts the mends of this module in place."""
    take_loopback_for_secure()
    name_the_metric_namespace()
    name_the_log_stream()
    name_the_alarms()


def take_loopback_for_secure() -> None:
    """Buckets refuse requests without TLS (`aws:SecureTransport`), and no TLS is spoken on 127.0.0.1.

    What does not leave the machine counts as protected; the policy itself stays as it is on AWS.
    """

    def pin_request_origin(source_ip: str, secure_transport: bool) -> None:
        loopback = source_ip in ("127.0.0.1", "::1")
        iam_evaluator.pin_request_origin(source_ip, secure_transport or loopback)

    app.pin_request_origin = pin_request_origin


def name_the_metric_namespace() -> None:
    """`cloudwatch:namespace` is unknown, so a role that may put metrics of one namespace may put none."""
    original = iam_actions.request_tag_context

    def request_context(service: str, action: str, body: bytes, params: Mapping[str, Any]) -> dict[str, Any]:
        context: dict[str, Any] = original(service, action, body, params)
        if action == "cloudwatch:PutMetricData" and (namespace := metric_namespace(body)):
            context["cloudwatch:namespace"] = namespace
        return context

    iam_actions.request_tag_context = request_context


def metric_namespace(body: bytes) -> str | None:
    """The namespace of a PutMetricData request, in JSON or as a query."""
    if body[:1] != b"{":
        return parse_qs(body.decode(errors="replace")).get("Namespace", [None])[0]
    namespace = json.loads(body).get("Namespace")
    return namespace if isinstance(namespace, str) else None


def name_the_log_stream() -> None:
    """Logs actions are matched against the bare group, so a policy on `log-group:NAME:*` allows nothing.

    AWS matches them against `log-group:NAME:log-stream:STREAM`, where STREAM may be empty.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html
    """
    extract, context_of = iam_actions.extract_resource_arn, iam_actions.logs_service_context

    def extract_resource_arn(
        service: str, method: str, path: str, headers: Mapping[str, str], body: bytes, *rest: Any
    ) -> str:
        arn: str = extract(service, method, path, headers, body, *rest)
        if service != "logs" or ":log-group:" not in arn or "Tag" in headers.get("x-amz-target", ""):
            return arn
        try:
            stream = json.loads(body).get("logStreamName") or ""
        except ValueError:
            stream = ""
        return f"{arn.removesuffix(':*')}:log-stream:{stream}"

    def logs_service_context(
        action: str, body: bytes, resource_arn: str, region: str, account_id: str
    ) -> dict[str, Any]:
        group = resource_arn.partition(":log-stream:")[0]
        context: dict[str, Any] = context_of(action, body, group, region, account_id)
        return context

    iam_actions.extract_resource_arn = extract_resource_arn
    iam_actions.logs_service_context = logs_service_context


def name_the_alarms() -> None:
    """Calls that name several alarms are matched against no alarm, so a role that may touch some may none.

    AWS matches every alarm that is named; this matches the first.
    """
    extract = iam_actions.extract_resource_arn

    def extract_resource_arn(
        service: str,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        params: Mapping[str, Any],
        region: str,
        account: str,
    ) -> str:
        arn: str = extract(service, method, path, headers, body, params, region, account)
        alarm = first_alarm(body) if service == "monitoring" and arn == "*" else None
        return f"arn:aws:cloudwatch:{region}:{account}:alarm:{alarm}" if alarm else arn

    iam_actions.extract_resource_arn = extract_resource_arn


def first_alarm(body: bytes) -> str | None:
    """The first of the alarms that a request names, in JSON or as a query; None where it names none."""
    if body[:1] != b"{":
        return parse_qs(body.decode(errors="replace")).get("AlarmNames.member.1", [None])[0]
    names = json.loads(body).get("AlarmNames") or [None]
    return names[0] if isinstance(names[0], str) else None
