"""How good a detector minutes of training on two cores make, from scratch, and what a champion saves.

Each dataset is trained from three seeds, for as many epochs as the detector takes when it is not told, or as
its minutes allow if these are fewer (a short job first tells how many that is here); the figure is the median
on the test split. The curves go to `out/bench/`.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.accuracy.chart import Points, curves_over_time
from benchmarks.accuracy.datasets import Dataset, datasets, grown
from benchmarks.accuracy.training import Course, default_epochs, epochs_within, score, train

Row = tuple[str, float, float, bool, str]

SEEDS = (0, 1, 2)
OUT = Path(__file__).parents[1] / "out" / "bench"


def figures() -> Iterator[Row]:
    """Yield (name, value, goal, higher is better, explanation)."""
    curves: dict[str, Points] = {}
    for dataset in datasets():
        with tempfile.TemporaryDirectory(prefix="bench-accuracy-") as folder:
            yield from _learnt(dataset, Path(folder), curves)
    with tempfile.TemporaryDirectory(prefix="bench-accuracy-") as folder:
        yield _warm_start(Path(folder), curves)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "accuracy.json").write_text(json.dumps(curves, indent=1), encoding="utf-8")
    picture = curves_over_time("mAP@0.5 while training, median seed", curves)
    (OUT / "accuracy.svg").write_text(picture, encoding="utf-8")


def _learnt(dataset: Dataset, folder: Path, curves: dict[str, Points]) -> Iterator[Row]:
    packed = dataset.pack(folder)
    usual = default_epochs(packed)
    epochs = min(usual, epochs_within(packed, folder / "timed", 60 * dataset.minutes))
    runs: list[tuple[float, float, Course]] = []
    for seed in SEEDS:
        root = folder / f"seed-{seed}"
        course = train(packed, root, {"epochs": epochs, "nestbox_seed": seed})
        reached, coco = score(root / "model", packed.test)
        runs.append((course.points[-1][1] if packed.last_epoch_counts else reached, coco, course))
    runs.sort(key=lambda run: run[0])
    middle = runs[len(runs) // 2]
    curves[dataset.name] = middle[2].points
    took = statistics.median(course.seconds for _, _, course in runs)
    why = "the default" if epochs == usual else f"what the time allows; the default is {usual}"
    how = f"{epochs} epochs ({why}), {took:.0f} s a seed"
    counted = "of the last epoch" if packed.last_epoch_counts else "of the best validated epoch"
    yield (
        f"{dataset.name}: mAP@0.5",
        middle[0],
        dataset.goal,
        True,
        f"{counted}, test split, median of {len(runs)} seeds ({_spread([r[0] for r in runs])}), {how}",
    )
    if dataset.coco_goal is not None:
        averages = [run[1] for run in runs]
        yield (
            f"{dataset.name}: COCO AP",
            statistics.median(averages),
            dataset.coco_goal,
            True,
            f"the same models ({_spread(averages)})",
        )


def _warm_start(folder: Path, curves: dict[str, Points]) -> Row:
    """Compare the way to the cold run's best mAP with and without a champion of five sixths of the data."""
    before, after = grown(folder)
    train(before, folder / "champion", {})
    shares, reached = [], []
    for seed in SEEDS:
        cold = train(after, folder / f"cold-{seed}", {"nestbox_seed": seed})
        warm = train(after, folder / f"warm-{seed}", {"nestbox_seed": seed}, previous=folder / "champion")
        goal = max(found for _, found in cold.points)
        shares.append(warm.seconds_to(goal) / cold.seconds_to(goal))
        reached.append((goal, max(found for _, found in warm.points), cold, warm))
    middle = reached[shares.index(sorted(shares)[len(shares) // 2])]
    curves["cold"], curves["warm start"] = middle[2].points, middle[3].points
    return (
        "warm start after 20 % more data",
        statistics.median(shares),
        1 / 3,
        False,
        (
            f"time to the cold run's best mAP ({middle[0]:.3f}; warm {middle[1]:.3f}) over the cold run's, "
            f"median of {len(shares)} seeds ({_spread(shares)}), drawn birds, own defaults for both"
        ),
    )


def _spread(values: list[float]) -> str:
    return f"{min(values):.3f} to {max(values):.3f}"
