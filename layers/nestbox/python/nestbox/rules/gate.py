"""Whether a candidate replaces the champion. NaN and scores that are missing never win."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ENOUGH_BOXES = 20
"""From so many held-out boxes on the fall of a class counts.

On 20 boxes the average precision of two equally good models, each of which misses other boxes, differs by
0.1 to 0.16 (one standard deviation of simulated detectors); on 5 by 0.2 to 0.3, so that one of several small
classes would fall far in every run, by chance.
"""
_ROUNDING = 1e-9
"""Decimal fractions such as 0.92 - 0.90 miss 0.02 by a rounding error of 2^-53."""


@dataclass(frozen=True)
class Limits:
    """What a candidate must reach (average precision at an overlap of 0.5, from 0 to 1)."""

    min_map: float = 0.0
    min_improvement: float = 0.0
    """Negative: a candidate may be worse than the champion by this much."""
    max_class_drop: float = 0.3
    """By how much a class with enough boxes may fall; the default is what chance does not reach there."""

    @classmethod
    def from_config(cls, gate: Mapping[str, Any]) -> "Limits":
        """From the (checked) section ``gate`` of nestbox.yaml; what it does not say is the default."""
        return cls(**{name: float(gate[name]) for name in cls.__dataclass_fields__ if name in gate})


@dataclass(frozen=True)
class ClassScore:
    """The average precision of one class by both models; None where there is nothing to measure."""

    name: str
    boxes: int
    candidate: float | None
    champion: float | None = None

    @property
    def fall(self) -> float | None:
        """By how much the candidate is worse; negative: better. None where it cannot be said."""
        candidate, champion = _finite(self.candidate), _finite(self.champion)
        return None if candidate is None or champion is None else champion - candidate


@dataclass(frozen=True)
class Interval:
    """Where the difference of the two models' mAP lies, by the chance of the pictures (paired bootstrap)."""

    low: float
    high: float
    confidence: float
    share_better: float
    """In what share of the resamples the candidate is better."""


@dataclass(frozen=True)
class Scores:
    """Both models on the same held-out pictures."""

    split: str
    images: int
    left_out: int
    """Held-out pictures that an earlier run trained on."""
    candidate_map: float | None
    champion_map: float | None = None
    classes: tuple[ClassScore, ...] = ()
    interval: Interval | None = None
    note: str = ""


@dataclass(frozen=True)
class Rival:
    """The champion, and why it could not be judged where that is so."""

    run: str
    problem: str | None = None


@dataclass(frozen=True)
class Verdict:
    """The decision and everything it rests on."""

    promote: bool
    reason: str
    scores: Scores
    champion_run: str | None
    limits: Limits


def judge(scores: Scores, *, champion: Rival | None, limits: Limits, pinned: bool) -> Verdict:
    """Promote a candidate that reaches the limits and is better than the champion; equal is not better
    (unless a negative ``min_improvement`` says otherwise).

    Without a champion ``min_map`` alone counts. A champion that could not be judged is not beaten: a person
    may promote the candidate.
    """
    promote, reason = _weigh(scores, champion, limits, pinned=pinned)
    return Verdict(promote, reason, scores, champion.run if champion else None, limits)


def falls(classes: Sequence[ClassScore]) -> list[tuple[float, ClassScore]]:
    """Classes with enough boxes in which the candidate is worse, with their falls, the deepest first."""
    fallen = [
        (one.fall, one)
        for one in classes
        if one.boxes >= ENOUGH_BOXES and one.fall is not None and one.fall > 0
    ]
    return sorted(fallen, key=lambda pair: (-pair[0], pair[1].name))


def _weigh(scores: Scores, champion: Rival | None, limits: Limits, *, pinned: bool) -> tuple[bool, str]:
    if pinned:
        return False, "the dataset is pinned to its champion: unpin it to let better models serve"
    own = _finite(scores.candidate_map)
    if own is None:
        return False, "the candidate has no mAP: a score that is missing or no number never wins"
    if own < limits.min_map:
        return False, f"mAP {own:.4f} is below min_map {limits.min_map:g}"
    if champion is None:
        return True, f"mAP {own:.4f}, and there is no champion to beat"
    rival = _finite(scores.champion_map)
    if champion.problem is not None or rival is None:
        problem = champion.problem or "it has no mAP"
        return False, (
            f"mAP {own:.4f}, but the champion {champion.run} could not be judged: {problem}. "
            "Promote the run by hand if it is good enough"
        )
    return _compare(scores, own, rival, limits)


def _compare(scores: Scores, own: float, rival: float, limits: Limits) -> tuple[bool, str]:
    gain = own - rival
    numbers = f"mAP {own:.4f} against the champion's {rival:.4f}"
    fallen = falls(scores.classes)
    if gain <= 0 <= limits.min_improvement:
        return False, f"{numbers}: not better{_most(fallen)}"
    if gain < limits.min_improvement - _ROUNDING:
        return False, (
            f"{numbers}: {gain:+.4f} is less than min_improvement {limits.min_improvement:g}{_most(fallen)}"
        )
    unscored = [
        one.name
        for one in scores.classes
        if one.boxes >= ENOUGH_BOXES and _finite(one.champion) is not None and one.fall is None
    ]
    if unscored:
        return False, f"{numbers}, but {unscored[0]!r} has no score: what is no number never wins"
    too_far = [pair for pair in fallen if pair[0] > limits.max_class_drop + _ROUNDING]
    if too_far:
        more = f", and {len(too_far) - 1} more fell too far" if len(too_far) > 1 else ""
        return False, (
            f"{numbers}: {gain:+.4f}, but {_told(*too_far[0])}, more than max_class_drop "
            f"{limits.max_class_drop:g}{more}"
        )
    interval = scores.interval
    sure = ""
    if interval is not None:
        sure = f" ({interval.confidence:.0%} sure of {interval.low:+.4f} to {interval.high:+.4f})"
    return True, f"{numbers}: {gain:+.4f}{sure}"


def _most(fallen: Sequence[tuple[float, ClassScore]]) -> str:
    return f"; {_told(*fallen[0])}" if fallen else ""


def _told(fall: float, one: ClassScore) -> str:
    return f"{one.name!r} fell by {fall:.4f} to {one.candidate:.4f} on {one.boxes} boxes"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
