"""Pictures with their boxes: drawn as SVG over a small JPEG, so that lines stay sharp at any size."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Sequence

from dataprep_job.exhibits import Exhibit, Flaw, PicturedImage
from dataprep_job.labels import Edges
from dataprep_job.report_page.markup import SPLIT_TITLES, counted, path, text

BOXES_DRAWN = 300
MESSAGES_SHOWN = 6
_MARGIN = 0.3
"""How far the drawing reaches beyond the picture where boxes stick out, as a share of its longer edge."""
_RING = 0.03
"""Marked boxes smaller than this share of the drawing get a ring around them."""


def sample(one: PicturedImage, classes: Sequence[str]) -> str:
    """One annotated picture."""
    return f'<figure class="view">{_view(one, classes, one.path)}</figure>'


def exhibit(shown: Exhibit, classes: Sequence[str]) -> str:
    """Defects of one code with their pictures side by side."""
    defects = shown.defects[:MESSAGES_SHOWN]
    described = f"{defects[0].place}: {defects[0].message}"
    views = "".join(
        f'<div class="view">{_view(one, classes, f"{one.path}. {described}")}</div>' for one in shown.pictures
    )
    has_numbers = any(flaw.number for one in shown.pictures for flaw in one.flaws)
    items = "".join(
        f"<li>{f'<b class=mark>{number}</b> ' if has_numbers else ''}"
        f"<code>{path(str(defect.place))}</code> {text(defect.message)}</li>"
        for number, defect in enumerate(defects, 1)
    )
    rest = len(shown.defects) - len(defects)
    more = f"<li class=soft>and {rest:,} more on this picture</li>" if rest else ""
    return (
        f'<figure class="exhibit"><div class="views">{views}</div>'
        f"<figcaption><ul>{items}{more}</ul></figcaption></figure>"
    )


def colour(class_id: int) -> str:
    """The colour of a class: steps of the golden angle keep neighbouring ids apart, however many there are.

    Red is left to what is marked.
    """
    return f"hsl({45 + class_id * 0.618034 % 1 * 285:.0f} 90% 60%)"


def dot(class_id: int) -> str:
    """A class's colour as a small square."""
    return f'<i class="dot" style="background:{colour(class_id)}"></i>'


def _view(one: PicturedImage, classes: Sequence[str], alternative: str) -> str:
    counts = Counter(box.class_id for box in one.boxes)
    left, top, width, height = _frame(one)
    is_wider = (width, height) != (one.width, one.height)
    outside = f'<rect class="outside" x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}"/>'
    picture = base64.b64encode(one.jpeg).decode()
    edge = max(width, height)
    drawn = one.boxes[:BOXES_DRAWN]
    boxes = "".join(
        f'<path d="{_outline(box.edges)}" style="stroke:{colour(box.class_id)}">'
        f"<title>{text(classes[box.class_id])}</title></path>"
        for box in drawn
    )
    shade = f'<path class="shade" d="{"".join(_outline(box.edges) for box in drawn)}"/>' if drawn else ""
    marks = "".join(_mark(flaw, (left, top, width, height), edge) for flaw in one.flaws[:BOXES_DRAWN])
    named = ", ".join(f"{count} {classes[class_id]}" for class_id, count in sorted(counts.items()))
    flawed = f"; {counted(len(one.flaws), 'box')} marked in red" if one.flaws else ""
    described = f"{alternative} ({named or 'no usable box'}{flawed})"
    names = "".join(
        f"<li>{dot(class_id)}{text(classes[class_id])}{f' &times; {count:,}' if count > 1 else ''}</li>"
        for class_id, count in sorted(counts.items())
    )
    hidden = len(one.boxes) - len(drawn)
    more = f"<li class=soft>the first {BOXES_DRAWN} boxes are drawn</li>" if hidden > 0 else ""
    annotation = f"<br><span class=path>labelled in {path(one.annotation)}</span>" if one.annotation else ""
    return (
        f'<svg role="img" aria-label="{text(described)}" viewBox="{left:g} {top:g} {width:g} {height:g}">'
        f'{outside if is_wider else ""}<image href="data:image/jpeg;base64,{picture}" '
        f'width="{one.width}" height="{one.height}" preserveAspectRatio="none"/>{shade}{boxes}{marks}</svg>'
        f'<div class="under"><ul class="names">{names}{more}</ul>'
        f"<p class=soft><b>{SPLIT_TITLES.get(one.split, text(one.split))}</b> · "
        f"{one.width:,} &times; {one.height:,}<br><span class=path>{path(one.path)}</span>{annotation}"
        "</p></div>"
    )


def _frame(one: PicturedImage) -> tuple[float, float, float, float]:
    """Left, top, width and height of the drawing: the picture, and room for boxes that stick out of it."""
    most = _MARGIN * max(one.width, one.height)
    air = 0.02 * max(one.width, one.height)

    def room(by: Iterable[float]) -> float:
        over = max(by, default=0.0)
        return min(most, over + air) if over > 1 else 0.0

    left = room(-flaw.edges.x0 for flaw in one.flaws)
    top = room(-flaw.edges.y0 for flaw in one.flaws)
    right = room(flaw.edges.x1 - one.width for flaw in one.flaws)
    bottom = room(flaw.edges.y1 - one.height for flaw in one.flaws)
    return -left, -top, one.width + left + right, one.height + top + bottom


def _outline(edges: Edges) -> str:
    x0, y0, x1, y1 = edges
    return f"M{x0:.1f} {y0:.1f}H{x1:.1f}V{y1:.1f}H{x0:.1f}Z"


def _arrow(edges: Edges, frame: tuple[float, float, float, float]) -> str:
    """Where to look for a box that is so far outside that it is not on the drawing."""
    left, top, width, height = frame
    if edges.x0 >= left + width:
        return "→"
    if edges.x1 <= left:
        return "←"
    if edges.y0 >= top + height:
        return "↓"
    return "↑" if edges.y1 <= top else ""


def _mark(flaw: Flaw, frame: tuple[float, float, float, float], edge: float) -> str:
    left, top, width, height = frame
    x0, y0, x1, y1 = flaw.edges
    ring = ""
    if max(x1 - x0, y1 - y0) < _RING * edge:
        ring = (
            f'<circle class="flaw" cx="{(x0 + x1) / 2:.1f}" cy="{(y0 + y1) / 2:.1f}" r="{_RING * edge:.1f}"/>'
        )
    words = f"{flaw.number or ''} {_arrow(flaw.edges, frame)}".strip()
    tag = ""
    if words:
        size = edge / 18
        x = min(max(x0, left), left + width - size * (0.3 + 0.65 * len(words))) + size / 4
        y = min(max(y0, top), top + height - size * 1.2) + size
        if ring:
            x, y = x + _RING * edge, y - size / 2
        tag = f'<text class="mark" x="{x:.1f}" y="{y:.1f}" font-size="{size:.1f}">{words}</text>'
    return f'<path class="flaw" d="{_outline(flaw.edges)}"/>{ring}{tag}'
