"""Who served before whom: the way back that a rollback takes."""

from collections.abc import Iterable
from typing import NamedTuple


class Served(NamedTuple):
    """A run came to serve; ``back_from`` is the run that a rollback took out of service for it."""

    run: str
    back_from: str | None = None


def standing_champions(served: Iterable[Served]) -> list[str]:
    """The champions one under the other, the one that serves last: each was promoted over the one before it.

    A rollback takes off what was promoted since its run served. So rolling back twice goes back two
    champions; it never brings a model back that was rolled back from.
    """
    standing: list[str] = []
    for one in served:
        if one.back_from is not None and one.run in standing:
            del standing[len(standing) - standing[::-1].index(one.run) :]
        elif not standing or standing[-1] != one.run:
            standing.append(one.run)
    return standing


def champion_before(served: Iterable[Served]) -> str | None:
    """The run that a rollback brings back, or None where nothing served before the one that serves now."""
    standing = standing_champions(served)
    return standing[-2] if len(standing) > 1 else None
