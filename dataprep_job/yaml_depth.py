"""A bound on how deep YAML may be nested, before it is parsed."""

from __future__ import annotations

import re

import yaml

MOST_OPEN = 64
"""Brackets open at once; a description of a dataset needs three."""

_BRACKET = re.compile(rb"[\[\]{}]")


def refuse_deep(data: bytes) -> None:
    """Raise yaml.YAMLError where more brackets are open than any description needs.

    PyYAML's time grows with the square of the open brackets: five thousand keep it busy for a quarter of a
    minute. Brackets inside texts count as well, which takes 64 of them that are never closed to be noticed.
    """
    depth = 0
    for bracket in _BRACKET.finditer(data):
        depth = depth + 1 if bracket[0] in b"[{" else max(0, depth - 1)
        if depth > MOST_OPEN:
            raise yaml.MarkedYAMLError(problem=f"more than {MOST_OPEN} brackets are open at once")
