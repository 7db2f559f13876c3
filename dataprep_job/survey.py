"""Everything that can be known before a picture is opened: annotations, classes, splits, the plan."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from dataprep_job.class_list import append_classes, normal_name
from dataprep_job.configuration import FILE_NAME, Configuration, read_configuration
from dataprep_job.dataset_files import DatasetFiles
from dataprep_job.defects import DefectLog, Place
from dataprep_job.file_source import FileSource, SourceFile
from dataprep_job.held_out import HeldOut
from dataprep_job.labels import Box, LabelledImage, Split
from dataprep_job.readers import READERS
from dataprep_job.splitting import SplitChoice, choose_splits, group_of, order_of

PACKING_ORDER: tuple[Split, ...] = ("test", "validation", "train")
"""Held-out pictures first: a copy of one is then known when it turns up among the training pictures."""

_SAME_BOX_PIXELS = 2.0
"""Formats round and count differently; two annotations of one picture this close say the same."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What the previous preparation of this dataset decided, and later ones keep."""

    classes: tuple[str, ...] = ()
    held_out: HeldOut = field(default_factory=HeldOut)


@dataclass(frozen=True, slots=True)
class PlannedImage:
    """One picture that is going to be opened: its labels, its file, its split and its group."""

    labels: LabelledImage
    file: SourceFile
    split: Split
    group: str


@dataclass(frozen=True, slots=True)
class Survey:
    """The plan of a preparation.

    Attributes:
        plan: pictures in the order in which they are opened and packed.
        classes: names in id order.
        labelled: annotated pictures, with those that are lost already.
        pictures: all picture files.
        formats: names of the readers that found something.
    """

    source: FileSource
    configuration: Configuration
    plan: list[PlannedImage]
    classes: list[str]
    labelled: int
    pictures: int
    formats: list[str]
    validation_is_test: bool
    log: DefectLog


def survey(source: FileSource, earlier: Earlier) -> Survey:
    """Read a dataset's annotations and decide on classes and splits."""
    log = DefectLog()
    files = DatasetFiles(source, log)
    configuration = _read_configuration(files, log)
    records: list[LabelledImage] = []
    class_order: list[str] = []
    formats: list[str] = []
    lost: list[str] = []
    for reader in READERS:
        reading = reader.read(files, log)
        if reading is not None:
            formats.append(reader.name)
            records += reading.images
            class_order += reading.class_order
            lost += reading.lost
    files.report_unclaimed(frozenset({FILE_NAME}))
    mentioned = {record.image for record in records} | set(lost)
    unlabelled = [(Place(path), path) for path in files.pictures if path not in mentioned]
    log.add_together("image.unlabelled", unlabelled, "No annotation speaks of {subject}.")

    merged = merge(records, log)
    labelled = len({record.image for record in records}) + len(lost)
    named = _Names(configuration, log)
    usable = named.apply(merged)
    named.report(class_order)
    found = {box.name for image in usable for box in image.boxes}
    ordered = [name for name in map(named.spell, class_order) if name in found]
    classes = append_classes(earlier.classes, [*ordered, *sorted(found)])
    choice = choose_splits(usable, earlier.held_out, configuration.validation, log)
    return Survey(
        source=source,
        configuration=configuration,
        plan=_plan(usable, files, choice),
        classes=classes,
        labelled=labelled - named.background,
        pictures=len(files.pictures),
        formats=formats,
        validation_is_test=choice.validation_is_test,
        log=log,
    )


def _read_configuration(files: DatasetFiles, log: DefectLog) -> Configuration:
    if FILE_NAME not in files.by_path:
        return Configuration()
    data = files.read(FILE_NAME)
    return Configuration() if data is None else read_configuration(data, FILE_NAME, log)


def _plan(usable: Sequence[LabelledImage], files: DatasetFiles, choice: SplitChoice) -> list[PlannedImage]:
    plan = [
        PlannedImage(image, files.by_path[image.image], choice.splits[image.image], group_of(image.image))
        for image in usable
    ]
    plan.sort(key=lambda one: (PACKING_ORDER.index(one.split), order_of(one.labels.image)))
    return plan


def merge(records: Sequence[LabelledImage], log: DefectLog) -> list[LabelledImage]:
    """One record a picture. Where two annotations differ neither can be trusted: the picture is left out."""
    by_image: dict[str, list[LabelledImage]] = defaultdict(list)
    for record in records:
        by_image[record.image].append(record)
    merged: list[LabelledImage] = []
    repeated: list[tuple[Place, str]] = []
    for image, group in by_image.items():
        first = group[0]
        differing = next((other for other in group[1:] if not _say_the_same(first, other)), None)
        if differing is not None:
            message = f"{image} is labelled differently in {first.place} and here; it is left out."
            log.add("labels.conflict", differing.place, message)
            continue
        if len(group) > 1:
            repeated.append((group[1].place, f"{image} in {first.place} and {group[1].place}"))
        merged.append(replace(first, split=_one_split(group, log)) if len(group) > 1 else first)
    log.add_together("labels.repeated", repeated, "The same boxes are given twice: {subject}.")
    return merged


def _one_split(group: Sequence[LabelledImage], log: DefectLog) -> Split | None:
    splits = {record.split: record for record in group if record.split is not None}
    if len(splits) > 1:
        first, second, *_ = splits.values()
        message = f"{first.image} is for {first.split} in {first.place}, for {second.split} here: held out."
        log.add("split.conflict", second.place, message)
    return next((split for split in PACKING_ORDER if split in splits), None)


def _say_the_same(one: LabelledImage, other: LabelledImage) -> bool:
    if len(one.boxes) != len(other.boxes):
        return False
    left = list(other.boxes)
    for box in one.boxes:
        match = next(
            (
                candidate
                for candidate in left
                if candidate.name == box.name
                and all(
                    abs(a - b) <= _SAME_BOX_PIXELS for a, b in zip(candidate.edges, box.edges, strict=True)
                )
            ),
            None,
        )
        if match is None:
            return False
        left.remove(match)
    return True


class _Names:
    """Class names as the dataset's owner wants them: spelled alike, renamed, without the ignored ones."""

    def __init__(self, configuration: Configuration, log: DefectLog) -> None:
        self._rename = {
            normal_name(old) or old: normal_name(new) or new for old, new in configuration.rename.items()
        }
        self._ignore = {normal_name(name) or name for name in configuration.ignore}
        self._log = log
        self._seen: Counter[str] = Counter()
        self._spelled: dict[str, str | None] = {}
        self.background = 0

    def spell(self, name: str) -> str | None:
        """The name to use; None where it cannot be a class name."""
        if name not in self._spelled:
            self._spelled[name] = normal_name(name)
        spelled = self._spelled[name]
        return None if spelled is None else self._rename.get(spelled, spelled)

    def apply(self, images: Sequence[LabelledImage]) -> list[LabelledImage]:
        """The pictures that have boxes to train on."""
        usable: list[LabelledImage] = []
        background: list[tuple[Place, str]] = []
        for image in images:
            boxes = [named for box in image.boxes if (named := self._apply_to_box(box)) is not None]
            kept = tuple(box for box in boxes if box.name not in self._ignore)
            if kept:
                usable.append(replace(image, boxes=kept))
            elif boxes or not image.boxes:
                background.append((image.place, image.image))
        self._log.add_together("image.background", background, "No box to train on: {subject}.")
        self.background = len(background)
        return usable

    def report(self, class_order: Sequence[str]) -> None:
        """Names in nestbox.yaml that the data lacks, and names that look alike."""
        known = set(self._seen) | {normal_name(name) for name in class_order}
        for name in sorted((set(self._rename) | self._ignore) - known - set(self._rename.values())):
            message = f"The data lacks {name!r}. It has: {', '.join(sorted(self._seen))[:300]}."
            self._log.add("config.unknown-class", Place(FILE_NAME), message)
        alike: dict[str, set[str]] = defaultdict(set)
        for name in self._seen:
            used = self._rename.get(name, name)
            alike["".join(filter(str.isalnum, used.casefold()))].add(used)
        for names in alike.values():
            if len(names) > 1:
                self._log.add(
                    "class.similar-names", Place(""), f"Are these one class? {', '.join(sorted(names))}."
                )

    def _apply_to_box(self, box: Box) -> Box | None:
        name = self.spell(box.name)
        if name is None:
            self._log.add("class.bad-name", box.place, f"{box.name[:120]!r} cannot be a class name.")
            return None
        self._seen[self._spelled[box.name] or name] += 1
        return box if name == box.name else replace(box, name=name)
