"""Whose turn it is to be audited."""

from datetime import UTC, datetime, timedelta

from nestbox.rules.auditing import is_due

MINUTES = [datetime(2026, 11, 24, 8, 0, 30, tzinfo=UTC) + timedelta(minutes=n) for n in range(60)]


def turns(dataset: str) -> list[int]:
    return [n for n, now in enumerate(MINUTES) if is_due(dataset, now, 20)]


def test_each_dataset_has_one_turn_in_so_many_minutes() -> None:
    first, *later = turns("birds")
    assert first < 20
    assert later == [first + 20, first + 40]


def test_the_turns_are_spread_over_the_minutes() -> None:
    firsts = [turns(f"dataset-{n}")[0] for n in range(200)]
    assert set(firsts) == set(range(20))
