"""Curves over time as one SVG picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 190, 28, 44
_COLOURS = ("#1b6ca8", "#c4501b", "#2e7d32", "#7b3fa0", "#8a6d00", "#555555")

Points = Sequence[tuple[float, float]]


def curves_over_time(title: str, curves: Mapping[str, Points]) -> str:
    """Draw curves of (seconds, score from 0 to 1), each named beside its end, and return the SVG document."""
    longest = max((at for points in curves.values() for at, _ in points), default=1.0)
    minutes = max(1, -int(-longest // 60))

    def place(at: float, score: float) -> str:
        x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * at / (60 * minutes)
        y = _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - score)
        return f"{x:.1f},{y:.1f}"

    parts = [_text(_LEFT, 18, title, weight="bold")]
    for tenth in range(0, 11, 2):
        left, right = place(0, tenth / 10), place(60 * minutes, tenth / 10)
        parts.append(f'<polyline points="{left} {right}" stroke="#ddd" fill="none"/>')
        y = float(left.split(",")[1])
        parts.append(_text(_LEFT - 8, y + 4, f"{tenth / 10:g}", anchor="end"))
    for minute in range(minutes + 1):
        x = float(place(60 * minute, 0).split(",")[0])
        parts.append(_text(x, _HEIGHT - _BOTTOM + 18, f"{minute}", anchor="middle"))
    parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, "minutes", anchor="middle"))
    # Names of curves that end close together are spread, from the best down.
    lowest_free = 0.0
    ends = sorted(curves.items(), key=lambda curve: -curve[1][-1][1] if curve[1] else 0.0)
    for number, (name, points) in enumerate(ends):
        if not points:
            continue
        colour = _COLOURS[number % len(_COLOURS)]
        line = " ".join(place(at, score) for at, score in points)
        parts.append(f'<polyline points="{line}" stroke="{colour}" stroke-width="1.8" fill="none"/>')
        y = max(lowest_free, float(place(0, points[-1][1]).split(",")[1]))
        lowest_free = y + 16
        label = f"{name} {points[-1][1]:.3f}"
        parts.append(_text(_WIDTH - _RIGHT + 8, y + 4, label, colour=colour))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="#fff"/>\n'
        f"{body}\n</svg>\n"
    )


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", colour: str = "#222", weight: str = "normal"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-weight="{weight}">'
        f"{escape(text)}</text>"
    )
