"""What is wrong: one group a kind, with how to mend it, where it is, and pictures of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dataprep_job.defect_groups import DefectGroup
from dataprep_job.defect_kinds import COSTS
from dataprep_job.defects import Defect
from dataprep_job.exhibits import Exhibit
from dataprep_job.report_page.figures import MESSAGES_SHOWN, exhibit
from dataprep_job.report_page.markup import counted, path, section, text

OPEN = 10
LISTED = 200
COPIES = (
    "image.duplicate-across-splits",
    "labels.conflict",
    "image.copies-across-splits",
    "image.duplicate",
    "labels.repeated",
)
"""Kinds that concern two pictures or two annotations, which have a section of their own."""


def defect_sections(
    groups: Iterable[DefectGroup], exhibits: Sequence[Exhibit], classes: Sequence[str]
) -> str:
    """Errors, then duplicates and leaks between splits, then warnings."""
    rest = [group for group in groups if group.kind.code not in COPIES]
    copies = sorted(
        (group for group in groups if group.kind.code in COPIES),
        key=lambda group: COPIES.index(group.kind.code),
    )
    errors = [group for group in rest if group.kind.severity == "error"]
    warnings = [group for group in rest if group.kind.severity == "warning"]

    def listed(some: Iterable[DefectGroup]) -> str:
        return "".join(_group(group, exhibits, classes) for group in some)

    if not errors and not copies and not warnings:
        return section("mend", "What to mend", '<p class="good">Nothing is wrong with this dataset.</p>')
    return (
        section("mend", "What to mend", _intro(_MEND + (_MARKS if exhibits else ""), errors), listed(errors))
        + section(
            "copies", "Duplicates, and leaks between splits", _intro(_COPIES_WORDS, copies), listed(copies)
        )
        + section("look", "Worth a look", _intro(_LOOK, warnings), listed(warnings))
    )


_MEND = "Errors: something is left out of training, or cannot be trusted. The costliest come first."
_MARKS = " In the pictures, boxes in dashed red are what is wrong; boxes in other colours are used."
_COPIES_WORDS = (
    "A picture that is trained on and held out as well makes the model look better than it is. "
    "The same picture labelled in two ways teaches it nothing."
)
_LOOK = "Warnings: nothing is lost, but something looks as if it was not meant."


def _intro(words: str, groups: Sequence[DefectGroup]) -> str:
    return f"<p class=soft>{words}</p>" if groups else ""


def _group(group: DefectGroup, exhibits: Sequence[Exhibit], classes: Sequence[str]) -> str:
    kind = group.kind
    tone = "bad" if kind.severity == "error" else "warn"
    own = [shown for shown in exhibits if shown.code == kind.code]
    figures = "".join(exhibit(shown, classes) for shown in own)
    cost = f"<p class=soft>{text(COSTS[kind.cost])}</p>" if kind.severity == "error" else ""
    is_open = kind.severity == "error" or kind.code in COPIES
    return (
        f'<details id="{kind.code}"{" open" if is_open else ""}><summary><b>{text(kind.title)}</b> '
        f'<span class="{tone}">{counted(group.count, kind.severity)}</span> '
        f"<code>{kind.code}</code></summary>"
        f'<div class="body"><p><b>How to mend it:</b> {text(kind.hint)}</p>{cost}'
        f"{f'<div class=exhibits>{figures}</div>' if own else ''}{_places(group, own)}</div></details>"
    )


def _places(group: DefectGroup, exhibits: Sequence[Exhibit]) -> str:
    """Where the mistake was made, but for what is said under the pictures already."""
    pictured = {id(defect) for one in exhibits for defect in one.defects[:MESSAGES_SHOWN]}
    said = sum(defect.count for defect in group.defects if id(defect) in pictured)
    defects = [defect for defect in group.defects if id(defect) not in pictured]
    shown, hidden = defects[:OPEN], defects[OPEN:LISTED]
    parts = [f'<ul class="places">{"".join(map(_place, shown))}</ul>'] if shown else []
    if hidden:
        parts.append(
            f"<details class=more><summary>{len(hidden):,} more</summary>"
            f'<ul class="places">{"".join(map(_place, hidden))}</ul></details>'
        )
    rest = group.count - said - sum(defect.count for defect in defects[:LISTED])
    if rest > 0:
        parts.append(f"<p class=soft>… and {rest:,} more, listed in report.json</p>")
    return "".join(parts)


def _place(defect: Defect) -> str:
    place = f"<code>{path(str(defect.place))}</code> " if defect.place.file else ""
    return f"<li>{place}<span>{text(defect.message)}</span></li>"
