"""Label Studio: one JSON file lists tasks; regions are per cent of the picture as Label Studio showed it.

The full export has `data`, `annotations[].result[]`; JSON-MIN has one flat object for every annotation, in
which each control of the labelling interface is a list of regions. https://labelstud.io/guide/export
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dataprep_job.dataset_files import DatasetFiles, split_of_folders, split_of_name
from dataprep_job.defects import DefectLog, Place
from dataprep_job.json_stream import JsonEntry
from dataprep_job.labels import LabelledImage, Split
from dataprep_job.readers.json_values import key_of, shown
from dataprep_job.readers.label_studio_pictures import LabelStudioPictures
from dataprep_job.readers.label_studio_regions import (
    Answer,
    Region,
    RegionReader,
    is_region,
    region_of_result,
    regions_of_control,
)
from dataprep_job.readers.reading import Findings, JsonFile

_ANNOTATIONS = ("annotations", "completions")
"""The second is what old versions write."""

_TASK_KEYS = frozenset((*_ANNOTATIONS, "predictions", "drafts", "file_upload", "total_annotations"))
_ANNOTATION_KEYS = frozenset(("annotation_id", "annotator", "lead_time"))


@dataclass(slots=True)
class _Task:
    """One picture and what its annotators say, as far as it has been read.

    Attributes:
        key: the task's id in JSON-MIN, where each annotation is an entry of its own; None elsewhere.
        split: that the task's own data names.
        answer: the first one.
        is_disputed: whether another annotator says something else; that is in the log already.
    """

    key: int | str | None
    image: str | None
    place: Place
    split: Split | None
    answer: Answer | None = None
    is_disputed: bool = False


class LabelStudioFormat:
    """Reads Label Studio's JSON and JSON-MIN. Predictions and drafts are no answers and are ignored."""

    name = "label-studio"

    def __init__(self, files: DatasetFiles, log: DefectLog, findings: Findings) -> None:
        self._log = log
        self._findings = findings
        self._pictures = LabelStudioPictures(files, log)
        self._regions = RegionReader(log)
        self._unlabelled = log.bundle("labelstudio.unlabelled", "Not labelled yet: {subject}.")
        self._cancelled = log.bundle("labelstudio.cancelled", "The annotators skipped this: {subject}.")
        self._size_missing = log.bundle("labelstudio.size-missing", "No usable original size: {subject}.")
        self._names: set[str] = set()

    def recognises(self, head: Sequence[JsonEntry]) -> bool:
        """Whether it is a list of tasks, or of flat objects with regions."""
        return any(entry.section is None and _is_task(entry.value) for entry in head)

    def read(self, file: JsonFile) -> None:
        """Read one file, a task at a time."""
        split = split_of_name(file.path) or split_of_folders(file.path)
        task: _Task | None = None
        for entry in file.entries():
            place, value = file.place(entry), entry.value
            if not isinstance(value, dict):
                self._log.add("labelstudio.bad-task", place, f"The task is {shown(value)}, not an object.")
                self._findings.lose(None)
                continue
            data = value.get("data")
            if isinstance(data, dict):
                self._finish(task, split)
                task = self._read_task(value, data, place)
                continue
            key = key_of(value.get("id"))
            if task is None or key is None or key != task.key:
                self._finish(task, split)
                image = self._pictures.find(value, value.get("file_upload"), place)
                task = _Task(key, image, place, _named_split(value))
            regions = [
                region
                for control, inner in value.items()
                if isinstance(inner, list)
                for region in regions_of_control(control, inner, place)
            ]
            self._take(task, regions, place)
        self._finish(task, split)
        if file.is_broken:
            self._findings.lose(None)

    def finish(self) -> None:
        """Classes have no order of their own here."""
        self._findings.order_classes(sorted(self._names))

    def _read_task(self, value: dict[str, Any], data: dict[str, Any], place: Place) -> _Task | None:
        """A task of the full export; None where it holds no annotation to use."""
        key = next((key for key in _ANNOTATIONS if value.get(key) is not None), "")
        annotations = value.get(key, [])
        if annotations == []:
            self._unlabelled.add(place, str(place))
            return None
        if not isinstance(annotations, list):
            self._log.add("labelstudio.bad-task", place, f"The {key} are {shown(annotations)}, not a list.")
            self._findings.lose(self._pictures.find(data, value.get("file_upload"), place))
            return None
        usable: list[tuple[Place, list[Any], bool]] = []
        bad = 0
        for index, annotation in enumerate(annotations):
            inner = Place(place.file, f"{place.where or ''}/{key}/{index}")
            result = annotation.get("result") if isinstance(annotation, dict) else None
            if isinstance(annotation, dict) and annotation.get("was_cancelled") in (True, 1):
                continue
            if isinstance(result, list):
                usable.append((inner, result, annotation.get("ground_truth") is True))
            else:
                bad += 1
                self._log.add("labelstudio.bad-task", inner, "The annotation has no list of results.")
        if not usable and not bad:
            self._cancelled.add(place, str(place))
            return None
        image = self._pictures.find(data, value.get("file_upload"), place)
        if not usable:
            self._findings.lose(image)
            return None
        task = _Task(None, image, place, _named_split(data))
        # What a reviewer has marked as the truth settles the matter.
        is_settled = any(is_true for *_, is_true in usable)
        for inner, result, is_true in usable:
            if is_true or not is_settled:
                self._take(task, _regions_of_result(result, inner), inner)
        return task

    def _take(self, task: _Task, regions: list[Region], place: Place) -> None:
        """Hear one more annotator. Only the first answer is kept: the others say the same, or spoil it."""
        if task.image is None or task.is_disputed:
            return
        answer = self._regions.read(regions, place)
        if task.answer is None:
            task.answer = answer
        elif not task.answer.agrees_with(answer):
            task.is_disputed = True
            first = task.answer
            message = (
                f"{task.image} has {len(first.boxes):,} boxes in {first.place.where} and "
                f"{len(answer.boxes):,} in {place.where}, which do not match; it is left out."
            )
            self._log.add("labelstudio.annotators-disagree", task.place, message, (task.image,))

    def _finish(self, task: _Task | None, split: Split | None) -> None:
        """Hand on a task that has been read to its end."""
        if task is None:
            return
        answer = task.answer
        if task.image is None or answer is None or task.is_disputed or (answer.bad and not answer.boxes):
            self._findings.lose(task.image)
            return
        if answer.boxes and answer.size is None:
            self._size_missing.add(task.place, str(task.place))
        self._names.update(box.name for box in answer.boxes)
        self._findings.add(
            LabelledImage(
                image=task.image,
                boxes=answer.boxes,
                declared_size=answer.size,
                split=task.split or split or split_of_folders(task.image),
                place=task.place,
                format=self.name,
                is_relative=bool(answer.boxes) and answer.size is None,
            )
        )


def _regions_of_result(result: list[Any], place: Place) -> list[Region]:
    found = (
        region_of_result(one, Place(place.file, f"{place.where or ''}/result/{index}"))
        for index, one in enumerate(result)
        if isinstance(one, dict)
    )
    return [region for region in found if region is not None]


def _named_split(data: dict[str, Any]) -> Split | None:
    """The split in a column `split` or `subset` of what was imported."""
    words = (data.get(key) for key in ("split", "subset"))
    named = (split_of_folders(f"{word.strip()}/") for word in words if isinstance(word, str))
    return next((split for split in named if split is not None), None)


def _is_task(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    if isinstance(value.get("data"), dict):
        return not _TASK_KEYS.isdisjoint(value)
    if value.keys() >= _ANNOTATION_KEYS:
        return True
    return any(
        isinstance(inner, list) and any(is_region(one) for one in inner[:8]) for inner in value.values()
    )
