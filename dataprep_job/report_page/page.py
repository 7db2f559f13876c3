"""The whole page, put together."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from dataprep_job.defect_groups import group_defects
from dataprep_job.report_page import contents
from dataprep_job.report_page.defect_list import defect_sections
from dataprep_job.report_page.figures import sample
from dataprep_job.report_page.markup import section, text
from dataprep_job.report_page.outcome import header, outcome

if TYPE_CHECKING:
    from dataprep_job.check import CheckReport

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = files("dataprep_job.report_page").joinpath("page.css").read_text()


def report_page(report: CheckReport, title: str, subtitle: str, note: str = "") -> str:
    """The whole page. Everything that comes from the dataset is escaped.

    Args:
        report: what was found.
        title: usually the dataset's name.
        subtitle: usually the run.
        note: why the report is preliminary, a sentence; empty where it is complete.
    """
    groups = group_defects(report.defects)
    classes = list(report.classes)
    pictures = "".join(sample(one, classes) for one in report.pictured)
    return document(
        f"{title}: data report",
        header(report, title, subtitle, note),
        outcome(report, groups, note),
        defect_sections(groups, report.exhibits, classes),
        contents.changes(report),
        contents.sources(report),
        contents.classes(report),
        contents.sizes(report),
        section("samples", "Sample pictures", f'<div class="samples">{pictures}</div>' if pictures else ""),
    )


def document(title: str, *parts: str, style: str = "") -> str:
    """A page that loads nothing and runs nothing.

    Args:
        title: of the window.
        parts: the contents, as HTML.
        style: rules beside those that all reports share.
    """
    lines = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        f"<title>{text(title)}</title><style>{_STYLE}{style}</style></head><body><main>",
        *parts,
        "</main></body></html>",
    ]
    return "\n".join(filter(None, lines)) + "\n"
