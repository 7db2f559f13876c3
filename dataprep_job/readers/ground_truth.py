"""SageMaker Ground Truth and Rekognition manifests: one JSON object a line, boxes in pixels, 0-based.

`source-ref` (the picture's s3:// address), `<label>` with `image_size[{width, height, depth}]` and
`annotations[{class_id, left, top, width, height}]`, `<label>-metadata` with `type`, `class-map` and
`creation-date`. The label bears the name of the labelling job, so it is known by its type only
(https://docs.aws.amazon.com/sagemaker/latest/dg/sms-data-output.html).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from posixpath import basename
from typing import Any

from dataprep_job.dataset_files import DatasetFiles, split_of_folders, split_of_name, stem
from dataprep_job.defects import DefectLog, Place, at_line
from dataprep_job.json_stream import JsonEntry, JsonError, decoded_line
from dataprep_job.labels import Box, LabelledImage
from dataprep_job.readers.json_values import class_order, corner_and_size, key_of, picture_size, shown
from dataprep_job.readers.reading import Findings, JsonFile

_TYPE = "groundtruth/object-detection"
_METADATA = "-metadata"
_SNIFFED = 64 << 10
_MAX_SNIFFED_TEXTS = 100
"""Datasets hold one text file for every picture; a manifest under such a name stands among few others."""

_MANIFEST_LINE = re.compile(r'\s*\{.*"(source-ref"\s*:|groundtruth\\?/)')


class GroundTruthReader:
    """Reads manifests in files of any likely name, by what stands in their first lines."""

    def read(self, files: DatasetFiles, log: DefectLog, findings: Findings) -> None:
        """Every manifest that does not bear the name of a plain JSON file."""
        manifests = _Manifests(files, log, findings)
        found = False
        for path in _candidates(files):
            if _is_manifest(files, path):
                files.claim(path)
                findings.recognise(GroundTruthFormat.name)
                manifests.read(path)
                found = True
        if found:
            manifests.order_classes()


class GroundTruthFormat:
    """Reads manifests that were named `.json`; `JsonReader` has opened them already."""

    name = "ground-truth"

    def __init__(self, files: DatasetFiles, log: DefectLog, findings: Findings) -> None:
        self._manifests = _Manifests(files, log, findings)

    def recognises(self, head: Sequence[JsonEntry]) -> bool:
        """Whether the first line, which is an entry for each of its members, has a `source-ref`."""
        return any(map(_is_of_manifest, head))

    def read(self, file: JsonFile) -> None:
        """Read one manifest line by line."""
        self._manifests.read(file.path)

    def finish(self) -> None:
        """Classes get their ids in the order of their class ids."""
        self._manifests.order_classes()


def _is_of_manifest(entry: JsonEntry) -> bool:
    if entry.section == "source-ref":
        return entry.index is None
    kind = entry.value.get("type") if isinstance(entry.value, dict) else None
    return (entry.section or "").endswith(_METADATA) and str(kind).startswith("groundtruth/")


def _candidates(files: DatasetFiles) -> Iterator[str]:
    for wanted in ("manifest", "jsonl", "ndjson"):
        for file in files.unclaimed(wanted):
            yield file.path
    sniffed = 0
    for wanted in ("json", "txt", ""):
        for file in files.unclaimed(wanted):
            if "manifest" in basename(file.path).lower():
                yield file.path
            elif (
                wanted == "txt"
                and sniffed < _MAX_SNIFFED_TEXTS
                and not files.pictures_with_stem(stem(file.path))
            ):
                sniffed += 1
                yield file.path


def _is_manifest(files: DatasetFiles, path: str) -> bool:
    stream = files.open(path)
    if stream is None:
        return False
    with stream:
        start = stream.read(_SNIFFED)
    is_utf16 = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = start.decode("utf-16" if is_utf16 else "utf-8-sig", errors="replace")
    return any(_MANIFEST_LINE.match(line) for line in islice(text.splitlines(), 100))


@dataclass(frozen=True, slots=True)
class _Label:
    """One label of one line: what a job said, and what is said about the job."""

    name: str
    value: Any
    metadata: dict[str, Any]

    @property
    def type(self) -> object:
        return self.metadata.get("type")

    @property
    def date(self) -> str:
        date = self.metadata.get("creation-date")
        return date if isinstance(date, str) else ""

    @property
    def is_failed(self) -> bool:
        return "failure-reason" in self.metadata and not self.is_drawn

    @property
    def is_drawn(self) -> bool:
        return isinstance(self.value, dict) and bool(self.value.get("annotations"))

    @property
    def is_detection(self) -> bool:
        """By its type; without one, by having the shape."""
        if self.type is None:
            return isinstance(self.value, dict) and isinstance(self.value.get("annotations"), list)
        return self.type == _TYPE


class _Manifests:
    """Reads manifests line by line. A bad line costs only its own picture."""

    def __init__(self, files: DatasetFiles, log: DefectLog, findings: Findings) -> None:
        self._files = files
        self._log = log
        self._findings = findings
        self._class_keys: dict[str, int | str] = {}
        self._names: dict[int | str, str] = {}
        self._unlabelled = log.bundle(
            "manifest.no-annotation", "The line names a picture, but no label: {subject}."
        )
        self._several = log.bundle(
            "manifest.several-labels", "The labels of more than one job are there; {subject}."
        )
        self._untyped = log.bundle(
            "manifest.metadata-missing", "The label is read although its type is not given: {subject}."
        )
        self._differing = log.bundle(
            "manifest.class-map-differs", "A class id has another name than in an earlier line: {subject}."
        )
        self._sizes = log.bundle("manifest.size-missing", "No usable image_size is given: {subject}.")
        self._texts = log.bundle("json.number-as-text", "Numbers are written as text: {subject}.")

    def read(self, path: str) -> None:
        """Read one claimed manifest."""
        for number, line in self._files.lines(path):
            place = at_line(path, number)
            try:
                row = decoded_line(line)
            except JsonError as error:
                self._spoil("manifest.bad-line", place, f"{error}.")
                continue
            if isinstance(row, dict):
                self._read_row(row, place)
            else:
                self._spoil("manifest.bad-line", place, f"The line is {shown(row)}, not an object.")

    def order_classes(self) -> None:
        in_order = sorted(self._class_keys.items(), key=lambda item: class_order(item[1]))
        self._findings.order_classes(name for name, _ in in_order)

    def _spoil(self, code: str, place: Place, message: str, image: str | None = None) -> None:
        self._log.add(code, place, message)
        self._findings.lose(image)

    def _read_row(self, row: dict[str, Any], place: Place) -> None:
        reference = row.get("source-ref")
        if not isinstance(reference, str) or not reference.strip():
            self._spoil("manifest.missing-source-ref", place, f"The source-ref is {shown(reference)}.")
            return
        labels = _labels(row)
        if not labels:
            self._unlabelled.add(place, reference[:200])
            return
        label = self._chosen(labels, place)
        if label is None:
            self._refuse(labels, reference, place)
            return
        image = self._files.locate(reference, place)
        if image is None:
            self._findings.lose(None)
        elif label.is_failed:
            reason = label.metadata.get("failure-reason")
            message = f"Ground Truth could not label {reference[:200]!r}: {shown(reason)}."
            self._spoil("manifest.failed", place, message, image)
        else:
            self._read_label(label, image, place)

    def _chosen(self, labels: list[_Label], place: Place) -> _Label | None:
        """The newest label with boxes; a job that failed does not undo what an older one has drawn."""
        known = [label for label in labels if label.is_detection]
        if len(known) > 1:
            # The sort is stable: of labels without a date the last one is the newest.
            known.sort(key=lambda label: (not label.is_failed, label.date))
            others = ", ".join(repr(label.name[:80]) for label in known[:-1][:5])
            self._several.add(place, f"{known[-1].name[:80]!r} is used, not {others}")
        return known[-1] if known else None

    def _refuse(self, labels: list[_Label], reference: str, place: Place) -> None:
        """A line without any box label: a failed job, or a job of another kind."""
        failed = next((label for label in labels if label.type is None and label.is_failed), None)
        if failed is not None:
            reason = shown(failed.metadata["failure-reason"])
            message = f"Ground Truth could not label {reference[:200]!r}: {reason}."
            self._spoil("manifest.failed", place, message, self._files.locate(reference, place))
            return
        types = ", ".join(f"{label.name[:80]!r} of type {shown(label.type)}" for label in labels[:3])
        what = "The labels are no boxes: {subject}."
        self._log.bundle("manifest.wrong-type", what).add(place, types)
        self._findings.lose(None)

    def _read_label(self, label: _Label, image: str, place: Place) -> None:
        value = label.value
        annotations = value.get("annotations") if isinstance(value, dict) else None
        if not isinstance(annotations, list):
            message = f"The label {label.name[:80]!r} holds no list of annotations."
            self._spoil("manifest.bad-label", place, message, image)
            return
        if label.type is None:
            self._untyped.add(place, repr(label.name[:80]))
        names = self._class_map(label, place)
        found = (self._box(one, index, names, place) for index, one in enumerate(annotations))
        boxes = tuple(box for box in found if box is not None)
        if annotations and not boxes:
            self._findings.lose(image)
            return
        size = value.get("image_size")
        size = size[0] if isinstance(size, list) and size else size
        declared = picture_size(size.get("width"), size.get("height")) if isinstance(size, dict) else None
        if declared is None:
            self._sizes.add(place, image)
        self._findings.add(
            LabelledImage(
                image=image,
                boxes=boxes,
                declared_size=declared,
                split=split_of_name(place.file) or split_of_folders(place.file) or split_of_folders(image),
                place=place,
                format=GroundTruthFormat.name,
            )
        )

    def _class_map(self, label: _Label, place: Place) -> dict[int | str, str]:
        """Names by class id. Lines without boxes have none, and every line lists only its own classes."""
        written = label.metadata.get("class-map")
        names: dict[int | str, str] = {}
        for class_id, name in written.items() if isinstance(written, dict) else ():
            key = key_of(class_id)
            if key is None or not isinstance(name, str):
                continue
            names[key] = name
            known = self._names.setdefault(key, name)
            if known != name:
                self._differing.add(place, f"{key} is {known[:100]!r} and {name[:100]!r}")
        return names

    def _box(self, written: object, index: int, names: dict[int | str, str], place: Place) -> Box | None:
        what = f"Annotation {index + 1} of the line"
        if not isinstance(written, dict):
            self._log.add("manifest.bad-label", place, f"{what} is {shown(written)}, not an object.")
            return None
        numbers = [written.get(side) for side in ("left", "top", "width", "height")]
        edges = corner_and_size(numbers)
        if edges is None:
            message = f"{what} has left, top, width and height {shown(numbers)}."
            self._log.add("box.not-a-number", place, message)
            return None
        if any(isinstance(each, str) for each in numbers):
            self._texts.add(place, f"{place} {shown(numbers)}")
        key = key_of(written.get("class_id"))
        name = None if key is None else names.get(key)
        if key is None or name is None:
            message = f"{what} has the class_id {shown(written.get('class_id'))}, which the class-map lacks."
            self._log.add("manifest.class-without-name", place, message)
            return None
        self._class_keys.setdefault(name, key)
        return Box(name, edges, place)


def _labels(row: dict[str, Any]) -> list[_Label]:
    """What the members of a line say about its picture, apart from plain notes."""
    labels = []
    for key, value in row.items():
        name = key.removesuffix(_METADATA)
        if name != key:
            if name in row or f"{name}-ref" in row or not isinstance(value, dict):
                continue
            labels.append(_Label(name, None, value))
            continue
        metadata = row.get(name + _METADATA)
        if metadata is None:
            metadata = row.get(name.removesuffix("-ref") + _METADATA)
        if isinstance(metadata, dict):
            labels.append(_Label(name, value, metadata))
        elif isinstance(value, dict) and isinstance(value.get("annotations"), list):
            labels.append(_Label(name, value, {}))
    return labels
