"""What the gate decided about a run, for people."""

from __future__ import annotations

from nestbox.tables import Decision, RunRow
from rich.markup import escape
from rich.table import Table

from cli.output import UNKNOWN, number, plural, table


def decision_facts(decision: Decision) -> list[tuple[str, str]]:
    """The decision and what it rests on, as named lines of plain text."""
    facts = [("gate", f"{'promoted' if decision.promote else 'rejected'}: {decision.reason}")]
    if decision.images is not None:
        left_out = int(decision.images_left_out or 0)
        without = f", without {plural(left_out, 'image')} that an earlier run trained on" if left_out else ""
        facts.append(
            ("judged on", f"{plural(int(decision.images), 'image')} of the {decision.split} split{without}")
        )
    if decision.improvement is not None and decision.improvement_low is not None:
        facts.append(("against", f"{decision.champion_run}: {improvement(decision)}"))
    limits = [
        f"{name} {value:g}"
        for name in ("min_map", "min_improvement", "max_class_drop")
        if (value := getattr(decision, name)) is not None
    ]
    if decision.enough_boxes is not None:
        limits[-1] += f" (classes with {int(decision.enough_boxes)} boxes or more)"
    facts.append(("limits", ", ".join(limits)))
    if decision.note:
        facts.append(("note", str(decision.note)))
    return facts


def improvement(decision: Decision) -> str:
    """'+0.0312 (95% sure of -0.0100 to +0.0700, better in 93% of the draws)'."""
    told = f"{decision.improvement:+.4f}"
    if decision.improvement_low is None:
        return told
    interval = f"{decision.improvement_low:+.4f} to {decision.improvement_high:+.4f}"
    return f"{told} ({decision.confidence:.0%} sure of {interval}, better in {decision.share_better:.0%})"


def classes_table(decision: Decision, candidate: str = "this run", champion: str = "champion") -> Table:
    """The average precision of each class under both models, on the same pictures."""
    with_champion = any(one.champion_ap is not None for one in decision.classes or [])
    columns = ["class", "boxes", candidate, *([champion, "difference"] if with_champion else [])]
    rows = []
    for one in decision.classes or []:
        cells = [escape(one.name), str(int(one.boxes)), number(one.candidate_ap)]
        if with_champion:
            cells += [number(one.champion_ap), _difference(decision, one.boxes, one.fall)]
        rows.append(cells)
    return table(columns, rows, right=columns[1:])


def _difference(decision: Decision, boxes: float, fall: float | None) -> str:
    if fall is None:
        return UNKNOWN
    counts = decision.enough_boxes is None or boxes >= decision.enough_boxes
    limit = decision.max_class_drop
    colour = "red" if counts and limit is not None and fall > limit else "green" if fall < 0 else "default"
    return f"[{colour}]{-fall + 0.0:+.3f}[/]" if counts else f"[dim]{-fall + 0.0:+.3f}[/]"


def judged_map(row: RunRow) -> float | None:
    """The mAP on held-out pictures that the gate went by; None before."""
    decision = row.decision
    return None if decision is None or decision.candidate_map is None else float(decision.candidate_map)
