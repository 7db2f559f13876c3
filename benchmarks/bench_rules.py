"""Whether the rules choose as well as a person who tries settings: same network, data and time.

Takes the datasets in the folders that `NESTBOX_OTHER_DATA` names (separated as in PATH), best such whose
photos took no part in making the rules. The person is favoured: every trial is scored on the very pictures
that the figure is measured on.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from benchmarks.accuracy.datasets import Packed, packed_whole
from benchmarks.accuracy.training import epochs_within, planned_size, train

Row = tuple[str, float, float, bool, str]
Wishes = Mapping[str, object]

MINUTES = 2.0
SEEDS = (0, 1, 2)
SIZES = (160, 192, 256, 320)
"""Input sides in pixels that are tried."""
RATES = (0.002, 0.008)
"""Learning rates that are tried at the best size, beside the default of .004."""
# What two runs differ by that differ in nothing but the seed.
_NOISE = 0.02


def figures() -> Iterator[Row]:
    """Yield (name, value, goal, higher is better, explanation) for each dataset named.

    Raises SystemExit where none is named.
    """
    named = [Path(folder) for folder in os.environ.get("NESTBOX_OTHER_DATA", "").split(os.pathsep) if folder]
    if not named:
        raise SystemExit("name the datasets to compare on: NESTBOX_OTHER_DATA=folder:folder make bench-rules")
    for source in named:
        with tempfile.TemporaryDirectory(prefix="bench-rules-") as folder:
            packed = packed_whole(source, Path(folder))
            yield compare(source.name, packed, Path(folder), 60 * MINUTES)


def compare(name: str, packed: Packed, folder: Path, seconds: float) -> Row:
    """Train by the rules for so long, and by hand for as long, and return the difference's row."""
    epochs = epochs_within(packed, folder / "timed", seconds)
    by_rule = [_trained(packed, folder, {"epochs": epochs, "nestbox_seed": seed}) for seed in SEEDS]
    rule_size = planned_size(packed)
    trials: dict[tuple[int, float | None], float] = {(rule_size, None): by_rule[0]}

    @cache
    def epochs_at(size: int) -> int:
        # Pixels do not tell what a view costs: levels come and go with the size.
        return epochs_within(packed, folder / "timed", seconds, {"image_shape": size})

    def wishes(size: int, rate: float | None) -> dict[str, object]:
        chosen: dict[str, object] = {"epochs": epochs}
        if size != rule_size:
            chosen = {"epochs": epochs_at(size), "image_shape": size}
        return chosen | ({"learning_rate": rate} if rate is not None else {})

    def attempt(size: int, rate: float | None) -> None:
        if (size, rate) not in trials:
            trials[size, rate] = _trained(packed, folder, wishes(size, rate) | {"nestbox_seed": SEEDS[0]})

    for size in SIZES:
        attempt(size, None)
    best_size = max(trials, key=lambda setting: trials[setting])[0]
    for rate in RATES:
        attempt(best_size, rate)
    best = max(trials, key=lambda setting: trials[setting])
    if best == (rule_size, None):
        by_hand = by_rule
    else:
        others = [_trained(packed, folder, wishes(*best) | {"nestbox_seed": seed}) for seed in SEEDS[1:]]
        by_hand = [trials[best], *others]
    rules, hand = statistics.median(by_rule), statistics.median(by_hand)
    tried = ", ".join(f"{_told(*setting)} {found:.3f}" for setting, found in trials.items())
    return (
        f"{name}: rules' mAP@0.5 less a hand-tuned run's",
        rules - hand,
        -_NOISE,
        True,
        (
            f"{rules:.3f} at {rule_size} px against {hand:.3f} at {_told(*best)}; medians of {len(SEEDS)} "
            f"seeds, last epoch, held-out pictures; one seed each: {tried}"
        ),
    )


def _told(size: int, rate: float | None) -> str:
    return f"{size} px" if rate is None else f"{size} px and rate {rate:g}"


def _trained(packed: Packed, folder: Path, wishes: Wishes) -> float:
    """Return the last epoch's mAP@0.5."""
    root = folder / "-".join(f"{key}={value}" for key, value in wishes.items())
    return train(packed, root, wishes).points[-1][1]
