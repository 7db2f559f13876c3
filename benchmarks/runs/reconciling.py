"""What a pass of reconcile reads, with very many runs that have ended."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, cast

from nestbox import timestamps
from nestbox.gateways.announcing import Announcing
from nestbox.gateways.queues import Queues
from nestbox.gateways.uploads import Uploads
from nestbox.names import new_run_id
from nestbox.settings import ReconcileSettings
from nestbox.states import State
from nestbox.steps.announce import Announce
from nestbox.steps.overdue import OverdueRuns
from nestbox.steps.reconcile import Reconcile
from nestbox.tables import DatasetRow, RunRow, Transition

from benchmarks.runs.reading import Reads, reads_counted

ENDED, UNFINISHED = 10_000, 100
MAX_RATIO = 1.5
_PASSES = 3
_TABLES = (("DATASETS_TABLE", DatasetRow), ("RUNS_TABLE", RunRow))


class _Sent:
    """Takes the messages, so that only what is read is measured."""

    def __init__(self) -> None:
        self.count = 0

    def send(self, queue_url: str, body: str, delay_seconds: int = 0) -> None:  # noqa: ARG002
        self.count += 1


class _NoUploads:
    """A bucket without a folder: how many there are has nothing to do with how many runs have ended."""

    def datasets(self) -> Iterator[str]:
        return iter(())


def figures() -> Iterator[tuple[str, float, float, bool, str]]:
    """Name, value, goal, whether higher is better, explanation."""
    with _own_tables():
        _write(UNFINISHED, State.TRAINING)
        alone_seconds, _ = _pass()
        _write(ENDED, State.SERVED)
        seconds, reads = _pass()
    yield (
        f"runs: items that reconcile reads, {ENDED:,} ended and {UNFINISHED} unfinished runs",
        reads.items,
        UNFINISHED,
        False,
        f"items, in {reads.requests} requests",
    )
    yield (
        "runs: its time, against the unfinished runs alone",
        seconds / alone_seconds,
        MAX_RATIO,
        False,
        f"{seconds * 1000:.0f} ms against {alone_seconds * 1000:.0f} ms, without sending the messages",
    )


def _pass() -> tuple[float, Reads]:
    sent = _Sent()
    queues = cast(Queues, sent)
    settings = ReconcileSettings(
        settle_queue_url="settle",
        cancel_queue_url="cancel",
        training_queue_url="training",
        record_queue_url="record",
        judge_queue_url="judge",
        endpoint_queue_url="endpoint",
        prepare_job_queue="prepare-queue",
        evaluate_job_queue="evaluate-queue",
        prepare_max_seconds=14_400,
        training_max_seconds=86_400,
        grace_seconds=7_200,
        run_topic_arn="topic",
        uploads_bucket="uploads",
        audit_minutes=60,
    )
    # Nothing is overdue or unannounced, so nothing but DynamoDB is asked.
    unused = cast(Any, None)
    overdue = OverdueRuns(settings, unused, unused, queues)
    step = Reconcile(settings, cast(Uploads, _NoUploads()), queues, overdue, Announce(cast(Announcing, None)))
    best = float("inf")
    for _ in range(_PASSES):
        began = time.perf_counter()
        with reads_counted() as reads:
            done = step.look()
        best = min(best, time.perf_counter() - began)
        assert (done.runs, done.troubles) == (UNFINISHED, [])
    assert sent.count == _PASSES * UNFINISHED
    return best, reads


def _write(count: int, state: State) -> None:
    now = timestamps.now()
    with RunRow.batch_write() as batch:
        for number in range(count):
            dataset = f"bench-{number % 50}"
            at = timestamps.to_text(now)
            begun = now - timedelta(seconds=number)
            batch.save(
                RunRow(
                    dataset,
                    new_run_id(dataset, begun),
                    state=state.value,
                    revision=1,
                    unfinished="1" if state is State.TRAINING else None,
                    history=[Transition(to_state=State.PREPARING.value, at=at, by="bench", why="to measure")],
                    created_at=at,
                    updated_at=at,
                    snapshot_version="f" * 64,
                    snapshot_objects=10,
                )
            )


@contextmanager
def _own_tables() -> Iterator[None]:
    before = {variable: os.environ.get(variable) for variable, _ in _TABLES}
    suffix = secrets.token_hex(3)
    for variable, model in _TABLES:
        os.environ[variable] = f"bench-{variable.removesuffix('_TABLE').lower()}-{suffix}"
        model.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
    try:
        yield
    finally:
        for variable, model in _TABLES:
            model.delete_table()
            if (name := before[variable]) is not None:
                os.environ[variable] = name
