"""The job `prepare`: from a dataset's snapshot to packed training input and a report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from nestbox.prep_summary import PrepSummary

from dataprep_job.check import CheckReport, Examination
from dataprep_job.class_list import classes_from_json, classes_to_json
from dataprep_job.errors import SourceError
from dataprep_job.file_source import FileSource
from dataprep_job.held_out import held_out_from_jsonl, held_out_to_jsonl
from dataprep_job.inspection import Photo, Treatment
from dataprep_job.labels import Split
from dataprep_job.packing import SplitPacker
from dataprep_job.progress import Say, Stopwatch
from dataprep_job.recordio import label_width
from dataprep_job.report_page import report_page
from dataprep_job.storage import Storage
from dataprep_job.survey import Earlier, Survey, survey

SUMMARY = "summary.json"
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Order:
    """What one preparation is about. `previous` holds the result of the run before it, None for the first."""

    run: str
    dataset: str
    source: FileSource
    output: Storage
    previous: Storage | None = None


def read_earlier(previous: Storage | None) -> Earlier:
    """What the previous preparation decided.

    Raises:
        SourceError: it is incomplete; class ids could change, or held-out pictures be trained on.
    """
    if previous is None:
        return Earlier()
    found = {name: previous.read(name) for name in ("classes.json", "held_out.jsonl")}
    for name, data in found.items():
        if data is None:
            raise SourceError(
                f"The previous preparation holds no {name}, or it may not be read: name another one."
            )
    return Earlier(
        tuple(classes_from_json(found["classes.json"] or b"")),
        held_out_from_jsonl(found["held_out.jsonl"] or b""),
    )


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
    earlier = read_earlier(order.previous)
    with watch.stage("read"):
        say(f"{order.run}: reading the annotations of {len(order.source.files()):,} files")
        found = survey(order.source, earlier)
    say(
        f"{order.run}: {found.labelled:,} annotated pictures, {len(found.classes)} classes, "
        f"formats: {', '.join(found.formats) or 'none recognised'}"
    )
    return _Preparation(order, earlier, found, watch, say).run()


class _Preparation:
    def __init__(self, order: Order, earlier: Earlier, found: Survey, watch: Stopwatch, say: Say) -> None:
        self._order = order
        self._earlier = earlier
        self._survey = found
        self._watch = watch
        self._say = say
        self._held_out: list[dict[str, Any]] = []

    def run(self) -> PrepSummary:
        configuration = self._survey.configuration
        examination = Examination(self._survey, self._earlier, self._say)
        treatment = Treatment(
            class_ids=examination.class_ids,
            resize=configuration.resize,
            quality=configuration.quality,
            flip=configuration.flip,
            pictured=examination.pictured_paths,
        )
        with self._watch.stage("pack"), _packers(self._order.output) as packers:
            for photo, split in examination.run(treatment):
                packers.add(photo, split)
                if split != "train":
                    self._held_out.append(self._held_out_line(photo, split))
            report = examination.report()
            if not report.blocked:
                packers.commit()
            samples = packers.samples("train")
        with self._watch.stage("report"):
            summary = self._summary(report, samples, examination.tally.most_boxes)
            self._write_reports(report, summary)
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

    def _held_out_line(self, photo: Photo, split: Split) -> dict[str, Any]:
        return {
            "key": photo.plan.labels.image,
            "version_id": photo.plan.file.version,
            "split": split,
            "group": photo.plan.group,
            "sha256": photo.digest.hex(),
            "width": photo.width,
            "height": photo.height,
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
            seconds=self._watch.seconds,
        )

    def _write_reports(self, report: CheckReport, summary: PrepSummary) -> None:
        output = self._order.output
        output.put("classes.json", classes_to_json(self._survey.classes), _JSON)
        output.put("held_out.jsonl", held_out_to_jsonl(self._held_out), "application/x-ndjson")
        document = {
            "run": summary.run,
            "dataset": summary.dataset,
            "outcome": summary.outcome,
            "reasons": summary.reasons,
            **report.to_dict(),
            "class_splits": report.class_splits,
            "validation_is_test": report.validation_is_test,
        }
        output.put("report.json", json.dumps(document, indent=2, ensure_ascii=False).encode(), _JSON)
        page = report_page(report, title=summary.dataset, subtitle=f"Run {summary.run}")
        output.put("report.html", page.encode(), "text/html; charset=utf-8")


@contextmanager
def _packers(output: Storage) -> Iterator[_Packers]:
    packers = _Packers(output)
    try:
        yield packers
    finally:
        packers.abort()


class _Packers:
    """A packer for every split that turns out to have pictures."""

    def __init__(self, output: Storage) -> None:
        self._output = output
        self._by_split: dict[Split, SplitPacker] = {}

    def add(self, photo: Photo, split: Split) -> None:
        if split not in self._by_split:
            self._by_split[split] = SplitPacker(self._output, split)
        self._by_split[split].add(photo)

    def samples(self, split: Split) -> int:
        return self._by_split[split].samples if split in self._by_split else 0

    def commit(self) -> None:
        for packer in self._by_split.values():
            packer.commit()

    def abort(self) -> None:
        for packer in self._by_split.values():
            packer.abort()
