"""The CloudWatch alarms of models that serve."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nestbox.rules.endpoint_alarms import alarm_names, alarm_requests

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient


class EndpointAlarms:
    """CloudWatch, as far as endpoints go; ``actions`` are the ARNs that are told of alarms."""

    def __init__(self, client: "CloudWatchClient", max_latency_ms: int, actions: Sequence[str]) -> None:
        self._client = client
        self._max_latency_ms = max_latency_ms
        self._actions = actions

    def renew(self, run: str) -> None:
        """Make the run's alarms, with no memory of an earlier time that its model served."""
        # An alarm that is written again keeps its state, so it is deleted first.
        self.delete(run)
        for request in alarm_requests(run, self._max_latency_ms, self._actions):
            self._client.put_metric_alarm(**request)

    def firing(self, run: str) -> list[str]:
        """Why those of the run's alarms that are in ALARM are so."""
        answer = self._client.describe_alarms(AlarmNames=alarm_names(run))
        return [
            f"{alarm['AlarmName']} ({alarm.get('StateReason', 'no reason given')})"
            for alarm in answer["MetricAlarms"]
            if alarm.get("StateValue") == "ALARM"
        ]

    def delete(self, run: str) -> None:
        """Delete the run's alarms; those that are gone already are fine."""
        self._client.delete_alarms(AlarmNames=alarm_names(run))
