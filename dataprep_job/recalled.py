"""Pictures that were packed before, have not changed and of which nothing has to be said, many at a time.

What `recall`, the tally and the packer do picture by picture is done for them in arrays: when hardly anything
has changed, the interpreter's time for every single picture is all there is to save. Their boxes are held
against the rules as always, as labels, class ids and rules may have changed. Whatever is not plain, such as a
box that sticks out, a turned picture or one that the report shows, is left to `recall`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from dataprep_job.catalogue import RECORD_WIDTH
from dataprep_job.errors import FileGoneError
from dataprep_job.file_source import FileSource, SourceFile, read_many
from dataprep_job.inspection import (
    MIN_EDGE,
    Encoded,
    ImageBox,
    Photo,
    StoredImage,
    Treatment,
    recall,
)
from dataprep_job.labels import Edges, Split
from dataprep_job.ordered_map import ordered_map
from dataprep_job.recordio import LABEL_HEADER_WIDTH, OBJECT_WIDTH, unbroken_bytes
from dataprep_job.survey import PACKING_ORDER, PlannedImage, PlanRow, Survey

_TOGETHER = 256
_SIZE_TOLERANCE = 1
"""Pixels, as in `ImageHeader.is_shown_with`."""

GROUP, _ID, FILE_PATH, FILE_SIZE, FILE_VERSION, FILE_TAG = range(6)
_RECORD = 6
NAMED_SPLIT, _WIDTH, _HEIGHT, _IS_RELATIVE = range(_RECORD + 2, _RECORD + 6)
_NAMES, _EDGES = range(_RECORD + 9, _RECORD + 11)
_KNOWN = _RECORD + RECORD_WIDTH
_KNOWN_TAG, _KNOWN_SIZE, KNOWN_DIGEST, _, _KNOWN_WIDTH, _KNOWN_HEIGHT, _ORIENTATION = range(
    _KNOWN + 1, _KNOWN + 8
)
_KNOWN_SPLIT, _KNOWN_LABEL, _START, _, KNOWN_JPEG = range(_KNOWN + 8, _KNOWN + 13)
_MIRRORED, _, KNOWN_MIRRORED_JPEG = range(_KNOWN + 13, _KNOWN + 16)
"""Columns of `PlanRow`."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class UsedPicture(NamedTuple):
    """One used picture, opened or recalled.

    Attributes:
        version: S3 version id of its file.
        group: that it belongs to, see `group_of`.
        digest: BLAKE3 of its file.
        size: width and height as displayed, in pixels.
        boxes: checked, in pixels of the displayed picture.
        encoded: the JPEG, or where it lies.
    """

    path: str
    version: str | None
    group: str
    record_id: int
    digest: bytes
    size: tuple[int, int]
    boxes: tuple[ImageBox, ...]
    encoded: Encoded


def singly(photo: Photo | RecalledPictures) -> Iterator[UsedPicture]:
    """The one picture of a photo, or each of several."""
    if isinstance(photo, RecalledPictures):
        yield from photo.singly()
        return
    plan = photo.plan
    yield UsedPicture(
        plan.labels.image,
        plan.file.version,
        plan.group,
        plan.record_id,
        photo.digest,
        photo.size,
        photo.boxes,
        photo.encoded,
    )


@dataclass(slots=True)
class RecalledPictures:
    """Neighbours in the packing order, of one split.

    Attributes:
        rows: of the plan, one a picture.
        labels: of the records, see `detection_label`.
        has_label: whether that is the label that was packed; where not, it has the same length, and the
            record is unbroken.
        box_counts: boxes of every picture.
        class_ids: of all boxes, in order.
        edges: of all boxes, in pixels of the displayed picture, n x 4.
        starts: first byte of every record in its file; `stops`: first byte behind it.
        mirrored: both for the mirrored copies; None where there are none to be packed.
    """

    split: Split
    rows: Sequence[PlanRow]
    paths: Sequence[str]
    record_ids: Ints
    digests: Sequence[bytes]
    labels: list[bytes]
    has_label: NDArray[np.bool_]
    box_counts: Ints
    class_ids: Ints
    edges: Floats
    widths: Ints
    heights: Ints
    starts: Ints
    stops: Ints
    mirrored: tuple[Ints, Ints] | None

    def __len__(self) -> int:
        return len(self.rows)

    def photos(self, found: Survey, treatment: Treatment) -> Iterator[Photo]:
        """The same one by one."""
        for row in self.rows:
            plan = found.planned_in(row, self.split)
            if plan.known is None:
                raise ValueError(f"{plan.labels.image} was never packed.")
            yield recall(plan, plan.known, treatment)

    def singly(self) -> Iterator[UsedPicture]:
        """What is written about each of them that is held out."""
        boxes = zip(self.class_ids.tolist(), self.edges.tolist(), strict=True)
        records = zip(self.starts.tolist(), self.stops.tolist(), strict=True)
        for number, (row, count) in enumerate(zip(self.rows, self.box_counts.tolist(), strict=True)):
            start, stop = next(records)
            yield UsedPicture(
                path=row[FILE_PATH],
                version=row[FILE_VERSION],
                group=row[GROUP],
                record_id=row[_ID],
                digest=row[KNOWN_DIGEST],
                size=(row[_KNOWN_WIDTH], row[_KNOWN_HEIGHT]),
                boxes=tuple(ImageBox(class_id, Edges(*edges)) for class_id, edges in islice(boxes, count)),
                encoded=StoredImage(
                    start, stop, row[KNOWN_JPEG], len(self.labels[number]), bool(self.has_label[number])
                ),
            )

    @property
    def owners(self) -> Ints:
        """The number of the picture of every box."""
        return np.repeat(np.arange(len(self.rows)), self.box_counts)


PlanItem = PlannedImage | Photo | RecalledPictures
"""A picture that is to be opened, one that was recalled, or many."""


def plan_recalled(
    found: Survey, treatment: Treatment, threads: int, first_id: int = 0, last_id: int = 1 << 63
) -> Iterator[PlanItem]:
    """The plan in order, as `Survey.plan` gives it, with what has not changed recalled already.

    Where the treatment asks for checksums, files are read for that, by so many threads.
    """
    can_recall = treatment.stored is not None and bool(found.catalogue.known_schemas)
    recalling = _Recalling(found, treatment)
    for split in PACKING_ORDER:
        if not can_recall:
            yield from found.plan_of(split, first_id, last_id)
            continue
        batches = _batches(found.rows_of(split, first_id, last_id))
        compared: Iterable[tuple[list[PlanRow], list[bool]]]
        if treatment.checksums:
            compared = ordered_map(lambda rows: (rows, _same_content(found.source, rows)), batches, threads)
        else:
            compared = ((rows, [_has_same_tag(row) for row in rows]) for rows in batches)
        for rows, are_same in compared:
            yield from recalling.of(split, rows, are_same)


def _batches(rows: Iterable[PlanRow]) -> Iterator[list[PlanRow]]:
    waiting = iter(rows)
    while batch := list(islice(waiting, _TOGETHER)):
        yield batch


def _has_same_tag(row: PlanRow) -> bool:
    """Whether tag and size of a file say that it was packed as it is."""
    return bool(row[FILE_TAG]) and row[FILE_TAG] == row[_KNOWN_TAG] and row[FILE_SIZE] == row[_KNOWN_SIZE]


def _same_content(source: FileSource, rows: Sequence[PlanRow]) -> list[bool]:
    """Whether the bytes of the files are those that were packed."""
    files = [SourceFile(*row[FILE_PATH : FILE_TAG + 1]) for row in rows if row[KNOWN_DIGEST] is not None]
    digests = {
        file.path: blake3(data).digest()
        for file, data in read_many(source, files)
        if not isinstance(data, FileGoneError)
    }
    return [digests.get(row[FILE_PATH], b"") == row[KNOWN_DIGEST] for row in rows]


class _Recalling:
    """Finds the plain pictures among rows of the plan whose files have not changed."""

    def __init__(self, found: Survey, treatment: Treatment) -> None:
        self._found = found
        self._treatment = treatment
        ids = [-1 if name is None else treatment.class_ids[name] for name in found.catalogue.classes]
        self._class_ids = np.array([*ids, -1], np.int64)

    def of(self, split: Split, rows: Sequence[PlanRow], are_same: Sequence[bool]) -> Iterator[PlanItem]:
        """Those rows in order; neighbours that can be recalled together are."""
        treatment = self._treatment
        is_mirrored = treatment.flip and split == "train"
        reusable = [
            is_same and not (is_mirrored and row[_MIRRORED] is None)
            for row, is_same in zip(rows, are_same, strict=True)
        ]
        likely = [
            number
            for number, row in enumerate(rows)
            if reusable[number]
            and row[_ORIENTATION] == 1
            and row[_KNOWN_SPLIT] == split
            and row[FILE_PATH] not in treatment.pictured
        ]
        several: RecalledPictures | None = None
        plain: list[bool] = []
        if likely:
            # What is no number or too large is not plain.
            with np.errstate(all="ignore"):
                several, plain = self._recall([rows[number] for number in likely], split, is_mirrored)
        places = {number: at for at, number in enumerate(likely) if plain[at]}
        number = 0
        while number < len(rows):
            first = number
            while number in places:
                number += 1
            if several is not None and number > first:
                yield _part(several, places[first], places[number - 1] + 1)
                continue
            one = self._found.planned_in(rows[number], split)
            known = one.known
            yield one if known is None or not reusable[number] else recall(one, known, treatment)
            number += 1

    def _recall(
        self, rows: Sequence[PlanRow], split: Split, is_mirrored: bool
    ) -> tuple[RecalledPictures, list[bool]]:
        """All of them as if they were plain, and which of them are."""
        columns = list(zip(*rows, strict=True))
        counts = np.array([len(ids) for ids in columns[_NAMES]], np.int64) >> 2
        owners = np.repeat(np.arange(len(rows)), counts)
        names = np.frombuffer(b"".join(columns[_NAMES]), np.int32)
        class_ids = self._class_ids[names]
        widths = np.array(columns[_KNOWN_WIDTH], np.int64)
        heights = np.array(columns[_KNOWN_HEIGHT], np.int64)
        frames = np.stack([widths, heights, widths, heights], 1).astype(np.float64)[owners]
        edges = np.frombuffer(b"".join(columns[_EDGES]), np.float64).reshape(-1, 4)
        relative = np.array(columns[_IS_RELATIVE], np.bool_)
        if relative.any():
            edges = np.where(relative[owners][:, np.newaxis], edges * frames, edges)
        sound = (
            (class_ids >= 0)
            & (edges[:, :2] >= 0).all(1)
            & (edges[:, 2:] <= frames[:, 2:]).all(1)
            & (edges[:, 2:] - edges[:, :2] >= MIN_EDGE).all(1)
        )
        plain = counts > 0
        plain[owners[~sound]] = False
        plain[owners[repeated(owners, class_ids, edges)]] = False
        for declared, real in ((columns[_WIDTH], widths), (columns[_HEIGHT], heights)):
            sizes = np.array([np.nan if size is None else size for size in declared])
            plain &= ~(np.abs(sizes - real) > _SIZE_TOLERANCE)
        labels = _labels(counts, owners, class_ids, edges / frames)
        known = columns[_KNOWN_LABEL]
        has_label = np.array([label == before for label, before in zip(labels, known, strict=True)])
        lengths = np.array([len(label) for label in labels])
        records = [_records(columns, _START)]
        if is_mirrored:
            records.append(_records(columns, _MIRRORED))
        fits = np.array([len(label) for label in known]) == lengths
        for starts, stops, jpegs in records:
            fits &= stops - starts == unbroken_bytes(lengths, jpegs)
        plain &= has_label | fits
        return RecalledPictures(
            split=split,
            rows=rows,
            paths=columns[FILE_PATH],
            record_ids=np.array(columns[_ID], np.int64),
            digests=columns[KNOWN_DIGEST],
            labels=labels,
            has_label=has_label,
            box_counts=counts,
            class_ids=class_ids,
            edges=edges,
            widths=widths,
            heights=heights,
            starts=records[0][0],
            stops=records[0][1],
            mirrored=records[1][:2] if is_mirrored else None,
        ), plain.tolist()


def _records(columns: Sequence[Sequence[Any]], first: int) -> tuple[Ints, Ints, Ints]:
    """Start, end and bytes of the JPEG, which stand in three columns side by side."""
    starts, stops, jpegs = np.array(columns[first : first + 3], np.int64)
    return starts, stops, jpegs


def repeated(owners: Ints, class_ids: Ints, edges: Floats) -> NDArray[np.bool_]:
    """Which boxes repeat another one of the same picture, but for one of each kind.

    Args:
        owners: the number of the picture of every box, not decreasing.
        class_ids: of every box.
        edges: of every box, n x 4.
    """
    repeats = np.zeros(len(owners), np.bool_)
    if (owners[1:] == owners[:-1]).any():
        keys = np.column_stack([owners, class_ids, edges])
        order = np.lexsort(keys.T)
        repeats[order[1:]] = (keys[order[1:]] == keys[order[:-1]]).all(1)
    return repeats


def _labels(counts: Ints, owners: Ints, class_ids: Ints, shares: Floats) -> list[bytes]:
    """The label of every picture, see `detection_label`."""
    ends = np.cumsum(LABEL_HEADER_WIDTH + OBJECT_WIDTH * counts)
    starts = ends - (LABEL_HEADER_WIDTH + OBJECT_WIDTH * counts)
    values = np.empty(int(ends[-1]), "<f4")
    values[starts], values[starts + 1] = LABEL_HEADER_WIDTH, OBJECT_WIDTH
    places = LABEL_HEADER_WIDTH * (owners + 1) + OBJECT_WIDTH * np.arange(len(owners))
    values[places] = class_ids
    for edge in range(4):
        values[places + 1 + edge] = shares[:, edge]
    data = values.tobytes()
    bounds = zip((4 * starts).tolist(), (4 * ends).tolist(), strict=True)
    return [data[start:end] for start, end in bounds]


def _part(several: RecalledPictures, first: int, last: int) -> RecalledPictures:
    """The pictures with first <= number < last."""
    if first == 0 and last == len(several):
        return several
    boxes = slice(int(several.box_counts[:first].sum()), int(several.box_counts[:last].sum()))
    mirrored = several.mirrored
    return RecalledPictures(
        split=several.split,
        rows=several.rows[first:last],
        paths=several.paths[first:last],
        record_ids=several.record_ids[first:last],
        digests=several.digests[first:last],
        labels=several.labels[first:last],
        has_label=several.has_label[first:last],
        box_counts=several.box_counts[first:last],
        class_ids=several.class_ids[boxes],
        edges=several.edges[boxes],
        widths=several.widths[first:last],
        heights=several.heights[first:last],
        starts=several.starts[first:last],
        stops=several.stops[first:last],
        mirrored=None if mirrored is None else (mirrored[0][first:last], mirrored[1][first:last]),
    )
