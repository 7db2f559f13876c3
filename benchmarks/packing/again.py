"""Packing again: 5,000 photos of which 1 % changed, and 5,000 photos with other labels."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.packing.datasets import Figure, coco_dataset, drawn_photos, pack, seconds, small_photos

PHOTOS = 5000
CHANGED = 50
RESIZE = 256
_ROUNDS = 3


def figures(root: Path) -> Iterator[Figure]:
    """Seconds of a full pack divided by those of packing again, in one run, the best of several rounds."""
    dataset = coco_dataset(root / "dataset", small_photos(), PHOTOS, RESIZE)
    full = min(seconds(pack, dataset, _empty(root / "full")) for _ in range(2))
    full_durable = min(seconds(pack, dataset, _empty(root / "full"), durable=True) for _ in range(2))
    text = f"{PHOTOS:,} photos to {RESIZE} px"
    yield "again.full_seconds", full, 0, True, f"{text}, everything packed; the baseline"
    yield "again.full_seconds_durable", full_durable, 0, True, f"{text}, with fsync; the baseline"
    _change_photos(dataset)
    yield from _again(root, dataset, full, full_durable, "again.changed_photos", f"{text}, {CHANGED} changed")
    pack(dataset, _empty(root / "full"))
    _change_labels(dataset)
    yield from _again(
        root, dataset, full, full_durable, "again.changed_labels", f"{text}, only labels changed"
    )


def _again(
    root: Path, dataset: Path, full: float, full_durable: float, name: str, text: str
) -> Iterator[Figure]:
    quick = min(seconds(pack, dataset, _empty(root / "again"), root / "full") for _ in range(_ROUNDS))
    yield f"{name}_times_full", full / quick, 20, True, f"{text}, by size and time: {quick:.2f} s"
    durable = min(
        seconds(pack, dataset, _empty(root / "again"), root / "full", durable=True) for _ in range(_ROUNDS)
    )
    yield (
        f"{name}_times_full_durable",
        full_durable / durable,
        9,
        True,
        f"{text}, checksums, fsync: {durable:.2f} s",
    )


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def _change_photos(dataset: Path) -> None:
    fresh = drawn_photos(CHANGED, 500, 375)
    for number, photo in zip(random.Random(1).sample(range(PHOTOS), CHANGED), fresh, strict=True):
        (dataset / "images" / f"{number:05}.jpg").write_bytes(photo)


def _change_labels(dataset: Path) -> None:
    path = dataset / "instances.json"
    document = json.loads(path.read_text())
    for annotation in document["annotations"]:
        annotation["bbox"][0] += 3
    path.write_text(json.dumps(document))
