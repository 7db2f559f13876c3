"""The gate: nothing worse is promoted, and nothing that could not be measured."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nestbox.errors import BadArtifactError
from nestbox.gateways.evaluation_reports import EvaluationReport
from nestbox.rows.decisions import MAX_CLASSES, decision_of
from nestbox.rules.gate import ENOUGH_BOXES, ClassScore, Interval, Limits, Rival, Scores, falls, judge

CHAMPION = Rival("birds-20261124224000-abcd")
NO_NUMBERS = [None, math.nan, math.inf, -math.inf]

scores = st.floats(0, 1)
broken = st.sampled_from(NO_NUMBERS)
limits = st.builds(Limits, st.just(0.0), st.floats(-1, 1), scores)
class_scores = st.builds(
    ClassScore,
    st.sampled_from(["wren", "robin", "kite"]),
    st.integers(0, 60),
    scores | broken,
    scores | broken,
)


def gate(candidate, champion=None, classes=(), *, pinned=False, rival=CHAMPION, **values):
    measured = Scores("validation", 60, 0, candidate, champion, tuple(classes))
    if champion is None and rival is CHAMPION:
        rival = None
    return judge(measured, champion=rival, limits=Limits(**values), pinned=pinned)


@pytest.mark.parametrize(
    ("candidate", "champion", "values", "promote"),
    [
        (0.5, None, {}, True),
        (0.0, None, {}, True),
        (0.5, None, {"min_map": 0.6}, False),
        (0.5, None, {"min_map": 0.5}, True),
        (0.5, None, {"min_improvement": 0.9}, True),
        (0.5, 0.4, {}, True),
        (0.5, 0.5, {}, False),
        (0.4, 0.5, {}, False),
        (0.92, 0.90, {"min_improvement": 0.02}, True),
        (0.919, 0.90, {"min_improvement": 0.02}, False),
        (0.89, 0.90, {"min_improvement": -0.02}, True),
        (0.87, 0.90, {"min_improvement": -0.02}, False),
        (0.9, 0.1, {"pinned": True}, False),
        (0.9, None, {"pinned": True}, False),
    ],
)
def test_the_mean_decides(candidate, champion, values, promote):
    verdict = gate(candidate, champion, **values)
    assert verdict.promote == promote
    assert verdict.reason


@pytest.mark.parametrize(
    ("boxes", "before", "after", "values", "promote"),
    [
        (ENOUGH_BOXES, 0.8, 0.4, {}, False),
        (ENOUGH_BOXES - 1, 0.8, 0.4, {}, True),
        (ENOUGH_BOXES, 0.8, 0.6, {}, True),
        (ENOUGH_BOXES, 0.8, 0.6, {"max_class_drop": 0.1}, False),
        (ENOUGH_BOXES, 0.9, 0.8, {"max_class_drop": 0.1}, True),
        (ENOUGH_BOXES, 0.8, 0.4, {"max_class_drop": 0.5}, True),
        (ENOUGH_BOXES, 0.0, 0.4, {"max_class_drop": 0.0}, True),
        (ENOUGH_BOXES, None, 0.4, {"max_class_drop": 0.0}, True),
        (ENOUGH_BOXES, 0.4, None, {}, False),
        (ENOUGH_BOXES, 0.4, math.nan, {}, False),
    ],
)
def test_a_class_with_enough_boxes_may_not_fall_too_far(boxes, before, after, values, promote):
    others = [ClassScore("robin", 100, 0.9, 0.4)]
    verdict = gate(0.7, 0.5, [ClassScore("wren", boxes, after, before), *others], **values)
    assert verdict.promote == promote
    assert promote or "'wren'" in verdict.reason


def test_a_rejection_names_the_class_that_fell_most():
    classes = [
        ClassScore("kite", 34, 0.1, 0.5),
        ClassScore("robin", 20, 0.9, 0.4),
        ClassScore("wren", 40, 0.2, 0.8),
        ClassScore("tern", 5, 0.0, 0.9),
    ]
    assert [one.name for _, one in falls(classes)] == ["wren", "kite"]
    worse = gate(0.4, 0.5, classes).reason
    assert worse == (
        "mAP 0.4000 against the champion's 0.5000: not better; 'wren' fell by 0.6000 to 0.2000 on 40 boxes"
    )
    better = gate(0.6, 0.5, classes).reason
    assert better == (
        "mAP 0.6000 against the champion's 0.5000: +0.1000, but 'wren' fell by 0.6000 to 0.2000 on 40 boxes, "
        "more than max_class_drop 0.3, and 1 more fell too far"
    )


def test_a_promotion_tells_how_sure_it_is():
    interval = Interval(low=-0.01, high=0.21, confidence=0.95, share_better=0.97)
    measured = Scores("test", 60, 2, 0.6, 0.5, (), interval)
    verdict = judge(measured, champion=CHAMPION, limits=Limits(), pinned=False)
    assert verdict.reason == (
        "mAP 0.6000 against the champion's 0.5000: +0.1000 (95% sure of -0.0100 to +0.2100)"
    )


def test_a_champion_that_cannot_be_judged_is_not_beaten():
    verdict = gate(0.9, rival=Rival("birds-1", "its model is gone"))
    assert not verdict.promote
    assert "the champion birds-1 could not be judged: its model is gone" in verdict.reason
    assert not gate(0.9, 0.1, rival=Rival("birds-1", "its model is gone")).promote


@settings(deadline=None)
@given(scores, scores, limits)
def test_nothing_worse_is_promoted_unless_the_limits_say_so(candidate, champion, allowed):
    verdict = judge(
        Scores("validation", 1, 0, candidate, champion), champion=CHAMPION, limits=allowed, pinned=False
    )
    if verdict.promote:
        assert candidate - champion >= allowed.min_improvement - 1e-6
        assert candidate > champion or allowed.min_improvement < 0


@settings(deadline=None)
@given(scores | broken, scores | broken, st.lists(class_scores, max_size=4), limits)
def test_what_is_no_number_never_wins(candidate, champion, classes, allowed):
    measured = Scores("validation", 1, 0, candidate, champion, tuple(classes))
    verdict = judge(measured, champion=CHAMPION, limits=allowed, pinned=False)
    json.dumps(decision_of(verdict).to_simple_dict(), allow_nan=False)
    if verdict.promote:
        assert all(value is not None and math.isfinite(value) for value in (candidate, champion))
    assert not judge(
        Scores("validation", 1, 0, math.nan), champion=None, limits=allowed, pinned=False
    ).promote


@settings(deadline=None)
@given(scores, scores, st.lists(class_scores, max_size=4), limits)
def test_a_fall_beyond_the_limit_never_passes(candidate, champion, classes, allowed):
    measured = Scores("validation", 1, 0, candidate, champion, tuple(classes))
    if judge(measured, champion=CHAMPION, limits=allowed, pinned=False).promote:
        for one in classes:
            if one.boxes >= ENOUGH_BOXES and one.fall is not None:
                assert one.fall <= allowed.max_class_drop + 1e-6


@settings(deadline=None)
@given(scores, scores, st.lists(class_scores, max_size=4), limits, scores)
def test_stricter_limits_promote_nothing_more(candidate, champion, classes, allowed, stricter):
    measured = Scores("validation", 1, 0, candidate, champion, tuple(classes))
    strict = Limits(
        max(allowed.min_map, stricter),
        max(allowed.min_improvement, stricter),
        min(allowed.max_class_drop, stricter),
    )
    if judge(measured, champion=CHAMPION, limits=strict, pinned=False).promote:
        assert judge(measured, champion=CHAMPION, limits=allowed, pinned=False).promote


@pytest.mark.parametrize(("boxes", "promoted"), [(ENOUGH_BOXES - 1, True), (ENOUGH_BOXES, False)])
def test_a_class_that_cannot_be_scored_counts_from_enough_boxes_on(boxes, promoted):
    measured = Scores("test", 60, 0, 0.7, 0.1, (ClassScore("wren", boxes, None, 0.5),))
    assert judge(measured, champion=CHAMPION, limits=Limits(), pinned=False).promote is promoted


def test_limits_come_from_the_configuration():
    assert Limits.from_config({}) == Limits(0.0, 0.0, 0.3)
    assert Limits.from_config({"min_map": 1, "max_class_drop": 0.5}) == Limits(1.0, 0.0, 0.5)
    assert Limits.from_config({"min_improvement": -0.1}).min_improvement == -0.1


def test_every_number_goes_into_the_row():
    classes = (ClassScore("wren", 40, 1 / 3, 2 / 3), ClassScore("kite", 0, None, None))
    interval = Interval(-0.5, 0.25, 0.95, 0.75)
    measured = Scores("test", 60, 2, 0.7, 0.1, classes, interval, "a note")
    row = decision_of(judge(measured, champion=CHAMPION, limits=Limits(0.1, 0.2, 0.5), pinned=False))
    assert row.to_simple_dict() == {
        "promote": True,
        "reason": "mAP 0.7000 against the champion's 0.1000: +0.6000 (95% sure of -0.5000 to +0.2500)",
        "split": "test",
        "images": 60,
        "images_left_out": 2,
        "candidate_map": 0.7,
        "champion_map": 0.1,
        "champion_run": CHAMPION.run,
        "improvement": 0.6,
        "improvement_low": -0.5,
        "improvement_high": 0.25,
        "confidence": 0.95,
        "share_better": 0.75,
        "min_map": 0.1,
        "min_improvement": 0.2,
        "max_class_drop": 0.5,
        "enough_boxes": ENOUGH_BOXES,
        "classes": [
            {
                "name": "wren",
                "boxes": 40,
                "candidate_ap": 0.333333,
                "champion_ap": 0.666667,
                "fall": 0.333333,
            },
            {"name": "kite", "boxes": 0},
        ],
        "note": "a note",
    }


def test_of_very_many_classes_the_row_has_those_that_fell_furthest():
    unmeasured = ClassScore("new", 0, None, None)
    classes = (unmeasured, *(ClassScore(f"c{n}", 1, 1 - n / 1000, 1.0) for n in range(1, 3 * MAX_CLASSES)))
    row = decision_of(
        judge(Scores("test", 1, 0, 0.5, 0.4, classes), champion=CHAMPION, limits=Limits(), pinned=False)
    )
    assert [one.name for one in row.classes] == [one.name for one in classes[2 * MAX_CLASSES :]]
    assert row.note is None


REPORT = {
    "run": "birds-2",
    "champion_run": None,
    "split": "test",
    "pictures": 3,
    "left_out": 0,
    "note": "",
    "candidate": {"map": 0.5, "classes": [{"name": "wren", "boxes": 3, "ap": 0.5, "curve": []}]},
    "champion": None,
    "difference": None,
}


def test_a_report_is_read_with_or_without_a_champion():
    alone = EvaluationReport.from_json(json.dumps(REPORT).encode())
    assert alone.scores == Scores("test", 3, 0, 0.5, None, (ClassScore("wren", 3, 0.5),))
    champion = {"map": 0.25, "classes": [{"name": "wren", "boxes": 3, "ap": 0.25}]}
    difference = {"difference": 0.25, "low": 0.1, "high": 0.4, "confidence": 0.95, "share_better": 1.0}
    text = json.dumps(REPORT | {"champion": champion, "difference": difference}).encode()
    both = EvaluationReport.from_json(text).scores
    assert both.champion_map == 0.25
    assert both.classes == (ClassScore("wren", 3, 0.5, 0.25),)
    assert both.interval == Interval(0.1, 0.4, 0.95, 1.0)


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{}", *(json.dumps(REPORT | {name: "x"}).encode() for name in ("candidate", "pictures"))],
)
def test_anything_else_is_no_report(text):
    with pytest.raises(BadArtifactError, match="no evaluation report"):
        EvaluationReport.from_json(text)
