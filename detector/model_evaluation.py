"""The `evaluate` command: what a model is worth on a RecordIO file, as a table or as JSON."""

import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from pathlib import Path

from detector.cores import available_cores
from detector.errors import DetectorError, ImageError, LabelError
from detector.inference import Answer, Detector
from detector.model_files import model_folder
from detector.recordio_dataset import Sample, read_dataset
from evaluation.boxes import gather_found, gather_truth
from evaluation.summary import ClassScore, Summary, summarise

EXIT_OK, EXIT_CLIENT = 0, 2

_SECONDS_BETWEEN_LINES = 5.0
_HEAD = ("class", "boxes", "found", "AP50", "11-point", "COCO AP", "threshold", "precision", "recall")


def run_evaluation(model: Path, data: Path, classes: Path | None, *, as_json: bool, out: Path | None) -> int:
    """Score a model, print the result and return the exit code; progress and errors go to stderr."""
    try:
        summary = evaluate_model(model, data, classes)
        document = json.dumps(summary.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
        if out is not None:
            _write(out, document)
    except DetectorError as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return EXIT_CLIENT
    print(document if as_json else _as_text(summary))
    return EXIT_OK


def evaluate_model(model: Path, data: Path, classes: Path | None = None) -> Summary:
    """Score the model in a folder or archive on a RecordIO file.

    A class that the data has and the model does not know scores 0, as a model of fewer classes would in use.

    Raises:
        DetectorError: something cannot be read, or there is no box in the data.
    """
    if not data.is_file():
        raise LabelError([f"{data} is no file; --data takes one .rec file"])
    # Any class, any width of label: what the file holds is what the model is held against.
    samples = read_dataset([data], sys.maxsize, sys.maxsize)
    if not any(len(sample.labels) for sample in samples):
        raise LabelError([f"{data.name} has {len(samples)} images but no box in any of them"])
    detector = _read_model(model)
    known = detector.description.num_classes
    highest = max(int(sample.labels[:, 0].max(initial=0)) for sample in samples)
    count = max(known, highest + 1)
    names = _read_names(classes, count) if classes else _known_names(detector.description.classes, count)
    if highest >= known:
        _say(f"the model knows {known} classes, the data has {highest + 1}: the others score 0")
    answers = _detect(detector, samples)
    sizes = [(answer.width, answer.height) for answer in answers]
    return summarise(
        gather_found([answer.detections for answer in answers], sizes),
        gather_truth([sample.labels for sample in samples], sizes),
        names,
    )


def _read_model(model: Path) -> Detector:
    with model_folder(model) as folder:
        return Detector.load(folder)


def _known_names(classes: Sequence[str], count: int) -> list[str]:
    """The model's own names, and the bare ids of classes that it has no name for."""
    return [*classes, *map(str, range(len(classes), count))]


def _read_names(classes: Path, count: int) -> list[str]:
    try:
        names = json.loads(classes.read_text(encoding="utf-8"))
    except OSError as error:
        raise LabelError([f"{classes} cannot be read: {error.strerror}"]) from error
    except ValueError as error:
        raise LabelError([f"{classes} is no JSON: {error}"]) from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise LabelError([f"{classes} must hold a JSON list of class names in id order"])
    if len(names) < count:
        raise LabelError([f"{classes} names {len(names)} classes, but model and data have {count}"])
    return names


def _detect(detector: Detector, samples: Sequence[Sample]) -> list[Answer]:
    def detect(sample: Sample) -> Answer:
        try:
            return detector.detect(sample.payload)
        except ImageError as error:
            raise LabelError([f"{sample.origin}: {error}"]) from error

    answers: list[Answer] = []
    started = last = time.monotonic()
    with ThreadPoolExecutor(available_cores()) as pool:
        for answer in pool.map(detect, samples):
            answers.append(answer)
            now = time.monotonic()
            if now - last >= _SECONDS_BETWEEN_LINES or len(answers) == len(samples):
                last = now
                rate = len(answers) / max(now - started, 1e-9)
                _say(f"{len(answers):,} of {len(samples):,} images, {rate:,.0f} a second")
    return answers


def _as_text(summary: Summary) -> str:
    rows: list[list[str | float | None]] = [list(_HEAD), *map(_row, summary.classes)]
    rows.append(["all", summary.boxes, summary.detections, summary.map, summary.map_11, summary.coco.ap])
    coco = summary.coco
    more = {
        "COCO AP50": coco.ap50,
        "AP75": coco.ap75,
        "small": coco.ap_small,
        "medium": coco.ap_medium,
        "large": coco.ap_large,
        "AR": coco.ar,
        "mean overlap of matches": summary.mean_overlap,
    }
    lines = [
        *_aligned([[_cell(value) for value in row] for row in rows]),
        "",
        f"mAP@{summary.overlap:g} {summary.map:.4f} on {summary.pictures:,} images",
        ", ".join(f"{name} {_cell(value)}" for name, value in more.items()),
    ]
    if any(one.operating.basis != "class" for one in summary.classes):
        lines.append("* nothing of this class to measure on: its threshold is the best for all together")
    return "\n".join(lines)


def _row(one: ClassScore) -> list[str | float | None]:
    point = one.operating
    name = one.name if point.basis == "class" else f"{one.name} *"
    threshold, precision, recall = point.threshold, point.precision, point.recall
    return [name, one.boxes, one.detections, one.ap, one.ap_11, one.coco.ap, threshold, precision, recall]


def _cell(value: str | float | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Names to the left, numbers to the right; the last row may be short."""
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    return [
        "  ".join(
            f"{cell:>{width}}" if at else f"{cell:<{width}}"
            for at, (cell, width) in enumerate(zip(row, widths, strict=False))
        )
        for row in rows
    ]


def _write(out: Path, document: str) -> None:
    temporary = out.with_name(f".{out.name}.{os.getpid()}.new")
    try:
        temporary.write_text(document + "\n", encoding="utf-8")
        temporary.replace(out)
    except OSError as error:
        raise DetectorError(f"{out} cannot be written: {error.strerror}") from error


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
