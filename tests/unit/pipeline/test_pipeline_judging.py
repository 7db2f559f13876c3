"""What to do about a run that is being judged, given its jobs."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nestbox import bucket_layout, names
from nestbox.errors import BadNameError
from nestbox.rules.batch_job import BatchJob
from nestbox.rules.judging import (
    Judging,
    JudgingJobs,
    NotJudged,
    Standing,
    TransformJob,
    decide_judging,
)
from nestbox.rules.transform_request import transform_request

NOW = datetime(2026, 11, 24, 22, 40, tzinfo=UTC)
RUN = "birds-20261124224000-abcd"
ASKED = NOW - timedelta(seconds=5)
LONG_AGO = NOW - timedelta(minutes=5)


def transform(status, reason=None):
    return TransformJob("job", status, reason) if status else None


def evaluation(status):
    return BatchJob("id", "evaluate", status) if status else None


def decide(candidate, champion=None, evaluate=None, *, asked=ASKED, submitted=None, with_champion=None):
    jobs = JudgingJobs(transform(candidate), transform(champion), evaluation(evaluate))
    return decide_judging(
        jobs,
        Standing(
            with_champion=champion is not None if with_champion is None else with_champion,
            asked_at=asked,
            submitted=evaluate is not None if submitted is None else submitted,
        ),
        NOW,
    )


@pytest.mark.parametrize(
    ("candidate", "champion", "evaluate", "decision"),
    [
        ("InProgress", None, None, Judging.WAIT),
        ("Stopping", None, None, Judging.WAIT),
        ("Completed", None, None, Judging.EVALUATE),
        ("Completed", "InProgress", None, Judging.WAIT),
        ("InProgress", "Completed", None, Judging.WAIT),
        ("Completed", "Completed", None, Judging.EVALUATE),
        ("Completed", "Completed", "SUBMITTED", Judging.WAIT),
        ("Completed", "Completed", "RUNNING", Judging.WAIT),
        ("Completed", "Completed", "SUCCEEDED", Judging.READ),
        ("Completed", None, "SUCCEEDED", Judging.READ),
    ],
)
def test_one_thing_after_the_other(candidate, champion, evaluate, decision):
    assert decide(candidate, champion, evaluate) is decision


@pytest.mark.parametrize("asked", [None, ASKED, LONG_AGO])
@pytest.mark.parametrize("missing", ["candidate", "champion"])
def test_a_job_that_is_missing_is_asked_for_awaited_or_lost(asked, missing):
    candidate, champion = (None, "Completed") if missing == "candidate" else ("Completed", None)
    decision = decide(candidate, champion, asked=asked, with_champion=True)
    if asked is LONG_AGO:
        assert isinstance(decision, NotJudged)
        assert decision.of_champion == (missing == "champion")
        assert f"lost the transform job of the {missing}" in decision.reason
    else:
        assert decision is (Judging.ASK if asked is None else Judging.WAIT)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("Failed", "no memory left"),
        ("Stopped", "somebody stopped it"),
        ("Perhaps", "SageMaker says Perhaps"),
    ],
)
def test_whose_job_failed_is_told_apart(status, said):
    broken = TransformJob("job", status, "no memory left")
    for going in ("InProgress", "Completed"):
        other = transform(going)
        first = decide_judging(JudgingJobs(broken, other), Standing(True, ASKED), NOW)
        assert isinstance(first, NotJudged)
        assert (first.of_champion, first.job) == (False, broken)
        assert said in first.reason
        second = decide_judging(JudgingJobs(other, broken), Standing(True, ASKED), NOW)
        assert isinstance(second, NotJudged)
        assert (second.of_champion, second.job) == (True, broken)
        # Once that is known, the candidate is judged alone.
        alone = decide_judging(JudgingJobs(other, broken), Standing(False, ASKED), NOW)
        assert alone is (Judging.WAIT if going == "InProgress" else Judging.EVALUATE)


def test_an_evaluation_that_failed_or_vanished_is_told():
    failed = decide("Completed", None, "FAILED")
    assert isinstance(failed, NotJudged)
    assert failed.job is not None
    lost = decide("Completed", submitted=True)
    assert isinstance(lost, NotJudged)
    assert "AWS Batch has lost" in lost.reason


statuses = st.sampled_from([None, "InProgress", "Stopping", "Completed", "Failed", "Stopped"])
evaluations = st.sampled_from([None, "SUBMITTED", "RUNNING", "SUCCEEDED", "FAILED"])


@settings(deadline=None)
@given(
    statuses, statuses, evaluations, st.booleans(), st.sampled_from([None, ASKED, LONG_AGO]), st.booleans()
)
def test_nothing_is_read_before_all_answers_are_there(
    candidate, champion, evaluate, with_champion, asked, submitted
):
    decision = decide(
        candidate, champion, evaluate, asked=asked, submitted=submitted, with_champion=with_champion
    )
    if decision in (Judging.READ, Judging.EVALUATE):
        assert candidate == "Completed"
        assert champion == "Completed" or not with_champion
    if decision is Judging.READ:
        assert evaluate == "SUCCEEDED"
    if isinstance(decision, NotJudged) and decision.of_champion:
        assert with_champion


def test_the_manifest_and_the_answers_lie_with_the_run():
    request = transform_request(
        RUN,
        "champion",
        2,
        model_name="birds-20261101000000-0000",
        artifacts_bucket="artifacts",
        instance_type="ml.m5.large",
        tags=[],
    )
    assert request["TransformJobName"] == f"{RUN}-champion-2"
    assert request["ModelName"] == "birds-20261101000000-0000"
    source = request["TransformInput"]["DataSource"]["S3DataSource"]
    assert source == {
        "S3DataType": "ManifestFile",
        "S3Uri": f"s3://artifacts/runs/{RUN}/prep/judging.manifest",
    }
    assert request["TransformOutput"]["S3OutputPath"] == f"s3://artifacts/runs/{RUN}/transform/champion-2/"


def test_names_of_judging_jobs_say_their_run():
    long = f"{'a' * 32}-20261124224000-abcd"
    for round_ in range(1, names.MAX_ROUND + 1):
        for name in (
            names.transform_job_name(long, "candidate", round_),
            names.transform_job_name(long, "champion", round_),
            names.evaluate_job_name(long, round_),
        ):
            assert len(name) <= 63
            assert names.run_of_judging_job(name) == long
    with pytest.raises(BadNameError):
        names.evaluate_job_name(long, names.MAX_ROUND + 1)
    for other in (
        RUN,
        f"{RUN}-prepare",
        f"{RUN}-champion-1",
        "champion",
        "x-candidate",
        f"{RUN}-champion-10",
    ):
        assert names.run_of_judging_job(other) is None
    # A dataset may be called like a job.
    assert names.run_of_judging_job("a-champion-20261124224000-abcd") is None
    assert names.run_of_prepare_job(f"{RUN}-evaluate") is None


def test_a_second_champion_gets_other_names_and_places_and_the_candidate_keeps_its_own():
    assert names.transform_job_name(RUN, "candidate", 2) == f"{RUN}-candidate"
    assert bucket_layout.answers_prefix(RUN, "candidate", 2) == f"runs/{RUN}/transform/candidate/"
    assert bucket_layout.answers_prefix(RUN, "champion") == f"runs/{RUN}/transform/champion/"
