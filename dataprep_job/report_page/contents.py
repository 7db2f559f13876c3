"""What the dataset holds: where it was read from, classes and splits, sizes, and changes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dataprep_job.annotation_formats import FORMAT_TITLES
from dataprep_job.report_page.figures import dot
from dataprep_job.report_page.markup import (
    SPLIT_TITLES,
    Part,
    counted,
    legend,
    path,
    section,
    stacked_bar,
    table,
    text,
)
from dataprep_job.tally import SHARE_CLASSES

if TYPE_CHECKING:
    from dataprep_job.check import CheckReport

CLASSES_SHOWN = 100
SIZES_SHOWN = 8
_TINY = 0.04
"""Boxes whose edge is below this share of the picture's are hard to find for a single-shot detector."""
_FEW = 20
"""Below this number of boxes to train on, a class is learnt by luck."""


def sources(report: CheckReport) -> str:
    """Annotation files with what they gave."""
    if not report.sources:
        return ""
    rows = [
        (
            f"<code>{path(source.path or './')}</code>",
            text(FORMAT_TITLES.get(source.format, source.format)),
            f"{source.files:,}",
            f"{source.images:,}",
            f"{source.boxes:,}",
        )
        for source in report.sources
    ]
    head = ("Annotations", "Format", "Files", "Pictures", "Boxes")
    note = "<p class=soft>Boxes are counted as they were annotated, before any was checked.</p>"
    return section("read", "What was read", table(head, rows, (2, 3, 4)), note)


def classes(report: CheckReport) -> str:
    """Boxes and pictures of every class, most common first."""
    if not any(report.classes.values()):
        return ""
    splits = list(report.splits)
    ids = {name: class_id for class_id, name in enumerate(report.classes)}
    ordered = sorted(report.classes, key=lambda name: (-report.classes[name], ids[name]))
    most = max(report.classes.values())
    rows = []
    for name in ordered[:CLASSES_SHOWN]:
        boxes, pictures = report.class_splits[name], report.class_pictures[name]
        parts = [Part(split, boxes[split], f"for {split}") for split in splits]
        rows.append(
            (
                f"{dot(ids[name])}{text(name)}",
                stacked_bar(parts, most),
                f"<b>{report.classes[name]:,}</b>",
                f"{sum(pictures.values()):,}",
                *(f"{boxes[split]:,} <span class=soft>in {pictures[split]:,}</span>" for split in splits),
            )
        )
    head = ("Class", "", "Boxes", "Pictures", *(SPLIT_TITLES[split] for split in splits))
    rest = len(ordered) - CLASSES_SHOWN
    totals = [
        Part(split, sum(by[split] for by in report.class_splits.values()), f"boxes for {split}")
        for split in splits
    ]
    return section(
        "classes",
        "Classes and splits",
        legend(totals),
        table(head, rows, range(2, 4 + len(splits))),
        f"<p class=soft>… and {counted(rest, 'rarer class', 'rarer classes')}, see report.json</p>"
        if rest > 0
        else "",
        _few(report),
    )


def _few(report: CheckReport) -> str:
    rare = [
        name for name, by in report.class_splits.items() if report.classes[name] and by.get("train", 0) < _FEW
    ]
    if not rare:
        return ""
    names = ", ".join(rare[:8]) + (f" and {len(rare) - 8:,} more" if len(rare) > 8 else "")
    return (
        f'<p class="hint">Fewer than {_FEW} boxes to train on: {text(names)}. '
        "The detector hardly learns such a class; label more of it.</p>"
    )


def sizes(report: CheckReport) -> str:
    """How large the pictures and the boxes on them are."""
    return section("sizes", "Sizes", _box_sizes(report), _picture_sizes(report))


def _box_sizes(report: CheckReport) -> str:
    total = sum(report.box_shares)
    if not total:
        return ""
    side = _packed_side(report)
    most = max(report.box_shares)
    bounds = [0.0, *SHARE_CLASSES, 1.0]
    rows = []
    for low, high, count in zip(bounds, bounds[1:], report.box_shares, strict=False):
        name = f"{low * 100:g} to {high * 100:g} %" if low else f"under {high * 100:g} %"
        tone = "tiny" if high <= _TINY else "train"
        rows.append(
            (
                name,
                f"{f'{round(low * side):,} to ' if low else 'under '}{round(high * side):,}",
                stacked_bar([Part(tone, count, "boxes")], most),
                f"{count:,}",
                f"{count / total:.0%}",
            )
        )
    tiny = sum(count for high, count in zip(SHARE_CLASSES, report.box_shares, strict=False) if high <= _TINY)
    hint = ""
    if tiny * 2 > total:
        hint = (
            f'<p class="hint">{tiny / total:.0%} of the boxes are tiny: about {round(_TINY * side)} pixels '
            "or less once the pictures are packed for training. The detector finds such small things badly. "
            "Photograph them from nearer, cut the pictures into tiles, or raise <code>images: resize</code> "
            f"in nestbox.yaml (now {report.packed_edge}).</p>"
        )
    head = ("Box edge, as a share of the picture's", "Pixels when packed, about", "", "Boxes", "Share")
    return f"<h3>Boxes</h3>{hint}{table(head, rows, (1, 3, 4))}"


def _packed_side(report: CheckReport) -> float:
    """The side of a square with the area of the most common picture, after packing has reduced it."""
    width, height = next(
        (size for size, _ in report.picture_sizes if size != (0, 0)), (report.packed_edge,) * 2
    )
    return math.sqrt(width * height) * min(1.0, report.packed_edge / min(width, height))


def _picture_sizes(report: CheckReport) -> str:
    known = [(size, count) for size, count in report.picture_sizes if size != (0, 0)]
    if not known:
        return ""
    total = sum(count for _, count in report.picture_sizes)
    rows = [
        (
            f"{width:,} &times; {height:,}",
            stacked_bar([Part("train", count, "pictures")], total),
            f"{count:,}",
        )
        for (width, height), count in known[:SIZES_SHOWN]
    ]
    rest = total - sum(count for _, count in known[:SIZES_SHOWN])
    if rest:
        kinds = len(known) - SIZES_SHOWN
        other = f"{kinds:,} other sizes" if kinds > 1 else "other sizes"
        rows.append(
            (
                f"<span class=soft>{other}</span>",
                stacked_bar([Part("copies", rest, "pictures")], total),
                f"{rest:,}",
            )
        )
    return f"<h3>Pictures</h3>{table(('Width &times; height', '', 'Pictures'), rows, (2,))}"


_CHANGES = {
    "added": ("new", "used now, and not before"),
    "removed": ("gone", "used before, and not now: deleted, or left out for a mistake"),
    "replaced": ("replaced", "another picture under the same name"),
    "relabelled": ("labelled anew", "the same picture with other boxes or classes"),
    "moved": ("moved", "in another split than before"),
}


def changes(report: CheckReport) -> str:
    """What is different from the previous run."""
    changed = report.changes
    if changed is None:
        return ""
    rows = []
    for kind, (title, meaning) in _CHANGES.items():
        count = getattr(changed, kind)
        if count:
            examples = changed.examples.get(kind, [])
            rest = count - len(examples)
            paths = "<br>".join(f"<code>{path(image)}</code>" for image in examples)
            more = f"<br>and {rest:,} more" if rest > 0 else ""
            rows.append(
                (
                    f"<b>{count:,}</b> {title}",
                    f"<span class=soft>{meaning}</span>",
                    f"<details class=more><summary>which</summary>{paths}{more}</details>",
                )
            )
    unchanged = f"<p>{counted(changed.unchanged, 'picture')} stayed the same in every way.</p>"
    listed = table(("Pictures", "What that means", ""), rows) if rows else ""
    return section("changes", "Changes since the previous run", listed, unchanged)
