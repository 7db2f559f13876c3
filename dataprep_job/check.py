"""Checking a dataset: the same reading, opening and adding up, whether anything is packed from it or not."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from dataprep_job.defects import Defect
from dataprep_job.file_source import PREFETCH_BYTES, FileSource, FolderSource, SourceFile, read_many
from dataprep_job.inspection import ImageBox, Photo, Treatment, inspect
from dataprep_job.labels import Split
from dataprep_job.ordered_map import ordered_map
from dataprep_job.progress import Progress, Say, say_nothing
from dataprep_job.survey import Earlier, PlannedImage, Survey, survey
from dataprep_job.tally import SplitCounts, Tally

PICTURED = 12
PICTURED_WITH_DEFECTS = 6


@dataclass(frozen=True, slots=True)
class PicturedImage:
    """A small picture for the report, with what was found on it.

    Attributes:
        boxes: in pixels of the picture at its full `width` x `height`.
        jpeg: the picture, smaller.
        messages: what is wrong with it.
    """

    path: str
    split: str
    width: int
    height: int
    boxes: tuple[ImageBox, ...]
    jpeg: bytes
    messages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a dataset holds and what is wrong with it.

    Attributes:
        images: picture files in the dataset, used or not.
        usable_images: pictures that are trained on or held out.
        boxes: boxes on usable pictures.
        classes: boxes of every class on usable pictures, in id order.
        splits: usable pictures of every split.
        formats: annotation formats that were found.
        defects: what is wrong, errors first.
        errors: how many errors there are, listed or not.
        warnings: how many warnings there are, listed or not.
        blocked: why no training is possible, for a person; empty where it is.
        class_splits: boxes by class, then by split.
        validation_is_test: the data names no separate test split.
        pictured: a few annotated pictures.
    """

    images: int
    usable_images: int
    boxes: int
    classes: dict[str, int]
    splits: dict[str, int]
    formats: list[str]
    defects: list[Defect]
    errors: int
    warnings: int
    blocked: list[str]
    class_splits: dict[str, dict[str, int]]
    validation_is_test: bool
    pictured: list[PicturedImage]

    def to_dict(self) -> dict[str, Any]:
        """What `check --json` prints, as a dictionary."""
        return {
            "images": self.images,
            "usable_images": self.usable_images,
            "boxes": self.boxes,
            "classes": self.classes,
            "splits": self.splits,
            "formats": self.formats,
            "defects": [defect.to_dict() for defect in self.defects],
        }

    def to_json(self) -> str:
        """What `check --json` prints, as text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)


def check_folder(path: Path, say: Say = say_nothing) -> CheckReport:
    """Check a dataset in a folder without writing anything.

    Args:
        path: the folder that would be uploaded.
        say: receives progress lines.

    Raises:
        SourceError: the folder cannot be read.
    """
    return check(FolderSource(path), say=say)


def check(source: FileSource, earlier: Earlier | None = None, say: Say = say_nothing) -> CheckReport:
    """Check a dataset from any source; `earlier` is what a previous preparation decided."""
    earlier = earlier or Earlier()
    found = survey(source, earlier)
    examination = Examination(found, earlier, say)
    for _ in examination.run(Treatment(examination.class_ids, None, 0, False, examination.pictured_paths)):
        pass
    return examination.report()


class Examination:
    """Opens the pictures of a survey, in order and on all CPUs, and adds up what they hold."""

    def __init__(self, found: Survey, earlier: Earlier, say: Say) -> None:
        self._survey = found
        self._say = say
        self._pictured: list[PicturedImage] = []
        self._odd = 0
        self.tally = Tally(found, earlier.held_out)
        self.class_ids = {name: class_id for class_id, name in enumerate(found.classes)}
        self.pictured_paths = _choose_pictured(found)

    def run(self, treatment: Treatment) -> Iterator[tuple[Photo, Split]]:
        """Yield every used picture with the split it is used in."""
        plan = self._survey.plan
        progress = Progress(self._say, "pictures opened", len(plan))
        for photo in _open_all(self._survey.source, plan, treatment):
            split = self.tally.add(photo)
            self._picture(photo, split)
            if split is not None:
                yield photo, split
            progress.step()

    def report(self) -> CheckReport:
        """What was found. Call it once, after `run` is exhausted."""
        found, tally = self._survey, self.tally
        blocked = tally.finish()
        shown: dict[Split, SplitCounts] = {
            split: tally.splits[split]
            for split in ("train", "validation", "test")
            if split != "test" or tally.splits[split].images
        }
        classes = tally.class_boxes()
        return CheckReport(
            images=found.pictures,
            usable_images=tally.images,
            boxes=sum(classes.values()),
            classes=classes,
            splits={split: counts.images for split, counts in shown.items()},
            formats=found.formats,
            defects=found.log.listed(),
            errors=found.log.count("error"),
            warnings=found.log.count("warning"),
            blocked=blocked,
            class_splits={
                name: {split: counts.boxes[name] for split, counts in shown.items()} for name in classes
            },
            validation_is_test=found.validation_is_test,
            pictured=self._pictured,
        )

    def _picture(self, photo: Photo, split: Split | None) -> None:
        """Keep the picture for the report: the chosen ones, and the first few on which something is wrong."""
        if photo.plan.labels.image not in self.pictured_paths:
            self._odd += bool(photo.thumbnail)
            if self._odd > PICTURED_WITH_DEFECTS:
                return
        if not photo.thumbnail:
            return
        messages = tuple(defect.message for defect in photo.defects)
        self._pictured.append(
            PicturedImage(
                path=photo.plan.labels.image,
                split=split or "left out",
                width=photo.width,
                height=photo.height,
                boxes=photo.boxes,
                jpeg=photo.thumbnail,
                messages=messages,
            )
        )


def cpu_count() -> int:
    """The CPUs this process may use."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def _open_all(source: FileSource, plan: Sequence[PlannedImage], treatment: Treatment) -> Iterator[Photo]:
    """Open pictures in order, on all CPUs at once."""
    # OpenCV's own threads would fight with ours over the same CPUs.
    cv2.setNumThreads(1)
    if source.read_threads == 1:
        return ordered_map(
            _reading(source, treatment), plan, cpu_count(), weight=_size, budget=PREFETCH_BYTES
        )
    fetched = read_many(source, (one.file for one in plan))
    pairs = zip(plan, (data for _, data in fetched), strict=True)
    return ordered_map(
        lambda pair: inspect(*pair, treatment),
        pairs,
        cpu_count(),
        weight=lambda pair: len(pair[1] or b""),
        budget=PREFETCH_BYTES,
    )


def _reading(source: FileSource, treatment: Treatment) -> Callable[[PlannedImage], Photo]:
    def read_and_inspect(one: PlannedImage) -> Photo:
        ((_, data),) = read_many(source, [one.file])
        return inspect(one, data, treatment)

    return read_and_inspect


def _size(one: PlannedImage) -> int:
    file: SourceFile = one.file
    return file.size


def _choose_pictured(found: Survey) -> frozenset[str]:
    """The first pictures of every split."""
    chosen: list[str] = []
    quota = {"train": PICTURED // 2, "validation": PICTURED // 2, "test": PICTURED // 4}
    for one in found.plan:
        if quota[one.split] > 0:
            quota[one.split] -= 1
            chosen.append(one.labels.image)
    return frozenset(chosen)
