"""The small parts: object names, trust policies, pages, properties, capacity, shares of traffic, events."""

from __future__ import annotations

import datetime
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.capacity import Capacity
from local.cloudformation.properties import checked
from local.errors import AwsError
from local.objects import relative_name, split_uri
from local.pages import page
from local.protocol import service_model
from local.roles import trusts
from local.sagemaker.endpoints import _check_deployment, _shares
from local.sagemaker.resources import event_detail, listed
from local.sagemaker.serving import Fleet


@pytest.mark.parametrize(
    ("key", "prefix", "name"),
    [
        ("p/train/x.rec", "p/train", "x.rec"),
        ("p/train/x.rec", "p/train/", "x.rec"),
        ("p/train/a/b", "p/train", "a/b"),
        ("p/train.rec", "p/train.rec", "train.rec"),
        ("p/train-2/x", "p/train", "train-2/x"),
        ("x", "", "x"),
    ],
)
def test_names_below_a_channel(key: str, prefix: str, name: str) -> None:
    assert relative_name(key, prefix) == name


def test_uris_are_split() -> None:
    assert split_uri("s3://bucket/a/b") == ("bucket", "a/b")
    assert split_uri("s3://bucket") == ("bucket", "")


def statement(effect: str = "Allow", service: Any = "s", action: Any = "sts:AssumeRole") -> dict[str, Any]:
    return {"Effect": effect, "Principal": {"Service": service}, "Action": action}


@pytest.mark.parametrize(
    ("statements", "trusted"),
    [
        (statement(), True),
        ([statement(service=["other", "s"])], True),
        ([statement(service="other")], False),
        ([statement(action=["sts:AssumeRole", "sts:TagSession"])], True),
        ([statement(action="sts:TagSession")], False),
        ([statement(), statement("Deny")], False),
        ([{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}], False),
    ],
)
def test_trust_policies(statements: Any, trusted: bool) -> None:
    assert trusts({"Statement": statements}, "s") is trusted


@given(st.lists(st.integers()), st.integers(1, 10))
def test_pages_give_everything_once_and_in_order(items: list[int], limit: int) -> None:
    seen: list[int] = []
    token: str | None = None
    while True:
        found, token = page(items, limit, token)
        assert len(found) <= limit
        seen += found
        if token is None:
            break
    assert seen == items


@pytest.mark.parametrize("token", ["rubbish", "!!!", "b2Zmc2V0Og==", "b2Zmc2V0Oi0x"])
def test_a_made_up_token_is_refused(token: str) -> None:
    with pytest.raises(AwsError, match="Invalid NextToken"):
        page([1], 1, token)


class TestProperties:
    shape = service_model("batch").operation_model("CreateJobQueue").input_shape

    def test_names_and_scalars_are_the_requests(self) -> None:
        order = [{"Order": "1", "ComputeEnvironment": "ce"}]
        properties = {
            "JobQueueName": "q",
            "Priority": "7",
            "ComputeEnvironmentOrder": order,
            "Tags": {"Ab": "c"},
        }
        assert self.shape is not None
        assert checked(self.shape, properties) == {
            "jobQueueName": "q",
            "priority": 7,
            "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "ce"}],
            "tags": {"Ab": "c"},
        }

    @pytest.mark.parametrize(
        ("properties", "message"),
        [
            ({"JobQueueName": "q", "Priority": 1, "Colour": "red"}, r"#: extraneous key \[Colour\]"),
            ({"JobQueueName": "q", "Priority": "high"}, "wrong type"),
            ({"Priority": 1}, "jobQueueName"),
            ({"JobQueueName": "q", "Priority": 1, "State": "ON"}, "enum value set"),
        ],
    )
    def test_wrong_ones_are_named(self, properties: dict[str, Any], message: str) -> None:
        assert self.shape is not None
        with pytest.raises(ValueError, match=message):
            checked(self.shape, properties)


def test_capacity_is_taken_and_given_back() -> None:
    capacity = Capacity(2)
    assert capacity.cost(16) == 2
    assert capacity.try_take(2)
    assert not capacity.try_take(1)
    cancelled = threading.Event()
    cancelled.set()
    assert not capacity.take(1, cancelled)
    capacity.give_back(2)
    assert capacity.take(1, threading.Event())


class TestTrafficShares:
    def test_all_at_once(self) -> None:
        assert _shares({"Type": "ALL_AT_ONCE"}, Fleet("c", [])) == [1.0]

    def test_canary(self) -> None:
        size = {"Type": "CAPACITY_PERCENT", "Value": 10}
        assert _shares({"Type": "CANARY", "CanarySize": size}, Fleet("c", [])) == [0.1, 1.0]

    def test_linear_ends_with_everything(self) -> None:
        size = {"Type": "CAPACITY_PERCENT", "Value": 30}
        shares = _shares({"Type": "LINEAR", "LinearStepSize": size}, Fleet("c", []))
        assert shares == pytest.approx([0.3, 0.6, 0.9, 1.0])

    @pytest.mark.parametrize(
        "routing",
        [
            {"Type": "CANARY"},
            {"Type": "ALL_AT_ONCE", "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 10}},
            {"Type": "CANARY", "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 51}},
            {"Type": "LINEAR", "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 9}},
        ],
    )
    def test_policies_aws_refuses(self, routing: dict[str, Any]) -> None:
        with pytest.raises(AwsError):
            _check_deployment({"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}})


def test_events_have_milliseconds_and_a_map_of_tags() -> None:
    made = datetime.datetime(2026, 11, 24, 22, 40, 0, 250_000, tzinfo=datetime.UTC)
    record = {"CreationTime": made, "List": [{"StartTime": made}], "Empty": None}
    assert event_detail(record, [{"Key": "a", "Value": "b"}]) == {
        "CreationTime": 1795560000250,
        "List": [{"StartTime": 1795560000250}],
        "Tags": {"a": "b"},
    }


def test_listings_filter_by_time() -> None:
    day = datetime.timedelta(days=1)
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    records = [{"Name": f"n{n}", "CreationTime": start + n * day} for n in range(3)]
    query = {"CreationTimeAfter": start, "CreationTimeBefore": start + 2 * day}
    found, _ = listed(records, query, name="Name", status=None, summary=lambda record: record)
    assert [record["Name"] for record in found] == ["n1"]
