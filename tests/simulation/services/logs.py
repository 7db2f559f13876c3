"""CloudWatch Logs: streams whose lines appear some time after they were written."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from simulation.services.paging import page_of
from simulation.services.refusal import RefusedError, only

if TYPE_CHECKING:
    from simulation.world import World

_LINES = 5
"""In one page of a stream."""

Line = tuple[float, int, str]
"""When it appears, its time in milliseconds, its text."""


class Logs:
    """The log groups."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._groups: dict[str, dict[str, list[Line]]] = {}

    def write(self, group: str, stream: str, text: str, *, lag: float = 0.0) -> None:
        """Write a line that appears ``lag`` seconds from now."""
        lines = self._groups.setdefault(group, {}).setdefault(stream, [])
        now = self._world.timeline.now
        lines.append((now + lag, int(self._world.timeline.moment.timestamp() * 1000), text))

    # -- operations

    def describe_log_streams(self, request: Mapping[str, Any]) -> dict[str, Any]:
        only(request, "logGroupName", "logStreamNamePrefix", "orderBy", "limit", "nextToken")
        if request["logGroupName"] not in self._groups:
            raise RefusedError("ResourceNotFoundException", "The specified log group does not exist.")
        prefix, now = request.get("logStreamNamePrefix", ""), self._world.timeline.now
        found = [
            {"logStreamName": name}
            for name, lines in sorted(self._groups[request["logGroupName"]].items())
            if name.startswith(prefix) and any(line[0] <= now for line in lines)
        ]
        page, token = page_of(found, request.get("nextToken"))
        return {"logStreams": list(page), **({"nextToken": token} if token else {})}

    def get_log_events(self, request: Mapping[str, Any]) -> dict[str, Any]:
        only(request, "logGroupName", "logStreamName", "startTime", "startFromHead", "limit", "nextToken")
        stream = self._groups.get(request["logGroupName"], {}).get(request["logStreamName"])
        if stream is None:
            raise RefusedError("ResourceNotFoundException", "The specified log stream does not exist.")
        now = self._world.timeline.now
        lines = [line for line in stream if line[0] <= now and line[1] >= request.get("startTime", 0)]
        begin = int(request.get("nextToken", "f/0").removeprefix("f/"))
        page = lines[begin : begin + _LINES]
        if not request.get("startFromHead"):
            page = lines[-request.get("limit", 10_000) :]
        return {
            "events": [{"timestamp": at, "message": text, "ingestionTime": at} for _shown, at, text in page],
            "nextForwardToken": f"f/{begin + len(page)}",
            "nextBackwardToken": "b/0",
        }
