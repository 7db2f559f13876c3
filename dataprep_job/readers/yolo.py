"""YOLO, versions 3 (darknet) to 11: a text file a picture, a line a box, as shares of the picture.

A picture without a label file, in a folder that has label files, is one with nothing on it
(https://docs.ultralytics.com/datasets/detect/).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from posixpath import basename, dirname

from dataprep_job.dataset_files import DatasetFiles, stem
from dataprep_job.defects import Defect, DefectLog, Place, at_line
from dataprep_job.file_source import SourceFile
from dataprep_job.labels import Box, LabelledImage
from dataprep_job.readers.class_lists import ClassNames
from dataprep_job.readers.outlines import Outlines
from dataprep_job.readers.reading import Findings
from dataprep_job.readers.written_numbers import whole_number
from dataprep_job.readers.yolo_pairing import Pairing, Pairs, is_among_labels, label_paths
from dataprep_job.readers.yolo_rows import Row, RowError, look_like_labels, read_row
from dataprep_job.readers.yolo_setup import Setting, YoloSetup
from dataprep_job.text_lines import text_lines

MAX_LABEL_BYTES = 8 << 20
"""A thousand outlines of a thousand points take less; larger text files are no labels of one picture."""


class YoloReader:
    """Reads every text file that is the label file of a picture, by where it lies and what it holds."""

    name = "yolo"

    def read(self, files: DatasetFiles, log: DefectLog, findings: Findings) -> None:
        """Every YOLO label file of the dataset. Ask it last: it claims text files by their content."""
        _Dataset(files, log, findings).read()


class _Dataset:
    """One pass over the text files of a dataset.

    A file that looks like labels and lies in a folder `labels`, or pairs with a picture, shows that its
    folder holds labels. Files that only may be labels (empty or damaged ones, and those without a picture)
    wait until all folders are known.
    """

    def __init__(self, files: DatasetFiles, log: DefectLog, findings: Findings) -> None:
        self._files = files
        self._log = log
        self._findings = findings
        self._setup = YoloSetup(files, log)
        self._pairs = Pairs(files, self._setup)
        self._outlines = Outlines(log)
        self._labelled = files.groups(1)
        self._waiting = files.groups(2)
        self._strays = files.groups(1)
        self._last_labelled: str | None = None
        self._is_found = False
        self._waits_among_labels = False
        self._nameless: tuple[int, Place] | None = None
        self._stray = log.bundle(
            "yolo.folder-mismatch", "Paired by name, as no picture lies where the labels say: {subject}."
        )
        self._unlabelled = log.bundle(
            "yolo.no-label-file", "No label file, which means that nothing is on the picture: {subject}."
        )
        self._confidences = log.bundle(
            "yolo.confidence", "A sixth number (the confidence of a prediction) is ignored: {subject}."
        )
        self._commas = log.bundle("yolo.decimal-comma", "Numbers are written with a comma: {subject}.")
        self._spelled = log.bundle("yolo.class-by-name", "The class is a name instead of an id: {subject}.")

    def read(self) -> None:
        for file, data in self._files.read_many(self._candidates()):
            self._meet(file.path, data)
        if self._is_found or (self._waits_among_labels and self._setup.has_description):
            self._note_found()
            self._labelled.index()
            for file, data in self._files.read_many(self._waiting_labels()):
                self._mark(dirname(file.path))
                self._take(file.path, data, self._pairs.of(file.path))
            self._add_backgrounds()
            self._findings.order_classes(self._setup.finish())
            self._report_nameless()
        for groups in (self._labelled, self._waiting, self._strays):
            groups.drop()
        self._setup.drop()

    def _candidates(self) -> Iterator[SourceFile]:
        for file in self._files.unclaimed("txt"):
            if self._setup.owns(file.path):
                continue
            if file.size <= MAX_LABEL_BYTES:
                yield file
            elif self._pairs.of(file.path).is_usual:
                self._wait(file.path)

    def _meet(self, path: str, data: bytes) -> None:
        is_like = look_like_labels(data, self._setup.pose_columns)
        is_blank = not data.strip()
        among_labels = is_among_labels(path)
        if not is_like and not is_blank and not self._pairs.has_usual_picture(path):
            return
        pairing = self._pairs.of(path)
        if is_like and (among_labels or pairing.pictures):
            self._note_found()
            self._mark(dirname(path))
            self._take(path, data, pairing)
        elif is_like or pairing.is_usual or (is_blank and (among_labels or pairing.pictures)):
            self._wait(path)

    def _wait(self, path: str) -> None:
        among_labels = is_among_labels(path)
        self._waits_among_labels |= among_labels
        self._waiting.add(dirname(path), path, among_labels)

    def _note_found(self) -> None:
        if not self._is_found:
            self._is_found = True
            self._findings.recognise(YoloReader.name)
            self._setup.claim()

    def _mark(self, folder: str) -> None:
        """Remember that a folder holds label files."""
        if folder != self._last_labelled:
            self._last_labelled = folder
            self._labelled.add(folder, 1)

    def _waiting_labels(self) -> Iterator[SourceFile]:
        for folder, path, among_labels in self._waiting.in_order():
            if not among_labels and not self._labelled.get(folder):
                continue
            file = self._files.file(path)
            if file.size <= MAX_LABEL_BYTES:
                yield file
                continue
            self._files.claim(path)
            message = f"The label file has {file.size >> 20} MiB; {MAX_LABEL_BYTES >> 20} MiB are allowed."
            self._log.add("file.too-large", Place(path), message)
            self._mark(folder)
            for picture in self._pairs.of(path).pictures:
                self._findings.lose(picture)

    def _take(self, path: str, data: bytes, pairing: Pairing) -> None:
        """Read one label file."""
        self._files.claim(path)
        pictures = pairing.pictures
        if len(pictures) > 1:
            pictures = [one for one in pictures if self._setup.lists(one)] or pictures
        if len(pictures) != 1:
            self._lose(path, pictures)
            return
        image = pictures[0]
        if not pairing.is_usual:
            self._stray.add(Place(path), f"{path} and {image}")
        if path not in label_paths(image):
            self._strays.add(image, 1)
        setting = self._setup.setting(path, image)
        boxes = self._boxes(path, data, setting)
        if boxes is None:
            self._findings.lose(image)
            return
        self._findings.add(
            LabelledImage(
                image=image,
                boxes=boxes,
                declared_size=None,
                split=setting.split,
                place=Place(path),
                format=YoloReader.name,
                is_relative=True,
            )
        )

    def _lose(self, path: str, pictures: list[str]) -> None:
        if pictures:
            message = f"{basename(path)} can belong to any of {len(pictures)}: {', '.join(pictures[:3])}."
            self._log.add("image.ambiguous", Place(path), message)
            for picture in pictures:
                self._findings.lose(picture)
        else:
            why = f"there is no {stem(path)}.jpg"
            if self._files.pictures_with_stem(stem(path)):
                why = f"each {stem(path)}.jpg that is there has labels of its own"
            message = f"The picture of {path} is missing: {why}."
            self._log.add("image.missing", Place(path), message)
            self._findings.lose(None)

    def _boxes(self, path: str, data: bytes, setting: Setting) -> tuple[Box, ...] | None:
        """The boxes of one file; None, with defects, where it has lines and none of them is usable."""
        boxes: list[Box] = []
        is_nameless = has_bad_line = False
        errors = self._log.count("error")
        for number, line in text_lines(io.BytesIO(data), path, self._log):
            place = at_line(path, number)
            try:
                row = read_row(line, setting.pose_columns)
            except RowError as error:
                self._log.add(error.code, place, str(error))
                continue
            if setting.names is None:
                is_nameless = True
                continue
            name = self._name(row, setting.names, place)
            if name is None:
                has_bad_line = True
                continue
            boxes.append(Box(name, row.edges, place))
            self._note(row, name, place)
        if is_nameless:
            count, first = self._nameless or (0, Place(path))
            self._nameless = (count + 1, first)
        has_bad_line |= is_nameless or self._log.count("error") > errors
        return None if has_bad_line and not boxes else tuple(boxes)

    def _name(self, row: Row, names: ClassNames, place: Place) -> str | None:
        class_id = whole_number(row.class_text)
        if class_id is not None:
            return names.name(class_id, place)
        if row.class_text in names:
            self._spelled.add(place, f"{row.class_text[:80]!r} in {place}")
            return row.class_text
        message = f"{row.class_text[:80]!r} is no class id (0, 1, …), and no class of that name is known."
        self._log.add("yolo.bad-class", place, message)
        return None

    def _note(self, row: Row, name: str, place: Place) -> None:
        if row.is_outline:
            self._outlines.hull("polygon", name, place)
        if row.has_confidence:
            self._confidences.add(place, str(place))
        if row.has_commas:
            self._commas.add(place, str(place))

    def _add_backgrounds(self) -> None:
        """Pictures without a label file of their own, in folders that have label files."""
        self._strays.index()
        last: str | None = None
        has_labels: list[bool] = []
        for picture in self._files.pictures():
            places = label_paths(picture)
            if dirname(picture) != last:
                last = dirname(picture)
                has_labels = [bool(self._labelled.get(dirname(label))) for label in places]
            labels = [label for label, is_labelled in zip(places, has_labels, strict=True) if is_labelled]
            if not labels or any(self._files.has(label) for label in labels):
                continue
            if self._strays.get(picture) or self._files.is_annotated(picture):
                continue
            self._unlabelled.add(Place(picture), picture)
            self._findings.add(
                LabelledImage(
                    image=picture,
                    boxes=(),
                    declared_size=None,
                    split=self._setup.split_of(picture),
                    place=Place(picture),
                    format=YoloReader.name,
                    is_relative=True,
                )
            )

    def _report_nameless(self) -> None:
        if self._nameless is not None:
            count, first = self._nameless
            message = f"No data.yaml or classes.txt says what the class ids mean; {count:,} files are lost."
            self._log.append(Defect("yolo.no-class-names", first, message, count))
