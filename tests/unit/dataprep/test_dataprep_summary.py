"""summary.json: what the job writes is what the functions read, and nothing else passes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nestbox.prep_summary import PrepSummary, PrepSummaryError

count = st.integers(0, 10**9)
text = st.text(min_size=1, max_size=20)
number = st.floats(0, 1e6)


def example() -> dict[str, Any]:
    summary = PrepSummary(run="birds-20261124120000-0a1b", dataset="birds", outcome="READY", classes=["ani"])
    document: dict[str, Any] = json.loads(summary.to_json())
    return document


@given(
    st.builds(
        PrepSummary,
        run=text,
        dataset=text,
        outcome=st.sampled_from(["READY", "BLOCKED"]),
        reasons=st.lists(text),
        images=count,
        train_samples=count,
        classes=st.lists(text),
        class_boxes=st.dictionaries(text, count),
        defects=st.fixed_dictionaries({"error": count, "warning": count}),
        validation_is_test=st.booleans(),
        config=st.fixed_dictionaries(
            {"training": st.dictionaries(text, count | number | text), "gate": st.dictionaries(text, number)}
        ),
        quiet_period=st.none() | number,
        seconds=st.dictionaries(text, number),
    )
)
def test_what_is_written_is_read_back(summary: PrepSummary) -> None:
    assert PrepSummary.from_json(summary.to_json()) == summary
    assert PrepSummary.from_json(summary.to_json().encode()) == summary


def test_fields_of_a_newer_job_are_ignored_and_optional_ones_may_be_missing() -> None:
    document = example() | {"novelty": 1}
    del document["test_images"], document["quiet_period"]
    summary = PrepSummary.from_json(json.dumps(document))
    assert (summary.test_images, summary.quiet_period) == (0, None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("run", ""),
        ("outcome", "DONE"),
        ("reasons", "none"),
        ("images", -1),
        ("images", 1.5),
        ("images", True),
        ("classes", [1]),
        ("class_boxes", {"a": "1"}),
        ("defects", {"error": 1}),
        ("validation_is_test", 1),
        ("config", {"training": {}}),
        ("config", {"training": {}, "gate": []}),
        ("seconds", {"read": -1}),
        ("quiet_period", -1),
        ("quiet_period", "60"),
        ("quiet_period", True),
    ],
)
def test_an_ill_typed_field_is_named(field: str, value: object) -> None:
    with pytest.raises(PrepSummaryError, match=f"'{field}'"):
        PrepSummary.from_json(json.dumps(example() | {field: value}))


@pytest.mark.parametrize("field", ["run", "label_width", "config"])
def test_a_missing_field_is_named(field: str) -> None:
    document = example()
    del document[field]
    with pytest.raises(PrepSummaryError, match=f"'{field}'"):
        PrepSummary.from_json(json.dumps(document))


@pytest.mark.parametrize("data", ["", "[]", "null", "{", b"\xff", '{"schema": 2}', "[" * 100_000])
def test_what_is_no_summary_is_refused(data: str | bytes) -> None:
    with pytest.raises(PrepSummaryError):
        PrepSummary.from_json(data)
