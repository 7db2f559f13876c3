"""EventBridge: rules of the template match events and put them into queues."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from moto.events.models import EventPattern

from simulation.wiring import ACCOUNT, REGION, Rule

if TYPE_CHECKING:
    from simulation.world import World

LATEST = 240.0
"""Seconds that a late event takes at most."""


class Bus:
    """The default event bus."""

    def __init__(self, world: "World", rules: list[Rule]) -> None:
        self._world = world
        self._rules = [(rule, EventPattern(None, rule.pattern)) for rule in rules]
        self.put: list[dict[str, Any]] = []
        """What was put by callers."""

    def emit(
        self,
        source: str,
        detail_type: str,
        detail: Mapping[str, Any],
        about: str,
        *,
        loss: str | None = "lost",
    ) -> bool:
        """Tell of something; False where nobody is told. Each event may come late, or twice.

        ``loss`` is the kind of incident by which it gets lost, None where it does not. SageMaker and Batch
        deliver on a best effort; S3 "at least once", and yet what a person does to a rule or a queue loses
        events: docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-delivery-level.html
        """
        world = self._world
        event = {
            "version": "0",
            "id": "11111111-1111-1111-1111-111111111111",
            "detail-type": detail_type,
            "source": source,
            "account": ACCOUNT,
            "time": f"{world.timeline.moment:%Y-%m-%dT%H:%M:%SZ}",
            "region": REGION,
            "resources": [],
            "detail": dict(detail),
        }
        # Through JSON, as an event's times and numbers are what JSON has.
        body, told = json.dumps(event), True
        for rule, pattern in self._rules:
            if not pattern.matches_event(event):
                continue
            name = world.chance.numbered(f"event {about} for {rule.queue}")
            if loss is not None and world.mishap(loss, name):
                told = False
                continue
            for copy in range(2 if world.mishap("twice", name) else 1):
                delay = world.chance.between(f"{name} takes {copy}", 0.05, 1.0)
                if world.mishap("late", f"{name} copy {copy}"):
                    delay = world.chance.between(f"{name} is late by {copy}", 2.0, LATEST)
                world.timeline.after(delay, lambda queue=rule.queue: world.sqs.put(queue, body))  # type: ignore[misc]
        return told

    def put_events(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.put += request["Entries"]
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in request["Entries"]]}
