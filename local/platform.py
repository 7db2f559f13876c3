"""What every service here shares: where the server listens, images, processes, logs, metrics, events, …."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from local.endpoint import Endpoint
from local.events import EventEmitter
from local.images import Images
from local.log_streams import LogShipper
from local.metrics import MetricShipper
from local.persistence.outbox import Outbox
from local.persistence.store import Store
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
    store: Store
    outbox: Outbox

    @classmethod
    def make(cls, port: int, images: Images, state: Path, store: Store) -> Platform:
        """A platform whose directories are below `state`/work, and whose services keep rows in `store`."""
        endpoint = Endpoint(port)
        outbox = Outbox(store)
        return cls(
            endpoint=endpoint,
            images=images,
            processes=Processes(),
            logs=LogShipper(endpoint),
            metrics=MetricShipper(endpoint),
            events=EventEmitter(outbox),
            scratch=Scratch(state / "work"),
            store=store,
            outbox=outbox,
        )
