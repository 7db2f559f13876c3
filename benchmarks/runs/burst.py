"""Very many objects at once: one run, few writes, and no long wait."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from nestbox import timestamps
from nestbox.bucket_layout import dataset_prefix
from nestbox.tables import DatasetRow, RunRow, find_dataset

from cli.stack import Stack, transfer_config

OBJECTS = 10_000
THREADS = 16
MAX_WRITES = 100
MAX_SECONDS = 60.0
_PATIENCE_SECONDS = 300.0
# As small as a body can be: what is measured is what objects cost, not what bytes cost.
_BODY = b"x"


class NoRunError(RuntimeError):
    """The uploads did not become a run."""


def figures(stack: Stack) -> Iterator[tuple[str, float, float, bool, str]]:
    """Name, value, goal, whether higher is better, explanation."""
    quiet_seconds = _quiet_seconds(stack)
    dataset = f"burst-{secrets.token_hex(3)}"
    began = timestamps.now()
    last = _upload(stack, dataset)
    run, row = _wait_for_run(dataset)
    waited = (timestamps.from_text(run.created_at) - last).total_seconds()
    runs = len(list(RunRow.query(dataset, consistent_read=True)))
    uploading = (last - began).total_seconds()
    yield (
        f"runs: runs of {OBJECTS:,} objects uploaded at once",
        runs,
        1,
        False,
        f"uploaded in {uploading:.0f} s",
    )
    yield (
        "runs: writes to the dataset's row until they are a run",
        int(row.revision or 0),
        MAX_WRITES,
        False,
        f"writes; the run has {int(run.snapshot_objects):,} objects",
    )
    yield (
        "runs: from the last object to the run, beyond the quiet period",
        waited - quiet_seconds,
        MAX_SECONDS,
        False,
        f"s, with a quiet period of {quiet_seconds} s",
    )


def _upload(stack: Stack, dataset: str) -> datetime:
    """Upload the objects; returns when the last one was there."""
    s3 = stack.session.client("s3", config=transfer_config())

    def put(number: int) -> None:
        s3.put_object(
            Bucket=stack.uploads_bucket, Key=f"{dataset_prefix(dataset)}images/{number:05}.jpg", Body=_BODY
        )

    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(put, range(OBJECTS)):
            pass
    return timestamps.now()


def _wait_for_run(dataset: str) -> tuple[RunRow, DatasetRow]:
    """The run that has all the objects, and the dataset's row as it was then."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        row = find_dataset(dataset)
        for run in RunRow.query(dataset, consistent_read=True):
            if row is not None and run.snapshot_objects == OBJECTS:
                return run, row
        time.sleep(0.2)
    raise NoRunError(f"{OBJECTS} objects in {dataset} did not become one run in {_PATIENCE_SECONDS:.0f} s")


def _quiet_seconds(stack: Stack) -> int:
    [told] = stack.session.client("cloudformation").describe_stacks(StackName=stack.name)["Stacks"]
    parameters = {one["ParameterKey"]: one["ParameterValue"] for one in told["Parameters"]}
    return int(parameters["QuietPeriodSeconds"])
