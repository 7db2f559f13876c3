"""The rules of serving: what to do about an endpoint, who served before whom, what may be deleted."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nestbox.rules.champions import Served, champion_before, standing_champions
from nestbox.rules.deploying import (
    ASKING_LIVES,
    ASKING_TAKES,
    Asked,
    Deploying,
    Endpoint,
    NotDeployed,
    bake_seconds_left,
    decide_deploying,
)
from nestbox.rules.endpoint_alarms import alarm_names, alarm_requests
from nestbox.rules.pruning import KnownModel, models_to_prune
from nestbox.rules.serving import Serving, production_variant
from nestbox.settings import EndpointType

NOW = datetime(2026, 11, 24, 22, 40, tzinfo=UTC)
LONG_AGO = NOW - timedelta(minutes=5)
RUN = "birds-20261124224000-abcd"


def asked(config, at=LONG_AGO, taken_at=LONG_AGO):
    return Asked(config, at, taken_at)


NEW_TAKEN, OTHER_TAKEN = asked("new"), asked("other")
NEW_LEASED, OTHER_LEASED = asked("new", NOW, None), asked("other", NOW, None)


@pytest.mark.parametrize(
    ("endpoint", "asked", "decision"),
    [
        (None, None, Deploying.CREATE),
        (None, NEW_TAKEN, Deploying.CREATE),
        (None, NEW_LEASED, Deploying.WAIT),
        (Endpoint("Creating", "new"), NEW_TAKEN, Deploying.WAIT),
        (Endpoint("Updating", "old"), NEW_TAKEN, Deploying.WAIT),
        (Endpoint("Updating", "old"), OTHER_TAKEN, Deploying.WAIT),
        (Endpoint("RollingBack", "old"), NEW_TAKEN, Deploying.WAIT),
        (Endpoint("Deleting", "old"), None, Deploying.WAIT),
        (Endpoint("InService", "new"), NEW_TAKEN, Deploying.SERVED),
        (Endpoint("InService", "new"), NEW_LEASED, Deploying.SERVED),
        (Endpoint("InService", "new"), None, Deploying.SERVED),
        (Endpoint("InService", "old"), None, Deploying.UPDATE),
        (Endpoint("InService", "old"), NEW_LEASED, Deploying.WAIT),
        (Endpoint("Failed", "old"), None, Deploying.REMOVE),
        (Endpoint("Failed", "other"), OTHER_TAKEN, Deploying.REMOVE),
        (Endpoint("UpdateRollbackFailed", "old"), OTHER_TAKEN, Deploying.UPDATE),
    ],
)
def test_the_next_thing_to_do(endpoint, asked, decision):
    assert decide_deploying(endpoint, "new", asked=asked, now=NOW) is decision


def test_what_another_asked_for_is_waited_for():
    """The endpoint may look right or at rest while a late request of another run is still on its way."""
    for seen in ("new", "old"):
        endpoint = Endpoint("InService", seen)
        assert decide_deploying(endpoint, "new", asked=OTHER_LEASED, now=NOW) is Deploying.WAIT
        after = decide_deploying(endpoint, "new", asked=OTHER_LEASED, now=NOW + ASKING_LIVES)
        assert after is (Deploying.SERVED if seen == "new" else Deploying.UPDATE)
    # Where the endpoint shows what was asked for, nothing of it is still to come.
    there = Endpoint("InService", "other")
    assert decide_deploying(there, "new", asked=OTHER_LEASED, now=NOW) is Deploying.UPDATE


def test_an_accepted_request_is_given_time_to_show():
    taken = Asked("new", NOW, NOW)
    endpoint = Endpoint("InService", "old")
    assert decide_deploying(endpoint, "new", asked=taken, now=NOW) is Deploying.WAIT
    assert isinstance(decide_deploying(endpoint, "new", asked=taken, now=NOW + ASKING_TAKES), NotDeployed)


def test_a_note_without_its_deed_is_no_failure():
    """A function that was killed between its note and its request: the next one asks."""
    lost = asked("new", LONG_AGO, None)
    assert decide_deploying(Endpoint("InService", "old"), "new", asked=lost, now=NOW) is Deploying.UPDATE
    assert decide_deploying(Endpoint("Failed", "new"), "new", asked=lost, now=NOW) is Deploying.REMOVE


@pytest.mark.parametrize(
    ("endpoint", "remove"),
    [
        (Endpoint("InService", "old", "unhealthy"), False),
        (Endpoint("Failed", "new", "unhealthy"), True),
        (Endpoint("UpdateRollbackFailed", "old", "unhealthy"), False),
        (Endpoint("OutOfService", "new", "unhealthy"), False),
    ],
)
def test_deployments_that_failed(endpoint, remove):
    decision = decide_deploying(endpoint, "new", asked=NEW_TAKEN, now=NOW)
    assert isinstance(decision, NotDeployed)
    assert decision.remove == remove
    assert "unhealthy" in decision.reason


def test_a_rolled_back_update_tells_what_serves_now():
    def told(status):
        return decide_deploying(Endpoint(status, "old", "unhealthy"), "new", asked=NEW_TAKEN, now=NOW).reason

    assert told("InService") == "the update was rolled back, old goes on serving: unhealthy"
    assert told("OutOfService") == "the update was rolled back, OutOfService: unhealthy"


def test_baking_counts_from_when_the_endpoint_came_to_rest():
    endpoint = Endpoint("InService", "new", changed_at=NOW)
    assert bake_seconds_left(endpoint, 300, NOW + timedelta(seconds=60)) == 240
    assert bake_seconds_left(endpoint, 300, NOW + timedelta(seconds=301)) == 0
    assert bake_seconds_left(Endpoint("InService", "new"), 300, NOW) == 0


def test_the_way_back():
    assert champion_before([]) is None
    assert champion_before([Served("a")]) is None
    assert champion_before([Served("a"), Served("b")]) == "a"
    back = [Served("a"), Served("b"), Served("c"), Served("b", back_from="c")]
    assert standing_champions(back) == ["a", "b"]
    assert champion_before(back) == "a"
    # What was rolled back from may be promoted again, and is then a champion like any other.
    assert standing_champions([*back, Served("c")]) == ["a", "b", "c"]


def test_what_is_promoted_again_is_no_way_back():
    assert standing_champions([Served("a"), Served("b"), Served("a")]) == ["a", "b", "a"]


def test_the_way_back_to_a_run_that_is_not_known():
    assert standing_champions([Served("b"), Served("a", back_from="b")]) == ["b", "a"]


@given(st.lists(st.sampled_from(["promote", "back", "again"]), max_size=30))
def test_rolling_back_undoes_promotions_one_by_one(actions):
    served, expected = [], []
    for number, action in enumerate(actions):
        if action == "promote":
            served.append(Served(f"run{number}"))
            expected.append(f"run{number}")
        elif action == "back" and len(expected) > 1:
            leaving = expected.pop()
            served.append(Served(expected[-1], back_from=leaving))
        elif action == "again" and expected:
            served.append(Served(expected[-1]))
    assert standing_champions(served) == expected
    assert champion_before(served) == (expected[-2] if len(expected) > 1 else None)


def test_what_is_pruned():
    def known(run, *, has_model=True, ended=True, pruned=False):
        return KnownModel(run, has_model, ended, pruned)

    runs = [known(f"r{n}") for n in range(9, 0, -1)]
    assert models_to_prune(runs, keep=3, in_use={"r2", "r8"}) == ["r5", "r4", "r3", "r1"]
    unfinished = [
        known("r9", ended=False),
        known("r8", has_model=False),
        known("r7"),
        known("r6", pruned=True),
    ]
    assert models_to_prune(unfinished, keep=0, in_use=set()) == ["r7"]
    assert models_to_prune(unfinished, keep=1, in_use=set()) == []


@given(st.sets(st.integers(1, 20)), st.integers(0, 6), st.sets(st.integers(1, 20)))
def test_what_is_in_use_is_never_pruned(there, keep, in_use):
    runs = [KnownModel(f"r{n:02}", True, True, False) for n in sorted(there, reverse=True)]
    used = {f"r{n:02}" for n in in_use}
    going = models_to_prune(runs, keep=keep, in_use=used)
    assert not set(going) & used
    staying = [known.run for known in runs if known.run not in going]
    assert len(staying) == min(len(there), keep + len(used & {known.run for known in runs}))


def test_the_two_ways_to_keep_a_model_ready():
    serving = Serving(EndpointType.REAL_TIME, "ml.m5.large", 2, 3072, 5)
    assert production_variant(RUN, RUN, serving) == {
        "VariantName": RUN,
        "ModelName": RUN,
        "InitialVariantWeight": 1.0,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 2,
    }
    asleep = production_variant(RUN, RUN, Serving(EndpointType.SERVERLESS, "ml.m5.large", 2, 3072, 5))
    assert asleep["ServerlessConfig"] == {"MemorySizeInMB": 3072, "MaxConcurrency": 5}
    assert not {"InstanceType", "InitialInstanceCount"} & set(asleep)


def test_alarms_look_at_the_runs_own_variant():
    errors, latency = alarm_requests(RUN, 5000, ["arn:topic"])
    assert [errors["AlarmName"], latency["AlarmName"]] == alarm_names(RUN)
    for request in (errors, latency):
        assert request["Dimensions"] == [
            {"Name": "EndpointName", "Value": "nestbox-birds"},
            {"Name": "VariantName", "Value": RUN},
        ]
    assert latency["Threshold"] == 5_000_000, "CloudWatch counts microseconds"
