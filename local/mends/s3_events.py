"""S3's events on the event bus."""

from __future__ import annotations

import contextvars
import json
from typing import Any

from ministack.services import eventbridge, s3

_version_id: contextvars.ContextVar[str | None] = contextvars.ContextVar("s3_version_id", default=None)


def install() -> None:
    """Puts the mends of this module in place."""
    name_the_version()


def name_the_version() -> None:
    """Events about versioned objects lack `detail.object.version-id`."""
    fire, dispatch = s3._fire_s3_event, eventbridge._dispatch_event

    def fire_event(*arguments: Any, **named: Any) -> None:
        token = _version_id.set(named.get("version_id"))
        try:
            fire(*arguments, **named)
        finally:
            _version_id.reset(token)

    def dispatch_event(event: dict[str, Any], view: Any = None) -> None:
        version = _version_id.get()
        if version and event.get("Source") == "aws.s3":
            detail = json.loads(event["Detail"])
            detail["object"]["version-id"] = version
            event, view = {**event, "Detail": json.dumps(detail)}, None
        dispatch(event, view)

    s3._fire_s3_event, eventbridge._dispatch_event = fire_event, dispatch_event
