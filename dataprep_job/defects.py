"""Collecting what is wrong with a dataset, so that one bad thing never costs its neighbours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from dataprep_job.defect_kinds import KINDS, Severity

if TYPE_CHECKING:
    from dataprep_job.labels import Edges

LISTED_PER_CODE = 1000
"""A dataset of millions must not fill memory with one mistake made everywhere; the rest is counted."""

LONGEST_MESSAGE = 1500
"""Messages quote files, and those may hold anything: a line of 16 MiB, halves of characters."""

_LONGEST_SUBJECT = 200
_ALONE = 3
_EXAMPLES = 5


class Place(NamedTuple):
    """Where something was said: a file of the dataset, and a line or pointer in it."""

    file: str
    where: str | None = None

    def __str__(self) -> str:
        return self.file if self.where is None else f"{self.file}, {self.where}"


def at_line(file: str, line: int) -> Place:
    """The place of one line (1-based) of a text file."""
    return Place(file, f"line {line}")


@dataclass(frozen=True, slots=True)
class Defect:
    """One thing wrong with one file or box; `count` > 1 when it stands for many of its kind.

    Attributes:
        images: paths of the pictures to look at, which the report shows; empty where looking does not help.
        edges: of the box concerned, in pixels of the displayed picture.
    """

    code: str
    place: Place
    message: str
    count: int = 1
    images: tuple[str, ...] = ()
    edges: Edges | None = None

    @property
    def severity(self) -> Severity:
        """As registered for the code."""
        return KINDS[self.code].severity

    @property
    def hint(self) -> str:
        """How to mend it, as registered for the code."""
        return KINDS[self.code].hint

    def to_dict(self) -> dict[str, Any]:
        """The shape in which `check --json` prints a defect."""
        return {
            "code": self.code,
            "severity": self.severity,
            "file": self.place.file,
            "where": self.place.where,
            "message": self.message,
            "hint": self.hint,
        }


class Bundle:
    """One mistake made many times, in memory that does not grow with it."""

    def __init__(self, code: str, what: str) -> None:
        if code not in KINDS:
            raise KeyError(f"Defect code {code!r} is not registered in defect_kinds.")
        self._code = code
        self._what = what
        self._first: list[tuple[Place, str]] = []
        self._count = 0
        self._folder = ""
        self._is_one_file = True

    def add(self, place: Place, subject: str) -> None:
        """Note where the mistake was made, and the thing concerned, as it should be named in the message."""
        if not self._count:
            self._folder = _folder(place.file)
        elif place.file != self._first[0][0].file:
            self._is_one_file = False
            while not place.file.startswith(self._folder):
                self._folder = _folder(self._folder.rstrip("/"))
        self._count += 1
        if self._count <= _EXAMPLES:
            self._first.append((place, subject[:_LONGEST_SUBJECT]))

    def defects(self) -> list[Defect]:
        """The defects this amounts to."""
        if self._count <= _ALONE:
            return [
                Defect(self._code, place, self._what.format(subject=subject))
                for place, subject in self._first
            ]
        *most, last = (subject for _, subject in self._first)
        rest = self._count - _EXAMPLES
        subject = f"{', '.join(most)} and {last}"
        if rest > 0:
            subject = f"{', '.join(most)}, {last} and {rest:,} more"
        place = self._first[0][0] if self._is_one_file else Place(self._folder)
        return [Defect(self._code, place, self._what.format(subject=subject), count=self._count)]


class DefectLog:
    """Defects in the order they were found, at most `LISTED_PER_CODE` of a code; counts stay exact."""

    def __init__(self) -> None:
        self._listed: list[Defect] = []
        self._per_code: Counter[str] = Counter()
        self._unlisted: Counter[str] = Counter()
        self._bundles: dict[tuple[str, str], Bundle] = {}

    def add(self, code: str, place: Place, message: str, images: tuple[str, ...] = ()) -> None:
        """Note one defect. `code` must be registered in `defect_kinds`; `images` are shown with it."""
        self.append(Defect(code, place, message, images=images))

    def append(self, defect: Defect) -> None:
        """Note a defect found elsewhere, for instance by a worker."""
        if defect.code not in KINDS:
            raise KeyError(f"Defect code {defect.code!r} is not registered in defect_kinds.")
        self._per_code[defect.code] += 1
        if self._per_code[defect.code] <= LISTED_PER_CODE:
            self._listed.append(_bounded(defect))
        else:
            self._unlisted[defect.code] += defect.count

    def extend(self, defects: Iterable[Defect]) -> None:
        """Note several defects."""
        for defect in defects:
            self.append(defect)

    def bundle(self, code: str, what: str) -> Bundle:
        """The place to note one mistake made many times; `settle` turns it into few defects.

        Args:
            code: the registered code of the mistake.
            what: the message, in which `{subject}` stands for the thing or things concerned.
        """
        return self._bundles.setdefault((code, what), Bundle(code, what))

    def settle(self) -> None:
        """Turn every bundle into defects: a few are listed singly, more become one with examples."""
        bundles, self._bundles = self._bundles, {}
        for bundle in bundles.values():
            self.extend(bundle.defects())

    def add_together(self, code: str, found: Iterable[tuple[Place, str]], what: str) -> None:
        """Bundle all places and subjects that were found, and settle that bundle at once."""
        bundle = Bundle(code, what)
        for place, subject in found:
            bundle.add(place, subject)
        self.extend(bundle.defects())

    def to_dict(self) -> dict[str, Any]:
        """Everything settled so far, as JSON can hold it."""
        return {
            "listed": [(one.code, *one.place, one.message, one.count, one.images) for one in self._listed],
            "per_code": dict(self._per_code),
            "unlisted": dict(self._unlisted),
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> DefectLog:
        """From what `to_dict` gave."""
        log = cls()
        log._listed = [
            Defect(code, Place(file, where), message, count, tuple(images))
            for code, file, where, message, count, images in state["listed"]
        ]
        log._per_code = Counter(state["per_code"])
        log._unlisted = Counter(state["unlisted"])
        return log

    def listed(self) -> list[Defect]:
        """The defects, errors first, then in the order found; what was not listed is summed up per code."""
        overflow = [
            Defect(code, Place(""), f"{count:,} more of these are not listed.", count)
            for code, count in self._unlisted.items()
        ]
        return sorted([*self._listed, *overflow], key=lambda defect: defect.severity != "error")

    def count(self, severity: Severity) -> int:
        """How many defects of a severity were noted, listed or not."""
        return sum(count for code, count in self._per_code.items() if KINDS[code].severity == severity)


def _bounded(defect: Defect) -> Defect:
    message, where = _quotable(defect.message), _quotable(defect.place.where or "")
    if message == defect.message and where == (defect.place.where or ""):
        return defect
    return replace(defect, message=message, place=Place(defect.place.file, where or None))


def _quotable(text: str) -> str:
    if len(text) > LONGEST_MESSAGE:
        text = text[:LONGEST_MESSAGE] + "…"
    return text if text.isascii() else text.encode(errors="replace").decode()


def _folder(path: str) -> str:
    """The folder of a path with its closing slash; empty at the top."""
    return path[: path.rfind("/") + 1]
