"""Schedules from seeds: whatever goes wrong, nothing is lost, stuck, or promoted twice."""

import os
from collections.abc import Iterator

import pytest
from nestbox.states import MOVES

from simulation.chance import RATES
from simulation.soak import Ended, play_all
from simulation.story import judge, shrink, tell
from simulation.world import World, play, simulated_aws

SEEDS = range(100)


@pytest.fixture(scope="module")
def ended() -> list[Ended]:
    """How all seeds ended."""
    return list(play_all(SEEDS, os.cpu_count() or 1))


@pytest.fixture
def aws() -> Iterator[None]:
    """The world that nestbox talks to."""
    with simulated_aws():
        yield


def test_every_schedule_keeps_all_promises(ended: list[Ended], aws: None) -> None:
    broken = sorted(one.seed for one in ended if one.broken)
    assert not broken, f"seeds {broken} break promises\n\n{tell(broken[0], judge(broken[0]))}"


RARE = {
    ("CANCELLED", "DEPLOYING"),
    ("EVALUATING", "CANCELLED"),
    ("EVALUATING", "FAILED"),
    ("FAILED", "DEPLOYING"),
    ("REJECTED", "DEPLOYING"),
}
"""Moves that not every hundred schedules bring about; the soak test comes through them."""


def test_the_schedules_come_through_everything(ended: list[Ended]) -> None:
    assert len(ended) == len(SEEDS)
    assert set(RATES) - set().union(*(one.incidents for one in ended)) <= {"rollback fails", "alarm rings"}
    possible = {(before.value, after.value) for before, moves in MOVES.items() for after in moves}
    missed = possible - RARE - set().union(*(one.moves for one in ended))
    assert not missed, f"no schedule moves a run {sorted(missed)}"


def test_a_seed_is_always_the_same_schedule(aws: None) -> None:
    first, second = play(3), play(3)
    assert first.log == second.log
    assert first.chance.incidents == second.chance.incidents


def test_a_broken_promise_is_told_in_few_incidents(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_job_is_killed(world: World) -> list[str]:
        return [one.name for one in world.chance.incidents if one.name.startswith("job killed")]

    # A promise that nobody keeps, so that it is known which incidents it takes to break it.
    monkeypatch.setattr("simulation.invariants._strays_are_told", no_job_is_killed)
    first = next(outcome for seed in SEEDS if (outcome := judge(seed)).broken)
    _without, smallest = shrink(first.world.chance.seed, first, most=40)
    assert smallest.broken
    assert len(smallest.world.chance.incidents) <= len(first.world.chance.incidents) // 2
    text = tell(first.world.chance.seed, first, lambda *_: (frozenset(), smallest))
    for incident in smallest.world.chance.incidents:
        assert smallest.world.alias(incident.name) in text
    assert smallest.world.alias(smallest.broken[0]) in text
