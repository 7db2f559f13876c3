"""The detector against GluonCV's SSD: the same records, minutes and machine, both from scratch.

Theirs is trained by the recipe of GluonCV's own script, with the lightest of its networks and the one its
documentation recommends for speed; see `benchmarks/peer/gluoncv_ssd.py`. Its environment is made by
`make bench-peer`.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.accuracy.chart import Points, curves_over_time
from benchmarks.accuracy.datasets import Packed, datasets
from benchmarks.accuracy.training import epochs_within, train
from benchmarks.bench_accuracy import OUT
from detector.cores import available_cores
from detector.recordio_dataset import read_dataset
from evaluation.boxes import gather_found, gather_truth
from evaluation.summary import summarise

Row = tuple[str, float, float, bool, str]

_PEER = Path(__file__).parents[1] / ".nestbox" / "env" / "peer" / "bin" / "python"
_MODELS = ("ssd_300_mobilenet0.25_custom", "ssd_512_mobilenet1.0_custom")
_MINUTES = 3
_SAME_BACKBONE, _SAME_SIZE, _SAME_BATCH = "ssd_512_resnet50_v1_custom", 512, 8


def figures() -> Iterator[Row]:
    """Yield (name, value, goal, higher is better, explanation)."""
    dataset = next(one for one in datasets() if one.name in ("CUB, three species", "drawn birds"))
    with tempfile.TemporaryDirectory(prefix="bench-peer-") as name:
        folder = Path(name)
        packed = dataset.pack(folder)
        yield _at_every_minute(dataset.name, packed, folder)
        yield _images_per_second(packed, folder)


def _at_every_minute(dataset: str, packed: Packed, folder: Path) -> Row:
    epochs = epochs_within(packed, folder / "timed", 60 * _MINUTES)
    ours = train(packed, folder / "ours", {"epochs": epochs})
    curves: dict[str, Points] = {"Nestbox": ours.points}
    leads, told = [], []
    theirs = {model: _train_peer(packed, folder / model, "--model", model) for model in _MODELS}
    for model, scores in theirs.items():
        curves[f"GluonCV {model}"] = [(60 * minute, score) for minute, score in scores.items()]
    for minute in range(1, _MINUTES + 1):
        own, best = ours.reached_by(60 * minute), max(scores[minute] for scores in theirs.values())
        leads.append(own - best)
        told.append(f"{own:.3f} against {best:.3f}")
    OUT.mkdir(parents=True, exist_ok=True)
    picture = curves_over_time(f"mAP@0.5 on {dataset} while training", curves)
    (OUT / "peer.svg").write_text(picture, encoding="utf-8")
    return (
        "lead over GluonCV's SSD in mAP@0.5",
        min(leads),
        0.0,
        True,
        (
            f"{dataset}, the least lead at minutes 1 to {_MINUTES} ({'; '.join(told)}), the better of "
            f"{' and '.join(_MODELS)} by GluonCV's recipe"
        ),
    )


def _images_per_second(packed: Packed, folder: Path) -> Row:
    ours = train(
        packed,
        folder / "resnet",
        {
            "base_network": "resnet-50",
            "use_pretrained_model": 0,
            "image_shape": _SAME_SIZE,
            "mini_batch_size": _SAME_BATCH,
            "epochs": 1,
        },
    )
    peer = folder / "same-backbone"
    _run_peer(packed, peer, 2, "--model", _SAME_BACKBONE, "--batch-size", str(_SAME_BATCH))
    rate = float(json.loads((peer / "course.json").read_text())["images_per_second"])
    return (
        "images/s against GluonCV's SSD",
        ours.images_per_second / rate,
        2.5,
        True,
        (
            f"x, ResNet-50 at {_SAME_SIZE} px, batch {_SAME_BATCH}: {ours.images_per_second:.2f} against "
            f"{rate:.2f}, augmentation and targets included"
        ),
    )


def _train_peer(packed: Packed, out: Path, *options: str) -> dict[int, float]:
    """Return its mAP@0.5 after each minute, by our scoring."""
    _run_peer(packed, out, _MINUTES, *options)
    samples = read_dataset([packed.test], len(packed.classes), 10**6)
    # Corners relative to the picture: mAP@0.5 needs no pixels.
    sizes = [(1, 1)] * len(samples)
    truth = gather_truth([sample.labels for sample in samples], sizes)
    scores = {}
    for minute in range(1, _MINUTES + 1):
        rows: npt.NDArray[np.float32] = np.load(out / f"found-{minute}.npy")
        found = [rows[rows[:, 0] == number, 1:] for number in range(len(samples))]
        reached = summarise(gather_found(found, sizes), truth, packed.classes).map
        scores[minute] = 0.0 if math.isnan(reached) else reached
    return scores


def _run_peer(packed: Packed, out: Path, minutes: float, *options: str) -> None:
    script = Path(__file__).parent / "peer" / "gluoncv_ssd.py"
    arguments = ["--train", packed.train, "--test", packed.test, "--classes", len(packed.classes)]
    arguments += ["--minutes", minutes, "--out", out, *options]
    # MXNet takes half the cores by default; the peer gets all of them, as ours does.
    environment = {**os.environ, "OMP_NUM_THREADS": str(available_cores())}
    done = subprocess.run(
        [_PEER, script, *map(str, arguments)], capture_output=True, text=True, env=environment
    )
    if done.returncode:
        raise RuntimeError(f"GluonCV failed: {done.stderr[-2000:]}")
