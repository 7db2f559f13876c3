"""MaximumBatchingWindowInSeconds of event source mappings, and batches of more than ten messages."""

from __future__ import annotations

import threading
import time
from typing import Any

from ministack.services import lambda_svc, sqs


def install() -> None:
    """Puts the mends of this module in place."""
    wait_for_full_batches()


def wait_for_full_batches() -> None:
    """Batches go out as soon as one message is there; with a window Lambda waits until the batch is full
    or the window, which the first message opens, has passed.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
    """
    receive = sqs._receive_messages_for_esm
    opened: dict[str, float] = {}

    def receive_batch(queue_url: str, size: int) -> list[dict[str, Any]]:
        window = _window(queue_url)
        if window:
            waiting = _visible(queue_url)
            if not waiting:
                opened.pop(queue_url, None)
                return []
            now = time.monotonic()
            if queue_url not in opened:
                opened[queue_url] = now
                wake = threading.Timer(window, lambda_svc._esm_wake.set)
                wake.daemon = True
                wake.start()
            if waiting < size and now < opened[queue_url] + window:
                return []
            del opened[queue_url]
        batch: list[dict[str, Any]] = []
        while len(batch) < size:
            more = receive(queue_url, size - len(batch))
            batch += more
            if not more:
                break
        return batch

    sqs._receive_messages_for_esm = receive_batch


def _window(queue_url: str) -> float:
    queue = sqs._queues.get(queue_url)
    arn = queue["attributes"].get("QueueArn") if queue else None
    windows = [
        float(mapping.get("MaximumBatchingWindowInSeconds") or 0)
        for mapping in lambda_svc._esms.values()
        if mapping.get("EventSourceArn") == arn
    ]
    return max(windows, default=0.0)


def _visible(queue_url: str) -> int:
    with sqs._queues_lock:
        queue = sqs._queues.get(queue_url)
        now = time.time()
        return sum(1 for message in queue["messages"] if message.get("visible_at", 0) <= now) if queue else 0
