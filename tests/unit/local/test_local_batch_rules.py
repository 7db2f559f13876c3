"""Batch's rules without a server: retries, references, filters, limits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.batch.definitions import check_container, check_retries, check_timeout, should_retry
from local.batch.jobs import Job, listed, make_job
from local.batch.names import check_name, name_in
from local.errors import AwsError
from local.scope import Scope

SCOPE = Scope("000000000000", "us-east-1")
QUEUE = {"jobQueueName": "q", "jobQueueArn": SCOPE.arn("batch", "job-queue/q"), "priority": 1}
DEFINITION: dict[str, Any] = {
    "jobDefinitionName": "d",
    "jobDefinitionArn": SCOPE.arn("batch", "job-definition/d:1"),
    "revision": 1,
    "parameters": {"word": "default"},
    "retryStrategy": None,
    "timeout": None,
    "platformCapabilities": ["FARGATE"],
    "propagateTags": False,
    "containerProperties": {
        "image": "i",
        "command": ["say", "Ref::word", "Ref::none"],
        "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        "resourceRequirements": [{"type": "VCPU", "value": "0.5"}, {"type": "MEMORY", "value": "1024"}],
    },
}


def job(**request: Any) -> Job:
    submission = {"jobName": "j", "jobQueue": "q", "jobDefinition": "d", **request}
    return make_job(SCOPE, submission, QUEUE, DEFINITION)


class TestRetries:
    @pytest.mark.parametrize(
        ("attempts", "attempt", "again"), [(1, 1, False), (3, 1, True), (3, 2, True), (3, 3, False)]
    )
    def test_without_rules_every_failure_is_tried_again(
        self, attempts: int, attempt: int, again: bool
    ) -> None:
        assert should_retry({"attempts": attempts}, attempt, "", "", 1) is again

    def test_no_strategy_no_retry(self) -> None:
        assert not should_retry(None, 1, "", "", 1)

    @pytest.mark.parametrize(
        ("rules", "again"),
        [
            ([{"onExitCode": "1", "action": "EXIT"}], False),
            ([{"onExitCode": "1", "action": "exit"}], False),
            ([{"onExitCode": "2", "action": "EXIT"}], True),
            ([{"onExitCode": "1*", "action": "EXIT"}, {"onExitCode": "*", "action": "RETRY"}], False),
            ([{"onStatusReason": "Essential*", "onExitCode": "2", "action": "EXIT"}], True),
            ([{"onStatusReason": "Essential*", "onExitCode": "1", "action": "EXIT"}], False),
            ([{"onReason": "CannotPull*", "action": "EXIT"}], True),
        ],
    )
    def test_the_first_rule_that_matches_decides(self, rules: list[dict[str, str]], again: bool) -> None:
        strategy = {"attempts": 2, "evaluateOnExit": rules}
        assert should_retry(strategy, 1, "Essential container in task exited", "", 1) is again

    @pytest.mark.parametrize(
        "strategy",
        [
            {"attempts": 0},
            {"attempts": 11},
            {"evaluateOnExit": [{"onExitCode": "*", "action": "EXIT"}]},
            {"attempts": 2, "evaluateOnExit": [{"action": "EXIT"}]},
            {"attempts": 2, "evaluateOnExit": [{"onExitCode": "*", "action": "MAYBE"}]},
            {"attempts": 2, "evaluateOnExit": [{"onExitCode": "*", "action": "EXIT"}] * 6},
            {"attempts": 2, "evaluateOnExit": [{"onExitCode": "*7", "action": "EXIT"}]},
            {"attempts": 2, "evaluateOnExit": [{"onExitCode": "-9", "action": "EXIT"}]},
            {"attempts": 2, "evaluateOnExit": [{"onReason": "Host EC2 (i-*", "action": "RETRY"}]},
        ],
    )
    def test_strategies_outside_the_limits(self, strategy: dict[str, Any]) -> None:
        with pytest.raises(AwsError):
            check_retries(strategy)

    def test_timeouts_start_at_a_minute(self) -> None:
        check_timeout({"attemptDurationSeconds": 60})
        with pytest.raises(AwsError, match="at least 60"):
            check_timeout({"attemptDurationSeconds": 59})


class TestJobs:
    def test_references_and_overrides(self) -> None:
        made = job(
            parameters={"word": "hi"},
            containerOverrides={
                "environment": [{"name": "B", "value": "3"}],
                "resourceRequirements": [{"type": "VCPU", "value": "4"}],
            },
        )
        assert made.arguments == ["say", "hi", "Ref::none"]
        assert made.vcpus == 4
        variables = made.variables("ce")
        assert (variables["A"], variables["B"]) == ("1", "3")
        assert (variables["AWS_BATCH_JQ_NAME"], variables["AWS_BATCH_CE_NAME"]) == ("q", "ce")

    def test_a_definition_is_not_changed_by_a_submission(self) -> None:
        job(containerOverrides={"command": ["x"], "environment": [{"name": "C", "value": "4"}]})
        assert DEFINITION["containerProperties"]["command"] == ["say", "Ref::word", "Ref::none"]
        assert len(DEFINITION["containerProperties"]["environment"]) == 2

    def test_array_jobs_have_children(self) -> None:
        made = job(arrayProperties={"size": 2})
        assert [child.id for child in made.children] == [f"{made.id}:0", f"{made.id}:1"]
        assert made.detail()["arrayProperties"]["statusSummary"]["SUBMITTED"] == 2
        assert made.children[1].variables("ce")["AWS_BATCH_JOB_ARRAY_INDEX"] == "1"

    @pytest.mark.parametrize(
        "dependencies",
        [
            [{"type": "SEQUENTIAL"}],
            [{"jobId": "x", "type": "N_TO_N"}],
            [{}],
            [{"jobId": "x"}] * 21,
        ],
    )
    def test_dependencies_that_make_no_sense(self, dependencies: list[dict[str, str]]) -> None:
        with pytest.raises(AwsError):
            job(dependsOn=dependencies)

    def test_listing(self) -> None:
        jobs = [job(jobName=name) for name in ("run-a", "run-b", "other")]
        for index, made in enumerate(jobs):
            made.created_at = index
        jobs[0].status = "RUNNING"

        def names(**request: Any) -> list[str]:
            return [found.name for found in listed(jobs, request)]

        def filtered(name: str, value: str) -> list[str]:
            return names(filters=[{"name": name, "values": [value]}])

        assert names() == ["run-a"]
        assert names(jobStatus="SUBMITTED") == ["other", "run-b"]
        assert filtered("JOB_NAME", "RUN-*") == ["run-b", "run-a"]
        assert filtered("JOB_DEFINITION", "d") == ["other", "run-b", "run-a"]
        assert filtered("AFTER_CREATED_AT", "0") == ["other", "run-b"]
        assert filtered("BEFORE_CREATED_AT", "1") == ["run-a"]
        with pytest.raises(AwsError, match="not a valid filter"):
            filtered("COLOUR", "red")


class TestNames:
    @given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", fullmatch=True))
    def test_a_name_is_found_in_its_arn(self, name: str) -> None:
        check_name(name, "jobName")
        assert name_in(SCOPE.arn("batch", f"job-queue/{name}"), "job-queue", SCOPE) == name
        assert name_in(name, "job-queue", SCOPE) == name

    @pytest.mark.parametrize("name", ["", "-a", "a b", "ä", "a" * 129])
    def test_names_batch_refuses(self, name: str) -> None:
        with pytest.raises(AwsError):
            check_name(name, "jobName")

    def test_arns_of_others_are_refused(self) -> None:
        other = Scope("111111111111", "us-east-1").arn("batch", "job-queue/q")
        with pytest.raises(AwsError, match="not a valid job-queue ARN"):
            name_in(other, "job-queue", SCOPE)


@pytest.mark.parametrize(
    ("vcpu", "memory", "allowed"),
    [
        ("0.25", "512", True),
        ("1", "2048", True),
        ("1", "512", False),
        ("3", "8192", False),
        ("16", "122880", True),
    ],
)
def test_fargate_sizes(vcpu: str, memory: str, allowed: bool) -> None:
    needs = [{"type": "VCPU", "value": vcpu}, {"type": "MEMORY", "value": memory}]
    container = {"image": "i", "executionRoleArn": "r", "resourceRequirements": needs}
    if allowed:
        check_container(container, fargate=True)
    else:
        with pytest.raises(AwsError, match="not a valid combination"):
            check_container(container, fargate=True)
