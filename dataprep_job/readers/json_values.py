"""Values as they stand in JSON annotations: numbers that may be texts, sizes, ids."""

from __future__ import annotations

import math
from typing import Any

from dataprep_job.labels import Edges

_LARGEST_KEY = (1 << 63) - 1
_LARGEST_SIDE = 1 << 24
_LONGEST_NUMBER = 400


def number(value: Any) -> float | None:
    """A finite number, also one written as text (`"996.0000"`); None for anything else."""
    if isinstance(value, str):
        if "_" in value or len(value) > _LONGEST_NUMBER:
            return None
    elif not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def corner_and_size(values: list[Any]) -> Edges | None:
    """The edges of a box given as left, top, width and height; None where one of them is no number."""
    if len(values) != 4:
        return None
    left, top, width, height = map(number, values)
    if left is None or top is None or width is None or height is None:
        return None
    edges = Edges(left, top, left + width, top + height)
    return edges if math.isfinite(edges.x1) and math.isfinite(edges.y1) else None


def picture_size(width: Any, height: Any) -> tuple[int, int] | None:
    """Width and height in whole pixels; None where they are missing, zero or no numbers."""
    sides = number(width), number(height)
    if any(side is None or not 1 <= side <= _LARGEST_SIDE for side in sides):
        return None
    return round(sides[0] or 0), round(sides[1] or 0)


def key_of(value: Any) -> int | str | None:
    """An id: 7, 7.0 and "7" are the same one; None for what can be no id (null, a list, an empty text)."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int):
        if isinstance(value, bool):
            return None
        return value if -_LARGEST_KEY <= value <= _LARGEST_KEY else f"{value:x}"
    if isinstance(value, str):
        text = value.strip()
        digits = text.removeprefix("-")
        if digits.isascii() and digits.isdigit() and len(digits) < 19 and (digits == "0" or digits[0] != "0"):
            return int(text)
        return text or None
    return None


def class_name(value: Any) -> str | None:
    """A class name, also one that is a whole number; None for anything else and for blank texts."""
    if isinstance(value, int) and not isinstance(value, bool):
        return shown(value)
    return value.strip() or None if isinstance(value, str) else None


def class_order(key: int | str) -> tuple[bool, int, str]:
    """Sorts class ids: numbers first, ascending, then texts."""
    return (False, key, "") if isinstance(key, int) else (True, 0, key)


def shown(value: Any) -> str:
    """A value for a message: short, whatever it is."""
    if isinstance(value, str):
        return repr(value[:80])
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        if len(value) > 8 or any(isinstance(one, dict | list) for one in value):
            return f"a list of {len(value):,}"
        return "[" + ", ".join(map(shown, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return (
        f"{value:g}" if isinstance(value, float) else (f"{value}" if abs(value) < 10**40 else "a huge number")
    )


def points_of(value: object) -> list[tuple[float, float]] | None:
    """Points written as pairs of finite numbers; None where one of them is anything else."""
    if not isinstance(value, list):
        return None
    points: list[tuple[float, float]] = []
    for pair in value:
        if not isinstance(pair, list) or len(pair) != 2:
            return None
        x, y = number(pair[0]), number(pair[1])
        if x is None or y is None:
            return None
        points.append((x, y))
    return points
