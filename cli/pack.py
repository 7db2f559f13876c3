"""`nestbox pack`: a folder of labelled pictures becomes MXNet RecordIO, as the preparation job makes it."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from nestbox.prep_summary import PrepSummary
from rich.markup import escape

from cli.errors import UnusableError, UsageError
from cli.options import Commands, Parser, add_command, count_from, existing_folder
from cli.output import console, plural, print_json
from dataprep_job.archive_source import open_archives
from dataprep_job.errors import DataPrepError
from dataprep_job.file_source import FolderSource
from dataprep_job.prepare import Order, prepare
from dataprep_job.progress import say_nothing
from dataprep_job.storage import FlatFolder


def register(commands: Commands[Parser]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "pack",
        run,
        summary="Pack a labelled dataset as MXNet RecordIO: train.rec, validation.rec, lists and a report.",
        details="""
            Reads any annotation format, checks everything, decodes each photo once and packs it beside its
            mirrored copy. What nestbox.yaml in FOLDER says holds unless an option says otherwise.

            With --previous, pictures that have not changed are copied, not decoded; classes keep their ids,
            and what was held out stays held out. The result is the same as that of packing everything again.

            exit codes: 0 packed (report.html lists defects), 2 nothing can be trained from this
        """,
        example="""
            nestbox pack birds packed
            nestbox pack birds packed-again --previous packed
        """,
    )
    parser.add_argument("folder", type=existing_folder, metavar="FOLDER", help="images and annotations")
    parser.add_argument("out", type=Path, metavar="OUT", help="new folder for the result")
    parser.add_argument("--previous", type=existing_folder, metavar="OUT0", help="result of an earlier pack")
    parser.add_argument(
        "--resize", type=count_from(32), metavar="N", help="pixels of the shorter edge (default: 512)"
    )
    parser.add_argument("--no-flip", action="store_true", help="no mirrored copies of the train split")
    parser.add_argument("--jobs", type=count_from(1), metavar="N", help="CPUs to use (default: all)")
    parser.add_argument(
        "--careful",
        action="store_true",
        help="find changes by content instead of size and time, and wait until everything is on the disk",
    )


def run(options: argparse.Namespace) -> int:
    """Pack, and say what came out."""
    out: Path = options.out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(
            f"{out} exists and is not empty.",
            f"Name a new folder, and add --previous {out} to take over what has not changed.",
        )
    summary = _pack(options)
    if options.json:
        print_json(asdict(summary))
    else:
        _show(out, summary)
    return 0 if summary.outcome == "READY" else UnusableError.exit_code


def _pack(options: argparse.Namespace) -> PrepSummary:
    err = console(stderr=True)
    try:
        order = Order(
            run="pack",
            dataset=options.folder.resolve().name,
            source=open_archives(FolderSource(options.folder)),
            output=FlatFolder(options.out, durable=options.careful),
            previous=FlatFolder(options.previous) if options.previous else None,
            checksums=options.careful,
            resize=options.resize,
            flip=False if options.no_flip else None,
            jobs=options.jobs,
        )
        if err.is_terminal and not options.json:
            with err.status("packing …") as status:

                def say(line: str) -> None:
                    status.update(f"packing: {escape(line)}")

                return prepare(order, say)
        return prepare(order, say_nothing)
    except DataPrepError as error:
        raise UnusableError(str(error), "Name a folder that holds images and their annotations.") from error


def _show(out: Path, summary: PrepSummary) -> None:
    console_ = console()
    for reason in summary.reasons:
        console_.print(f"[red]unusable:[/] {escape(reason)}", soft_wrap=True)
    if summary.outcome == "READY":
        seconds = sum(summary.seconds.values())
        console_.print(
            f"[green]packed[/] {plural(summary.train_images, 'image')} for training "
            f"({plural(summary.train_samples, 'record')}), {summary.validation_images:,} for validation"
            + (f", {summary.test_images:,} for test" if summary.test_images else "")
            + f" in {seconds:.1f} s",
            soft_wrap=True,
        )
    defects = summary.defects
    console_.print(
        f"{plural(defects['error'], 'error')}, {plural(defects['warning'], 'warning')}: "
        f"{escape(str(out / 'report.html'))}",
        soft_wrap=True,
    )
