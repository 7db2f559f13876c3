"""How long a run may stand in one state."""

from datetime import UTC, datetime, timedelta

import pytest
from nestbox.rules.deadlines import Deadlines, is_overdue, overdue_reason
from nestbox.states import STAGES, UNFINISHED, State

DEADLINES = Deadlines(prepare_max_seconds=14_400, training_max_seconds=86_400, grace_seconds=7_200)
NOW = datetime(2026, 11, 24, 22, 40, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "jobs", "hours"),
    [
        (State.PREPARING, 1, 3 * 4 + 2),
        (State.PREPARING, 3, 9 * 4 + 2),
        (State.TRAINING, 1, 2 * 24 + 2),
        (State.EVALUATING, 1, 2 * 3 * 4 + 2),
        (State.DEPLOYING, 1, 2),
    ],
)
def test_a_run_may_take_what_its_jobs_may_take(state: State, jobs: int, hours: int) -> None:
    assert DEADLINES.allowed(state, jobs) == timedelta(hours=hours)


def test_the_deadline_itself_is_still_in_time() -> None:
    allowed = timedelta(hours=2)
    assert not is_overdue(allowed, NOW - allowed, NOW)
    assert is_overdue(allowed, NOW - allowed - timedelta(seconds=1), NOW)
    # A clock that was set back makes nothing overdue.
    assert not is_overdue(allowed, NOW + timedelta(days=3), NOW)


@pytest.mark.parametrize("state", sorted(UNFINISHED))
def test_the_reason_says_how_long_for_what_and_what_to_do(state: State) -> None:
    run = "birds-20261124224000-1a2b"
    reason = overdue_reason(run, "birds", state, timedelta(hours=50, minutes=5), timedelta(minutes=59))
    assert "waited 50 h 05 min for" in reason
    assert "longer than the 59 min" in reason
    what, advice = reason.split(". ", 1)
    assert advice.strip()
    assert {
        "prepare": f"{run}-prepare",
        "training": run,
        "evaluation": "gate",
        "deploy": "nestbox-birds",
    }[STAGES[state]] in what
