"""`nestbox export`: a checked dataset in the format of another tool."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from rich.markup import escape

from cli.errors import UnusableError, UsageError
from cli.options import Commands, Parser, add_command, existing_folder
from cli.output import console, plural, print_json
from dataprep_job.annotation_formats import FORMAT_TITLES
from dataprep_job.check import CheckReport
from dataprep_job.errors import DataPrepError
from dataprep_job.export import WRITERS, Writer
from dataprep_job.export.exporting import export_folder

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s].*")


def register(commands: Commands[Parser]) -> None:
    """Add the command."""
    formats = f"\n{' ' * 14}".join(f"{name:13} {title}" for name, title in FORMAT_TITLES.items())
    parser = add_command(
        commands,
        "export",
        run,
        summary="Write a labelled dataset in the format of another tool.",
        details=f"""
            Checks first (see `nestbox check`) and writes what a run would use: pictures with boxes, merged
            from all their annotations, in the splits that were decided. Pictures whose EXIF data turn them
            are turned for good; all others stay as they are, as hard links where the file system allows it.

            formats:
              {formats}

            exit codes: 0 written, 2 the folder is unusable and nothing was written
        """,
        example="nestbox export birds birds-coco --to coco",
    )
    parser.add_argument("folder", type=existing_folder, metavar="FOLDER", help="images and annotations")
    parser.add_argument("out", type=Path, metavar="OUT", help="a new or empty folder; it appears whole")
    parser.add_argument(
        "--to", required=True, choices=list(FORMAT_TITLES), metavar="FORMAT", help="see the list above"
    )
    takes_base = " and ".join(name for name, writer in WRITERS.items() if writer.takes_base)
    parser.add_argument(
        "--base",
        default="",
        metavar="URL",
        help=f"address that OUT is going to have, such as s3://bucket/birds ({takes_base} only)",
    )


def run(options: argparse.Namespace) -> int:
    """Check, write, and say what was written."""
    writer = _writer(options.to, options.base)
    report = _export(options.folder, options.out, writer, quiet=options.json)
    if report.blocked:
        raise UnusableError(
            f"Nothing was written: {' '.join(report.blocked)}",
            f"Mend it, then export again. Details: nestbox check {options.folder}",
        )
    if options.json:
        print_json({"folder": str(options.out), "format": options.to, **report.to_dict()})
    else:
        _show(options, report)
    return 0


def _writer(name: str, base: str) -> Writer:
    kind = WRITERS[name]
    if base and not kind.takes_base:
        raise UsageError(
            f"{FORMAT_TITLES[name]} names pictures by path, not by address.", "Leave --base out."
        )
    if base and not _ADDRESS.fullmatch(base):
        raise UsageError(f"--base {base!r} is no address.", "Give one such as s3://bucket/birds.")
    return kind(base)


def _export(folder: Path, out: Path, writer: Writer, quiet: bool) -> CheckReport:
    err = console(stderr=True)
    try:
        if err.is_terminal and not quiet:
            with err.status("exporting …") as status:
                return export_folder(
                    folder, out, writer, say=lambda line: status.update(f"exporting: {line}")
                )
        return export_folder(folder, out, writer)
    except DataPrepError as error:
        raise UnusableError(
            str(error), "Name a folder with images and annotations, and another one that is new or empty."
        ) from error


def _show(options: argparse.Namespace, report: CheckReport) -> None:
    out = console()
    splits = ", ".join(f"{split} {count:,}" for split, count in report.splits.items() if count)
    out.print(
        f"{plural(report.usable_images, 'image')} with {plural(report.boxes, 'box')} in "
        f"{escape(str(options.out))} as {FORMAT_TITLES[options.to]} ({splits})",
        soft_wrap=True,
    )
    found = report.errors + report.warnings
    if found:
        left_out = report.images - report.usable_images
        out.print(
            f"{plural(found, 'defect')}, {plural(left_out, 'image')} left out: nestbox check "
            f"{escape(str(options.folder))}",
            soft_wrap=True,
        )
