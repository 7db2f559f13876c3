"""The preparation's report as one self-contained page for the annotation team: no scripts, nothing loaded."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from itertools import groupby
from typing import TYPE_CHECKING

from dataprep_job.defect_kinds import KINDS
from dataprep_job.defects import Defect

if TYPE_CHECKING:
    from dataprep_job.check import CheckReport, PicturedImage

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_EXAMPLES = 20
_FORMAT_TITLES = {"cub": "CUB-200-2011", "voc": "Pascal VOC"}
_SPLIT_TITLES = {"train": "Train", "validation": "Validation", "test": "Test"}

_STYLE = files("dataprep_job").joinpath("report_page.css").read_text()


def report_page(report: CheckReport, title: str, subtitle: str) -> str:
    """The whole page. Everything that comes from the dataset is escaped.

    Args:
        report: what was found.
        title: usually the dataset's name.
        subtitle: usually the run.
    """
    ids = {name: class_id for class_id, name in enumerate(report.classes)}
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        f"<title>{escape(title)}: data report</title><style>{_STYLE}</style></head><body><main>",
        _header(report, title, subtitle),
        _totals(report),
        _splits(report),
        _classes(report, ids),
        _defects(report),
        _pictures(report.pictured, list(report.classes)),
        "</main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _header(report: CheckReport, title: str, subtitle: str) -> str:
    badge = (
        '<span class="badge bad">Blocked</span>'
        if report.blocked
        else '<span class="badge good">Ready</span>'
    )
    formats = (
        ", ".join(_FORMAT_TITLES.get(name, name) for name in report.formats) or "no annotations recognised"
    )
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in report.blocked)
    return (
        f'<header><div class="outcome"><h1>{escape(title)}</h1>{badge}</div>'
        f"<p>{escape(subtitle)} · read as {escape(formats)}</p>"
        + (f'<ul class="reasons">{reasons}</ul>' if reasons else "")
        + "</header>"
    )


def _totals(report: CheckReport) -> str:
    unused = report.images - report.usable_images
    cells = [
        (f"{report.images:,}", "pictures", ""),
        (f"{report.usable_images:,}", f"used, {max(unused, 0):,} left out", ""),
        (f"{report.boxes:,}", "boxes", ""),
        (f"{len(report.classes):,}", "classes", ""),
        (f"{report.errors:,}", "errors", "bad" if report.errors else "good"),
        (f"{report.warnings:,}", "warnings", "warn" if report.warnings else "good"),
    ]
    return (
        '<section class="totals">'
        + "".join(
            f'<div><b class="{tone}">{value}</b><span>{label}</span></div>' for value, label, tone in cells
        )
        + "</section>"
    )


def _splits(report: CheckReport) -> str:
    total = max(report.usable_images, 1)
    rows = [
        f"<tr><td>{_SPLIT_TITLES[split]}</td><td class=number>{images:,}</td>"
        f"<td class=number>{images / total:.0%}</td>{_bar(images / total)}"
        f"<td class=soft>{_purpose(split, report.validation_is_test)}</td></tr>"
        for split, images in report.splits.items()
    ]
    head = (
        "<tr><th>Split</th><th class=number>Pictures</th><th class=number>Share</th>"
        "<th class=bar></th><th></th></tr>"
    )
    return f'<h2>Splits</h2><div class="card"><table>{head}{"".join(rows)}</table></div>'


def _purpose(split: str, validation_is_test: bool) -> str:
    if split == "train":
        return "trained on, with mirrored copies unless switched off"
    if split == "validation" and validation_is_test:
        return (
            "held out: chooses the best epoch and judges the model, as the data names no separate test split"
        )
    return "held out: chooses the best epoch" if split == "validation" else "held out: judges the model"


def _classes(report: CheckReport, ids: dict[str, int]) -> str:
    if not report.classes:
        return ""
    most = max(max(report.classes.values()), 1)
    splits = list(report.splits)
    head = (
        "<tr><th class=number>Id</th><th>Class</th><th class=number>Boxes</th><th class=bar></th>"
        + "".join(f"<th class=number>{_SPLIT_TITLES[split]}</th>" for split in splits)
        + "</tr>"
    )
    rows = [
        f"<tr><td class=number>{ids[name]}</td><td>{_dot(ids[name])}{escape(name)}</td>"
        f"<td class=number>{boxes:,}</td>{_bar(boxes / most)}"
        + "".join(f"<td class=number>{report.class_splits[name][split]:,}</td>" for split in splits)
        + "</tr>"
        for name, boxes in report.classes.items()
    ]
    return f'<h2>Classes</h2><div class="card"><table>{head}{"".join(rows)}</table></div>'


def _defects(report: CheckReport) -> str:
    if not report.defects:
        return '<h2>Defects</h2><p class="good">Nothing is wrong with this dataset.</p>'
    ordered = sorted(report.defects, key=lambda defect: (defect.severity != "error", defect.code))
    groups = [
        _defect_group(code, list(group)) for code, group in groupby(ordered, key=lambda defect: defect.code)
    ]
    return "<h2>Defects</h2>" + "".join(groups)


def _defect_group(code: str, defects: Sequence[Defect]) -> str:
    kind = KINDS[code]
    tone = "bad" if kind.severity == "error" else "warn"
    count = sum(defect.count for defect in defects)
    items = [f"<li>{_place(defect)}{escape(defect.message)}</li>" for defect in defects[:_EXAMPLES]]
    if len(defects) > _EXAMPLES:
        items.append(f"<li class=soft>and {len(defects) - _EXAMPLES:,} more in report.json</li>")
    return (
        f"<details{' open' if kind.severity == 'error' else ''}><summary><b>{escape(kind.title)}</b>"
        f'<span class="{tone}">{count:,} {kind.severity}{"" if count == 1 else "s"}</span>'
        f"<code>{code}</code></summary>"
        f'<p class="hint"><span class=soft>How to mend it:</span> {escape(kind.hint)}</p>'
        f"<ul>{''.join(items)}</ul></details>"
    )


def _place(defect: Defect) -> str:
    if not defect.place.file:
        return ""
    return f"<code>{escape(str(defect.place))}</code><br>"


def _pictures(pictured: Iterable[PicturedImage], classes: Sequence[str]) -> str:
    figures = [_figure(one, classes) for one in sorted(pictured, key=lambda one: not one.messages)]
    return f'<h2>Pictures</h2><div class="pictures">{"".join(figures)}</div>' if figures else ""


def _figure(one: PicturedImage, classes: Sequence[str]) -> str:
    stroke = max(one.width, one.height) / 160
    boxes = "".join(
        f'<rect x="{box.edges.x0:.1f}" y="{box.edges.y0:.1f}" width="{box.edges.x1 - box.edges.x0:.1f}" '
        f'height="{box.edges.y1 - box.edges.y0:.1f}" fill="none" stroke="{_colour(box.class_id)}" '
        f'stroke-width="{stroke:.1f}"><title>{escape(classes[box.class_id])}</title></rect>'
        for box in one.boxes
    )
    names = sorted({box.class_id for box in one.boxes})
    legend = "".join(f"<span>{_dot(class_id)}{escape(classes[class_id])}</span>" for class_id in names)
    wrong = "".join(f'<br><span class="warn">{escape(message)}</span>' for message in one.messages[:2])
    picture = base64.b64encode(one.jpeg).decode()
    return (
        f'<figure><div><img alt="{escape(one.path)}" src="data:image/jpeg;base64,{picture}">'
        f'<svg viewBox="0 0 {one.width} {one.height}" preserveAspectRatio="none">{boxes}</svg></div>'
        f"<figcaption>{legend}<br><span class=soft>{escape(one.split)} · {escape(one.path)}</span>{wrong}"
        "</figcaption></figure>"
    )


def _bar(share: float) -> str:
    return f'<td class=bar><i><i style="width:{share:.1%}"></i></i></td>'


def _dot(class_id: int) -> str:
    return f'<span class=dot style="background:{_colour(class_id)};margin-right:6px"></span>'


def _colour(class_id: int) -> str:
    # Steps of the golden angle keep neighbouring ids apart however many classes there are.
    return f"hsl({class_id * 137.508 % 360:.0f} 85% 52%)"
