"""One training job as SageMaker runs it: its course over time, and what its model is worth."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.accuracy.datasets import Packed
from detector.architecture import plan_for
from detector.hyperparameters import SMALL_NETWORK, default_small_epochs
from detector.input_sizes import FIRST_SHARE
from detector.recordio_dataset import read_dataset

_SCORE = re.compile(r"epoch=(\d+), validation mAP <score>=\((\S+)\)")
_RATE = re.compile(r"train throughput=(\S+) records/second")
# Epochs of the job that tells how long one takes: six on small inputs and three in full, of either the first
# ones are slower than the rest.
_TIMED_EPOCHS = 9
_TIMED_CHANGE = round(_TIMED_EPOCHS * FIRST_SHARE)


@dataclass(frozen=True)
class Course:
    """How a training job went.

    points: (seconds since the job started, validation mAP@0.5) of each epoch. seconds: until it ended, start
    of the interpreter and reading of the data included. images_per_second: the median epoch's, scoring aside.
    """

    points: tuple[tuple[float, float], ...]
    seconds: float
    images_per_second: float

    def seconds_to(self, score: float) -> float:
        """Return when the score was first reached; infinite when it was not."""
        return next((at for at, reached in self.points if reached >= score), math.inf)

    def reached_by(self, seconds: float) -> float:
        """Return the last score known at that time, 0 before the first."""
        return next((reached for at, reached in reversed(self.points) if at <= seconds), 0.0)


def train(
    packed: Packed, root: Path, wishes: Mapping[str, object], *, previous: Path | None = None
) -> Course:
    """Run `python -m detector train` under a fresh root and follow its log.

    ``previous`` is the root of an earlier job whose model this one starts from. Raises RuntimeError where
    the job fails.
    """
    channels = {"train": packed.train, "validation": packed.choose}
    _lay_out(root, packed, channels, wishes)
    if previous is not None:
        shutil.copytree(previous / "model", root / "input" / "data" / "model")
    points: list[tuple[float, float]] = []
    rates: list[float] = []
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "detector", "train", "--root", str(root)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout as log:
        for line in log:
            if scored := _SCORE.search(line):
                points += [(time.monotonic() - started, float(scored[2]))]
            if timed := _RATE.search(line):
                rates += [float(timed[1])]
    code = process.wait()
    if code:
        raise RuntimeError(f"training failed: {(root / 'output' / 'failure').read_text()}")
    return Course(tuple(points), time.monotonic() - started, statistics.median(rates))


def epochs_within(
    packed: Packed, root: Path, seconds: float, wishes: Mapping[str, object] = MappingProxyType({})
) -> int:
    """Return how many epochs take so long on this machine, by a short job that is thrown away."""
    course = train(packed, root, {"epochs": _TIMED_EPOCHS, **wishes})
    shutil.rmtree(root)
    times = [at for at, _ in course.points]
    small, full = times[:_TIMED_CHANGE], times[_TIMED_CHANGE:]
    a_small_one = (small[-1] - small[2]) / (len(small) - 3)
    a_full_one = (full[-1] - full[0]) / (len(full) - 1)
    an_epoch = FIRST_SHARE * a_small_one + (1 - FIRST_SHARE) * a_full_one
    return max(1, math.floor((seconds - (course.seconds - an_epoch * _TIMED_EPOCHS)) / an_epoch))


def planned_size(packed: Packed) -> int:
    """Return the input's side in pixels that a job takes that is not told."""
    samples = read_dataset([packed.train], len(packed.classes), 10**6)
    return plan_for(SMALL_NETWORK, [sample.labels for sample in samples], None).image_size


def default_epochs(packed: Packed) -> int:
    """Return how many epochs a job takes that is not told."""
    return default_small_epochs(_summary(packed)["train_samples"], image_size=planned_size(packed))


def score(model: Path, data: Path) -> tuple[float, float]:
    """Return mAP@0.5 (all points) and COCO AP of a model (a folder or model.tar.gz) on a .rec file."""
    done = subprocess.run(
        [sys.executable, "-m", "detector", "evaluate", "--json", "--model", model, "--data", data],
        capture_output=True,
        text=True,
        env=os.environ,
    )
    if done.returncode:
        raise RuntimeError(f"scoring failed: {done.stderr}")
    summary = json.loads(done.stdout)
    return float(summary["map"]), float(summary["coco"]["ap"])


def _lay_out(root: Path, packed: Packed, channels: Mapping[str, Path], wishes: Mapping[str, object]) -> None:
    summary = _summary(packed)
    values = {
        "base_network": SMALL_NETWORK,
        "num_classes": len(packed.classes),
        "num_training_samples": summary["train_samples"],
        "label_width": summary["label_width"],
        **wishes,
    }
    config = root / "input" / "config"
    config.mkdir(parents=True)
    (root / "model").mkdir()
    (config / "hyperparameters.json").write_text(json.dumps({k: str(v) for k, v in values.items()}))
    for channel, file in channels.items():
        folder = root / "input" / "data" / channel
        folder.mkdir(parents=True)
        (folder / file.name).symlink_to(file)


def _summary(packed: Packed) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((packed.train.parent / "summary.json").read_text(encoding="utf-8"))
    return summary
