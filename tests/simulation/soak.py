"""Many schedules on all cores."""

import contextlib
import multiprocessing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from simulation.story import judge
from simulation.world import simulated_aws


@dataclass(frozen=True)
class Ended:
    """How a schedule ended, and what it came through."""

    seed: int
    broken: tuple[str, ...]
    moves: frozenset[tuple[str | None, str]]
    """From and to of every move of every run."""
    incidents: frozenset[str]
    """Kinds of what went wrong."""


def play_and_judge(seed: int) -> Ended:
    """Play one schedule (within ``simulated_aws``)."""
    outcome = judge(seed)
    world = outcome.world
    return Ended(
        seed,
        tuple(world.alias(one) for one in outcome.broken),
        frozenset(world.moves),
        frozenset(one.name.partition(":")[0] for one in world.chance.incidents),
    )


_simulated = contextlib.ExitStack()


def _begin() -> None:
    _simulated.enter_context(simulated_aws())


def play_all(seeds: Iterable[int], processes: int) -> Iterator[Ended]:
    """Play many schedules; yields how each ended, in any order."""
    with multiprocessing.get_context("spawn").Pool(processes, _begin) as pool:
        yield from pool.imap_unordered(play_and_judge, seeds, chunksize=5)
