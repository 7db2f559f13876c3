"""Collecting what is wrong with a dataset, so that one bad thing never costs its neighbours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from dataprep_job.defect_kinds import KINDS, Severity

LISTED_PER_CODE = 1000
"""A dataset of millions must not fill memory with one mistake made everywhere; the rest is counted."""

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
    """One thing wrong with one file or box; `count` > 1 when it stands for many of its kind."""

    code: str
    place: Place
    message: str
    count: int = 1

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


class DefectLog:
    """Defects in the order they were found, at most `LISTED_PER_CODE` of a code; counts stay exact."""

    def __init__(self) -> None:
        self._listed: list[Defect] = []
        self._per_code: Counter[str] = Counter()

    def add(self, code: str, place: Place, message: str) -> None:
        """Note one defect. `code` must be registered in `defect_kinds`."""
        self.append(Defect(code, place, message))

    def append(self, defect: Defect) -> None:
        """Note a defect found elsewhere, for instance by a worker."""
        if defect.code not in KINDS:
            raise KeyError(f"Defect code {defect.code!r} is not registered in defect_kinds.")
        self._per_code[defect.code] += 1
        if self._per_code[defect.code] <= LISTED_PER_CODE:
            self._listed.append(defect)

    def extend(self, defects: Iterable[Defect]) -> None:
        """Note several defects."""
        for defect in defects:
            self.append(defect)

    def add_together(self, code: str, found: Sequence[tuple[Place, str]], what: str) -> None:
        """Note one mistake made many times: a few are listed singly, more become one defect with examples.

        Args:
            code: the registered code of the mistake.
            found: where it was made, and the thing concerned, as it should be named in the message.
            what: the message, in which `{subject}` stands for the thing or things concerned.
        """
        if len(found) <= _ALONE:
            for place, subject in found:
                self.add(code, place, what.format(subject=subject))
            return
        examples = ", ".join(subject for _, subject in found[:_EXAMPLES])
        subject = f"{len(found):,} such cases, for example {examples}"
        first = found[0][0]
        if all(place.file == first.file for place, _ in found):
            place = first
        else:
            place = Place(_common_folder([place.file for place, _ in found]))
        self.append(Defect(code, place, what.format(subject=subject), count=len(found)))

    def listed(self) -> list[Defect]:
        """The defects, errors first, then in the order found; what was not listed is summed up per code."""
        overflow = [
            Defect(
                code,
                Place(""),
                f"{count - LISTED_PER_CODE:,} more of these are not listed.",
                count - LISTED_PER_CODE,
            )
            for code, count in self._per_code.items()
            if count > LISTED_PER_CODE
        ]
        return sorted([*self._listed, *overflow], key=lambda defect: defect.severity != "error")

    def count(self, severity: Severity) -> int:
        """How many defects of a severity were noted, listed or not."""
        return sum(count for code, count in self._per_code.items() if KINDS[code].severity == severity)


def _common_folder(paths: Sequence[str]) -> str:
    shortest, longest = min(paths), max(paths)
    folders: list[str] = []
    for one, other in zip(shortest.split("/")[:-1], longest.split("/")[:-1], strict=False):
        if one != other:
            break
        folders.append(one)
    return "/".join(folders) + "/" if folders else ""
