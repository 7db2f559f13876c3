"""Rows of CSV files with their line numbers, so that one unbalanced quote costs one line and not the rest."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_MAX_JOINED = 20
_MAX_JOINED_CHARACTERS = 1 << 17
"""How much a field with line breaks may hold; the csv module itself refuses longer fields."""

_UNFINISHED = "unexpected end of data"


class CsvRow(NamedTuple):
    """One row: the number of its first line, its fields without blanks around them, and why it has none."""

    line: int
    fields: list[str]
    problem: str | None = None


def csv_rows(lines: Iterable[tuple[int, str]], separator: str) -> Iterator[CsvRow]:
    """Rows that are not blank. Excel's first line `sep=;` is no row.

    Args:
        lines: numbered lines as they are, blank ones too.
        separator: one character.
    """
    coming = iter(lines)
    put_back: deque[tuple[int, str]] = deque()

    def following() -> tuple[int, str] | None:
        return put_back.popleft() if put_back else next(coming, None)

    while (first := following()) is not None:
        number, text = first
        if not text.strip() or (number == 1 and text.startswith("sep=") and len(text) < 6):
            continue
        joined: list[tuple[int, str]] = []
        while True:
            try:
                fields = _fields(text, separator)
            except csv.Error as error:
                more = None
                if (
                    str(error) == _UNFINISHED
                    and len(joined) < _MAX_JOINED
                    and len(text) < _MAX_JOINED_CHARACTERS
                ):
                    more = following()
                if more is not None:
                    joined.append(more)
                    text = f"{text}\n{more[1]}"
                    continue
                put_back.extendleft(reversed(joined))
                problem = "A quote is never closed" if str(error) == _UNFINISHED else str(error)
                yield CsvRow(number, [], f"{problem}.")
            else:
                yield CsvRow(number, [field.strip() for field in fields])
            break


def _fields(text: str, separator: str) -> list[str]:
    """The fields of one row. Raises csv.Error."""
    try:
        return _parsed(text, separator)
    except csv.Error as error:
        if str(error) == _UNFINISHED or '"' not in text:
            raise
        # Blanks behind a closing quote are harmless.
        return _parsed(re.sub(rf'"[ \t]+(?={re.escape(separator)}|$)', '"', text), separator)


def _parsed(text: str, separator: str) -> list[str]:
    return next(csv.reader([text], delimiter=separator, strict=True, skipinitialspace=True), [])
