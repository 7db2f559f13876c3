"""Datasets that the packing benchmarks work on, and how they pack them."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import ParamSpec

import cv2
import numpy as np

from benchmarks.shared_data import SHARED_DATA
from dataprep_job.file_source import FolderSource
from dataprep_job.prepare import Order, prepare
from dataprep_job.progress import say_nothing
from dataprep_job.storage import FolderStorage

P = ParamSpec("P")
Figure = tuple[str, float, float, bool, str]
"""Name, value, goal, whether higher is better, explanation."""


def _cub() -> list[Path]:
    return sorted((SHARED_DATA / "cub-3-species").rglob("*.jpg"))


def has_cub_photos() -> bool:
    """Whether the real photos lie beside the checkout."""
    return bool(_cub())


def small_photos() -> list[bytes]:
    """CUB photos (500 pixels wide or high); drawn ones where those are missing."""
    return [path.read_bytes() for path in _cub()] or drawn_photos(173, 500, 375)


def drawn_photos(count: int, width: int, height: int) -> list[bytes]:
    """Photos with soft shapes and some noise, so that they compress about as real ones do."""
    photos: list[bytes] = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        soft = cv2.resize(
            rng.integers(0, 255, (12, 16, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC
        )
        grain = rng.integers(-6, 7, (height, width, 1), np.int16)
        pixels = np.clip(soft + grain, 0, 255).astype(np.uint8)
        photos.append(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
    return photos


def different(photos: list[bytes], count: int) -> Iterator[bytes]:
    """So many photos. Repeated ones differ behind their end: exact duplicates would be left out."""
    for number, photo in enumerate(islice(cycle(photos), count)):
        yield photo + (f"repeat {number}".encode() if number >= len(photos) else b"")


def cub_dataset(root: Path, photos: list[bytes], count: int, resize: int) -> Path:
    """A CUB dataset with one box a photo."""
    (root / "images").mkdir(parents=True)
    for number, photo in enumerate(different(photos, count)):
        (root / "images" / f"{number:05}.jpg").write_bytes(photo)
    ids = range(count)
    texts = {
        "images.txt": "".join(f"{n} {n:05}.jpg\n" for n in ids),
        "bounding_boxes.txt": "".join(f"{n} 60.0 50.0 40.0 40.0\n" for n in ids),
        "image_class_labels.txt": "".join(f"{n} 1\n" for n in ids),
        "classes.txt": "1 bird\n",
        # Held-out photos are not mirrored by us; with one of them both sides do the same work.
        "train_test_split.txt": "".join(f"{n} {int(n > 0)}\n" for n in ids),
        "nestbox.yaml": f"images: {{resize: {resize}}}\n",
    }
    for name, text in texts.items():
        (root / name).write_text(text)
    return root


def coco_document(count: int, boxes: int, width: int, height: int) -> dict[str, object]:
    """A COCO document of so many pictures `images/00000.jpg` … with so many boxes each, of ten classes."""
    rng = np.random.default_rng(7)
    corners = rng.integers(0, [[width // 2, height // 2]] * (count * boxes)).tolist()
    return {
        "info": {"description": "drawn"},
        "images": [
            {"id": n, "file_name": f"{n:05}.jpg", "width": width, "height": height} for n in range(count)
        ],
        "annotations": [
            {
                "id": n,
                "image_id": n // boxes,
                "category_id": 1 + n % 10,
                "bbox": [x + 0.5, y + 0.25, width // 4 + 0.5, height // 4 + 0.25],
                "area": width * height / 16,
                "iscrowd": 0,
            }
            for n, (x, y) in enumerate(corners)
        ],
        "categories": [{"id": n, "name": f"class {n}"} for n in range(1, 11)],
    }


def coco_dataset(root: Path, photos: list[bytes], count: int, resize: int) -> Path:
    """A COCO dataset with one box a photo, without a split."""
    (root / "images").mkdir(parents=True)
    for number, photo in enumerate(different(photos, count)):
        (root / "images" / f"{number:05}.jpg").write_bytes(photo)
    document = coco_document(count, 1, 120, 100)
    for image in document["images"]:  # type: ignore[attr-defined]
        del image["width"], image["height"]
    (root / "instances.json").write_text(json.dumps(document))
    (root / "nestbox.yaml").write_text(f"images: {{resize: {resize}}}\n")
    return root


def pack(
    dataset: Path,
    out: Path,
    previous: Path | None = None,
    *,
    durable: bool = False,
) -> None:
    """The whole job: reading annotations, checks, splits, packing, report."""
    order = Order(
        "bench-20261124000000-0000",
        "bench",
        FolderSource(dataset),
        FolderStorage(out, durable=durable),
        FolderStorage(previous) if previous else None,
        checksums=durable,
    )
    prepare(order, say_nothing)


def seconds(work: Callable[P, None], *args: P.args, **named: P.kwargs) -> float:
    """How long one call takes."""
    started = time.perf_counter()
    work(*args, **named)
    return time.perf_counter() - started


def peak_megabytes() -> float:
    """The most memory this process ever held, in MiB.

    Linux counts what a parent held before `exec` into `getrusage`, so the kernel's own account is read there.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / (1 << 20)
