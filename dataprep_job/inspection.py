"""Opening one picture: the very bytes that are packed are checked, and its boxes are held against it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, cast

from blake3 import blake3

from dataprep_job.defects import Defect, Place
from dataprep_job.errors import FileGoneError, PictureError
from dataprep_job.image_header import Format, ImageHeader
from dataprep_job.labels import Box, Edges
from dataprep_job.packed_index import PackedImage
from dataprep_job.photo import MAX_FILE_BYTES, Pixels, check_header, decode, encode, mirror
from dataprep_job.recordio import detection_label
from dataprep_job.survey import PlannedImage
from dataprep_job.thumbnail import thumbnail

HAIR = 1.5
"""Pixels by which a box may stick out without a word: rounding, and 1-based files that count from 0."""
MIN_EDGE = 0.999
"""Pixels; a hair less than one, as boxes of one pixel that were written as shares come back rounded."""
_MIN_INSIDE = 0.5
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
    """Paths of pictures that the report shows as samples (see `exhibits` for those with defects)."""
    stored: Callable[[PackedImage], bytes] | None = None
    """Reads the encoded picture that the previous preparation packed; None: nothing is taken over from it."""
    checksums: bool = False
    """Whether files are read to find out that they have not changed; otherwise their tag and size say so."""
    encodes_later: bool = False
    """Whether photos keep their files until `encode_photo` is called for them."""


class ImageBox(NamedTuple):
    """A checked box: class id and edges in pixels of the displayed picture, inside it."""

    class_id: int
    edges: Edges


class StoredImage(NamedTuple):
    """An encoded picture that lies in the record of an earlier packing.

    Attributes:
        start: first byte of the record in its file.
        stop: first byte behind it.
        jpeg_bytes: length of the encoded picture, which ends the record but for its padding.
        label_bytes: length of the label in the record.
        has_label: whether that is still the label of the picture (or of its mirrored copy).
    """

    start: int
    stop: int
    jpeg_bytes: int
    label_bytes: int
    has_label: bool


Encoded = bytes | StoredImage
"""An encoded picture, or where it lies; empty where there is none."""


@dataclass(slots=True)
class Photo:
    """One opened picture. Without boxes it is unusable, and its defects say why.

    Attributes:
        digest: BLAKE3 of the file.
        header: of the file; None where it could not be read.
        boxes: checked, in pixels of the displayed picture.
        label: of its record, see `detection_label`; empty without boxes.
        encoded: the JPEG to pack.
        mirrored: the same, left to right; only for the train split.
        thumbnail: a small JPEG for the report.
        file: what is still to be encoded, see `Treatment.encodes_later`.
    """

    plan: PlannedImage
    digest: bytes
    header: ImageHeader | None
    boxes: tuple[ImageBox, ...]
    defects: tuple[Defect, ...]
    label: bytes = b""
    encoded: Encoded = b""
    mirrored: Encoded = b""
    thumbnail: bytes = b""
    file: bytes = b""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the displayed picture at full size, in pixels; 0 where it could not be read."""
        return self.header.displayed if self.header else (0, 0)

    @property
    def width(self) -> int:
        """Of the displayed picture at full size, in pixels; 0 where it could not be read."""
        return self.size[0]

    @property
    def height(self) -> int:
        """Of the displayed picture at full size, in pixels; 0 where it could not be read."""
        return self.size[1]


def inspect(plan: PlannedImage, data: bytes | FileGoneError, treatment: Treatment) -> Photo:
    """Check one picture and its boxes, and encode it where it is to be packed. Safe in threads.

    `data` is the picture's file, or why it cannot be had.
    """
    path = plan.labels.image
    if isinstance(data, FileGoneError):
        return Photo(plan, b"", None, (), (Defect(data.code, Place(path), str(data)),))
    digest = blake3(data).digest()
    if plan.known is not None and plan.known.digest == digest and is_reusable(plan, treatment):
        return recall(plan, plan.known, treatment)
    try:
        if len(data) > MAX_FILE_BYTES:
            limit = f"The picture's file has {len(data) >> 20} MiB; {MAX_FILE_BYTES >> 20} MiB are allowed."
            raise PictureError("file.too-large", limit)
        header = check_header(data)
        edge = None if treatment.encodes_later else treatment.resize
        pixels = decode(data, header, edge or _CHECK_EDGE)
    except PictureError as error:
        return Photo(plan, digest, None, (), (Defect(error.code, Place(path), str(error)),))
    boxes, defects = check_boxes(plan, header, treatment.class_ids)
    photo = Photo(plan, digest, header, tuple(boxes), tuple(defects), _label(boxes, header))
    if boxes and treatment.encodes_later:
        photo.file = data
    elif boxes:
        _encode(photo, pixels, treatment)
    if boxes and path in treatment.pictured:
        photo.thumbnail = thumbnail(pixels if edge else decode(data, header, treatment.resize or 512))
    return photo


def encode_photo(photo: Photo, treatment: Treatment) -> Photo:
    """Encode a photo that was only checked so far, and let go of its file. Safe in threads."""
    if photo.file and photo.header is not None:
        _encode(photo, decode(photo.file, photo.header, treatment.resize or _CHECK_EDGE), treatment)
        photo.file = b""
    return photo


def _encode(photo: Photo, pixels: Pixels, treatment: Treatment) -> None:
    if treatment.resize is None:
        return
    photo.encoded = encode(pixels, treatment.quality)
    if treatment.flip and photo.plan.split == "train":
        photo.mirrored = encode(mirror(pixels), treatment.quality)


def is_reusable(plan: PlannedImage, treatment: Treatment) -> bool:
    """Whether everything that has to be packed of an unchanged picture was packed before."""
    known = plan.known
    if known is None or treatment.stored is None:
        return False
    return not (treatment.flip and plan.split == "train") or known.mirrored_start is not None


def recall(plan: PlannedImage, known: PackedImage, treatment: Treatment) -> Photo:
    """The photo of a picture that has not changed since it was packed, without opening it.

    Its boxes are checked as always: labels and rules may have changed.
    """
    header = ImageHeader(cast(Format, known.format), known.width, known.height, known.orientation)
    boxes, defects = check_boxes(plan, header, treatment.class_ids)
    label = _label(boxes, header)
    size, is_same = len(known.label), known.label == label
    encoded = StoredImage(known.start, known.stop, known.jpeg_bytes, size, is_same)
    mirrored: Encoded = b""
    if treatment.flip and plan.split == "train" and known.mirrored_start is not None:
        start, stop, jpeg_bytes = known[-3:]
        mirrored = StoredImage(start or 0, stop or 0, jpeg_bytes or 0, size, is_same)
    small = b""
    if boxes and treatment.stored and plan.labels.image in treatment.pictured:
        jpeg = treatment.stored(known)
        small = thumbnail(decode(jpeg, check_header(jpeg), treatment.resize or _CHECK_EDGE))
    return Photo(plan, known.digest, header, tuple(boxes), tuple(defects), label, encoded, mirrored, small)


def _label(boxes: Sequence[ImageBox], header: ImageHeader) -> bytes:
    if not boxes:
        return b""
    width, height = header.displayed
    return detection_label(
        [
            (class_id, Edges(x0 / width, y0 / height, x1 / width, y1 / height))
            for class_id, (x0, y0, x1, y1) in boxes
        ]
    )


def check_boxes(
    plan: PlannedImage, header: ImageHeader, class_ids: Mapping[str, int]
) -> tuple[list[ImageBox], list[Defect]]:
    """Hold a picture's boxes against its real size. No box comes back where the picture cannot be used."""
    labels = plan.labels
    width, height = header.displayed
    defects: list[Defect] = []
    boxes: Sequence[Box] = labels.boxes
    if labels.is_relative:
        boxes = [Box(box.name, box.edges.absolute(width, height), box.place) for box in boxes]
    declared = labels.declared_size
    is_stored = declared is not None and header.is_stored_with(declared)
    if declared is None or header.is_shown_with(declared):
        if header.orientation != 1 and (declared is None or is_stored):
            message = (
                f"Was {labels.image} labelled with the camera's rotation, as used here? Its size tells not."
            )
            defects.append(Defect("image.turn-unknown", labels.place, message, images=(labels.image,)))
    elif not is_stored:
        message = (
            f"The annotation speaks of a picture of {declared[0]} x {declared[1]} pixels, "
            f"{labels.image} has {width} x {height}."
        )
        return [], [Defect("image.size-mismatch", labels.place, message, images=(labels.image,))]
    elif not labels.is_relative:
        message = f"{labels.image} was labelled lying on its side; its boxes were turned with it."
        defects.append(Defect("image.turned", labels.place, message, images=(labels.image,)))
        boxes = [
            Box(box.name, box.edges.turned(header.orientation, header.width, header.height), box.place)
            for box in boxes
        ]
    kept: dict[ImageBox, Place] = {}
    for box in boxes:
        edges, defect = _check_box(box, width, height)
        if defect is not None:
            drawn = box.edges.ordered() if box.edges.is_finite() else None
            defects.append(replace(defect, images=(labels.image,), edges=drawn))
        if edges is None:
            continue
        checked = ImageBox(class_ids[box.name], edges)
        if checked in kept:
            message = f"The box of {box.name!r} repeats the one in {kept[checked]}."
            defects.append(Defect("box.duplicate", box.place, message, 1, (labels.image,), edges))
        else:
            kept[checked] = box.place
    if not kept:
        none = (
            "The only box of {} cannot be used."
            if len(boxes) == 1
            else "None of the boxes of {} can be used."
        )
        message = none.format(labels.image)
        defects.append(Defect("image.no-usable-box", labels.place, message, images=(labels.image,)))
    return list(kept), defects


def _check_box(box: Box, width: int, height: int) -> tuple[Edges | None, Defect | None]:
    """The box inside the picture, or None; and what is wrong with it, if anything."""
    x0, y0, x1, y1 = box.edges
    if x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height and min(x1 - x0, y1 - y0) >= MIN_EDGE:
        return box.edges, None
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
    if min(clipped.x1 - clipped.x0, clipped.y1 - clipped.y0) < MIN_EDGE:
        return None, Defect("box.too-small", box.place, f"The {spelled} is thinner than a pixel.")
    if overshoot > HAIR:
        message = f"The {spelled} sticks out of the picture of {width} x {height} pixels by {overshoot:g}."
        return clipped, Defect("box.clipped", box.place, message)
    if edges != box.edges:
        return clipped, Defect("box.reversed", box.place, f"The {spelled} has its corners swapped.")
    return clipped, None
