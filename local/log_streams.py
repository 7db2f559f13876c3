"""Ships the output of jobs and endpoints to CloudWatch Logs while they run."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from local.endpoint import Endpoint

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

logger = logging.getLogger("local.logs")

_COLLECT_SECONDS = 0.05
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
_BATCH_EVENTS = 1_000
_EVENT_CHARACTERS = 250_000

_Event = tuple[str, str, str, int, str]


class LogShipper:
    """One thread that gathers lines and puts them in batches, in the order they came."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._queue: queue.SimpleQueue[_Event | threading.Event] = queue.SimpleQueue()
        self._clients: dict[str, CloudWatchLogsClient] = {}
        self._known: set[tuple[str, str, str]] = set()
        threading.Thread(target=self._run, daemon=True, name="local-logs").start()

    def stream(self, region: str, group: str, name: str) -> LogStream:
        """A stream to write to; it and its group are made with the first line if they do not exist."""
        return LogStream(self, region, group, name)

    def put(self, region: str, group: str, stream: str, message: str) -> None:
        """Queues one line, stamped now."""
        now = time.time_ns() // 1_000_000
        self._queue.put((region, group, stream, now, message[:_EVENT_CHARACTERS] or " "))

    def flush(self, timeout: float = 10.0) -> None:
        """Returns when everything queued before the call is in CloudWatch Logs, or the time is over."""
        done = threading.Event()
        self._queue.put(done)
        done.wait(timeout)

    def _run(self) -> None:
        while True:
            items: list[_Event | threading.Event] = [self._queue.get()]
            if not isinstance(items[0], threading.Event):
                time.sleep(_COLLECT_SECONDS)
            while not self._queue.empty() and len(items) < _BATCH_EVENTS:
                items.append(self._queue.get())
            streams: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
            for item in items:
                if not isinstance(item, threading.Event):
                    streams[item[:3]].append({"timestamp": item[3], "message": item[4]})
            for key, events in streams.items():
                try:
                    self._put_batch(key, events)
                except (ClientError, BotoCoreError) as error:
                    logger.warning("%d lines of %s/%s are lost: %s", len(events), key[1], key[2], error)
            for item in items:
                if isinstance(item, threading.Event):
                    item.set()

    def _put_batch(self, key: tuple[str, str, str], events: list[Any]) -> None:
        region, group, stream = key
        if region not in self._clients:
            self._clients[region] = self._endpoint.logs(region)
        client = self._clients[region]
        if key not in self._known:
            self._make(client, group, stream)
            self._known.add(key)
        try:
            client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
        except client.exceptions.ResourceNotFoundException:  # somebody deleted the group meanwhile
            self._make(client, group, stream)
            client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)

    @staticmethod
    def _make(client: CloudWatchLogsClient, group: str, stream: str) -> None:
        try:
            client.create_log_group(logGroupName=group)
        except client.exceptions.ResourceAlreadyExistsException:
            logger.debug("log group %s exists", group)
        try:
            client.create_log_stream(logGroupName=group, logStreamName=stream)
        except client.exceptions.ResourceAlreadyExistsException:
            logger.debug("log stream %s exists", stream)


class LogStream:
    """One stream of one group."""

    def __init__(self, shipper: LogShipper, region: str, group: str, name: str) -> None:
        self._shipper = shipper
        self._region = region
        self.group = group
        self.name = name

    def write(self, line: str) -> None:
        """Adds a line."""
        self._shipper.put(self._region, self.group, self.name, line)

    def flush(self) -> None:
        """Returns when the lines written so far can be read by others."""
        self._shipper.flush()
