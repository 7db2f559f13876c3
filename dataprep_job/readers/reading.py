"""What a reader of annotations promises, and where it puts what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from dataprep_job.dataset_files import DatasetFiles
from dataprep_job.defects import DefectLog, Place, at_line
from dataprep_job.json_stream import JsonEntry, JsonError, JsonPart, JsonRun, entries_of
from dataprep_job.labels import LabelledImage


class Findings(Protocol):
    """Receives what readers find, one picture at a time: memory must not grow with the dataset."""

    def recognise(self, name: str) -> None:
        """Note that the dataset holds annotations of a format (a key of `FORMAT_TITLES`), usable or not."""
        ...

    def add(self, image: LabelledImage) -> None:
        """Take one record: everything one annotation says about one existing picture.

        Two records of one picture are two annotations of it, which must then say the same. Without boxes the
        annotation says that nothing is on the picture. All boxes of a record come from one file.
        """
        ...

    def lose(self, image: str | None) -> None:
        """Note an annotated picture that cannot be used at all (missing, damaged annotation).

        Its defect is in the log already. `image` is None where the picture's path is not known.
        """
        ...

    def order_classes(self, names: Iterable[str]) -> None:
        """Name classes in the order in which they should get their ids (those with no box get none)."""
        ...


class Reader(Protocol):
    """Reads annotations of one kind, wherever they lie in the dataset. Keeps no state between calls."""

    def read(self, files: DatasetFiles, log: DefectLog, findings: Findings) -> None:
        """Find, claim and read every annotation file of this kind. Bad data never raises."""
        ...


class JsonFile:
    """One JSON file that a format has recognised."""

    def __init__(self, path: str, log: DefectLog, parts: Callable[[], Iterator[JsonPart]]) -> None:
        """`parts`: begins to read the file anew; may raise JsonError."""
        self.path = path
        self.is_broken = False
        """Whether `parts` met a mistake in the JSON; everything before it has been yielded."""
        self._log = log
        self._parts = parts

    def entries(self) -> Iterator[JsonEntry]:
        """Every entry in order (see `json_entries`), again on each call; a broken file becomes a defect."""
        return entries_of(self.parts())

    def parts(self) -> Iterator[JsonPart]:
        """The same entries, many together where that is easy (see `json_parts`)."""
        count = 0
        try:
            for part in self._parts():
                yield part
                count += len(part.values) if isinstance(part, JsonRun) else 1
        except JsonError as error:
            if not self.is_broken:
                self.is_broken = True
                self._log.add(
                    "json.broken",
                    at_line(self.path, error.line),
                    f"{error}; {count:,} entries stand before that.",
                )

    def place(self, entry: JsonEntry, inner: str = "") -> Place:
        """Where an entry is, as a JSON pointer; `inner` is appended to it, for instance `/shapes/3`."""
        return Place(self.path, (entry.pointer + inner) or None)


class JsonFormat(Protocol):
    """One of the formats that are kept in JSON files, for one dataset.

    `JsonReader` makes one of each kind with `(files, log, findings)`, opens every file once and asks them. A
    format may keep state of bounded size between files.
    """

    name: str

    def recognises(self, head: Sequence[JsonEntry]) -> bool:
        """Whether a file is of this format (a broken one included).

        Args:
            head: the first entries; of a long file the first few of every section (member) seen so far, and
                the format is asked again when a new section begins. Never rely on a section being absent.
        """
        ...

    def read(self, file: JsonFile) -> None:
        """Read one recognised file, which is claimed and `recognise`d already. Bad data never raises."""
        ...

    def finish(self) -> None:
        """Called once after the last file, where any was read: the place to name the order of classes."""
        ...


JsonFormatMaker = Callable[[DatasetFiles, DefectLog, Findings], JsonFormat]
"""The class of a format, as it stands in `JSON_FORMATS`."""
