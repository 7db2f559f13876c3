"""Numbers as they stand in text files: with a point or a decimal comma, finite, nothing else."""

from __future__ import annotations

import math
import re

_LONGEST = 400
_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
_WHOLE = re.compile(r"\+?(\d{1,18})(?:[.,]0*)?", re.ASCII)


def written_number(text: str, *, is_share: bool = False) -> float | None:
    """A finite number; None for anything else.

    `1,024` can be 1024 or 1.024, so it is none of them, unless `is_share`: a share of a picture has no
    thousands.
    """
    try:
        number = float(text)
    except ValueError:
        if not has_decimal_comma(text) or (_THOUSANDS.fullmatch(text.strip()) and not is_share):
            return None
        number = float(text.replace(",", "."))
    if "_" in text or len(text) > _LONGEST:
        return None
    return number if math.isfinite(number) else None


def has_decimal_comma(text: str) -> bool:
    """Whether the text is a number with a comma in it."""
    return "," in text and len(text) <= _LONGEST and _COMMA.fullmatch(text.strip()) is not None


def whole_number(text: str) -> int | None:
    """A whole number from 0 up, also one written as `1.0`; None for anything else."""
    match = _WHOLE.fullmatch(text)
    return int(match[1]) if match else None
