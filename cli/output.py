"""What people and programs see."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from nestbox import timestamps
from rich.console import Console
from rich.table import Table

BARS = "▁▂▃▄▅▆▇█"
UNKNOWN = "-"
"""What stands where nothing is known."""
PIPE_WIDTH = 200
"""Columns where output is no terminal: wide enough that tables keep their rows on one line."""

STATE_COLOURS = {
    "PREPARING": "cyan",
    "TRAINING": "blue",
    "EVALUATING": "magenta",
    "DEPLOYING": "yellow",
    "SERVED": "green",
    "BLOCKED": "red",
    "REJECTED": "yellow",
    "FAILED": "red",
    "CANCELLED": "dim",
}


def console(stderr: bool = False) -> Console:
    """Standard output (or error) with colours on a terminal, plain in a pipe."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    return Console(file=stream, highlight=False, emoji=False, width=width, soft_wrap=not stream.isatty())


def print_json(data: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(data, indent=2, ensure_ascii=False))


def print_json_line(data: Any) -> None:
    """One line of a JSON stream on standard output, at once."""
    print(json.dumps(data, ensure_ascii=False), flush=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> Table:
    """A plain table; columns named in `right` hold numbers."""
    result = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        result.add_column(column, justify="right" if column in right else "left", no_wrap=True)
    for row in rows:
        result.add_row(*row)
    return result


def coloured(state: str) -> str:
    """A state in its colour, as rich markup."""
    return f"[{STATE_COLOURS.get(state, 'default')}]{state}[/]"


def sparkline(values: Sequence[float]) -> str:
    """Values from 0 to 1 as a line of bars."""
    steps = len(BARS) - 1
    return "".join(BARS[round(min(1.0, max(0.0, value)) * steps)] for value in values)


def bar(value: float | None, width: int = 20) -> str:
    """A value from 0 to 1 as a horizontal bar."""
    if value is None:
        return ""
    eighths = round(min(1.0, max(0.0, value)) * width * 8)
    return "█" * (eighths // 8) + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[eighths % 8]


def number(value: float | None, digits: int = 3) -> str:
    """A number, or a dash where it is not known."""
    return UNKNOWN if value is None else f"{value:.{digits}f}"


def size(count: float) -> str:
    """Bytes for people: 1.2 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")


def duration(seconds: float) -> str:
    """Seconds for people: 4.2 s, 1 min 05 s, 2 h 03 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def ago(text: str | None) -> str:
    """How long ago a time of the tables was."""
    if not text:
        return UNKNOWN
    seconds = (datetime.now(UTC) - timestamps.from_text(text)).total_seconds()
    if seconds < 90:
        return f"{max(0, round(seconds))} s ago"
    if seconds < 5400:
        return f"{round(seconds / 60)} min ago"
    if seconds < 129600:
        return f"{round(seconds / 3600)} h ago"
    return f"{round(seconds / 86400)} days ago"


def plural(count: int, thing: str) -> str:
    """'1 image', '2 images', '2 boxes'."""
    if count == 1:
        return f"1 {thing}"
    return f"{count:,} {thing}{'es' if thing.endswith(('x', 's')) else 's'}"
