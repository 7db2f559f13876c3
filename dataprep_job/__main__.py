"""Command line of the data preparation image: `python -m dataprep_job prepare …`."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from dataprep_job.errors import DataPrepError, LocationError, SourceError
from dataprep_job.file_source import FileSource, FolderSource
from dataprep_job.prepare import Order, prepare
from dataprep_job.progress import say_on_stdout
from dataprep_job.s3_client import S3Location, connect
from dataprep_job.snapshot_source import SnapshotSource
from dataprep_job.storage import S3Storage, open_storage

NO_PREVIOUS = "-"
"""AWS Batch cannot pass an empty parameter."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0: done, also where the data turned out unusable. 1: the job itself could not do its work.
    """
    options = _parser().parse_args(arguments)
    try:
        _prepare(options)
    except DataPrepError as error:
        print(f"{options.command} failed: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dataprep_job", description="Nestbox data preparation.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    command = commands.add_parser(
        "prepare",
        help="read, check, split and pack a dataset",
        description="Read, check, split and pack a dataset. Exits 0 once summary.json is written.",
    )
    command.add_argument("--run", required=True, help="run id")
    command.add_argument("--dataset", required=True, help="dataset name")
    command.add_argument("--source", required=True, help="s3://bucket/datasets/NAME/, or a folder")
    command.add_argument(
        "--snapshot",
        default=NO_PREVIOUS,
        help="s3://…/snapshot.jsonl.gz with exact versions; '-' for a folder",
    )
    command.add_argument("--output", required=True, help="s3://bucket/prefix/, or a folder")
    command.add_argument(
        "--previous", default=NO_PREVIOUS, help="output of the previous preparation, '-' where there is none"
    )
    return parser


def _prepare(options: argparse.Namespace) -> None:
    order = Order(
        run=options.run,
        dataset=options.dataset,
        source=_open_source(options.source, options.snapshot),
        output=open_storage(options.output),
        previous=None if options.previous == NO_PREVIOUS else open_storage(options.previous),
    )
    prepare(order, say_on_stdout)


def _open_source(source: str, snapshot: str) -> FileSource:
    if not source.startswith("s3://"):
        return FolderSource(Path(source))
    if snapshot == NO_PREVIOUS:
        raise LocationError("A source in S3 needs --snapshot, which names the exact versions to read.")
    s3 = connect()
    location = S3Location.parse(snapshot)
    folder, _, name = location.key.rpartition("/")
    data = S3Storage(s3, S3Location(location.bucket, folder)).read(name)
    if data is None:
        raise SourceError(f"There is no snapshot {snapshot}, or this job may not read it.")
    return SnapshotSource(s3, S3Location.parse(source), data)


def _stop(number: int, _: object) -> None:
    """AWS Batch is about to end the job: leave by the usual way, which gives up unfinished uploads."""
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(main())
