"""A failing schedule, made as small as it can be and told for a person."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simulation.invariants import broken
from simulation.world import World, play


@dataclass(frozen=True)
class Outcome:
    """How a schedule ended."""

    world: World
    broken: list[str]


def judge(seed: int, without: frozenset[str] = frozenset()) -> Outcome:
    """Play a schedule and say which promises it broke."""
    world = play(seed, without)
    return Outcome(world, broken(world))


def shrink(seed: int, first: Outcome, *, most: int = 400) -> tuple[frozenset[str], Outcome]:
    """Leave out as many incidents as possible while the same promise is still broken (delta debugging:
    Zeller and Hildebrandt, 2002). Returns what was left out, and the outcome without it."""
    promise = _promise(first)
    without, best, plays = frozenset[str](), first, 0
    size = max(1, len(_names(best)) // 2)
    while size >= 1 and plays < most:
        names, place, removed = _names(best), 0, False
        while place < len(names) and plays < most:
            some = frozenset(names[place : place + size])
            outcome = judge(seed, without | some)
            plays += 1
            if outcome.broken and _promise(outcome) == promise:
                without, best, removed = without | some, outcome, True
                names = [name for name in names if name not in some]
            else:
                place += size
        if size == 1 and not removed:
            break
        size = max(1, size // 2) if size > 1 else 1
    return without, best


def tell(seed: int, first: Outcome, shrinker: Callable[..., tuple[frozenset[str], Outcome]] = shrink) -> str:
    """The smallest story, as text."""
    _without, outcome = shrinker(seed, first)
    world = outcome.world
    many, few = len(first.world.chance.incidents), len(world.chance.incidents)
    lines = [
        f"seed {seed} breaks a promise; of its {many} incidents {few} are enough:",
        *(f"  {_clock(one.at)}  {world.alias(one.name)}" for one in world.chance.incidents),
        "",
        "what happened:",
        *(f"  {_clock(at)}  {world.alias(text)}" for at, text in world.log),
        "",
        "what is broken:",
        *(f"  {world.alias(one)}" for one in outcome.broken),
        "",
        f"play it again: python -m simulation --story {seed}",
    ]
    return "\n".join(lines)


def _promise(outcome: Outcome) -> str:
    return outcome.broken[0].partition(":")[0]


def _names(outcome: Outcome) -> Sequence[str]:
    return [one.name for one in outcome.world.chance.incidents]


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 3600:02d}:{int(seconds) // 60 % 60:02d}:{seconds % 60:04.1f}"
