"""The loop that makes a growing dataset worth having: more photos in, a better champion out.

A dataset of 300 photos is served. 30 more arrive. Measured is the time from the last object, which is the
`_READY` that leaves the quiet period out, until the new champion serves; then the same data from scratch, in
a dataset of its own, says what mAP a cold run reaches. Both models are scored on the same pictures that no
run has seen, many more than the 66 that are held out: on so few, chance moves the difference by .02.
"""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from nestbox import timestamps
from nestbox.bucket_layout import READY_MARKER, dataset_prefix, model_key
from nestbox.states import State, has_ended
from nestbox.tables import RunRow, plain_map

from benchmarks.accuracy.datasets import unseen_birds
from benchmarks.accuracy.training import score
from benchmarks.nestbox_command import nestbox
from cli.stack import Stack

PHOTOS, MORE = 300, 30
MAX_SECONDS = 60.0
_PATIENCE_SECONDS = 900.0


class NotDecidedError(RuntimeError):
    """A run did not come to be served or rejected."""


def figures(stack: Stack) -> Iterator[tuple[str, float, float, bool, str]]:
    """Name, value, goal, whether higher is better, explanation."""
    growing, cold = (f"{kind}-{secrets.token_hex(3)}" for kind in ("growing", "cold"))
    with tempfile.TemporaryDirectory(prefix="bench-loop-") as folder:
        few, all_of_them = Path(folder) / "few", Path(folder) / "all"
        nestbox("sample", few, "--images", PHOTOS)
        nestbox("sample", all_of_them, "--images", PHOTOS + MORE)
        _take_in(stack, few, growing)
        seconds, run = _take_in(stack, all_of_them, growing)
        _, fresh = _take_in(stack, all_of_them, cold)
        unseen = unseen_birds(Path(folder))
        warm_map, cold_map = (_score(stack, one.run, Path(folder), unseen) for one in (run, fresh))
    ended = f"{run.state}, {run.history[-1].why}"
    timings = ", ".join(f"{stage} {spent:.1f}" for stage, spent in sorted(plain_map(run.timings).items()))
    yield (
        f"runs: {MORE} more photos to the new champion",
        seconds,
        MAX_SECONDS,
        False,
        f"s, {PHOTOS} served before, from the last object, quiet period left out; {timings}; {ended}",
    )
    yield (
        "runs: its mAP, against a run from scratch",
        warm_map - cold_map,
        0.0,
        True,
        f"{warm_map:.4f} against {cold_map:.4f} on some 200 pictures that no run has seen, one run each",
    )


def _score(stack: Stack, run: str, folder: Path, data: Path) -> float:
    """The mAP@0.5 of a run's model on a .rec file."""
    model = folder / f"{run}.tar.gz"
    stack.session.client("s3").download_file(stack.artifacts_bucket, model_key(run), str(model))
    return score(model, data)[0]


def _take_in(stack: Stack, folder: Path, dataset: str) -> tuple[float, RunRow]:
    """Upload a folder and have it trained; returns the seconds from the last object on, and the run.

    Which of two good models is ahead on some 60 held-out pictures may be chance, so a candidate that is
    rejected counts as well: the endpoint's change is a second of it all.
    """
    known = {row.run for row in RunRow.query(dataset, consistent_read=True)}
    nestbox("push", folder, dataset, "--ready")
    marker = f"{dataset_prefix(dataset)}{READY_MARKER}"
    last = stack.session.client("s3").head_object(Bucket=stack.uploads_bucket, Key=marker)["LastModified"]
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for row in RunRow.query(dataset, consistent_read=True):
            if row.run in known or not has_ended(State(row.state)):
                continue
            if row.state not in (State.SERVED, State.REJECTED):
                raise NotDecidedError(f"run {row.run} is {row.state}: {row.history[-1].why}")
            return (timestamps.from_text(row.history[-1].at) - last).total_seconds(), row
        time.sleep(0.2)
    raise NotDecidedError(f"{dataset} was not decided on in {_PATIENCE_SECONDS:.0f} s")
