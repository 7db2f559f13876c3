"""What every service here shares: where the server listens, images, processes, logs, metrics, events, …."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from local.endpoint import Endpoint
from local.events import EventEmitter
from local.images import Images
from local.log_streams import LogShipper
from local.metrics import MetricShipper
from local.processes import Processes
from local.scratch import Scratch


@dataclass(frozen=True)
class Platform:
    """The machine under the services."""

    endpoint: Endpoint
    images: Images
    processes: Processes
    logs: LogShipper
    metrics: MetricShipper
    events: EventEmitter
    scratch: Scratch

    @classmethod
    def make(cls, port: int, images: Images, state: Path) -> Platform:
        """A platform whose directories are below `state`/work."""
        endpoint = Endpoint(port)
        return cls(
            endpoint=endpoint,
            images=images,
            processes=Processes(),
            logs=LogShipper(endpoint),
            metrics=MetricShipper(endpoint),
            events=EventEmitter(),
            scratch=Scratch(state / "work"),
        )
