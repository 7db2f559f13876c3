"""`nestbox check`: what a dataset holds and what is wrong with it, before anything is uploaded."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from cli.errors import UnusableError
from cli.options import Commands, Parser, add_command, existing_folder
from cli.output import console, plural, print_json, table
from dataprep_job.check import CheckReport, check_folder
from dataprep_job.errors import DataPrepError
from dataprep_job.report_page import report_page

DEFECTS_SHOWN = 20

CLEAN, DEFECTS, UNUSABLE = 0, 1, 2


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
    out.print(
        f"[bold]{escape(str(folder))}[/]: {plural(report.images, 'image')}, {report.usable_images:,} usable, "
        f"{plural(report.boxes, 'box')} ({', '.join(report.formats) or 'no annotations found'})"
    )
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
    for defect in report.defects[:DEFECTS_SHOWN]:
        colour = "red" if defect.severity == "error" else "yellow"
        place = escape(str(defect.place))
        out.print(f"[{colour}]{defect.severity}[/] {defect.code} [bold]{place}[/]", soft_wrap=True)
        out.print(f"  {escape(defect.message)}\n  [dim]{escape(defect.hint)}[/]", soft_wrap=True)
    hidden = report.errors + report.warnings - min(len(report.defects), DEFECTS_SHOWN)
    if hidden > 0:
        out.print(f"… and {plural(hidden, 'more defect')}: --json or --html lists them")
    for reason in report.blocked:
        out.print(f"[red]unusable:[/] {escape(reason)}", soft_wrap=True)
    if not report.defects and not report.blocked:
        out.print("[green]clean[/]")
