"""Pictures that show what is wrong: a few for every kind of defect, opened again when all defects are known.

Opening them again costs less than making a small picture of every one that has a defect, and keeps in memory
no more than what is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from dataprep_job.agreement import SAME_BOX_PIXELS
from dataprep_job.catalogue import RECORD_COLUMNS
from dataprep_job.defects import Defect, Place
from dataprep_job.errors import FileGoneError, PictureError
from dataprep_job.file_source import PREFETCH_BYTES, FileSource, SourceFile, read_one
from dataprep_job.inspection import ImageBox, check_boxes
from dataprep_job.labels import Edges, LabelledImage, Split
from dataprep_job.ordered_map import ordered_map
from dataprep_job.photo import check_header, decode
from dataprep_job.survey import PlannedImage, Survey
from dataprep_job.thumbnail import LONGER_EDGE, thumbnail

PICTURES_PER_CODE = 3
PICTURES_IN_ALL = 60
_VIEWS = 3


class Flaw(NamedTuple):
    """A box that something is wrong with, in pixels of the displayed picture; it may stick out of it.

    `number` is that of the exhibit's defect that speaks of it, from 1; 0: none does so alone.
    """

    edges: Edges
    number: int


@dataclass(frozen=True, slots=True)
class PicturedImage:
    """A small picture for the report, with its boxes.

    Attributes:
        split: that it is in or was meant for; "left out" where it has none.
        width: of the picture at full size, in pixels.
        height: of the picture at full size, in pixels.
        boxes: checked, in pixels of the full size.
        jpeg: the picture, smaller.
        annotation: where the boxes come from.
        flaws: boxes to be marked; those that were mended are among `boxes` as well.
    """

    path: str
    split: str
    width: int
    height: int
    boxes: tuple[ImageBox, ...]
    jpeg: bytes
    annotation: str = ""
    flaws: tuple[Flaw, ...] = ()


@dataclass(frozen=True, slots=True)
class Exhibit:
    """Defects of one code on the same pictures: one picture, or several that are to be compared."""

    code: str
    defects: tuple[Defect, ...]
    pictures: tuple[PicturedImage, ...]


class _View(NamedTuple):
    """One annotation of one picture that is to be opened."""

    labels: LabelledImage
    file: SourceFile
    split: Split | None


def make_exhibits(
    found: Survey, defects: Iterable[Defect], class_ids: Mapping[str, int], threads: int
) -> list[Exhibit]:
    """Show the first few defects of every code whose pictures can be opened.

    Args:
        found: the survey; its catalogue knows annotations, files and splits.
        defects: as listed, the gravest first.
        class_ids: class ids by name.
        threads: how many pictures are opened at once.
    """
    cases = [(case, _views(found, case[0].images)) for case in _choose(defects)]
    source = found.source
    opened = ordered_map(
        lambda view: _open(source, view, class_ids),
        (view for _, views in cases for view in views),
        max(threads, min(source.read_threads, 8)),
        weight=lambda view: view.file.size,
        budget=PREFETCH_BYTES,
    )
    exhibits = []
    for case, views in cases:
        pictures = [one for one in [next(opened) for _ in views] if one is not None]
        if pictures:
            marked = _mark(case, pictures)
            exhibits.append(Exhibit(case[0].code, tuple(case), tuple(marked)))
    return exhibits


def _choose(defects: Iterable[Defect]) -> list[list[Defect]]:
    """Defects of one code on the same pictures belong together."""
    by_code: dict[str, dict[tuple[str, ...], list[Defect]]] = {}
    for defect in defects:
        if defect.images:
            cases = by_code.setdefault(defect.code, {})
            if defect.images in cases or len(cases) < PICTURES_PER_CODE:
                cases.setdefault(defect.images, []).append(defect)
    chosen, pictures = [], 0
    for case in (case for cases in by_code.values() for case in cases.values()):
        pictures += len(case[0].images)
        if pictures > PICTURES_IN_ALL:
            break
        chosen.append(case)
    return chosen


def _views(found: Survey, images: Sequence[str]) -> list[_View]:
    catalogue = found.catalogue
    views = []
    for image in images[:_VIEWS]:
        file = catalogue.file(image)
        if file is None:
            continue
        split = catalogue.one("SELECT split FROM plan WHERE image = ?", (image,))
        records = catalogue.database.execute(
            f"SELECT {RECORD_COLUMNS} FROM records WHERE image = ? ORDER BY seq LIMIT ?",  # noqa: S608
            (image, _VIEWS if len(images) == 1 else 1),
        ).fetchall()
        # Annotations that say the same were merged into the first one.
        said = [catalogue.record(record) for record in (records[:1] if split else records)]
        nothing = LabelledImage(image, (), None, None, Place(""), "")
        views += [_View(labels, file, split) for labels in said or [nothing]]
    return views


def _open(source: FileSource, view: _View, class_ids: Mapping[str, int]) -> PicturedImage | None:
    data = read_one(source, view.file)
    if isinstance(data, FileGoneError):
        return None
    try:
        header = check_header(data)
        pixels = decode(data, header, LONGER_EDGE)
    except PictureError:
        return None
    labels = view.labels
    width, height = header.displayed
    plan = PlannedImage(labels, view.file, view.split or "train", "", 0)
    boxes, defects = check_boxes(plan, header, class_ids)
    rejected: list[Edges] = []
    if not boxes:
        rejected = [defect.edges for defect in defects if defect.edges is not None]
        if any(defect.code == "image.size-mismatch" for defect in defects):
            rejected = _stretched(labels, width, height)
    return PicturedImage(
        path=labels.image,
        split=view.split if view.split and boxes else "left out",
        width=width,
        height=height,
        boxes=tuple(boxes),
        jpeg=thumbnail(pixels),
        annotation=str(labels.place),
        flaws=tuple(Flaw(edges, 0) for edges in rejected),
    )


def _stretched(labels: LabelledImage, width: int, height: int) -> list[Edges]:
    """Boxes of a picture of another size, as they would lie on this one if it was only scaled."""
    declared = labels.declared_size
    if declared is None or 0 in declared:
        return []
    return [
        box.edges.ordered().relative(*declared).absolute(width, height)
        for box in labels.boxes
        if box.edges.is_finite()
    ]


def _mark(case: Sequence[Defect], pictures: Sequence[PicturedImage]) -> list[PicturedImage]:
    """Mark the boxes that the defects speak of; where annotations differ, the boxes in which they do."""
    first, *others = pictures
    if others:
        if case[0].code != "labels.conflict":
            return list(pictures)
        return [
            replace(one, flaws=tuple(Flaw(box.edges, 0) for box in one.boxes if not _is_on(box, other)))
            for one, other in [(first, others[0]), *((one, first) for one in others)]
        ]
    own = tuple(Flaw(defect.edges, at) for at, defect in enumerate(case, 1) if defect.edges is not None)
    return [replace(first, flaws=own) if own else first]


def _is_on(box: ImageBox, other: PicturedImage) -> bool:
    return any(
        box.class_id == candidate.class_id
        and all(abs(a - b) <= SAME_BOX_PIXELS for a, b in zip(box.edges, candidate.edges, strict=True))
        for candidate in other.boxes
    )
