"""Everything that can be known before a picture is opened: annotations, classes, splits, the plan."""

from __future__ import annotations

import json
import shutil
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from dataprep_job.agreement import LabelledBox, say_the_same
from dataprep_job.catalogue import RECORD_COLUMNS, RECORD_WIDTH, Catalogue, index_files
from dataprep_job.class_list import append_classes, normal_name
from dataprep_job.collector import seldom_collecting
from dataprep_job.configuration import FILE_NAME, Configuration, read_configuration
from dataprep_job.dataset_files import DatasetFiles
from dataprep_job.defects import DefectLog, Place
from dataprep_job.errors import FileGoneError, PictureError
from dataprep_job.file_source import FileSource, SourceFile
from dataprep_job.held_out import HeldOutImage
from dataprep_job.image_header import ImageHeader, read_header
from dataprep_job.kept_reading import keep, reading_keys, take_over
from dataprep_job.labels import LabelledImage, Split
from dataprep_job.packed_index import PACKED_COLUMNS, PackedImage
from dataprep_job.readers import READERS
from dataprep_job.splitting import Splitting

PACKING_ORDER: tuple[Split, ...] = ("test", "validation", "train")
"""Held-out pictures first: a copy of one is then known when it turns up among the training pictures."""

_PLAN_COLUMNS = 'plan."group", plan.id, files.path, files.size, files.version, files.tag'

PlanRow = tuple[Any, ...]
"""Group, id, path, size, version, tag, then `RECORD_COLUMNS`, then `PACKED_COLUMNS` if anything is known."""

SOURCES_LISTED = 50
_NOMINAL = (1000, 1000)
"""Any size will do for two annotations in pixels; of two in shares, two in a thousand are no difference."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What the previous preparation of this dataset decided, and later ones keep."""

    classes: tuple[str, ...] = ()
    held_out: Iterable[HeldOutImage] = ()


class PlannedImage(NamedTuple):
    """One picture that is going to be opened.

    Attributes:
        labels: what its annotation says.
        file: where it is.
        split: that it is going to be in.
        group: that it belongs to, see `group_of`.
        record_id: of its record.
        known: how the previous preparation packed the picture of this path, if it did.
    """

    labels: LabelledImage
    file: SourceFile
    split: Split
    group: str
    record_id: int
    known: PackedImage | None = None


class AnnotationSource(NamedTuple):
    """An annotation file, or a folder of them, and what it says.

    Attributes:
        path: of the file; of the folder, with its closing slash, where a format has many files.
        format: name of the annotation format.
        files: how many annotation files it stands for.
        images: pictures it speaks of, among those that exist.
        boxes: boxes it gives, before they are checked.
    """

    path: str
    format: str
    files: int
    images: int
    boxes: int


@dataclass(frozen=True, slots=True)
class Survey:
    """What the annotations of a dataset say, and what is going to be done with it.

    Attributes:
        classes: names in id order.
        planned: how many pictures are going to be opened.
        labelled: annotated pictures, with those that are lost already.
        pictures: all picture files.
        files: all files.
        formats: names of the annotation formats that were found.
        log: defects so far; what opens the pictures adds to it.
    """

    source: FileSource
    configuration: Configuration
    catalogue: Catalogue
    classes: list[str]
    planned: int
    labelled: int
    pictures: int
    files: int
    formats: list[str]
    validation_is_test: bool
    log: DefectLog

    def plan(self, first_id: int = 0, last_id: int = 1 << 63) -> Iterator[PlannedImage]:
        """Pictures in the order in which they are opened and packed; only those with first <= id < last."""
        for split in PACKING_ORDER:
            yield from self.plan_of(split, first_id, last_id)

    def plan_of(self, split: Split, first_id: int = 0, last_id: int = 1 << 63) -> Iterator[PlannedImage]:
        """The part of the plan that belongs to one split."""
        return (self.planned_in(row, split) for row in self.rows_of(split, first_id, last_id))

    def rows_of(self, split: Split, first_id: int = 0, last_id: int = 1 << 63) -> Iterator[PlanRow]:
        """The same as rows, of which `planned_in` makes pictures."""
        columns = join = ""
        if self.catalogue.known_schemas:
            columns = f", {PACKED_COLUMNS}"
            join = (
                f"LEFT JOIN {self.catalogue.known_schemas[-1]}.packed AS packed ON packed.image = plan.image"
            )
        return self.catalogue.database.execute(
            f"SELECT {_PLAN_COLUMNS}, {RECORD_COLUMNS}{columns} "  # noqa: S608
            "FROM plan JOIN records ON records.seq = plan.record JOIN files ON files.path = plan.image "
            f"{join} WHERE plan.split = ? AND plan.id BETWEEN ? AND ? ORDER BY plan.id, plan.image",
            (split, first_id, last_id - 1),
        )

    def planned_in(self, row: PlanRow, split: Split) -> PlannedImage:
        """The picture in one of the `rows_of` a split."""
        group, record_id, path, size, version, tag, *rest = row
        known = rest[RECORD_WIDTH:]
        return PlannedImage(
            self.catalogue.record(rest[:RECORD_WIDTH]),
            SourceFile(path, size, version, tag),
            split,
            group,
            record_id,
            PackedImage._make(known) if known and known[0] is not None else None,
        )

    def count_between(self, first_id: int, last_id: int) -> int:
        """How many pictures of the plan have ids with first <= id < last."""
        query = "SELECT count(*) FROM plan WHERE id BETWEEN ? AND ?"
        count: int = self.catalogue.one(query, (first_id, last_id - 1))
        return count

    def bytes_planned(self) -> int:
        """How large the files of all planned pictures are together."""
        query = "SELECT coalesce(sum(size), 0) FROM plan JOIN files ON path = image"
        size: int = self.catalogue.one(query)
        return size

    def sources(self) -> list[AnnotationSource]:
        """Where annotations were read from, those with most pictures first, at most `SOURCES_LISTED`."""
        rows = self.catalogue.database.execute(
            "SELECT CASE WHEN files.n > 20 THEN folder_of(file) ELSE file END AS origin, records.format, "
            "count(DISTINCT file), count(*), sum(length(names)) / 4 FROM records "
            "JOIN (SELECT format, count(DISTINCT file) AS n FROM records GROUP BY format) AS files "
            "USING (format) GROUP BY origin, records.format ORDER BY count(*) DESC, origin LIMIT ?",
            (SOURCES_LISTED,),
        )
        return [AnnotationSource(*row) for row in rows]


def save_survey(found: Survey, path: Path) -> None:
    """Write a survey to a file, from which `load_survey` makes it again in another process."""
    state = {
        "configuration": found.configuration.to_dict(),
        "classes": found.classes,
        "planned": found.planned,
        "labelled": found.labelled,
        "pictures": found.pictures,
        "files": found.files,
        "formats": found.formats,
        "validation_is_test": found.validation_is_test,
        "log": found.log.to_dict(),
    }
    database = found.catalogue.database
    database.execute("CREATE TABLE survey (state TEXT)")
    database.execute("INSERT INTO survey VALUES (?)", (json.dumps(state),))
    found.catalogue.save(path)


def load_survey(path: Path, source: FileSource) -> Survey:
    """The survey that `save_survey` wrote. The file is written to, and must not be shared."""
    catalogue = Catalogue(path)
    state = json.loads(catalogue.one("SELECT state FROM survey"))
    log = DefectLog.from_dict(state.pop("log"))
    configuration = Configuration.from_dict(state.pop("configuration"))
    return Survey(source=source, catalogue=catalogue, log=log, configuration=configuration, **state)


class _Gathering:
    """Puts what readers find into the catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self.formats: dict[str, None] = {}
        self.class_order: dict[str, None] = {}

    def recognise(self, name: str) -> None:
        self.formats[name] = None

    def add(self, image: LabelledImage) -> None:
        self._catalogue.add_record(image)

    def lose(self, image: str | None) -> None:
        self._catalogue.lose(image)

    def order_classes(self, names: Iterable[str]) -> None:
        self.class_order.update(dict.fromkeys(names))


@dataclass(frozen=True, slots=True)
class Kept:
    """Where readings are kept, see `kept_reading`.

    Attributes:
        previous: what the previous preparation read; None where nothing may be taken over.
        path: where to write what this one reads, whether that was taken over or not. Nothing is written where
            it could not be trusted.
        by_contents: compare the contents of annotations, not their tags.
    """

    previous: Path | None
    path: Path
    by_contents: bool = False


@seldom_collecting()
def survey(source: FileSource, earlier: Earlier, kept: Kept | None = None) -> Survey:
    """Read a dataset's annotations and decide on classes and splits."""
    log = DefectLog()
    catalogue = Catalogue()
    files = DatasetFiles(source, log, catalogue)
    splitting = Splitting(catalogue)
    keys = []
    if kept is not None:
        keys = reading_keys(catalogue, files.refused, source if kept.by_contents else None)
    before = None
    if kept is not None and kept.previous is not None and keys:
        before = take_over(catalogue, kept.previous, keys)
    if before is None:
        reading, is_repeatable = _read(source, files, log, catalogue, splitting)
        if kept is not None and keys and is_repeatable:
            state = {
                **reading._asdict(),
                "configuration": reading.configuration.to_dict(),
                "log": log.to_dict(),
            }
            keep(catalogue, kept.path, keys, state)
    else:
        state, has_same_keys = before
        if kept is not None and kept.previous is not None and has_same_keys:
            shutil.copyfile(kept.previous, kept.path)
        elif kept is not None:
            keep(catalogue, kept.path, keys, state)
        log = DefectLog.from_dict(state.pop("log"))
        configuration = Configuration.from_dict(state.pop("configuration"))
        reading = _Reading(configuration=configuration, **state)
    splitting.hold_out(earlier.held_out)
    validation_is_test = splitting.choose(reading.configuration.validation, log)
    return Survey(
        source=source,
        configuration=reading.configuration,
        catalogue=catalogue,
        classes=append_classes(earlier.classes, reading.classes),
        planned=catalogue.one("SELECT count(*) FROM plan"),
        labelled=reading.labelled,
        pictures=catalogue.one("SELECT count(*) FROM files WHERE is_picture"),
        files=catalogue.one("SELECT count(*) FROM files"),
        formats=reading.formats,
        validation_is_test=validation_is_test,
        log=log,
    )


class _Reading(NamedTuple):
    """What was read beside records: see `Survey`, but that `classes` are those of this dataset alone."""

    configuration: Configuration
    classes: list[str]
    labelled: int
    formats: list[str]


def _read(
    source: FileSource, files: DatasetFiles, log: DefectLog, catalogue: Catalogue, splitting: Splitting
) -> tuple[_Reading, bool]:
    """Read all annotations, and plan the pictures that have boxes.

    Returns:
        What was found, and whether the same files would give the same again.
    """
    index_files(catalogue)
    configuration = _read_configuration(files, log)
    gathering = _Gathering(catalogue)
    for reader in READERS:
        reader.read(files, log, gathering)
    catalogue.flush()
    log.settle()
    files.report_unclaimed(frozenset({FILE_NAME}))
    log.add_together("image.unlabelled", _unlabelled(catalogue), "No annotation speaks of {subject}.")

    names = _Names(catalogue, configuration, log)
    merging = _Merging(source, catalogue, names, log)
    splitting.add(merging.usable())
    merging.report()
    names.report(gathering.class_order)
    found = {name for name in names.used if name is not None}
    ordered = [name for name in map(names.spell, gathering.class_order) if name in found]
    labelled = "SELECT (SELECT count(DISTINCT image) FROM records) + (SELECT count(*) FROM lost)"
    return _Reading(
        configuration=configuration,
        classes=list(dict.fromkeys([*ordered, *sorted(found)])),
        labelled=catalogue.one(labelled) - merging.background,
        formats=list(gathering.formats),
    ), files.is_repeatable and not merging.has_opened_pictures


def _read_configuration(files: DatasetFiles, log: DefectLog) -> Configuration:
    if not files.has(FILE_NAME):
        return Configuration()
    data = files.read(FILE_NAME)
    return Configuration() if data is None else read_configuration(data, FILE_NAME, log)


def _unlabelled(catalogue: Catalogue) -> Iterator[tuple[Place, str]]:
    rows = catalogue.database.execute(
        "SELECT path FROM files WHERE is_picture AND path NOT IN (SELECT image FROM records) "
        "AND path NOT IN (SELECT image FROM lost WHERE image IS NOT NULL) ORDER BY path"
    )
    return ((Place(path), path) for (path,) in rows)


class _Merging:
    """One record a picture. Where two annotations differ neither can be trusted: the picture is left out.

    One without boxes is no contradiction: exports list every picture of a project, also those that somebody
    else has labelled or is going to label.
    """

    def __init__(self, source: FileSource, catalogue: Catalogue, names: _Names, log: DefectLog) -> None:
        self._source = source
        self._catalogue = catalogue
        self._names = names
        self._log = log
        self._repeated = log.bundle("labels.repeated", "The same boxes are given twice: {subject}.")
        self._partly = log.bundle(
            "labels.partly-empty", "One annotation has boxes, another one has none: {subject}."
        )
        self._empty = log.bundle("image.background", "No box to train on: {subject}.")
        self.background = 0
        self.has_opened_pictures = False

    def usable(self) -> Iterator[tuple[str, int, Split | None]]:
        """The pictures that have boxes to train on: path, `records.seq` and the split that the data names."""
        rows = self._catalogue.database.execute(
            'SELECT image, seq, split, names, file, "where" FROM records ORDER BY image, seq'
        )
        for image, group in groupby(rows, key=itemgetter(0)):
            first, *others = group
            split = first[2]
            if others:
                several = [first, *others]
                first = self._chosen(several)
                if first is None:
                    continue
                split = _one_split([self._record(row[1]) for row in several], self._log)
            _, record, _, boxes, *place = first
            ids = array("i", boxes)
            if self._names.keeps_any(ids):
                yield image, record, split
            elif not self._names.are_all_bad(ids):
                self.background += 1
                self._empty.add(Place(*place), image)

    def report(self) -> None:
        """Note what was gathered in bundles."""
        self._log.settle()

    def _chosen(self, rows: list[tuple[Any, ...]]) -> tuple[Any, ...] | None:
        """Of several annotations of one picture the one to use; None, with a defect, where they differ."""
        with_boxes = [row for row in rows if row[3]] or rows
        without = next((row for row in rows if row not in with_boxes), None)
        if without is not None:
            image, place, other = without[0], Place(*without[4:]), Place(*with_boxes[0][4:])
            self._partly.add(place, f"{image} in {other} and {place}")
        return with_boxes[0] if self._agree([row[1] for row in with_boxes]) else None

    def _agree(self, records: Sequence[int]) -> bool:
        """Whether all annotations of one picture say the same; a defect otherwise."""
        first, *rest = [self._record(seq) for seq in records]
        same = [self._say_the_same(first, other) for other in rest]
        if not all(same):
            differing = rest[same.index(False)]
            message = f"{first.image} is labelled differently in {first.place} and here; it is left out."
            self._log.add("labels.conflict", differing.place, message, images=(first.image,))
            return False
        if rest and first.boxes:
            self._repeated.add(rest[0].place, f"{first.image} in {first.place} and {rest[0].place}")
        return True

    def _record(self, seq: int) -> LabelledImage:
        query = f"SELECT {RECORD_COLUMNS} FROM records WHERE seq = ?"  # noqa: S608
        row = self._catalogue.database.execute(query, (seq,)).fetchone()
        return self._catalogue.record(row, as_annotated=True)

    def _say_the_same(self, one: LabelledImage, other: LabelledImage) -> bool:
        sizes = {image.declared_size for image in (one, other) if image.declared_size is not None}
        is_mixed = one.is_relative != other.is_relative
        size = next(iter(sizes), None if is_mixed else _NOMINAL)
        if size is not None and say_the_same(self._boxes(one, size), self._boxes(other, size)):
            return True
        if not is_mixed and len(sizes) < 2:
            return False
        # One of them may speak of the picture as it is stored, the other one of what a person sees.
        header = self._header(one.image)
        if header is None:
            return size is None
        return say_the_same(self._shown_boxes(one, header), self._shown_boxes(other, header))

    def _boxes(self, image: LabelledImage, size: tuple[int, int]) -> list[LabelledBox]:
        """The boxes with their edges in pixels."""
        return [
            (self._names.spell(box.name), box.edges.absolute(*size) if image.is_relative else box.edges)
            for box in image.boxes
        ]

    def _shown_boxes(self, image: LabelledImage, header: ImageHeader) -> list[LabelledBox]:
        """The boxes with their edges in pixels of the displayed picture."""
        boxes, declared = self._boxes(image, header.displayed), image.declared_size
        if image.is_relative or declared is None or header.is_shown_with(declared):
            return boxes
        turn = header.orientation, header.width, header.height
        return [(name, edges.turned(*turn)) for name, edges in boxes]

    def _header(self, path: str) -> ImageHeader | None:
        """The header of a picture; None where it cannot be read, which its inspection reports."""
        self.has_opened_pictures = True
        file = self._catalogue.file(path)
        try:
            return None if file is None else read_header(self._source.read(file))
        except (FileGoneError, PictureError):
            return None


def _one_split(group: Sequence[LabelledImage], log: DefectLog) -> Split | None:
    splits = {record.split: record for record in group if record.split is not None}
    if len(splits) > 1:
        first, second, *_ = splits.values()
        message = f"{first.image} is for {first.split} in {first.place}, for {second.split} here: held out."
        log.add("split.conflict", second.place, message)
    return next((split for split in PACKING_ORDER if split in splits), None)


class _Names:
    """Class names as the dataset's owner wants them: spelled alike, renamed, without the ignored ones."""

    def __init__(self, catalogue: Catalogue, configuration: Configuration, log: DefectLog) -> None:
        self._rename = {
            normal_name(old) or old: normal_name(new) or new for old, new in configuration.rename.items()
        }
        self._ignore = {normal_name(name) or name for name in configuration.ignore}
        self._catalogue = catalogue
        self._log = log
        self._spelled = [normal_name(name) for name in catalogue.names]
        self._bad = {name_id for name_id, name in enumerate(self._spelled) if name is None}
        self.used: list[str | None] = []
        """The class of every name as annotated, by its id; None where its boxes are left out."""
        for name in self._spelled:
            renamed = None if name is None else self._rename.get(name, name)
            self.used.append(None if renamed is None or renamed in self._ignore else renamed)
        self._kept = {name_id for name_id, name in enumerate(self.used) if name is not None}
        catalogue.use_classes(self.used)

    def spell(self, name: str) -> str | None:
        """The name to use; None where it cannot be a class name."""
        spelled = normal_name(name)
        return None if spelled is None else self._rename.get(spelled, spelled)

    def keeps_any(self, ids: Iterable[int]) -> bool:
        """Whether a box with one of these names is trained on."""
        return not self._kept.isdisjoint(ids)

    def are_all_bad(self, ids: Sequence[int]) -> bool:
        """Whether none of the names, of which there is at least one, can be a class name."""
        return len(ids) > 0 and self._bad.issuperset(ids)

    def report(self, class_order: Iterable[str]) -> None:
        """Names that cannot be used, names in nestbox.yaml that the data lacks, and names that look alike."""
        self._report_bad()
        seen = {name for name in self._spelled if name is not None}
        known = seen | {normal_name(name) for name in class_order}
        for name in sorted((set(self._rename) | self._ignore) - known - set(self._rename.values())):
            message = f"The data lacks {name!r}. It has: {', '.join(sorted(seen))[:300]}."
            self._log.add("config.unknown-class", Place(FILE_NAME), message)
        alike: dict[str, set[str]] = defaultdict(set)
        for name in seen:
            used = self._rename.get(name, name)
            alike["".join(filter(str.isalnum, used.casefold()))].add(used)
        for names in alike.values():
            if len(names) > 1:
                self._log.add(
                    "class.similar-names", Place(""), f"Are these one class? {', '.join(sorted(names))}."
                )

    def _report_bad(self) -> None:
        if not self._bad:
            return
        rows = self._catalogue.database.execute(f"SELECT {RECORD_COLUMNS} FROM records ORDER BY seq")  # noqa: S608
        for row in rows:
            for box in self._catalogue.record(row, as_annotated=True).boxes:
                if normal_name(box.name) is None:
                    message = f"{box.name[:120]!r} cannot be a class name."
                    self._log.add("class.bad-name", box.place, message)
