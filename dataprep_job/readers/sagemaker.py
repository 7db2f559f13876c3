"""JSON of SageMaker's built-in object detection in image mode: one file a picture, boxes in pixels, 0-based.

`train_annotation/x.json` beside `train/x.jpg`, and likewise for `validation`: `file`,
`image_size[{width, height, depth}]`, `annotations[{class_id, left, top, width, height}]`,
`categories[{class_id, name}]` (https://docs.aws.amazon.com/sagemaker/latest/dg/object-detection.html).
"""

from __future__ import annotations

from collections.abc import Sequence
from posixpath import basename, dirname
from typing import Any

from dataprep_job.dataset_files import DatasetFiles, split_of_folders, stem
from dataprep_job.defects import DefectLog, Place
from dataprep_job.json_stream import JsonEntry
from dataprep_job.labels import Box, LabelledImage, Split
from dataprep_job.readers.json_values import class_order, corner_and_size, key_of, picture_size, shown
from dataprep_job.readers.reading import Findings, JsonFile
from dataprep_job.spelling import plain

_CHANNEL = "_annotation"


class SageMakerFormat:
    """Reads annotations for SageMaker's built-in object detection."""

    name = "sagemaker"

    def __init__(self, files: DatasetFiles, log: DefectLog, findings: Findings) -> None:
        self._files = files
        self._log = log
        self._findings = findings
        self._class_keys: dict[str, int | str] = {}
        self._names: dict[int | str, str] = {}
        self._mismatches = log.bundle(
            "sagemaker.file-mismatch", "'file' and the annotation name different pictures: {subject}."
        )
        self._differing = log.bundle(
            "sagemaker.categories-differ", "A class id has another name than in an earlier file: {subject}."
        )
        self._sizes = log.bundle("sagemaker.size-missing", "No usable image_size is given: {subject}.")
        self._texts = log.bundle("json.number-as-text", "Numbers are written as text: {subject}.")

    def recognises(self, head: Sequence[JsonEntry]) -> bool:
        """Whether there is `file` and a sign of boxes: no other format has both at the top."""
        sections = {entry.section for entry in head}
        return any(entry.section == "file" and isinstance(entry.value, str) for entry in head) and (
            "image_size" in sections or any(_is_annotation(entry) for entry in head)
        )

    def read(self, file: JsonFile) -> None:
        """Read the annotation of one picture."""
        written: Any = None
        size: Any = None
        annotations: list[JsonEntry] | None = None
        names: dict[int | str, str | None] = {}
        for entry in file.entries():
            match entry.section:
                case "file":
                    written = entry.value
                case "image_size":
                    size = entry.value if entry.index in (None, 0) else size
                case "annotations":
                    annotations = annotations or []
                    if entry.index is not None:
                        annotations.append(entry)
                    elif entry.value != []:
                        annotations = None
                case "categories":
                    self._keep_category(file, entry, names)
        image = self._picture_of(file, written)
        if image is None or file.is_broken:
            self._findings.lose(image)
            return
        if annotations is None:
            self._log.add("sagemaker.bad-file", Place(file.path), "There is no list of annotations.")
            self._findings.lose(image)
            return
        boxes = tuple(box for entry in annotations if (box := self._box(file, entry, names)) is not None)
        if annotations and not boxes:
            self._findings.lose(image)
            return
        declared = picture_size(size.get("width"), size.get("height")) if isinstance(size, dict) else None
        if declared is None:
            self._sizes.add(Place(file.path), file.path)
        self._findings.add(
            LabelledImage(
                image=image,
                boxes=boxes,
                declared_size=declared,
                split=_split_of(file.path) or split_of_folders(image),
                place=Place(file.path),
                format=self.name,
            )
        )

    def finish(self) -> None:
        """Classes get their ids in the order of their class ids."""
        in_order = sorted(self._class_keys.items(), key=lambda item: class_order(item[1]))
        self._findings.order_classes(name for name, _ in in_order)

    def _keep_category(self, file: JsonFile, entry: JsonEntry, names: dict[int | str, str | None]) -> None:
        value = entry.value
        if value == [] and entry.index is None:
            return
        key = key_of(value.get("class_id")) if isinstance(value, dict) else None
        name = value.get("name") if isinstance(value, dict) else None
        if isinstance(name, int) and not isinstance(name, bool):
            name = shown(name)
        if key is None or not isinstance(name, str):
            self._log.add("sagemaker.bad-category", file.place(entry), "The class_id or the name is missing.")
        elif (known := names.setdefault(key, name)) != name:
            if known is not None:
                message = f"Class id {key} means {known[:100]!r} and {name[:100]!r}; its boxes are left out."
                self._log.add("sagemaker.bad-category", file.place(entry), message)
            names[key] = None
        elif self._names.setdefault(key, name) != name:
            self._differing.add(file.place(entry), f"{key} is {self._names[key][:100]!r} and {name[:100]!r}")

    def _picture_of(self, file: JsonFile, written: object) -> str | None:
        """The picture of the annotation's own name in its channel, or the one that `file` names."""
        place = Place(file.path)
        own = self._nearest(file.path, self._files.pictures_with_stem(stem(file.path)))
        if not isinstance(written, str) or not written.strip():
            self._log.add("sagemaker.bad-file", place, f"'file' is {shown(written)}.")
            return own
        name = basename(written.strip().replace("\\", "/"))
        if own is not None and plain(basename(own)) == plain(name):
            self._files.note_spelling(written, own, place)
            return own
        named = self._nearest(file.path, self._files.pictures_named(name))
        if own is None and named is None:
            message = f"There is no picture {written[:200]!r}, nor one named like the annotation."
            self._log.add("image.missing", place, message)
        elif own is not None and named is not None:
            message = f"The annotation bears the name of {own}, but 'file' names {named}."
            self._log.add("image.ambiguous", place, message)
            return None
        else:
            self._mismatches.add(place, f"{written[:200]!r} in {file.path}")
        return own or named

    def _nearest(self, annotation: str, pictures: list[str]) -> str | None:
        """The picture in the annotation's channel; without one, the only near one of no other channel."""
        folder = dirname(annotation)
        channel = folder.removesuffix(_CHANNEL)
        split = _split_of(annotation)
        allowed = [path for path in pictures if split is None or split_of_folders(path) in (None, split)]
        near = self._files.nearest(allowed, channel)
        return near[0] if len(near) == 1 else None

    def _box(self, file: JsonFile, entry: JsonEntry, names: dict[int | str, str | None]) -> Box | None:
        place, value = file.place(entry), entry.value
        if not isinstance(value, dict):
            self._log.add("sagemaker.bad-annotation", place, f"The entry is {shown(value)}, not an object.")
            return None
        key = key_of(value.get("class_id"))
        if key is None:
            message = f"The class_id is {shown(value.get('class_id'))}."
            self._log.add("sagemaker.bad-annotation", place, message)
            return None
        numbers = [value.get(side) for side in ("left", "top", "width", "height")]
        edges = corner_and_size(numbers)
        if edges is None:
            message = f"Left, top, width and height are {shown(numbers)}."
            self._log.add("box.not-a-number", place, message)
            return None
        if any(isinstance(each, str) for each in numbers):
            self._texts.add(place, f"{file.path} {entry.pointer} {shown(numbers)}")
        name = names.get(key)
        if name is None:
            if key in names:
                return None
            self._log.add("sagemaker.class-without-name", place, f"Class id {key} has no name in the file.")
            return None
        self._class_keys.setdefault(name, key)
        return Box(name, edges, place)


def _is_annotation(entry: JsonEntry) -> bool:
    return (
        entry.section == "annotations"
        and isinstance(entry.value, dict)
        and {"class_id", "left", "top"} <= entry.value.keys()
    )


def _split_of(annotation: str) -> Split | None:
    return split_of_folders(annotation.replace(f"{_CHANNEL}/", "/"))
