"""One preparation dealt out to many jobs: `plan`, then slices side by side, then `merge`.

The plan is the catalogue of the survey, saved. A slice opens and packs the pictures of some whole blocks of
the packing order. The merge goes over all pictures once more without opening them, decides what only the
whole shows (duplicates, counts, whether training makes sense), and joins the records: the result is the very
bytes that one job would have written. Each step may run twice; a slice that has finished is not done again.
"""

from __future__ import annotations

import sqlite3
import tempfile
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import cast

from nestbox.prep_summary import PrepSummary

from dataprep_job.check import Examination, cpu_count, open_all
from dataprep_job.collector import seldom_collecting
from dataprep_job.defects import Defect, Place
from dataprep_job.errors import SourceError
from dataprep_job.image_header import Format, ImageHeader
from dataprep_job.inspection import Photo, Treatment, check_boxes, recall
from dataprep_job.packed_index import INDEX
from dataprep_job.packing import Source, block_bits, records_name, slice_bounds
from dataprep_job.prepare import (
    SUMMARY,
    Order,
    Preparation,
    SplitPackers,
    packing_treatment,
    previous_source,
    publish_first,
    read_dataset,
)
from dataprep_job.progress import Progress, Say, Stopwatch
from dataprep_job.recalled import RecalledPictures, plan_recalled
from dataprep_job.storage import Storage
from dataprep_job.survey import PACKING_ORDER, PlannedImage, Survey, load_survey, save_survey

WORK = "work"
_PLAN = f"{WORK}/plan.sqlite"
_REST = "rest.sqlite"
_SQLITE = "application/vnd.sqlite3"

_REST_SCHEMA = """
CREATE TABLE left_out (
    image TEXT PRIMARY KEY, digest BLOB, format TEXT, width INTEGER, height INTEGER, orientation INTEGER,
    code TEXT, message TEXT
) WITHOUT ROWID;
CREATE TABLE thumbnails (image TEXT PRIMARY KEY, jpeg BLOB) WITHOUT ROWID;
"""


def plan(order: Order, say: Say) -> None:
    """Read the annotations, decide on classes and splits, and write that down for slices and merge.

    Raises:
        DataPrepError: source, output or previous preparation cannot be used. Bad data never raises.
    """
    if _is_done(order, say):
        return
    with tempfile.TemporaryDirectory(prefix="nestbox-") as folder:
        found = read_dataset(order, say, Path(folder))
        path = Path(folder) / "plan.sqlite"
        save_survey(found, path)
        order.output.put_file(_PLAN, path, _SQLITE)
    publish_first(order, found, say)
    say(f"{order.run}: planned {found.planned:,} pictures")


@seldom_collecting()
def prepare_slice(order: Order, number: int, slices: int, say: Say) -> None:
    """Open and pack the pictures of slice `number` (from 0) of `slices`.

    Raises:
        DataPrepError: source, plan, output or previous preparation cannot be used. Bad data never raises.
    """
    output = order.output.below(_folder(number))
    if _is_done(order, say):
        return
    if output.has(_REST):
        say(f"{order.run}: slice {number} is prepared already")
        return
    with tempfile.TemporaryDirectory(prefix="nestbox-") as folder:
        found = _load_plan(order, Path(folder))
        treatment = packing_treatment(order, found, Path(folder))
        first, last = list(slice_bounds(block_bits(found.planned), slices))[number]
        count = found.count_between(first, last)
        progress = Progress(say, f"slice {number}: pictures prepared", count)
        rest = _Rest(Path(folder) / _REST)
        packers = SplitPackers(output, found, Path(folder))
        try:
            items = plan_recalled(found, treatment, order.jobs or cpu_count(), first, last)
            for photo in open_all(found.source, items, treatment, order.jobs):
                if isinstance(photo, RecalledPictures):
                    packers.add(photo, photo.split, previous_source(order, photo))
                    progress.step(len(photo))
                    continue
                rest.add(photo)
                if photo.boxes:
                    packers.add(photo, photo.plan.split, previous_source(order, photo))
                progress.step()
            packers.commit()
        finally:
            packers.abort()
        # Last, and so the sign that the slice is complete.
        output.put_file(_REST, rest.close(), _SQLITE)
    say(f"{order.run}: slice {number} of {slices} is packed, {count:,} pictures")


@seldom_collecting()
def merge(order: Order, slices: int, say: Say) -> PrepSummary:
    """Join the slices into the result of the preparation, `summary.json` last, and remove the work folder.

    Raises:
        SourceError: a slice is missing.
        DataPrepError: output or previous preparation cannot be used.
    """
    done = order.output.read(SUMMARY)
    if done is not None:
        say(f"{order.run}: prepared already")
        # Whoever wrote it may have been killed before this.
        _remove_work(order.output, slices)
        return PrepSummary.from_json(done)
    watch = Stopwatch()
    with tempfile.TemporaryDirectory(prefix="nestbox-") as folder:
        with watch.stage("read"):
            found = _load_plan(order, Path(folder))
            # Nothing is taken over from the previous preparation here: the slices have done that.
            treatment = replace(packing_treatment(order, found, Path(folder)), stored=None)
            joined = _join(order.output, slices, Path(folder))
            found.catalogue.attach_index(joined, "slices", known=True)
        first_ids = [first for first, _ in slice_bounds(block_bits(found.planned), slices)]
        outputs = [order.output.below(_folder(number)) for number in range(slices)]

        def source_of(photo: Photo | RecalledPictures) -> Source | None:
            if isinstance(photo, RecalledPictures):
                return None  # never made here
            # An empty slice begins where the next one does, which is the one meant.
            number = bisect_right(first_ids, photo.plan.record_id) - 1
            return Source(outputs[number], records_name(photo.plan.split))

        examination = Examination(found, say, treatment)
        progress = Progress(say, "pictures merged", found.planned)
        photos = examination.count(_recalled(found, treatment), progress)
        summary = Preparation(order, found, watch, say, Path(folder)).run(examination, photos, source_of)
    _remove_work(order.output, slices)
    return summary


def _is_done(order: Order, say: Say) -> bool:
    if order.output.read(SUMMARY) is None:
        return False
    say(f"{order.run}: prepared already, nothing to do")
    return True


def _folder(number: int) -> str:
    return f"{WORK}/slices/{number:04}"


def _load_plan(order: Order, folder: Path) -> Survey:
    path = order.output.local_copy(_PLAN, folder)
    if path is None:
        raise SourceError(f"There is no plan of {order.run}: the job that makes it has not run.")
    return load_survey(path, order.source)


class _Rest:
    """What a slice found out about pictures beside their records."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.executescript(_REST_SCHEMA)
        self._database.execute("BEGIN")

    def add(self, photo: Photo) -> None:
        image, header = photo.plan.labels.image, photo.header
        if photo.thumbnail:
            self._database.execute("INSERT INTO thumbnails VALUES (?, ?)", (image, photo.thumbnail))
        if photo.boxes:
            return
        size: tuple[str | int | None, ...] = (None, None, None, None)
        what: tuple[str | None, ...] = (None, None)
        if header is not None:
            size = (header.format, header.width, header.height, header.orientation)
        else:
            (defect,) = photo.defects
            what = (defect.code, defect.message)
        self._database.execute(
            "INSERT INTO left_out VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (image, photo.digest, *size, *what)
        )

    def close(self) -> Path:
        self._database.execute("COMMIT")
        self._database.close()
        return self._path


def _join(output: Storage, slices: int, folder: Path) -> Path:
    """The tables of all slices in one database."""
    path = folder / "slices.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        for number in range(slices):
            for name in (INDEX, _REST):
                file = output.below(_folder(number)).local_copy(name, folder)
                if file is None:
                    raise SourceError(f"Slice {number} of {slices} is missing: its job has not finished.")
                database.execute("ATTACH DATABASE ? AS slice", (str(file),))
                tables = "SELECT name, sql FROM slice.sqlite_master WHERE type = 'table'"
                for table, create in database.execute(tables).fetchall():
                    if table == "about":
                        continue
                    if not number:
                        database.execute(create)
                    database.execute(f"INSERT INTO main.{table} SELECT * FROM slice.{table}")  # noqa: S608
                database.execute("DETACH DATABASE slice")
                if file.is_relative_to(folder):
                    file.unlink()
    return path


def _recalled(found: Survey, treatment: Treatment) -> Iterator[Photo]:
    """All photos in packing order, as the slices opened them."""
    database = found.catalogue.database
    for one in found.plan():
        if one.known is not None:
            photo = recall(one, one.known, treatment)
        else:
            photo = _left_out(found, one, treatment)
        if one.labels.image in treatment.pictured:
            row = database.execute(
                "SELECT jpeg FROM slices.thumbnails WHERE image = ?", (one.labels.image,)
            ).fetchone()
            photo.thumbnail = row[0] if row else b""
        yield photo


def _left_out(found: Survey, one: PlannedImage, treatment: Treatment) -> Photo:
    image = one.labels.image
    row = found.catalogue.database.execute(
        "SELECT digest, format, width, height, orientation, code, message FROM slices.left_out "
        "WHERE image = ?",
        (image,),
    ).fetchone()
    if row is None:
        raise SourceError(f"No slice speaks of {image}.")
    digest, form, width, height, orientation, code, message = row
    if code is not None:
        return Photo(one, digest, None, (), (Defect(code, Place(image), message),))
    header = ImageHeader(cast(Format, form), width, height, orientation)
    boxes, defects = check_boxes(one, header, treatment.class_ids)
    return Photo(one, digest, header, tuple(boxes), tuple(defects))


def _remove_work(output: Storage, slices: int) -> None:
    names = [INDEX, _REST]
    for split in PACKING_ORDER:
        names += (records_name(split), f"lists/{split}.lst", f"lists/{split}.idx")
    output.remove([f"{_folder(number)}/{name}" for number in range(slices) for name in names] + [_PLAN])
