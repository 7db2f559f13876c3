"""Opens every JSON file once and finds the format it is of. Other JSON files stay unclaimed."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from dataprep_job.dataset_files import DatasetFiles, stem
from dataprep_job.defects import DefectLog, at_line
from dataprep_job.file_source import SourceFile
from dataprep_job.json_stream import JsonEntry, JsonError, JsonPart, entries_of, json_parts
from dataprep_job.readers.coco import CocoFormat
from dataprep_job.readers.createml import CreateMlFormat
from dataprep_job.readers.ground_truth import GroundTruthFormat
from dataprep_job.readers.label_studio import LabelStudioFormat
from dataprep_job.readers.labelme import LabelMeFormat
from dataprep_job.readers.reading import Findings, JsonFile, JsonFormat, JsonFormatMaker
from dataprep_job.readers.sagemaker import SageMakerFormat

JSON_FORMATS: tuple[JsonFormatMaker, ...] = (
    CocoFormat,
    SageMakerFormat,
    GroundTruthFormat,
    LabelMeFormat,
    LabelStudioFormat,
    CreateMlFormat,
)
"""The formats kept in JSON files, in the order in which they are asked."""

_SMALL = 1 << 20
"""Files up to this size are fetched ahead and decoded once; datasets of 100,000 such files exist."""

_FIRST = 64
_PER_SECTION = 8
_SECTIONS = 64
_SCANNED = 200_000


class JsonReader:
    """Reads every `.json` file that one of the formats recognises."""

    def __init__(self, formats: Sequence[JsonFormatMaker] = JSON_FORMATS) -> None:
        self._formats = formats

    def read(self, files: DatasetFiles, log: DefectLog, findings: Findings) -> None:
        """Every JSON annotation of the dataset."""
        formats = [make(files, log, findings) for make in self._formats]
        used: dict[str, JsonFormat] = {}
        for path, parts in _opened(files):
            try:
                found = _recognised(entries_of(parts()), formats)
            except JsonError as error:
                _report_broken(path, error, files, log, findings)
                continue
            if found is not None:
                files.claim(path)
                findings.recognise(found.name)
                used[found.name] = found
                found.read(JsonFile(path, log, parts))
        for each in used.values():
            each.finish()


def _opened(files: DatasetFiles) -> Iterator[tuple[str, Callable[[], Iterator[JsonPart]]]]:
    """Every JSON file with what begins to read it anew."""
    for is_small, group in groupby(files.unclaimed("json"), key=_is_small):
        if is_small:
            for file, data in files.read_many(group):
                yield file.path, _Decoded(data).parts
        else:
            for file in group:
                yield file.path, _streamed(files, file.path)


def _is_small(file: SourceFile) -> bool:
    return file.size <= _SMALL


def _streamed(files: DatasetFiles, path: str) -> Callable[[], Iterator[JsonPart]]:
    def parts() -> Iterator[JsonPart]:
        stream = files.open(path)
        if stream is not None:
            with stream:
                yield from json_parts(stream)

    return parts


class _Decoded:
    """A small file, decoded as far as anybody has asked, and only once."""

    def __init__(self, data: bytes) -> None:
        self._rest = json_parts(io.BytesIO(data))
        self._parts: list[JsonPart] = []
        self._error: JsonError | None = None

    def parts(self) -> Iterator[JsonPart]:
        """Every part; raises JsonError after the last one of a broken file."""
        at = 0
        while True:
            if at == len(self._parts):
                if self._error is not None:
                    raise self._error
                try:
                    self._parts.append(next(self._rest))
                except StopIteration:
                    return
                except JsonError as error:
                    self._error = error
                    continue
            yield self._parts[at]
            at += 1


def _recognised(entries: Iterator[JsonEntry], formats: Sequence[JsonFormat]) -> JsonFormat | None:
    """The format of a file; None where no format knows it. Raises JsonError where it is also broken."""
    head: list[JsonEntry] = []
    seen: Counter[str | None] = Counter()
    broken: JsonError | None = None
    try:
        for scanned, entry in enumerate(entries):
            is_new = entry.section not in seen
            if scanned == _FIRST or (scanned > _FIRST and is_new):
                found = _asked(head, formats)
                if found is not None:
                    return found
            if scanned >= _SCANNED or len(seen) >= _SECTIONS or (scanned > _FIRST and entry.section is None):
                return None
            seen[entry.section] += 1
            if seen[entry.section] <= _PER_SECTION:
                head.append(entry)
    except JsonError as error:
        broken = error
    found = _asked(head, formats)
    if found is None and broken is not None:
        raise broken
    return found


def _asked(head: Sequence[JsonEntry], formats: Sequence[JsonFormat]) -> JsonFormat | None:
    return next((each for each in formats if each.recognises(head)), None)


def _report_broken(
    path: str, error: JsonError, files: DatasetFiles, log: DefectLog, findings: Findings
) -> None:
    """Broken JSON of no known format is an annotation where it bears a picture's name."""
    pictures = files.related(files.pictures_with_stem(stem(path)), path)
    if pictures:
        files.claim(path)
        log.add("json.broken", at_line(path, error.line), f"{error}; nothing of the file could be used.")
        findings.lose(pictures[0] if len(pictures) == 1 else None)
