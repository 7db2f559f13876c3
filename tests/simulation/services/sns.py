"""SNS: what was published."""

import json
from collections.abc import Mapping
from typing import Any

from simulation.services.refusal import RefusedError, only


class Sns:
    """The topics."""

    def __init__(self) -> None:
        self.published: list[dict[str, Any]] = []

    def publish(self, request: Mapping[str, Any]) -> dict[str, Any]:
        only(request, "TopicArn", "Subject", "Message", "MessageStructure", "MessageAttributes")
        if len(request.get("Subject", "")) >= 100:
            raise RefusedError("InvalidParameter", "Invalid parameter: Subject")
        if request.get("MessageStructure") == "json" and "default" not in json.loads(request["Message"]):
            raise RefusedError("InvalidParameter", "Invalid parameter: no default entry in JSON message body")
        self.published.append(dict(request))
        return {"MessageId": "1"}
