"""The top of the page: what was read, what can be used, and what to mend first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dataprep_job.annotation_formats import FORMAT_TITLES
from dataprep_job.defect_groups import DefectGroup, left_out
from dataprep_job.report_page.markup import Part, counted, legend, stacked_bar, text

if TYPE_CHECKING:
    from dataprep_job.check import CheckReport

_FIRST = 6
_COST_WORDS = {
    "file": "costs the labels of a file",
    "picture": "costs a picture",
    "box": "costs a box",
    "choice": "costs nothing yet",
    "nothing": "costs nothing",
}


def _how_often(group: DefectGroup) -> str:
    words = _COST_WORDS[group.kind.cost]
    return f"once, {words}" if group.count == 1 else f"{group.count:,} times, each {words}"


def header(report: CheckReport, title: str, subtitle: str, note: str) -> str:
    """Name, badge and notice."""
    if note:
        badge = '<span class="badge warn">Not finished</span>'
    elif report.blocked:
        badge = '<span class="badge bad">Blocked</span>'
    else:
        badge = '<span class="badge good">Ready</span>'
    notice = (
        f'<p class="notice" role="status"><b>This report is preliminary.</b> {text(note)} Numbers of usable '
        "pictures and boxes follow when it is complete.</p>"
        if note
        else ""
    )
    return (
        f'<header><div class="title"><h1>{text(title)}</h1>{badge}</div>'
        f"<p class=soft>Data report · {text(subtitle)}</p>{notice}</header>"
    )


def outcome(report: CheckReport, groups: Sequence[DefectGroup], note: str) -> str:
    """What can be done with the dataset, in sentences, then in numbers, then the mistakes to begin with."""
    parts = [_verdict(report, groups, note), _totals(report, note)]
    if not note and report.images:
        shares = _where_pictures_went(report)
        parts.append(
            f'<div class="card"><h3>Where the pictures went</h3>'
            f"{stacked_bar(shares, sum(part.size for part in shares))}{legend(shares)}</div>"
        )
    parts.append(_mend_first(groups))
    return f'<section id="outcome" class="outcome" aria-label="Outcome">{"".join(parts)}</section>'


def _verdict(report: CheckReport, groups: Sequence[DefectGroup], note: str) -> str:
    formats = " and ".join(FORMAT_TITLES.get(name, name) for name in report.formats)
    read = f"Read {counted(report.images, 'picture')}" + (
        f" with annotations in {formats}." if formats else "; no annotations were recognised."
    )
    if note:
        return f'<p class="verdict">{text(read)}</p>'
    if report.blocked:
        reasons = "".join(f"<li>{text(reason)}</li>" for reason in report.blocked)
        return (
            f'<p class="verdict"><b class=bad>Nothing can be trained yet.</b> {text(read)}</p>'
            f'<ul class="reasons">{reasons}</ul>'
        )
    if report.usable_images == report.images:
        used = "All of them are used."
    else:
        used = f"{report.usable_images:,} of them are used."
    if not groups:
        return f'<p class="verdict"><b class=good>Nothing is wrong.</b> {text(read)} {used}</p>'
    lost = _lost(report, groups)
    cost = (
        f"Mistakes cost {lost}; below is how to mend them."
        if lost
        else "Nothing is lost; some things are worth a look."
    )
    return f'<p class="verdict"><b class=good>Training can start.</b> {text(read)} {used} {cost}</p>'


def _lost(report: CheckReport, groups: Sequence[DefectGroup]) -> str:
    errors = [group for group in groups if group.kind.severity == "error"]
    boxes = sum(group.count for group in errors if group.kind.cost == "box")
    pictures = left_out(report.images, report.usable_images, report.defects)["mistakes"]
    missing = sum(group.count for group in errors if group.kind.code == "image.missing")
    costs = [
        counted(pictures, "picture") if pictures else "",
        f"the labels of {counted(missing, 'missing picture')}" if missing else "",
        counted(boxes, "box") if boxes else "",
    ]
    *first, last = [cost for cost in costs if cost] or [""]
    return f"{', '.join(first)} and {last}" if first else last


def _totals(report: CheckReport, note: str) -> str:
    cells = [(report.images, "pictures", "")]
    if not note:
        cells += [(report.usable_images, "used", ""), (report.boxes, "boxes used", "")]
    cells += [
        (len(report.classes), "classes", ""),
        (report.errors, "errors", "bad" if report.errors else "good"),
        (report.warnings, "warnings", "warn" if report.warnings else "good"),
    ]
    return (
        '<ul class="totals">'
        + "".join(
            f'<li><b class="{tone}">{count:,}</b> <span>{label}</span></li>' for count, label, tone in cells
        )
        + "</ul>"
    )


def _where_pictures_went(report: CheckReport) -> list[Part]:
    why = left_out(report.images, report.usable_images, report.defects)
    held_out = "held out, to choose the best epoch and to judge the model"
    uses = {
        "train": "to train on",
        "validation": held_out if report.validation_is_test else "held out, to choose the best epoch",
        "test": "held out, to judge the model",
    }
    return [
        *(Part(split, images, uses[split]) for split, images in report.splits.items()),
        Part("unlabelled", why["unlabelled"], "not labelled"),
        Part("background", why["background"], "labelled as holding nothing to train on"),
        Part("copies", why["copies"], "copies of other pictures"),
        Part("mistakes", why["mistakes"], "left out for mistakes"),
    ]


def _mend_first(groups: Sequence[DefectGroup]) -> str:
    errors = [group for group in groups if group.kind.severity == "error"]
    if not errors:
        return ""
    items = "".join(
        f'<li><a href="#{group.kind.code}">{text(group.kind.title)}</a> '
        f"<span class=soft>{_how_often(group)}</span></li>"
        for group in errors[:_FIRST]
    )
    rest = len(errors) - _FIRST
    more = f'<p class=soft>and {counted(rest, "more kind")} of errors, see <a href="#mend">below</a></p>'
    return (
        '<div class="card"><h3>To mend, the costliest first</h3>'
        f'<ol class="first">{items}</ol>{more if rest > 0 else ""}</div>'
    )
