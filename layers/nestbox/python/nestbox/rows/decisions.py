"""A verdict of the gate as it is written into the run."""

import math

from nestbox.rules.gate import ENOUGH_BOXES, ClassScore, Verdict
from nestbox.tables import ClassDecision, Decision

MAX_CLASSES = 200
"""A row of DynamoDB holds 400 kB."""
_DIGITS = 6


def decision_of(verdict: Verdict) -> Decision:
    """Every number the gate looked at, rounded for people; what is missing or no number is absent."""
    scores, limits, interval = verdict.scores, verdict.limits, verdict.scores.interval
    own, rival = _number(scores.candidate_map), _number(scores.champion_map)
    return Decision(
        promote=verdict.promote,
        reason=verdict.reason,
        split=scores.split,
        images=scores.images,
        images_left_out=scores.left_out,
        candidate_map=own,
        champion_map=rival,
        champion_run=verdict.champion_run,
        improvement=None if own is None or rival is None else _number(own - rival),
        improvement_low=_number(interval.low) if interval else None,
        improvement_high=_number(interval.high) if interval else None,
        confidence=_number(interval.confidence) if interval else None,
        share_better=_number(interval.share_better) if interval else None,
        min_map=limits.min_map,
        min_improvement=limits.min_improvement,
        max_class_drop=limits.max_class_drop,
        enough_boxes=ENOUGH_BOXES,
        classes=[
            ClassDecision(
                name=one.name,
                boxes=one.boxes,
                candidate_ap=_number(one.candidate),
                champion_ap=_number(one.champion),
                fall=_number(one.fall),
            )
            for one in _chosen(scores.classes)
        ],
        note=scores.note or None,
    )


def _chosen(classes: tuple[ClassScore, ...]) -> list[ClassScore]:
    """All of them in id order; of very many those that fell furthest, in id order as well."""
    deepest = sorted(range(len(classes)), key=lambda number: -(_number(classes[number].fall) or 0.0))[
        :MAX_CLASSES
    ]
    return [classes[number] for number in sorted(deepest)]


def _number(value: float | None) -> float | None:
    return round(value, _DIGITS) if value is not None and math.isfinite(value) else None
