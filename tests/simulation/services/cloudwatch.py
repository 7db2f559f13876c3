"""CloudWatch: alarms, one of which may ring while a new model bakes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from simulation.services.refusal import only

if TYPE_CHECKING:
    from simulation.world import World


class CloudWatch:
    """The alarms."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.alarms: dict[str, str] = {}
        """Name to state."""

    def put_metric_alarm(self, request: Mapping[str, Any]) -> dict[str, Any]:
        # An alarm that is written again keeps its state.
        self.alarms.setdefault(request["AlarmName"], "INSUFFICIENT_DATA")
        return {}

    def describe_alarms(self, request: Mapping[str, Any]) -> dict[str, Any]:
        only(request, "AlarmNames")
        world = self._world
        for name in request["AlarmNames"]:
            if name in self.alarms and world.mishap("alarm rings", world.chance.numbered(world.alias(name))):
                self.alarms[name] = "ALARM"
        return {
            "MetricAlarms": [
                {"AlarmName": name, "StateValue": self.alarms[name], "StateReason": "threshold crossed"}
                for name in request["AlarmNames"]
                if name in self.alarms
            ]
        }

    def delete_alarms(self, request: Mapping[str, Any]) -> dict[str, Any]:
        only(request, "AlarmNames")
        for name in request["AlarmNames"]:
            self.alarms.pop(name, None)
        return {}
