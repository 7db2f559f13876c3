"""How long judging takes: the bootstrap of two models, and everything about one.

Drawn boxes and detections: 10,000 pictures with 3 boxes and 20 detections each on average, three classes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from evaluation.bootstrap import paired_bootstrap
from evaluation.boxes import Found, Truth, gather_found, gather_truth
from evaluation.summary import summarise

_PICTURES, _RESAMPLES, _CLASSES, _STRAYS = 10_000, 1_000, 3, 17
_SIDE = 640


def figures() -> Iterator[tuple[str, float, float, bool, str]]:
    """Name, value, goal, whether higher is better, explanation."""
    truth, first = _draw(0.02)
    _, second = _draw(0.05)
    started = time.perf_counter()
    paired_bootstrap(first, second, truth, resamples=_RESAMPLES)
    yield (
        "bootstrap s",
        time.perf_counter() - started,
        10.0,
        False,
        f"{_PICTURES:,} pictures, {_RESAMPLES:,} resamples, {len(first):,} detections a model",
    )
    started = time.perf_counter()
    summarise(first, truth, [str(number) for number in range(_CLASSES)])
    yield "every number of one model s", time.perf_counter() - started, 5.0, False, "the same pictures"


def _draw(lost: float) -> tuple[Truth, Found]:
    """The same boxes every time; a model that loses a share of them and sees things that are not there."""
    random = np.random.default_rng(0)
    labels, detections = [], []
    for _ in range(_PICTURES):
        count = int(random.integers(1, 6))
        corner = random.uniform(0, _SIDE / 2, (count, 2))
        truth = np.column_stack(
            [random.integers(0, _CLASSES, count), corner, corner + random.uniform(20, 200, (count, 2))]
        )
        seen = truth[random.random(count) >= lost]
        near = seen[:, 1:] + random.normal(0, 8, (len(seen), 4))
        corner = random.uniform(0, _SIDE / 2, (_STRAYS, 2))
        stray = np.column_stack(
            [
                random.integers(0, _CLASSES, _STRAYS),
                random.beta(1, 8, _STRAYS),
                corner,
                corner + random.uniform(20, 200, (_STRAYS, 2)),
            ]
        )
        labels.append(truth)
        detections.append(
            np.concatenate([np.column_stack([seen[:, 0], random.beta(4, 2, len(seen)), near]), stray])
        )
    return gather_truth(labels), gather_found(detections)
