"""Peak memory of a whole preparation: 100,000 pictures against 10,000."""

from __future__ import annotations

import io
import json
import multiprocessing
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from benchmarks.packing.datasets import Figure, coco_document, peak_megabytes
from dataprep_job.file_source import SourceFile
from dataprep_job.prepare import Order, prepare
from dataprep_job.progress import say_nothing
from dataprep_job.storage import FolderStorage

FEW, MANY = 10_000, 100_000
_EDGE = 64
_POOL = 64


def figures(root: Path) -> Iterator[Figure]:
    """Megabytes of the two, each in a process of its own, and their ratio."""
    root.mkdir(parents=True)
    few, many = (_in_a_process(root, count) for count in (FEW, MANY))
    text = f"preparing {FEW:,} pictures of {_EDGE} px: {few:.0f} MB, {MANY:,}: {many:.0f} MB"
    yield "memory.many_pictures_against_few", many / few, 1.1, False, text


class _Pictures:
    """Pictures that are made when they are read, and one COCO file."""

    read_threads = 1

    def __init__(self, annotations: Path, count: int) -> None:
        self._annotations = annotations
        self._count = count
        self._pool = [
            cv2.imencode(".jpg", np.random.default_rng(seed).integers(0, 255, (_EDGE, _EDGE, 3), np.uint8))[
                1
            ].tobytes()
            for seed in range(_POOL)
        ]

    def files(self) -> Iterator[SourceFile]:
        yield SourceFile("instances.json", self._annotations.stat().st_size)
        for number in range(self._count):
            yield SourceFile(f"{number:05}.jpg", len(self._pool[number % _POOL]) + 8, tag="1")

    def refused(self) -> list[object]:
        return []

    def read(self, file: SourceFile) -> bytes:
        if file.path.endswith("json"):
            return self._annotations.read_bytes()
        number = int(file.path[:-4])
        return self._pool[number % _POOL] + number.to_bytes(8, "big")

    def open(self, file: SourceFile) -> BinaryIO:
        return self._annotations.open("rb") if file.path.endswith("json") else io.BytesIO(self.read(file))


def _in_a_process(root: Path, count: int) -> float:
    """Written here and measured in a fresh process, so that writing the annotations does not count."""
    annotations, out = root / f"{count}.json", root / f"out-{count}"
    with annotations.open("w") as file:
        json.dump(coco_document(count, 1, _EDGE, _EDGE), file)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        megabytes = pool.apply(_measure, (annotations, out, count))
    shutil.rmtree(out)
    return megabytes


def _measure(annotations: Path, out: Path, count: int) -> float:
    source = _Pictures(annotations, count)
    judging = FolderStorage(out / "judging")
    order = Order(
        "bench-20261124000000-0000",
        "bench",
        source,  # type: ignore[arg-type]
        FolderStorage(out),
        judging=judging,
    )
    summary = prepare(order, say_nothing)
    if summary.usable_images != count:
        raise AssertionError(f"only {summary.usable_images} pictures were usable")
    return peak_megabytes()
