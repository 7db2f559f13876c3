"""Precision against recall, drawn as SVG."""

from __future__ import annotations

from dataprep_job.report_page.markup import text
from evaluation.summary import ClassScore

_SIDE = 200
_POINTS = 80
_GRID = "".join(f"M{at * _SIDE / 4:g} 0V{_SIDE}M0 {at * _SIDE / 4:g}H{_SIDE}" for at in range(5))


def curve_figure(candidate: ClassScore, champion: ClassScore | None) -> str:
    """The curves of one class; a dot marks where the candidate works."""
    lines = [("champion", champion)] if champion else []
    drawn = "".join(_line(tone, one) for tone, one in [*lines, ("candidate", candidate)] if one)
    point = candidate.operating
    dot = ""
    if point.precision is not None and point.recall is not None:
        dot = f'<circle cx="{_SIDE * point.recall:.1f}" cy="{_SIDE * (1 - point.precision):.1f}" r="4"/>'
    said = f"average precision {candidate.ap or 0:.3f}"
    if champion and champion.ap is not None:
        said += f", the champion's {champion.ap:.3f}"
    return (
        f'<figure class="curve"><svg role="img" aria-label="{text(candidate.name)}: {said}" '
        f'viewBox="-6 -6 {_SIDE + 12} {_SIDE + 12}"><path class="grid" d="{_GRID}"/>{drawn}{dot}</svg>'
        f"<figcaption><b>{text(candidate.name)}</b><br><span class=soft>{said}</span></figcaption></figure>"
    )


def _line(tone: str, one: ClassScore) -> str:
    points = one.curve.points(_POINTS)
    if not points:
        return ""
    # From recall 0, where precision is that of the best score.
    path = f"M0 {_SIDE * (1 - points[0][1]):.1f}" + "".join(
        f"L{_SIDE * recall:.1f} {_SIDE * (1 - precision):.1f}" for recall, precision, _ in points
    )
    return f'<path class="{tone}" d="{path}"/>'
