"""Checking a dataset: the same reading, opening and adding up, whether anything is packed from it or not."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import cv2

from dataprep_job.archive_source import open_archives
from dataprep_job.changes import Changes, changes
from dataprep_job.collector import seldom_collecting
from dataprep_job.defect_groups import group_defects, left_out
from dataprep_job.defects import Defect
from dataprep_job.errors import FileGoneError
from dataprep_job.exhibits import Exhibit, PicturedImage, make_exhibits
from dataprep_job.file_source import PREFETCH_BYTES, FileSource, FolderSource, read_one
from dataprep_job.inspection import Photo, Treatment, encode_photo, inspect
from dataprep_job.labels import Split
from dataprep_job.ordered_map import ordered_map
from dataprep_job.progress import Progress, Say, say_nothing
from dataprep_job.recalled import PlanItem, RecalledPictures
from dataprep_job.survey import AnnotationSource, Earlier, PlannedImage, Survey, survey
from dataprep_job.tally import SHARE_CLASSES, SplitCounts, Tally

PICTURED = 12


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
        pictured: the first few pictures of every split.
        sources: annotation files (folders, where a format has a file for every picture) with what they gave.
        box_shares: boxes by size, see `SHARE_CLASSES` in `tally`.
        picture_sizes: pictures by displayed width and height, most common first; (0, 0) stands for the rest.
        changes: what is different from the previous preparation; None where there is none.
        class_pictures: usable pictures with boxes of a class, by class, then by split.
        packed_edge: pixels that the shorter edge of a larger picture is reduced to.
        exhibits: pictures on which something is wrong, a few for every kind of defect.
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
    sources: list[AnnotationSource]
    box_shares: list[int]
    picture_sizes: list[tuple[tuple[int, int], int]]
    changes: Changes | None
    class_pictures: dict[str, dict[str, int]]
    packed_edge: int
    exhibits: list[Exhibit]

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

    def details(self) -> dict[str, Any]:
        """What `report.json` says beyond `to_dict`."""
        return {
            "class_splits": self.class_splits,
            "validation_is_test": self.validation_is_test,
            "sources": [source._asdict() for source in self.sources],
            "box_shares": self.box_shares,
            "picture_sizes": [
                {"width": width, "height": height, "pictures": count}
                for (width, height), count in self.picture_sizes
            ],
            "changes": asdict(self.changes) if self.changes is not None else None,
            "class_pictures": self.class_pictures,
            "packed_edge": self.packed_edge,
            "defect_groups": [group.to_dict() for group in group_defects(self.defects)],
            "left_out": left_out(self.images, self.usable_images, self.defects),
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
    return check(open_archives(FolderSource(path)), say=say)


@seldom_collecting()
def check(source: FileSource, earlier: Earlier | None = None, say: Say = say_nothing) -> CheckReport:
    """Check a dataset from any source; `earlier` is what a previous preparation decided."""
    examination = Examination(survey(source, earlier or Earlier()), say)
    for _ in examination.photos():
        pass
    return examination.report()


class Examination:
    """Opens the pictures of a survey, in order and on all CPUs, and adds up what they hold."""

    def __init__(self, found: Survey, say: Say, treatment: Treatment | None = None) -> None:
        """`treatment`: what is done to every picture; None: it is only checked."""
        self._survey = found
        self._say = say
        self._pictured: list[PicturedImage] = []
        self.tally = Tally(found)
        self.treatment = treatment or check_only(found)

    def photos(self) -> Iterator[tuple[Photo | RecalledPictures, Split]]:
        """Open every picture, and yield the used ones with the split that they are used in."""
        found = self._survey
        progress = Progress(self._say, "pictures opened", found.planned)
        return self.count(open_all(found.source, found.plan(), self.treatment), progress)

    def count(
        self, opened: Iterable[Photo | RecalledPictures], progress: Progress
    ) -> Iterator[tuple[Photo | RecalledPictures, Split]]:
        """Add up opened pictures, in packing order, and yield the used ones with their split."""
        for several in opened:
            if isinstance(several, Photo):
                photos: Iterable[Photo] = (several,)
            elif self.tally.add_recalled(several):
                yield several, several.split
                progress.step(len(several))
                continue
            else:
                photos = several.photos(self._survey, self.treatment)
            for photo in photos:
                split = self.tally.add(photo)
                if photo.thumbnail:
                    self._picture(photo, split)
                if split is not None:
                    yield photo, split
                progress.step()

    def report(self) -> CheckReport:
        """What was found. Call it once, after all pictures were counted."""
        return self._report(self.tally.finish())

    def _report(self, blocked: list[str]) -> CheckReport:
        found, tally = self._survey, self.tally
        shown: dict[Split, SplitCounts] = {
            split: tally.splits[split]
            for split in ("train", "validation", "test")
            if split != "test" or tally.splits[split].images
        }
        classes = tally.class_boxes()
        defects = found.log.listed()
        return CheckReport(
            images=found.pictures,
            usable_images=tally.images,
            boxes=sum(classes.values()),
            classes=classes,
            splits={split: counts.images for split, counts in shown.items()},
            formats=found.formats,
            defects=defects,
            errors=found.log.count("error"),
            warnings=found.log.count("warning"),
            blocked=blocked,
            class_splits={
                name: {split: counts.boxes[name] for split, counts in shown.items()} for name in classes
            },
            validation_is_test=found.validation_is_test,
            pictured=self._pictured,
            sources=found.sources(),
            box_shares=[tally.box_shares[number] for number in range(len(SHARE_CLASSES) + 1)],
            picture_sizes=tally.picture_sizes.most_common(),
            changes=changes(found),
            class_pictures={
                name: {split: counts.pictures[name] for split, counts in shown.items()} for name in classes
            },
            packed_edge=found.configuration.resize,
            exhibits=make_exhibits(found, defects, self.treatment.class_ids, cpu_count()),
        )

    def expectation(self) -> CheckReport:
        """What the annotations alone promise: as if every planned picture could be used."""
        for one in self._survey.plan():
            counts = self.tally.splits[one.split]
            counts.images += 1
            counts.boxes.update(box.name for box in one.labels.boxes)
        return replace(self._report([]), changes=None)

    def _picture(self, photo: Photo, split: Split | None) -> None:
        """Keep a sample picture for the report."""
        labels = photo.plan.labels
        self._pictured.append(
            PicturedImage(
                path=labels.image,
                split=split or "left out",
                width=photo.width,
                height=photo.height,
                boxes=photo.boxes,
                jpeg=photo.thumbnail,
                annotation=str(labels.place),
            )
        )


def check_only(found: Survey) -> Treatment:
    """The treatment of pictures from which nothing is packed."""
    return Treatment(class_ids(found), None, 0, False, choose_pictured(found))


def class_ids(found: Survey) -> dict[str, int]:
    """Class ids by name."""
    return {name: class_id for class_id, name in enumerate(found.classes)}


def choose_pictured(found: Survey) -> frozenset[str]:
    """Paths of the first pictures of every split, which the report shows."""
    quota: dict[Split, int] = {
        "train": PICTURED // 2,
        "validation": PICTURED // 2,
        "test": PICTURED // 4,
    }
    return frozenset(
        one.labels.image for split, count in quota.items() for one in islice(found.plan_of(split), count)
    )


_TOGETHER = 4
"""Pictures that a thread opens at a time: handing over costs as much as hashing a small one."""
_TOGETHER_BYTES = 1 << 20

Fetched = tuple[PlannedImage, bytes | FileGoneError]
"""A picture that is to be opened, and its file or why it cannot be had."""


def cpu_count() -> int:
    """The CPUs this process may use."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def open_all(
    source: FileSource, plan: Iterable[PlanItem], treatment: Treatment, jobs: int | None = None
) -> Iterator[Photo | RecalledPictures]:
    """Open pictures in order, on all CPUs (or `jobs`) at once. Those that were recalled pass through."""
    threads = jobs or cpu_count()
    # OpenCV's own threads would fight with ours over the same CPUs.
    cv2.setNumThreads(1)

    def fetch(one: PlannedImage) -> Fetched:
        return one, read_one(source, one.file)

    def opened(fetched: Fetched) -> Photo:
        return inspect(*fetched, treatment)

    def open_together(batch: list[PlannedImage]) -> list[Photo]:
        return [opened(fetch(one)) for one in batch]

    def weight(batch: list[PlannedImage]) -> int:
        return sum(one.file.size for one in batch)

    if source.read_threads == 1:
        return _flat(
            ordered_map(
                open_together,
                _batches(plan),
                threads,
                ready=lambda batch: None if isinstance(batch, list) else batch,
                weight=weight,
                budget=PREFETCH_BYTES,
                count=_pictures_in,
            )
        )
    return ordered_map(
        opened,
        ordered_map(
            fetch,
            plan,
            source.read_threads,
            ready=lambda one: None if isinstance(one, PlannedImage) else one,
            weight=lambda one: one.file.size,
            budget=PREFETCH_BYTES,
            count=_pictures_in,
        ),
        threads,
        ready=lambda fetched: None if isinstance(fetched, tuple) else fetched,
        weight=lambda fetched: len(fetched[1]) if isinstance(fetched[1], bytes) else 0,
        budget=PREFETCH_BYTES,
        count=_pictures_in,
    )


def _pictures_in(recalled: object) -> int:
    return len(recalled) if isinstance(recalled, RecalledPictures) else 1


def encode_all(
    photos: deque[tuple[Photo | RecalledPictures, Split]], treatment: Treatment, jobs: int | None = None
) -> Iterator[tuple[Photo | RecalledPictures, Split]]:
    """Encode photos that were only checked so far, in order, on all CPUs (or `jobs`) at once.

    The queue is emptied on the way, so that nothing stays in memory that was used.
    """

    def waiting() -> Iterator[tuple[Photo | RecalledPictures, Split]]:
        while photos:
            yield photos.popleft()

    def encoded(item: tuple[Photo | RecalledPictures, Split]) -> tuple[Photo | RecalledPictures, Split]:
        photo, split = item
        return encode_photo(photo, treatment) if isinstance(photo, Photo) else photo, split

    return ordered_map(encoded, waiting(), jobs or cpu_count())


def _batches(plan: Iterable[PlanItem]) -> Iterator[Photo | RecalledPictures | list[PlannedImage]]:
    """What was recalled, and between that, in order, pictures to be opened by one thread together."""
    batch: list[PlannedImage] = []
    weight = 0
    for one in plan:
        recalled = None if isinstance(one, PlannedImage) else one
        if isinstance(one, PlannedImage):
            batch.append(one)
            weight += one.file.size
        if batch and (recalled is not None or len(batch) == _TOGETHER or weight > _TOGETHER_BYTES):
            yield batch
            batch, weight = [], 0
        if recalled is not None:
            yield recalled
    if batch:
        yield batch


def _flat(results: Iterable[Photo | RecalledPictures | list[Photo]]) -> Iterator[Photo | RecalledPictures]:
    for result in results:
        if isinstance(result, list):
            yield from result
        else:
            yield result
