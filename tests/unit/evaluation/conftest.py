"""Small sets of pictures with boxes and detections, drawn at random or by Hypothesis."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import strategies as st

SIDE = 240


@dataclass(frozen=True)
class Pictures:
    """Rows of each picture, in pixels of pictures of 240 x 240: what there is to find and what was found."""

    labels: list[np.ndarray]
    detections: list[np.ndarray]


def _box(draw: st.DrawFn, step: int) -> list[int]:
    x, y = (step * draw(st.integers(0, (SIDE - step) // step)) for _ in range(2))
    width, height = (step * draw(st.integers(1, (SIDE - low) // step)) for low in (x, y))
    return [x, y, x + width, y + height]


@st.composite
def _pictures(draw: st.DrawFn, most: int = 5, classes: int = 3) -> Pictures:
    """Coordinates are whole multiples of a step and scores of 1/8, so overlaps and scores often tie."""
    step = draw(st.sampled_from([1, 8, 24]))
    labels, detections = [], []
    for _ in range(draw(st.integers(1, most))):
        truth = [
            [draw(st.integers(0, classes - 1)), *_box(draw, step)] for _ in range(draw(st.integers(0, 4)))
        ]
        found = []
        for _ in range(draw(st.integers(0, 6))):
            near = draw(st.sampled_from(truth)) if truth and draw(st.booleans()) else None
            class_id = near[0] if near and draw(st.booleans()) else draw(st.integers(0, classes - 1))
            box = near[1:] if near else _box(draw, step)
            if near and draw(st.booleans()):
                grown = [side + step * draw(st.integers(-1, 1)) for side in box]
                box = grown if grown[2] > grown[0] and grown[3] > grown[1] else box
            found.append([class_id, draw(st.integers(1, 8)) / 8, *box])
        labels.append(np.array(truth, np.float64).reshape(-1, 5))
        detections.append(np.array(found, np.float64).reshape(-1, 6))
    return Pictures(labels, detections)


@pytest.fixture(scope="session")
def pictures() -> Callable[..., st.SearchStrategy[Pictures]]:
    """A strategy for a handful of pictures with many ties."""
    return _pictures


@pytest.fixture(scope="session")
def crowd() -> Callable[..., Pictures]:
    """Many pictures drawn from a seed: boxes of all sizes, detections near them, stray and doubled ones."""

    def draw(seed: int, pictures: int = 40, classes: int = 4, boxes: int = 6, strays: int = 8) -> Pictures:
        random = np.random.default_rng(seed)
        labels, detections = [], []
        for _ in range(pictures):
            count = int(random.integers(0, boxes + 1))
            class_id = random.integers(0, classes, count)
            corner = random.uniform(0, SIDE * 0.6, (count, 2))
            sides = np.exp(random.uniform(np.log(8), np.log(SIDE * 0.4), (count, 2)))
            truth = np.column_stack([class_id, corner, corner + sides])
            near = truth[random.random(count) < 0.8]
            near = np.concatenate([near, near[random.random(len(near)) < 0.4]])
            moved = near[:, 1:] + random.normal(0, 0.08, (len(near), 4)) * np.tile(
                near[:, 3:] - near[:, 1:3], 2
            )
            kind = np.where(
                random.random(len(near)) < 0.85, near[:, 0], random.integers(0, classes, len(near))
            )
            found = np.column_stack([kind, random.beta(4, 2, len(near)), moved])
            number = int(random.integers(0, strays + 1))
            corner = random.uniform(0, SIDE * 0.6, (number, 2))
            stray = np.column_stack(
                [
                    random.integers(0, classes, number),
                    random.beta(2, 4, number),
                    corner,
                    corner + random.uniform(5, SIDE * 0.4, (number, 2)),
                ]
            )
            labels.append(truth)
            detections.append(np.concatenate([found, stray]))
        return Pictures(labels, detections)

    return draw
