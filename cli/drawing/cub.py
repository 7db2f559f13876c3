"""Writes drawn pictures as a dataset in the layout of CUB-200-2011, several boxes to a picture."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from cli.drawing.picture import LabelledBox, draw_picture
from cli.drawing.species import SPECIES

BLOCK = 5
"""Of this many neighbouring pictures each species leads one and one is held out."""
ORDER_STREAM, SPLIT_STREAM, PICTURE_STREAM = 0, 1, 2


@dataclass(frozen=True)
class Drawn:
    """What was written."""

    images: int
    boxes: int
    train_images: int
    test_images: int
    class_boxes: dict[str, int]


@dataclass(frozen=True)
class _Entry:
    path: str
    train: bool
    boxes: list[LabelledBox]


def write_dataset(
    folder: Path, images: int, seed: int, on_picture: Callable[[], None] = lambda: None
) -> Drawn:
    """Draw `images` pictures into `folder`; the same seed gives the same bytes.

    A picture depends on the seed and its number only, so a larger dataset holds the smaller one, with the
    same pictures held out. `on_picture` is called after each one.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for species in SPECIES:
        (folder / "images" / species.name).mkdir(exist_ok=True)

    def draw(index: int) -> _Entry:
        leader, train = _role(seed, index)
        picture = draw_picture(np.random.default_rng([seed, PICTURE_STREAM, index]), leader)
        name = SPECIES[leader].name
        path = f"{name}/{name}_{index + 1:04d}.jpg"
        (folder / "images" / path).write_bytes(picture.jpeg)
        on_picture()
        return _Entry(path, train, picture.boxes)

    with _one_thread_per_picture(), ThreadPoolExecutor(os.cpu_count()) as pool:
        entries = list(pool.map(draw, range(images)))
    _write_tables(folder, entries)
    boxes = [box for entry in entries for box in entry.boxes]
    train_images = sum(entry.train for entry in entries)
    return Drawn(
        images=images,
        boxes=len(boxes),
        train_images=train_images,
        test_images=images - train_images,
        class_boxes={
            species.name: sum(box.species == index for box in boxes) for index, species in enumerate(SPECIES)
        },
    )


def _role(seed: int, index: int) -> tuple[int, bool]:
    """Which species leads picture `index`, and whether it is for training."""
    block, place = divmod(index, BLOCK)
    order = np.random.default_rng([seed, ORDER_STREAM, block]).permutation(len(SPECIES))
    # Over every five blocks the held-out pictures are led by all species in turn.
    turn, step = divmod(block, len(SPECIES))
    held_out = np.random.default_rng([seed, SPLIT_STREAM, turn]).permutation(len(SPECIES))[step]
    return int(order[place]), bool(order[place] != held_out)


def _write_tables(folder: Path, entries: list[_Entry]) -> None:
    numbered = list(enumerate(entries, start=1))
    tables = {
        "classes.txt": [f"{number} {species.name}" for number, species in enumerate(SPECIES, 1)],
        "images.txt": [f"{number} {entry.path}" for number, entry in numbered],
        "train_test_split.txt": [f"{number} {int(entry.train)}" for number, entry in numbered],
        "image_class_labels.txt": [
            f"{number} {box.species + 1}" for number, entry in numbered for box in entry.boxes
        ],
        "bounding_boxes.txt": [
            f"{number} {box.x0:.1f} {box.y0:.1f} {box.x1 - box.x0:.1f} {box.y1 - box.y0:.1f}"
            for number, entry in numbered
            for box in entry.boxes
        ],
    }
    for name, lines in tables.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="ascii", newline="\n")


@contextmanager
def _one_thread_per_picture() -> Iterator[None]:
    """Pictures are drawn side by side, so OpenCV's own threads would only get in each other's way."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
