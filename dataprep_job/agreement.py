"""Whether two annotations of one picture say the same: formats round and count differently."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence

from dataprep_job.labels import Edges

SAME_BOX_PIXELS = 2.0
"""Edges this close are the same; 1-based and 0-based whole numbers differ by one, and both are rounded."""

_MATCHED_ONE_BY_ONE = 300
"""With more boxes of a class, comparing each with each would take too long; they are compared in order."""

LabelledBox = tuple[Hashable, Edges]
"""A class, by name or id, and the edges of a box in pixels."""


def say_the_same(one: Sequence[LabelledBox], other: Sequence[LabelledBox]) -> bool:
    """Whether the boxes of two annotations are the same, in any order, but for `SAME_BOX_PIXELS`."""
    if len(one) != len(other):
        return False
    mine, theirs = _by_class(one), _by_class(other)
    return mine.keys() == theirs.keys() and all(_match(mine[label], theirs[label]) for label in mine)


def _by_class(boxes: Iterable[LabelledBox]) -> dict[Hashable, list[Edges]]:
    found: dict[Hashable, list[Edges]] = defaultdict(list)
    for label, edges in boxes:
        found[label].append(edges)
    return found


def _match(mine: list[Edges], theirs: list[Edges]) -> bool:
    if len(mine) != len(theirs):
        return False
    mine, theirs = sorted(mine), sorted(theirs)
    if len(mine) > _MATCHED_ONE_BY_ONE:
        return all(map(_are_close, mine, theirs))
    for edges in mine:
        at = min(range(len(theirs)), key=lambda at: _distance(edges, theirs[at]))
        if not _are_close(edges, theirs.pop(at)):
            return False
    return True


def _are_close(one: Edges, other: Edges) -> bool:
    return _distance(one, other) <= SAME_BOX_PIXELS


def _distance(one: Edges, other: Edges) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))
