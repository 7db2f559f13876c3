"""Gathers the metrics of jobs and endpoints, and puts them into CloudWatch once a second."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.endpoint import Endpoint

logger = logging.getLogger("local.metrics")

_COLLECT_SECONDS = 1.0
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html
_MAX_VALUES = 150
_MAX_DATA = 1_000


@dataclass(frozen=True)
class Metric:
    """One metric: what a value is a value of."""

    region: str
    namespace: str
    name: str
    unit: str
    dimensions: tuple[tuple[str, str], ...]


class MetricShipper:
    """Counts values as they come, which takes microseconds; one thread sends them on.

    Values of the same second are sent as (value, how often), so sums, extremes and percentiles stay exact.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._pending: dict[tuple[Metric, int], Counter[float]] = defaultdict(Counter)
        self._lock = threading.Lock()
        self._some = threading.Event()
        self._clients: dict[str, Any] = {}
        threading.Thread(target=self._run, daemon=True, name="local-metrics").start()

    def put(self, values: Mapping[Metric, float]) -> None:
        """Adds one value to each of these metrics, stamped now."""
        second = int(time.time())
        with self._lock:
            for metric, value in values.items():
                self._pending[metric, second][value] += 1
        self._some.set()

    def _run(self) -> None:
        while True:
            self._some.wait()
            time.sleep(_COLLECT_SECONDS)
            self._some.clear()
            with self._lock:
                pending, self._pending = self._pending, defaultdict(Counter)
            places: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
            for (metric, second), values in pending.items():
                places[metric.region, metric.namespace] += data(metric, second, values)
            for (region, namespace), found in places.items():
                try:
                    client = self._client(region)
                    for start in range(0, len(found), _MAX_DATA):
                        client.put_metric_data(
                            Namespace=namespace, MetricData=found[start : start + _MAX_DATA]
                        )
                except (ClientError, BotoCoreError) as error:
                    logger.warning("%d values of %s are lost: %s", len(found), namespace, error)

    def _client(self, region: str) -> Any:
        if region not in self._clients:
            self._clients[region] = self._endpoint.cloudwatch(region)
        return self._clients[region]


def data(metric: Metric, second: int, values: Mapping[float, int]) -> Iterator[dict[str, Any]]:
    """The MetricDatum of each 150 different values of one second."""
    found = list(values.items())
    for start in range(0, len(found), _MAX_VALUES):
        part = found[start : start + _MAX_VALUES]
        yield {
            "MetricName": metric.name,
            "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions],
            "Timestamp": second,
            "Unit": metric.unit,
            "Values": [value for value, _ in part],
            "Counts": [float(count) for _, count in part],
        }
