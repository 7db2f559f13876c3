"""The registry as a document, and what a kind of defect costs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dataprep_job.defect_groups import group_defects, left_out
from dataprep_job.defect_kinds import COSTS, KINDS
from dataprep_job.defect_kinds.__main__ import TOPICS, page
from dataprep_job.defect_kinds.costs import BOX, CHOICE, FILE
from dataprep_job.defects import Defect, Place

DOCUMENT = Path(__file__).parents[3] / "docs" / "defects.md"


def test_the_document_is_up_to_date() -> None:
    assert DOCUMENT.read_text() == page(), "run `make docs`"


def test_the_document_has_an_anchor_and_a_row_for_every_code() -> None:
    text = page()
    rows = re.findall(r'^\| <a id="([a-z0-9.-]+)"></a>`\1` \| (error|warning) \|', text, re.MULTILINE)
    assert sorted(rows) == sorted((kind.code, kind.severity) for kind in KINDS.values())
    for line in text.splitlines():
        if line.startswith("| <a"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 6, line


def test_every_topic_is_linked_and_has_a_title() -> None:
    text = page()
    titles = re.findall(r'^## <a id="topic-([a-z]+)"></a>(.+)$', text, re.MULTILINE)
    assert {topic for topic, _ in titles} == {code.partition(".")[0] for code in KINDS}
    assert all(topic != title for topic, title in titles), "give the topic a title in TOPICS or FORMAT_TITLES"
    assert all(f"(#topic-{topic})" in text for topic, _ in titles)
    assert set(TOPICS) <= {topic for topic, _ in titles}


def test_codes_with_a_cost_of_their_own_are_errors_and_have_one() -> None:
    for codes in (FILE, BOX, CHOICE):
        assert [code for code in codes if KINDS[code].severity != "error"] == []
    assert len(FILE | BOX | CHOICE) == len(FILE) + len(BOX) + len(CHOICE)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.code)
def test_only_warnings_cost_nothing(kind: object) -> None:
    cost, severity = (getattr(kind, name) for name in ("cost", "severity"))
    assert cost in COSTS
    assert (cost == "nothing") == (severity == "warning")


def defect(code: str, count: int = 1) -> Defect:
    return Defect(code, Place("a"), code, count)


def test_groups_are_sorted_by_what_they_cost_then_by_how_often() -> None:
    many = [defect("box.zero-area")] * 9 + [defect("image.unlabelled", 500)]
    few = [defect("image.truncated"), defect("json.broken"), defect("split.conflict")] + [
        defect("box.outside")
    ] * 2
    groups = group_defects([*many, *few])
    assert [(group.kind.code, group.count) for group in groups] == [
        ("json.broken", 1),
        ("image.truncated", 1),
        ("box.zero-area", 9),
        ("box.outside", 2),
        ("split.conflict", 1),
        ("image.unlabelled", 500),
    ]
    assert groups[0].to_dict() == {
        "code": "json.broken",
        "severity": "error",
        "title": KINDS["json.broken"].title,
        "hint": KINDS["json.broken"].hint,
        "costs": "file",
        "count": 1,
    }


def test_what_is_not_explained_otherwise_was_left_out_for_mistakes() -> None:
    defects = [defect("image.unlabelled", 5), defect("image.duplicate"), defect("image.truncated")]
    assert left_out(10, 2, defects) == {"unlabelled": 5, "background": 0, "copies": 1, "mistakes": 2}
    assert left_out(3, 3, defects)["mistakes"] == 0
