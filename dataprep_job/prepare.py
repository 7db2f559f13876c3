"""The job `prepare`: from a dataset's snapshot to packed training input and a report."""

from __future__ import annotations

import json
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from nestbox.prep_summary import PrepSummary

from dataprep_job.check import (
    CheckReport,
    Examination,
    choose_pictured,
    class_ids,
    cpu_count,
    encode_all,
    open_all,
)
from dataprep_job.class_list import classes_from_json, classes_to_json
from dataprep_job.collector import seldom_collecting
from dataprep_job.errors import SourceError
from dataprep_job.file_source import FileSource
from dataprep_job.held_out import (
    HELD_OUT,
    HeldOutImage,
    absent_held_out,
    held_out_from_jsonl,
    held_out_line,
)
from dataprep_job.inspection import Photo, StoredImage, Treatment
from dataprep_job.judging_pictures import MANIFEST, JudgingPictures
from dataprep_job.kept_reading import READING
from dataprep_job.labels import Split
from dataprep_job.packed_index import INDEX, PackedImage, PackedIndex, read_treatment
from dataprep_job.packing import Source, SplitPacker, block_bits, encoded_in, records_name
from dataprep_job.progress import Progress, Say, Stopwatch
from dataprep_job.recalled import RecalledPictures, UsedPicture, plan_recalled, singly
from dataprep_job.recordio import label_width
from dataprep_job.report_page import report_page
from dataprep_job.storage import Storage
from dataprep_job.survey import Earlier, Kept, Survey, survey
from dataprep_job.trained_before import TRAINED_BEFORE, trained_before_lines

SUMMARY = "summary.json"
MANY = 10_000
"""From so many pictures on, which take a while, a first report does not wait for them."""
HELD_BYTES = 128 << 20
"""Pictures from a network that are so large together stay in memory until all of them are checked.

The report need not wait for their encoding then. Where they are many, encoding goes on beside the downloads.
"""
HELD_OUT_ABSENT = "held_out_absent.jsonl"
"""What earlier runs held out and this dataset lacks: it stays held out should it come back."""
_JSON = "application/json"
_JSON_LINES = "application/x-ndjson"
_SQLITE = "application/vnd.sqlite3"


@dataclass(frozen=True, slots=True)
class Order:
    """What one preparation is about.

    Attributes:
        run: id of the run.
        dataset: its name.
        source: the dataset's files.
        output: where the result goes.
        previous: the result of the run before it, None for the first.
        checksums: compare contents, not tags and sizes, to find out which files have not changed.
        resize: takes the place of what nestbox.yaml says.
        flip: takes the place of what nestbox.yaml says.
        jobs: how many CPUs to use; None: all.
        judging: where the pictures lie that models are judged on, those of all runs of the dataset; None:
            no model will be judged, so nothing of what this takes is written.
    """

    run: str
    dataset: str
    source: FileSource
    output: Storage
    previous: Storage | None = None
    checksums: bool = False
    resize: int | None = None
    flip: bool | None = None
    jobs: int | None = None
    judging: Storage | None = None


@seldom_collecting()
def prepare(order: Order, say: Say) -> PrepSummary:
    """Read, check, split, pack and report one dataset.

    `summary.json` is written last and only once: where it exists already, nothing is done and it is returned.

    Raises:
        DataPrepError: source, output or previous preparation cannot be used. Bad data never raises.
    """
    done = order.output.read(SUMMARY)
    if done is not None:
        say(f"{order.run}: prepared already, nothing to do")
        return PrepSummary.from_json(done)
    watch = Stopwatch()
    with tempfile.TemporaryDirectory(prefix="nestbox-") as folder:
        with watch.stage("read"):
            found = read_dataset(order, say, Path(folder))
            treatment = packing_treatment(order, found, Path(folder))
            if order.source.read_threads > 1 and found.bytes_planned() <= HELD_BYTES:
                treatment = replace(treatment, encodes_later=True)
        if found.planned >= MANY:
            publish_first(order, found, say)
        examination = Examination(found, say, treatment)
        progress = Progress(say, "pictures prepared", found.planned)
        plan = plan_recalled(found, treatment, order.jobs or cpu_count())
        opened = open_all(found.source, plan, treatment, order.jobs)
        photos = examination.count(opened, progress)
        return Preparation(order, found, watch, say, Path(folder)).run(
            examination, photos, lambda photo: previous_source(order, photo)
        )


def read_dataset(order: Order, say: Say, folder: Path) -> Survey:
    """Read the annotations and decide on classes and splits, true to the previous preparation.

    `folder`: for temporary files.
    """
    say(f"{order.run}: reading the annotations")
    earlier = read_earlier(order.previous)
    before = order.previous.local_copy(READING, folder) if order.previous is not None else None
    kept = Kept(before, folder / f"new-{READING}", by_contents=order.checksums)
    found = survey(order.source, earlier, kept)
    if kept.path.exists():
        order.output.put_file(READING, kept.path, _SQLITE)
    configuration = found.configuration
    if order.resize is not None:
        configuration = replace(configuration, resize=order.resize)
    if order.flip is not None:
        configuration = replace(configuration, flip=order.flip)
    found = replace(found, configuration=configuration)
    say(
        f"{order.run}: {found.labelled:,} annotated pictures, {len(found.classes)} classes, "
        f"formats: {', '.join(found.formats) or 'none recognised'}"
    )
    return found


def read_earlier(previous: Storage | None) -> Earlier:
    """What the previous preparation decided.

    Raises:
        SourceError: it is incomplete; class ids could change, or held-out pictures be trained on.
    """
    if previous is None:
        return Earlier()
    classes, held_out = previous.read("classes.json"), previous.open(HELD_OUT)
    for name, data in (("classes.json", classes), (HELD_OUT, held_out)):
        if data is None:
            raise SourceError(
                f"The previous preparation holds no {name}, or it may not be read: name another one."
            )
    streams = [held_out, previous.open(HELD_OUT_ABSENT)]
    return Earlier(tuple(classes_from_json(classes or b"")), _held_out_in(streams))


def _held_out_in(streams: Iterable[BinaryIO | None]) -> Iterator[HeldOutImage]:
    for stream in streams:
        if stream is not None:
            with stream:
                yield from held_out_from_jsonl(stream)


def packing_treatment(order: Order, found: Survey, folder: Path) -> Treatment:
    """What is done to every picture, and what can be taken over from the previous preparation.

    An index of the previous preparation that is missing, damaged or made with another treatment costs time.
    """
    configuration = found.configuration
    stored: Callable[[PackedImage], bytes] | None = None
    if order.previous is not None:
        previous = order.previous
        index = previous.local_copy(INDEX, folder)
        made_by = read_treatment(index) if index is not None else None
        if index is not None and made_by is not None:
            is_usable = made_by == payload_treatment(found)
            found.catalogue.attach_index(index, "previous", known=is_usable)
            stored = _stored_in(previous) if is_usable else None
    return Treatment(
        class_ids=class_ids(found),
        resize=configuration.resize,
        quality=configuration.quality,
        flip=configuration.flip,
        pictured=choose_pictured(found),
        stored=stored,
        checksums=order.checksums,
    )


def payload_treatment(found: Survey) -> dict[str, Any]:
    """What decides how an encoded picture looks."""
    return {"resize": found.configuration.resize, "quality": found.configuration.quality}


def _stored_in(previous: Storage) -> Callable[[PackedImage], bytes]:
    return lambda packed: encoded_in(Source(previous, records_name(packed.split)), packed.start, packed.stop)


def previous_source(order: Order, photo: Photo | RecalledPictures) -> Source | None:
    """Where the records of what was taken over lie."""
    if isinstance(photo, RecalledPictures):
        return None if order.previous is None else Source(order.previous, records_name(photo.split))
    known = photo.plan.known
    if not isinstance(photo.encoded, StoredImage) or known is None or order.previous is None:
        return None
    return Source(order.previous, records_name(known.split))


class Preparation:
    """Packs examined photos and writes everything about them."""

    def __init__(self, order: Order, found: Survey, watch: Stopwatch, say: Say, folder: Path) -> None:
        """`folder`: for temporary files."""
        self._order = order
        self._survey = found
        self._watch = watch
        self._say = say
        self._folder = folder

    def run(
        self,
        examination: Examination,
        photos: Iterable[tuple[Photo | RecalledPictures, Split]],
        source_of: Callable[[Photo | RecalledPictures], Source | None],
    ) -> PrepSummary:
        """Pack photos, publish the report as soon as the last was checked, then finish the files."""
        output = self._order.output
        with ExitStack() as stack:
            with self._watch.stage("pack"):
                packers = SplitPackers(output, self._survey, self._folder)
                stack.callback(packers.abort)
                held_out = output.stream(HELD_OUT, _JSON_LINES)
                stack.callback(held_out.abort)
                absent = output.stream(HELD_OUT_ABSENT, _JSON_LINES)
                stack.callback(absent.abort)
                report = None
                if examination.treatment.encodes_later:
                    checked = deque(photos)
                    report = examination.report()
                    publish(self._order, report, self._say)
                    photos = encode_all(checked, examination.treatment, self._order.jobs)
                pictures = None
                if self._order.judging is not None:
                    found = self._survey
                    pictures = JudgingPictures(self._order.judging, found.configuration, found.catalogue)
                    stack.callback(pictures.close)
                for photo, split in photos:
                    source = source_of(photo)
                    packers.add(photo, split, source)
                    if split == "train":
                        continue
                    for one in singly(photo):
                        picture = pictures.add(one, split, source) if pictures is not None else None
                        held_out.write(held_out_line(self._held_out(one, split, picture)))
                if pictures is not None:
                    manifest = output.stream(MANIFEST, _JSON)
                    stack.callback(manifest.abort)
                    pictures.finish(manifest)
            with self._watch.stage("report"):
                if report is None:
                    report = examination.report()
                    publish(self._order, report, self._say)
                output.put("classes.json", classes_to_json(self._survey.classes), _JSON)
                held_out.commit()
                for image in absent_held_out(self._survey.catalogue):
                    absent.write(held_out_line(image))
                absent.commit()
                if self._order.judging is not None:
                    self._write_trained_before()
            with self._watch.stage("pack"):
                if not report.blocked:
                    packers.commit()
        summary = self._summary(report, packers.samples("train"), examination.tally.most_boxes)
        return self._finish(summary, report)

    def _finish(self, summary: PrepSummary, report: CheckReport) -> PrepSummary:
        written = self._order.output.put_if_absent(SUMMARY, summary.to_json().encode(), _JSON)
        if not written:
            self._say(f"{summary.run}: another attempt finished first, its result stands")
        if report.blocked:
            for reason in report.blocked:
                self._say(f"{summary.run}: BLOCKED: {reason}")
        else:
            self._say(
                f"{summary.run}: READY: {summary.train_samples:,} samples of {summary.train_images:,} "
                f"pictures for training, {summary.validation_images:,} for validation, "
                f"{report.errors:,} errors, {report.warnings:,} warnings"
            )
        return summary

    def _write_trained_before(self) -> None:
        previous = self._order.previous
        earlier = previous.open(TRAINED_BEFORE) if previous is not None else None
        stream = self._order.output.stream(TRAINED_BEFORE, _JSON_LINES)
        try:
            if previous is not None:
                for line in trained_before_lines(self._survey.catalogue, earlier or ()):
                    stream.write(line)
            stream.commit()
        finally:
            stream.abort()
            if earlier is not None:
                earlier.close()

    def _held_out(self, photo: UsedPicture, split: Split, picture: str | None) -> dict[str, Any]:
        return {
            "key": photo.path,
            "picture": picture,
            "version_id": photo.version,
            "split": split,
            "group": photo.group,
            "blake3": photo.digest.hex(),
            "width": photo.size[0],
            "height": photo.size[1],
            "boxes": [
                {
                    "class": self._survey.classes[box.class_id],
                    "xmin": box.edges.x0,
                    "ymin": box.edges.y0,
                    "xmax": box.edges.x1,
                    "ymax": box.edges.y1,
                }
                for box in photo.boxes
            ],
        }

    def _summary(self, report: CheckReport, samples: int, most_boxes: int) -> PrepSummary:
        configuration = self._survey.configuration
        return PrepSummary(
            run=self._order.run,
            dataset=self._order.dataset,
            outcome="BLOCKED" if report.blocked else "READY",
            reasons=report.blocked,
            images=report.images,
            usable_images=report.usable_images,
            boxes=report.boxes,
            train_images=report.splits["train"],
            train_samples=samples,
            validation_images=report.splits["validation"],
            test_images=report.splits.get("test", 0),
            classes=self._survey.classes,
            class_boxes=report.classes,
            label_width=label_width(most_boxes),
            defects={"error": report.errors, "warning": report.warnings},
            image_size=configuration.resize,
            validation_is_test=report.validation_is_test,
            config={"training": configuration.training, "gate": configuration.gate},
            quiet_period=configuration.quiet_period,
            seconds=self._watch.seconds,
        )


def publish_first(order: Order, found: Survey, say: Say) -> None:
    """Tell what the annotations alone say, while the pictures are still to be opened."""
    expected = Examination(found, say).expectation()
    publish(order, expected, say, note=f"{found.planned:,} pictures are still being opened and checked.")


def publish(order: Order, report: CheckReport, say: Say, note: str = "") -> None:
    """Write `report.json` and `report.html`; with a `note` they are preliminary, and will be replaced."""
    document = {
        "run": order.run,
        "dataset": order.dataset,
        "outcome": "CHECKING" if note else "BLOCKED" if report.blocked else "READY",
        "reasons": [] if note else report.blocked,
        **report.to_dict(),
        **report.details(),
    }
    order.output.put("report.json", json.dumps(document, indent=2, ensure_ascii=False).encode(), _JSON)
    page = report_page(report, title=order.dataset, subtitle=f"Run {order.run}", note=note)
    order.output.put("report.html", page.encode(), "text/html; charset=utf-8")
    if note:
        say(f"{order.run}: the annotations are read, a first report is published")
    else:
        say(f"{order.run}: checked {report.images:,} pictures, the report is published")


class SplitPackers:
    """A packer for every split that turns out to have pictures, and the index of what they packed."""

    def __init__(self, output: Storage, found: Survey, folder: Path) -> None:
        self._output = output
        self._bits = block_bits(found.planned)
        self._by_split: dict[Split, SplitPacker] = {}
        self._path = folder / f"new-{INDEX}"
        self._index = PackedIndex(self._path, payload_treatment(found))

    def add(self, photo: Photo | RecalledPictures, split: Split, source: Source | None) -> None:
        """Pack one photo, or several; `source` is where their records lie if they were packed before."""
        if split not in self._by_split:
            self._by_split[split] = SplitPacker(self._output, split, self._bits, self._index.add)
        if isinstance(photo, Photo):
            self._by_split[split].add(photo, source)
        elif source is not None:
            self._by_split[split].add_recalled(photo, source)

    def samples(self, split: Split) -> int:
        """Records written for a split."""
        return self._by_split[split].samples if split in self._by_split else 0

    def commit(self) -> None:
        """Make all files appear, the index last."""
        for packer in self._by_split.values():
            packer.commit()
        self._index.close()
        self._output.put_file(INDEX, self._path, _SQLITE)

    def abort(self) -> None:
        """Leave no trace of files that have not appeared."""
        for packer in self._by_split.values():
            packer.abort()
