"""Metrics before they reach CloudWatch, and the rules of its alarms."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.mends.alarms import new_state
from local.metrics import Metric, data
from local.sagemaker.endpoint_metrics import _rounded, invocation_metrics
from local.sagemaker.training import TrainingJob
from local.scope import Scope

SCOPE = Scope("000000000000", "us-east-1")


def values(status: int, model: int | None = 1500, total: int = 1700) -> dict[str, float]:
    found = invocation_metrics(SCOPE, "e", "v", status, model, total)
    assert {metric.dimensions for metric in found} == {(("EndpointName", "e"), ("VariantName", "v"))}
    return {metric.name: value for metric, value in found.items()}


@pytest.mark.parametrize(
    ("status", "client_errors", "server_errors"),
    [(200, 0.0, 0.0), (204, 0.0, 0.0), (400, 1.0, 0.0), (499, 1.0, 0.0), (500, 0.0, 1.0), (302, 0.0, 1.0)],
)
def test_an_invocation_counts_in_every_metric(
    status: int, client_errors: float, server_errors: float
) -> None:
    assert values(status) == {
        "Invocations": 1.0,
        "Invocation4XXErrors": client_errors,
        "Invocation5XXErrors": server_errors,
        "InvocationModelErrors": client_errors + server_errors,
        "ModelLatency": 1500.0,
        "OverheadLatency": 200.0,
    }


def test_no_answer_is_a_server_error_without_latency() -> None:
    assert values(0, None) == {
        "Invocations": 1.0,
        "Invocation4XXErrors": 0.0,
        "Invocation5XXErrors": 1.0,
        "InvocationModelErrors": 1.0,
    }


@given(st.integers(0, 60_000_000))
def test_latencies_keep_three_digits(microseconds: int) -> None:
    rounded = _rounded(microseconds)
    assert abs(rounded - microseconds) <= 0.005 * microseconds
    assert len(str(int(rounded)).rstrip("0")) <= 3 or rounded < 1000


def test_values_are_sent_with_how_often_they_came() -> None:
    metric = Metric("us-east-1", "N", "M", "Count", (("A", "a"),))
    first, second = data(metric, 7, {float(n): n + 1 for n in range(151)})
    assert first["Dimensions"] == [{"Name": "A", "Value": "a"}]
    assert (first["Timestamp"], first["Unit"]) == (7, "Count")
    assert len(first["Values"]) == 150
    assert (second["Values"], second["Counts"]) == ([150.0], [151.0])


def test_a_job_measures_what_can_be_measured() -> None:
    definitions = [{"Name": "loss", "Regex": r"loss=(\S+)"}, {"Name": "map", "Regex": r"map=(\S+)?"}]
    job = TrainingJob({"AlgorithmSpecification": {"MetricDefinitions": definitions}}, [])
    assert job.measure("epoch=1 loss=0.5 map=0.25") == {"loss": 0.5, "map": 0.25}
    assert job.measure("loss=nan map=") == {}
    assert job.measure("loss=much map=inf") == {}
    assert job.metrics["loss"]["Value"] == 0.5


@pytest.mark.parametrize(
    ("breaching", "wanted", "missing", "state"),
    [
        ([True], 1, "missing", "ALARM"),
        ([False], 1, "missing", "OK"),
        ([None], 1, "missing", None),
        ([None], 1, "notBreaching", "OK"),
        ([None], 1, "breaching", "ALARM"),
        ([None], 1, "ignore", None),
        ([True, False, True], 2, "missing", "ALARM"),
        ([True, False, False], 2, "missing", "OK"),
        ([None, None, True], 3, "missing", "ALARM"),
        ([None, None, True], 3, "notBreaching", "OK"),
        ([None, None, True], 3, "ignore", None),
        ([None, True, True], 2, "ignore", "ALARM"),
    ],
)
def test_alarms_count_periods(breaching: list[Any], wanted: int, missing: str, state: str | None) -> None:
    assert new_state(breaching, wanted, missing) == state
