from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nestbox.rules.arming import OVERDUE_AFTER, Arming, Standing, arm, delay_until, is_overdue
from nestbox.rules.settling import Drop, Ripe, SettlingLimits, Start, Wait, time_to_start, worth_a_run
from nestbox.rules.snapshots import Counts
from nestbox.states import State

NOW = datetime(2026, 11, 24, 22, 40, tzinfo=UTC)
LIMITS = SettlingLimits(quiet_seconds=60, max_wait_seconds=900, min_new_images=1)


def ago(seconds):
    return NOW - timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("standing", "ready", "arming"),
    [
        (Standing(), False, Arming(60)),
        (Standing(), True, Arming(0)),
        (Standing(ago(5), ago(-55)), False, None),
        (Standing(ago(5), ago(-55)), True, Arming(0)),
        (Standing(ago(60), ago(0)), False, None),
        (Standing(ago(60), ago(0)), True, None),
        (Standing(ago(119), ago(59)), False, None),
        (Standing(ago(120), ago(60)), False, Arming(60)),
        (Standing(ago(120), None), False, Arming(60)),
        (Standing(None, None, "run"), False, Arming(None)),
        (Standing(None, None, "run"), True, Arming(None)),
        (Standing(ago(5), None, "run"), True, None),
    ],
)
def test_arming(standing, ready, arming):
    assert arm(standing, NOW, 60, ready=ready) == arming


times = st.one_of(st.none(), st.integers(-2000, 2000).map(ago))
standings = st.builds(Standing, times, times, st.one_of(st.none(), st.just("run")))


@given(standings, st.integers(0, 900), st.booleans())
def test_after_arming_there_is_something_that_will_look(standing, quiet, ready):
    arming = arm(standing, NOW, quiet, ready=ready)
    assert arming is None or arming.delay_seconds is None or 0 <= arming.delay_seconds <= 900
    if arming is None and standing.active_run is None:
        # Whoever arms nothing relies on a message that reconcile would miss if it were lost.
        assert standing.settle_at is not None
        assert standing.settle_at + OVERDUE_AFTER > NOW


@given(standings)
def test_nothing_waits_for_ever(standing):
    pending = standing.first_pending_at is not None and standing.active_run is None
    assert is_overdue(standing, NOW + timedelta(days=1)) == pending


def test_what_an_operator_asked_for_is_overdue_at_once():
    assert is_overdue(Standing(start_asked=True), NOW)


@pytest.mark.parametrize(
    ("seconds", "delay"), [(-5, 0), (0, 0), (0.2, 1), (59.9, 60), (900, 900), (5000, 900)]
)
def test_delays_fit_sqs(seconds, delay):
    assert delay_until(NOW, NOW + timedelta(seconds=seconds)) == delay


def when(**changes):
    facts = {
        "now": NOW,
        "first_pending_at": ago(100),
        "last_change_at": ago(10),
        "ready_at": None,
        "last_run_at": None,
        "limits": LIMITS,
    }
    return time_to_start(**{**facts, **changes})


def test_time_to_start():
    assert when() == Wait(50)
    assert when(last_change_at=ago(59.5)) == Wait(1)
    assert isinstance(when(last_change_at=ago(60)), Ripe)
    assert when(first_pending_at=ago(880)) == Wait(20)
    assert isinstance(when(first_pending_at=ago(900)), Ripe)
    assert isinstance(when(last_change_at=None), Ripe)
    assert when(last_change_at=ago(-5000), first_pending_at=NOW) == Wait(900)


def test_ready_counts_once():
    assert when(ready_at=ago(5)) == Ripe("_READY was uploaded", asked=True)
    assert when(ready_at=ago(5), last_run_at=ago(6)).asked
    assert when(ready_at=ago(5), last_run_at=ago(5)) == Wait(50)


def worth(**changes):
    facts = {
        "there": Counts(10, 5),
        "changed": Counts(2, 1),
        "asked": False,
        "last_state": State.SERVED,
        "limits": LIMITS,
    }
    return worth_a_run(**{**facts, **changes})


FIVE = SettlingLimits(60, 900, min_new_images=5)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        ({"there": Counts(0, 15)}, "no-images"),
        ({"there": Counts(), "changed": None}, "no-images"),
        ({"there": Counts(archives=1, archived_images=1), "changed": None}, None),
        ({"changed": Counts()}, "nothing-changed"),
        ({"changed": Counts(), "asked": True}, "nothing-changed"),
        ({"changed": Counts(), "asked": True, "last_state": State.FAILED}, None),
        ({"changed": Counts(), "last_state": State.FAILED}, "nothing-changed"),
        ({"limits": FIVE}, "too-few-new-images"),
        ({"limits": FIVE, "asked": True}, None),
        ({"limits": FIVE, "changed": Counts(5, 0)}, None),
        ({"limits": FIVE, "changed": Counts(0, 1)}, None),
        ({"limits": FIVE, "changed": None, "there": Counts(4, 9)}, "too-few-new-images"),
        ({"limits": FIVE, "changed": None, "there": Counts(5, 9)}, None),
        ({"limits": FIVE, "changed": Counts(2, 0, 1, 2)}, "too-few-new-images"),
        ({"limits": FIVE, "changed": Counts(2, 0, 1, 3)}, None),
    ],
)
def test_worth_a_run(changes, code):
    result = worth(**changes)
    assert (result.code if isinstance(result, Drop) else None) == code
    assert isinstance(result, Start) == (code is None)
    assert result.why


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (Counts(1, 2), "1 image and 2 other files changed"),
        (Counts(0, 1), "1 other file changed"),
        (Counts(3, 1, 2, 400), "3 images, 2 archives and 1 other file changed"),
    ],
)
def test_a_run_says_what_it_starts_for(changed, told):
    assert worth(changed=changed) == Start(told)


def test_what_is_guessed_of_archives_is_told_as_a_guess():
    few = worth(limits=FIVE, changed=Counts(1, 0, 2, 3))
    assert (
        few.why
        == "1 image and 2 archives (about 4 images by size) changed since the last run; a run starts at 5"
    )
    assert "about" not in worth(limits=FIVE, changed=Counts(1)).why


def test_a_dataset_may_have_a_quiet_period_of_its_own():
    assert LIMITS.with_quiet_period(None) == LIMITS
    assert when(limits=LIMITS.with_quiet_period(10)) == Ripe("quiet for 10 s")
    assert when(limits=LIMITS.with_quiet_period(0), last_change_at=NOW) == Ripe("quiet for 0 s")
    assert when(limits=LIMITS.with_quiet_period(10.5)) == Wait(1)
    assert when(limits=LIMITS.with_quiet_period(300)) == Wait(290)


def test_the_longest_wait_never_cuts_a_longer_quiet_period_short():
    hour = LIMITS.with_quiet_period(3600)
    assert when(limits=hour, first_pending_at=ago(1000), last_change_at=ago(1000)) == Wait(900)
    assert when(limits=hour, first_pending_at=ago(3600), last_change_at=ago(3600)) == Ripe("quiet for 3600 s")
    assert when(limits=hour, first_pending_at=ago(3600)) == Ripe("uploads have gone on for 3600 s")
