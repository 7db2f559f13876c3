"""JSON that is written entry by entry, as a whole dataset of it does not fit into memory."""

from __future__ import annotations

import json
from typing import IO, Any


def compact(value: Any) -> str:
    """One line of JSON, letters of all scripts as they are."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


class JsonArray:
    """Writes the entries of a JSON array, one a line, into an open file."""

    def __init__(self, text: IO[str]) -> None:
        self._text = text
        self._is_empty = True

    def add(self, entry: Any) -> None:
        """Write one entry."""
        self._text.write("\n" if self._is_empty else ",\n")
        self._text.write(compact(entry))
        self._is_empty = False
