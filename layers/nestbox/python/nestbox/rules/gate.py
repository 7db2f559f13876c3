"""Whether a candidate replaces the champion."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Limits:
    """What a candidate must reach (mAP@0.5 from 0 to 1)."""

    min_map: float = 0.0
    min_improvement: float = 0.0
    """Negative: a candidate may be worse than the champion by this much."""

    @classmethod
    def from_config(cls, gate: Mapping[str, Any]) -> "Limits":
        """From the (checked) section ``gate`` of nestbox.yaml; what it does not say is 0."""
        return cls(float(gate.get("min_map", 0.0)), float(gate.get("min_improvement", 0.0)))


@dataclass(frozen=True)
class Verdict:
    """The decision and every number it rests on."""

    promote: bool
    reason: str
    candidate_map: float
    champion_map: float | None
    champion_run: str | None
    limits: Limits


def judge(
    candidate_map: float,
    *,
    champion_run: str | None,
    champion_map: float | None,
    limits: Limits,
    pinned: bool,
) -> Verdict:
    """Promote a candidate that reaches the limits and is better than the champion; equal is not better
    (unless a negative ``min_improvement`` says otherwise).

    A champion without a recorded mAP cannot be compared with: any candidate that reaches ``min_map``
    replaces it, as on a dataset without champion.
    """
    promote, reason = _weigh(candidate_map, champion_map, limits, pinned=pinned)
    return Verdict(promote, reason, candidate_map, champion_map, champion_run, limits)


def _weigh(candidate: float, champion: float | None, limits: Limits, *, pinned: bool) -> tuple[bool, str]:
    if pinned:
        return False, "the dataset is pinned to its champion: unpin it to let better models serve"
    if candidate < limits.min_map:
        return False, f"mAP {candidate:.4f} is below min_map {limits.min_map:g}"
    if champion is None:
        return True, f"mAP {candidate:.4f}, and there is no champion to beat"
    gain = candidate - champion
    numbers = f"mAP {candidate:.4f} against the champion's {champion:.4f}"
    if gain <= 0 <= limits.min_improvement:
        return False, f"{numbers}: not better"
    # Decimal fractions such as 0.92 - 0.90 miss 0.02 by a rounding error of 2^-53.
    if gain < limits.min_improvement - 1e-9:
        return False, f"{numbers}: {gain:+.4f} is less than min_improvement {limits.min_improvement:g}"
    return True, f"{numbers}: {gain:+.4f}"
