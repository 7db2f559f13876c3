"""Reading and checking: a large COCO file, and a folder of 10,000 pictures."""

from __future__ import annotations

import io
import json
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from blake3 import blake3

from benchmarks.packing.datasets import (
    Figure,
    coco_dataset,
    coco_document,
    peak_megabytes,
    seconds,
    small_photos,
)
from dataprep_job.check import check_folder, cpu_count
from dataprep_job.file_source import SourceFile
from dataprep_job.survey import Earlier, survey

BOXES = 200_000
BOXES_A_PICTURE = 10
FOLDER = 10_000


def figures(root: Path) -> Iterator[Figure]:
    """Seconds and memory of a COCO file; seconds of a check as multiples of reading and decoding once."""
    root.mkdir(parents=True)
    path = root / "instances.json"
    path.write_text(json.dumps(coco_document(BOXES // BOXES_A_PICTURE, BOXES_A_PICTURE, 640, 480)))
    took, memory = _in_a_process(path)
    text = f"a COCO file of {BOXES:,} boxes on {BOXES // BOXES_A_PICTURE:,} pictures"
    yield "reading.coco_seconds", took, 3, False, f"{text}: read, checked, split and planned"
    yield (
        "reading.coco_megabytes",
        memory,
        60,
        False,
        f"{text}: peak memory above the interpreter with its imports",
    )
    dataset = coco_dataset(root / "folder", small_photos(), FOLDER, 256)
    least = min(seconds(_read_and_decode, dataset) for _ in range(2))
    ours = min(seconds(_check, dataset) for _ in range(2))
    text = f"{FOLDER:,} photos; reading, hashing and decoding them once takes {least:.1f} s"
    yield (
        "reading.check_times_decoding",
        ours / least,
        1.5,
        False,
        f"nestbox check of {text} on {cpu_count()} CPUs",
    )


class _OneFile:
    """A dataset of one annotation file; its pictures are only names."""

    read_threads = 1

    def __init__(self, path: Path, pictures: int) -> None:
        self._path = path
        self._pictures = pictures

    def files(self) -> Iterator[SourceFile]:
        yield SourceFile("instances.json", self._path.stat().st_size)
        for number in range(self._pictures):
            yield SourceFile(f"{number:05}.jpg", 1000)

    def refused(self) -> list[object]:
        return []

    def read(self, file: SourceFile) -> bytes:
        return self._path.read_bytes() if file.path.endswith("json") else b""

    def open(self, file: SourceFile) -> BinaryIO:
        return self._path.open("rb") if file.path.endswith("json") else io.BytesIO()


def _in_a_process(path: Path) -> tuple[float, float]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_survey, (path,))


def _survey(path: Path) -> tuple[float, float]:
    before = peak_megabytes()
    source = _OneFile(path, BOXES // BOXES_A_PICTURE)

    def read() -> None:
        found = survey(source, Earlier())  # type: ignore[arg-type]
        if found.planned != BOXES // BOXES_A_PICTURE:
            raise AssertionError(f"only {found.planned} pictures were planned")

    return seconds(read), peak_megabytes() - before


def _check(dataset: Path) -> None:
    report = check_folder(dataset)
    if report.usable_images != FOLDER:
        raise AssertionError(f"only {report.usable_images} pictures were usable")


def _read_and_decode(dataset: Path) -> None:
    cv2.setNumThreads(1)

    def once(path: Path) -> int:
        data = path.read_bytes()
        blake3(data).digest()
        return int(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).size)

    with ThreadPoolExecutor(cpu_count()) as pool:
        sum(pool.map(once, sorted((dataset / "images").iterdir())))
