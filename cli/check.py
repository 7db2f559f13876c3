"""`nestbox check`: what a dataset holds and what is wrong with it, before anything is uploaded."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from cli.errors import UnusableError
from cli.options import Commands, Parser, add_command, existing_folder
from cli.output import console, plural, print_json, table
from dataprep_job.annotation_formats import FORMAT_TITLES
from dataprep_job.check import CheckReport, check_folder
from dataprep_job.defect_groups import DefectGroup, group_defects, left_out
from dataprep_job.errors import DataPrepError
from dataprep_job.report_page import report_page

PLACES_SHOWN = 5

CLEAN, DEFECTS, UNUSABLE = 0, 1, 2

_LEFT_OUT = {
    "mistakes": "left out for mistakes",
    "unlabelled": "not labelled",
    "background": "without objects",
    "copies": "copies",
}


def register(commands: Commands[Parser]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "check",
        run,
        summary="Say what a labelled dataset holds and what is wrong with it, before any upload.",
        details="""
            Reads and opens everything exactly as the preparation job does, and writes nothing.

            exit codes: 0 clean, 1 defects (the good images would still be trained on), 2 unusable
        """,
        example="nestbox check birds --html report.html",
    )
    parser.add_argument("folder", type=existing_folder, metavar="FOLDER", help="images and annotations")
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write a report with pictures")


def run(options: argparse.Namespace) -> int:
    """Check, and print what was found."""
    report = examine(options.folder, options.html, quiet=options.json)
    if options.json:
        print_json(report.to_dict())
    else:
        show(console(), options.folder, report)
        if options.html:
            console().print(f"\nreport with pictures: {escape(str(options.html))}", soft_wrap=True)
    return exit_code(report)


def examine(folder: Path, html: Path | None = None, quiet: bool = False) -> CheckReport:
    """Check a folder; raises UnusableError where it cannot even be read."""
    err = console(stderr=True)
    try:
        if err.is_terminal and not quiet:
            with err.status("checking …") as status:
                report = check_folder(folder, say=lambda line: status.update(f"checking: {line}"))
        else:
            report = check_folder(folder)
    except DataPrepError as error:
        raise UnusableError(str(error), "Name a folder that holds images and their annotations.") from error
    if html:
        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(
            report_page(report, title=folder.resolve().name, subtitle="checked before upload"),
            encoding="utf-8",
        )
    return report


def exit_code(report: CheckReport) -> int:
    """0 clean, 1 defects, 2 unusable."""
    if report.blocked:
        return UNUSABLE
    return DEFECTS if report.errors or report.warnings else CLEAN


def show(out: Console, folder: Path, report: CheckReport) -> None:
    """Print a report for people."""
    out.print(f"[bold]{escape(str(folder))}[/]: {_verdict(report)}", soft_wrap=True)
    for reason in report.blocked:
        out.print(f"  [red]{escape(reason)}[/]", soft_wrap=True)
    out.print(f"  {_summary(report)}", soft_wrap=True)
    if report.classes:
        splits = list(report.splits)
        out.print(
            table(
                ["class", "boxes", *splits],
                [
                    [
                        escape(name),
                        f"{count:,}",
                        *(f"{report.class_splits[name].get(split, 0):,}" for split in splits),
                    ]
                    for name, count in report.classes.items()
                ]
                + [
                    [
                        "[dim]images[/]",
                        f"{report.usable_images:,}",
                        *(f"{report.splits[s]:,}" for s in splits),
                    ]
                ],
                right=["boxes", *splits],
            )
        )
    for group in group_defects(report.defects):
        _show_group(out, group)


def _verdict(report: CheckReport) -> str:
    """The most important thing first, in one line."""
    if report.blocked:
        return "[bold red]unusable[/], nothing could be trained"
    mistakes = " and ".join(
        plural(count, name)
        for count, name in ((report.errors, "error"), (report.warnings, "warning"))
        if count
    )
    if report.errors:
        return f"[bold yellow]usable[/], with {mistakes} to look at; the costliest come first"
    if report.warnings:
        return f"[bold green]usable[/], nothing is lost; {mistakes} to look at"
    return "[bold green]clean[/], nothing is wrong"


def _summary(report: CheckReport) -> str:
    """What was read and what is used of it, in one line."""
    counts = left_out(report.images, report.usable_images, report.defects)
    why = ", ".join(f"{counts[reason]:,} {words}" for reason, words in _LEFT_OUT.items() if counts[reason])
    usable = "all usable" if report.usable_images == report.images else f"{report.usable_images:,} usable"
    formats = ", ".join(FORMAT_TITLES.get(name, name) for name in report.formats) or "no annotations found"
    return (
        f"{plural(report.images, 'image')}, {usable}{f' ({why})' if why else ''}, "
        f"{plural(report.boxes, 'box')}; {formats}"
    )


def _show_group(out: Console, group: DefectGroup) -> None:
    """One kind of defect: what it is, how to mend it, and the first few places."""
    kind = group.kind
    colour = "red" if kind.severity == "error" else "yellow"
    times = "" if group.count == 1 else f" [bold]{group.count:,} times[/]"
    out.print(
        f"\n[{colour}]{kind.severity}[/] [bold]{escape(kind.title)}[/]{times} [dim]{kind.code}[/]",
        soft_wrap=True,
    )
    out.print(f"  {escape(kind.hint)}", soft_wrap=True)
    shown = group.defects[:PLACES_SHOWN]
    for defect in shown:
        place = f"{escape(str(defect.place))}: " if defect.place.file else ""
        out.print(f"  • [cyan]{place}[/]{escape(defect.message)}", soft_wrap=True)
    hidden = group.count - sum(defect.count for defect in shown)
    if hidden > 0:
        out.print(f"  [dim]and {hidden:,} more: --html or --json lists them[/]")
