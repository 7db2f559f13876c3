"""Drawn pictures and whole datasets in memory, so that a test can break exactly one thing."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import BinaryIO

import cv2
import numpy as np
import pytest

from dataprep_job.check import CheckReport, check
from dataprep_job.dataset_files import DatasetFiles
from dataprep_job.defects import Defect, DefectLog
from dataprep_job.file_source import SourceFile, is_hidden, outside, why_unsafe
from dataprep_job.labels import LabelledImage
from dataprep_job.readers import Reader
from dataprep_job.survey import Earlier

Files = dict[str, bytes]
VocObject = tuple[str, float, float, float, float]


class MemorySource:
    """A dataset held in memory."""

    read_threads = 1

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self._contents = dict(contents)

    def paths(self) -> list[str]:
        return [file.path for file in self.files()]

    def files(self) -> list[SourceFile]:
        return [
            SourceFile(path, len(data))
            for path, data in sorted(self._contents.items())
            if why_unsafe(path) is None and not is_hidden(path)
        ]

    def refused(self) -> list[Defect]:
        return [outside(path, reason) for path in self._contents if (reason := why_unsafe(path)) is not None]

    def read(self, file: SourceFile) -> bytes:
        return self._contents[file.path]

    def open(self, file: SourceFile) -> BinaryIO:
        return io.BytesIO(self._contents[file.path])

    def read_range(self, file: SourceFile, start: int, size: int) -> bytes:
        return self._contents[file.path][start : start + size]


class Found:
    """Keeps what one reader finds in a dataset, as lists."""

    def __init__(self, reader: Reader, contents: Mapping[str, bytes]) -> None:
        self.log = DefectLog()
        self.files = DatasetFiles(MemorySource(contents), self.log)
        self.formats: list[str] = []
        self.images: list[LabelledImage] = []
        self.lost: list[str | None] = []
        self.class_order: list[str] = []
        reader.read(self.files, self.log, self)
        self.log.settle()
        self.defects = self.log.listed()

    def recognise(self, name: str) -> None:
        self.formats.append(name)

    def add(self, image: LabelledImage) -> None:
        self.images.append(image)

    def lose(self, image: str | None) -> None:
        self.lost.append(image)

    def order_classes(self, names: Iterable[str]) -> None:
        self.class_order += names

    def unclaimed(self, extension: str) -> list[str]:
        return [file.path for file in self.files.unclaimed(extension)]


def draw(width: int = 100, height: int = 80, seed: int = 0, extension: str = ".jpg") -> bytes:
    """An encoded picture; different seeds give different pictures."""
    pixels = np.random.default_rng(seed).integers(0, 255, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_CUBIC)
    return cv2.imencode(extension, pixels)[1].tobytes()


def voc_xml(
    objects: Sequence[VocObject] = (("dog", 11, 21, 60, 70),),
    size: tuple[int, int] | None = (100, 80),
    filename: str = "",
) -> bytes:
    """A Pascal VOC annotation."""
    parts = ["<annotation>", f"<filename>{filename}</filename>" if filename else ""]
    if size is not None:
        parts.append(f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>")
    for name, x0, y0, x1, y1 in objects:
        parts.append(
            f"<object><name>{name}</name>\n<bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>"
            f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        )
    return "\n".join([*parts, "</annotation>"]).encode()


def voc_dataset(count: int = 10) -> Files:
    """A clean VOC dataset: pictures `a0`…, every fifth for validation."""
    files: Files = {}
    for number in range(count):
        files[f"Annotations/a{number}.xml"] = voc_xml(filename=f"a{number}.jpg")
        files[f"JPEGImages/a{number}.jpg"] = draw(seed=number)
    files["ImageSets/Main/train.txt"] = "".join(f"a{n}\n" for n in range(count) if n % 5).encode()
    files["ImageSets/Main/val.txt"] = "".join(f"a{n}\n" for n in range(0, count, 5)).encode()
    return files


def cub_dataset(count: int = 10) -> Files:
    """A clean CUB dataset: ids from 1, two classes, every fifth picture held out."""
    ids = range(1, count + 1)
    files: Files = {f"images/a b/p{i}.jpg": draw(seed=i) for i in ids}
    files["images.txt"] = "".join(f"{i} a b/p{i}.jpg\n" for i in ids).encode()
    files["bounding_boxes.txt"] = "".join(f"{i} 10.0 20.0 50.0 40.0\n" for i in ids).encode()
    files["image_class_labels.txt"] = "".join(f"{i} {7 if i % 2 else 3}\n" for i in ids).encode()
    files["classes.txt"] = b"3 003.Ani\n7 007.Auklet\n9 009.Unused\n"
    files["train_test_split.txt"] = "".join(f"{i} {int(i % 5 != 0)}\n" for i in ids).encode()
    return files


@pytest.fixture
def memory_source() -> type[MemorySource]:
    return MemorySource


@pytest.fixture
def found() -> type[Found]:
    """`found(reader, files)`: what the reader finds in a dataset given as path -> bytes."""
    return Found


@pytest.fixture
def picture() -> Callable[..., bytes]:
    return draw


@pytest.fixture
def xml() -> Callable[..., bytes]:
    return voc_xml


@pytest.fixture
def voc() -> Files:
    return voc_dataset()


@pytest.fixture
def cub() -> Files:
    return cub_dataset()


@pytest.fixture
def checked() -> Callable[..., CheckReport]:
    """Check a dataset given as path -> bytes."""

    def run(files: Mapping[str, bytes], earlier: Earlier | None = None) -> CheckReport:
        return check(MemorySource(files), earlier)

    return run


@pytest.fixture
def codes(checked: Callable[..., CheckReport]) -> Callable[..., list[str]]:
    """The sorted defect codes of a dataset given as path -> bytes."""

    def run(files: Mapping[str, bytes]) -> list[str]:
        return sorted(defect.code for defect in checked(files).defects)

    return run
