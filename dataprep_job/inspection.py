"""Opening one picture: the very bytes that are packed are checked, and its boxes are held against it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dataprep_job.defects import Defect, Place
from dataprep_job.errors import PictureError
from dataprep_job.image_header import ImageHeader
from dataprep_job.labels import Box, Edges
from dataprep_job.photo import MAX_FILE_BYTES, check_header, decode, encode, mirror
from dataprep_job.survey import PlannedImage
from dataprep_job.thumbnail import thumbnail

HAIR = 1.5
"""Pixels by which a box may stick out without a word: rounding, and 1-based files that count from 0."""
_MIN_EDGE = 1.0
_MIN_INSIDE = 0.5
_SIZE_TOLERANCE = 1
_CHECK_EDGE = 64
"""Where nothing is packed, pictures are decoded as small as their format allows."""


@dataclass(frozen=True, slots=True)
class Treatment:
    """What is done to every picture. `resize` None: only check."""

    class_ids: Mapping[str, int]
    resize: int | None
    quality: int
    flip: bool
    pictured: frozenset[str]
    """Paths of pictures that the report shows in any case; those with defects are candidates too."""


@dataclass(frozen=True, slots=True)
class ImageBox:
    """A checked box: class id and edges in pixels of the displayed picture, inside it."""

    class_id: int
    edges: Edges


@dataclass(frozen=True, slots=True)
class Photo:
    """One opened picture. Without boxes it is unusable, and its defects say why.

    Attributes:
        digest: SHA-256 of the file.
        width: of the displayed picture at full size.
        height: of the displayed picture at full size.
        encoded: the JPEG to pack.
        mirrored: the same, left to right; only for the train split.
        thumbnail: a small JPEG for the report.
    """

    plan: PlannedImage
    digest: bytes
    width: int
    height: int
    boxes: tuple[ImageBox, ...]
    defects: tuple[Defect, ...]
    encoded: bytes = b""
    mirrored: bytes = b""
    thumbnail: bytes = b""


def inspect(plan: PlannedImage, data: bytes | None, treatment: Treatment) -> Photo:
    """Check one picture and its boxes, and encode it where it is to be packed. Safe in threads."""
    path = plan.labels.image
    if data is None:
        gone = Defect("file.gone", Place(path), "The picture was deleted while the dataset was read.")
        return Photo(plan, b"", 0, 0, (), (gone,))
    digest = hashlib.sha256(data).digest()
    try:
        if len(data) > MAX_FILE_BYTES:
            limit = f"The picture's file has {len(data) >> 20} MiB; {MAX_FILE_BYTES >> 20} MiB are allowed."
            raise PictureError("file.too-large", limit)
        header = check_header(data)
        edge = treatment.resize or _CHECK_EDGE
        pixels = decode(data, header, edge)
    except PictureError as error:
        return Photo(plan, digest, 0, 0, (), (Defect(error.code, Place(path), str(error)),))
    boxes, defects = check_boxes(plan, header, treatment.class_ids)
    width, height = header.displayed
    encoded = mirrored = small = b""
    if boxes and treatment.resize is not None:
        encoded = encode(pixels, treatment.quality)
        if treatment.flip and plan.split == "train":
            mirrored = encode(mirror(pixels), treatment.quality)
    if boxes and (defects or path in treatment.pictured):
        small = thumbnail(pixels if treatment.resize else decode(data, header, 512))
    return Photo(plan, digest, width, height, tuple(boxes), tuple(defects), encoded, mirrored, small)


def check_boxes(
    plan: PlannedImage, header: ImageHeader, class_ids: Mapping[str, int]
) -> tuple[list[ImageBox], list[Defect]]:
    """Hold a picture's boxes against its real size. No box comes back where the picture cannot be used."""
    labels = plan.labels
    width, height = header.displayed
    defects: list[Defect] = []
    boxes: Sequence[Box] = labels.boxes
    declared = labels.declared_size
    if declared is not None and not _alike(declared, (width, height)):
        stored = (header.width, header.height)
        if not _alike(declared, stored):
            message = (
                f"The annotation speaks of a picture of {declared[0]} x {declared[1]} pixels, "
                f"{labels.image} has {width} x {height}."
            )
            return [], [Defect("image.size-mismatch", labels.place, message)]
        message = f"{labels.image} was labelled lying on its side; its boxes were turned with it."
        defects.append(Defect("image.turned", labels.place, message))
        boxes = [
            Box(box.name, box.edges.turned(header.orientation, header.width, header.height), box.place)
            for box in boxes
        ]
    kept: dict[ImageBox, Place] = {}
    for box in boxes:
        edges, defect = _check_box(box, width, height)
        if defect is not None:
            defects.append(defect)
        if edges is None:
            continue
        checked = ImageBox(class_ids[box.name], edges)
        if checked in kept:
            message = f"The box of {box.name!r} repeats the one in {kept[checked]}."
            defects.append(Defect("box.duplicate", box.place, message))
        else:
            kept[checked] = box.place
    if not kept:
        message = f"None of the {len(boxes)} boxes of {labels.image} can be used."
        defects.append(Defect("image.no-usable-box", labels.place, message))
    return list(kept), defects


def _alike(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return all(abs(a - b) <= _SIZE_TOLERANCE for a, b in zip(one, other, strict=True))


def _check_box(box: Box, width: int, height: int) -> tuple[Edges | None, Defect | None]:
    """The box inside the picture, or None; and what is wrong with it, if anything."""
    spelled = f"box of {box.name!r} ({', '.join(f'{edge:g}' for edge in box.edges)})"
    if not box.edges.is_finite():
        return None, Defect("box.not-a-number", box.place, f"The {spelled} is not made of numbers.")
    edges = box.edges.ordered()
    if edges.area == 0:
        return None, Defect("box.zero-area", box.place, f"The {spelled} has no area.")
    clipped, overshoot = edges.clipped(width, height), edges.overshoot(width, height)
    inside = clipped.area / edges.area
    # Swapped corners alone are a habit of some tools; swapped and far outside is a typing error.
    if overshoot > HAIR and (inside < _MIN_INSIDE or edges != box.edges):
        message = (
            f"The {spelled} lies outside the picture of {width} x {height} pixels, {inside:.0%} of it inside."
        )
        return None, Defect("box.outside", box.place, message)
    if min(clipped.x1 - clipped.x0, clipped.y1 - clipped.y0) < _MIN_EDGE:
        return None, Defect("box.too-small", box.place, f"The {spelled} is thinner than a pixel.")
    if overshoot > HAIR:
        message = f"The {spelled} sticks out of the picture of {width} x {height} pixels by {overshoot:g}."
        return clipped, Defect("box.clipped", box.place, message)
    if edges != box.edges:
        return clipped, Defect("box.reversed", box.place, f"The {spelled} has its corners swapped.")
    return clipped, None
