"""FilterLogEvents in pages."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import cloudwatch_logs

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
_PAGE_EVENTS = 10_000
_PAGE_BYTES = 1 << 20
_EVENT_OVERHEAD = 26

Response = tuple[int, dict[str, str], bytes]


def install() -> None:
    """Puts the mends of this module in place."""
    page_filtered_events()


def page_filtered_events() -> None:
    """FilterLogEvents silently stops at its limit: it never answers with a nextToken."""
    original = cloudwatch_logs._filter_log_events

    def filter_log_events(data: dict[str, Any]) -> Response:
        token = data.get("nextToken")
        try:
            start = int(base64.b64decode(token)) if token else 0
        except (ValueError, binascii.Error):
            refusal: Response = error_response_json(
                "InvalidParameterException", "The specified nextToken is invalid.", 400
            )
            return refusal
        group = cloudwatch_logs._log_groups.get(cloudwatch_logs._resolve_log_group_name(data))
        if group is None:
            answer: Response = original(data)
            return answer
        found = _matching(group, data)
        limit = min(int(data.get("limit") or _PAGE_EVENTS), _PAGE_EVENTS)
        page: list[dict[str, Any]] = []
        size = 0
        for event in found[start : start + limit]:
            size += len(event["message"].encode()) + _EVENT_OVERHEAD
            if page and size > _PAGE_BYTES:
                break
            page.append(event)
        following = start + len(page)
        document: dict[str, Any] = {"events": page, "searchedLogStreams": []}
        if following < len(found):
            document["nextToken"] = base64.b64encode(str(following).encode()).decode()
        return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(document).encode()

    cloudwatch_logs._filter_log_events = filter_log_events


def _matching(group: dict[str, Any], data: dict[str, Any]) -> list[dict[str, Any]]:
    """Every event that the request selects, in the order of time."""
    matches = cloudwatch_logs._compile_filter_pattern(data.get("filterPattern", ""))
    start, end = data.get("startTime"), data.get("endTime")
    prefix, names = data.get("logStreamNamePrefix", ""), data.get("logStreamNames")
    found = []
    with cloudwatch_logs._log_events_lock:
        for name, stream in group["streams"].items():
            if (names and name not in names) or not name.startswith(prefix):
                continue
            found += [
                {**event, "logStreamName": name}
                for event in stream["events"]
                if (start is None or event["timestamp"] >= start)
                and (end is None or event["timestamp"] <= end)
                and matches(event["message"])
            ]
    found.sort(key=lambda event: (event["timestamp"], event["ingestionTime"]))
    return found
