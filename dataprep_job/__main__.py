"""Command line of the data preparation image: `python -m dataprep_job prepare|plan|slice|merge|evaluate`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from dataprep_job.archive_source import open_archives
from dataprep_job.errors import DataPrepError, LocationError, SourceError
from dataprep_job.evaluate import Comparison, Model, evaluate
from dataprep_job.file_source import FolderSource, RangedSource
from dataprep_job.prepare import Order, prepare
from dataprep_job.progress import say_on_stdout
from dataprep_job.s3_client import S3Location, connect
from dataprep_job.slices import merge, plan, prepare_slice
from dataprep_job.snapshot_source import SnapshotSource
from dataprep_job.storage import S3Storage, open_storage

ARRAY_INDEX = "AWS_BATCH_JOB_ARRAY_INDEX"
"""What AWS Batch calls the number of an array job's child."""
NOTHING = "-"
"""AWS Batch cannot pass an empty parameter."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0: done, also where the data turned out unusable. 1: the job itself could not do its work.
    """
    options = _parser().parse_args(arguments)
    try:
        if options.command == "evaluate":
            _evaluate(options)
        else:
            _COMMANDS[options.command](_order(options), options)
    except DataPrepError as error:
        print(f"{options.command} failed: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


def _prepare(order: Order, _: argparse.Namespace) -> None:
    prepare(order, say_on_stdout)


def _plan(order: Order, _: argparse.Namespace) -> None:
    plan(order, say_on_stdout)


def _slice(order: Order, options: argparse.Namespace) -> None:
    index = options.index if options.index is not None else os.environ.get(ARRAY_INDEX, "")
    if not str(index).isdigit() or int(index) >= options.slices:
        raise LocationError(f"Which slice? {ARRAY_INDEX} or --index must be from 0 to {options.slices - 1}.")
    prepare_slice(order, int(index), options.slices, say_on_stdout)


def _merge(order: Order, options: argparse.Namespace) -> None:
    merge(order, options.slices, say_on_stdout)


_COMMANDS: dict[str, Callable[[Order, argparse.Namespace], None]] = {
    "prepare": _prepare,
    "plan": _plan,
    "slice": _slice,
    "merge": _merge,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dataprep_job", description="Nestbox data preparation.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary, details in (
        ("prepare", "read, check, split and pack a dataset", "Exits 0 once summary.json is written."),
        ("plan", "the first of several jobs: read the annotations", "Writes work/plan.sqlite."),
        ("slice", "one of several jobs: open and pack a share of the pictures", "Needs the plan."),
        ("merge", "the last of several jobs: join the slices", "Exits 0 once summary.json is written."),
    ):
        command = commands.add_parser(name, help=summary, description=f"{summary.capitalize()}. {details}")
        _add_order(command)
        # One job definition passes it to every command.
        command.add_argument(
            "--slices", type=int, required=name != "prepare", help="into how many slices it is dealt"
        )
        if name == "slice":
            command.add_argument("--index", type=int, help=f"which slice, from 0; else {ARRAY_INDEX} says so")
    _add_comparison(commands.add_parser("evaluate", help="judge a candidate, against the champion if any"))
    return parser


def _add_comparison(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Judge a candidate on the pictures that its preparation held out, less those that earlier runs "
        "trained on, from the answers of batch transform. Exits 0 once report.json is written."
    )
    command.add_argument("--run", required=True, help="run id of the candidate")
    command.add_argument("--dataset", required=True, help="dataset name")
    command.add_argument("--preparation", required=True, help="output of the candidate's preparation")
    _add_judging(command)
    command.add_argument("--answers", required=True, help="output of the candidate's transform job")
    for name, what in (
        ("run", "run id of the champion"),
        ("preparation", "output of its preparation"),
        ("answers", "output of its transform job on the candidate's pictures"),
    ):
        command.add_argument(f"--champion-{name}", default=NOTHING, help=f"{what}; '-' where there is none")
    command.add_argument("--note", default=NOTHING, help="why a champion cannot be compared with, or '-'")
    command.add_argument("--output", required=True, help="s3://bucket/prefix/, or a folder")


def _evaluate(options: argparse.Namespace) -> None:
    champion = None
    given = (options.champion_run, options.champion_preparation, options.champion_answers)
    if set(given) != {NOTHING}:
        if NOTHING in given:
            raise LocationError(
                "A champion needs --champion-run, --champion-preparation and --champion-answers, "
                "or '-' for all three."
            )
        run, preparation, answers = given
        champion = Model(run, open_storage(answers), open_storage(preparation), preparation)
    order = Comparison(
        dataset=options.dataset,
        candidate=Model(
            options.run,
            open_storage(options.answers),
            open_storage(options.preparation),
            options.preparation,
        ),
        champion=champion,
        pictures=open_storage(options.judging),
        note="" if options.note == NOTHING else options.note,
        output=open_storage(options.output),
    )
    evaluate(order, say_on_stdout)


def _add_order(command: argparse.ArgumentParser) -> None:
    command.add_argument("--run", required=True, help="run id")
    command.add_argument("--dataset", required=True, help="dataset name")
    command.add_argument("--source", required=True, help="s3://bucket/datasets/NAME/, or a folder")
    command.add_argument(
        "--snapshot",
        default=NOTHING,
        help="s3://…/snapshot.jsonl.gz with exact versions; '-' for a folder",
    )
    command.add_argument("--output", required=True, help="s3://bucket/prefix/, or a folder")
    command.add_argument(
        "--previous", default=NOTHING, help="output of the previous preparation, '-' where there is none"
    )
    _add_judging(command)


def _add_judging(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--judging",
        required=True,
        help="where the pictures lie that models are judged on, those of all runs of the dataset: "
        "s3://bucket/prefix/, or a folder",
    )


def _order(options: argparse.Namespace) -> Order:
    return Order(
        run=options.run,
        dataset=options.dataset,
        source=open_archives(_open_source(options.source, options.snapshot)),
        output=open_storage(options.output),
        previous=None if options.previous == NOTHING else open_storage(options.previous),
        judging=open_storage(options.judging),
    )


def _open_source(source: str, snapshot: str) -> RangedSource:
    if not source.startswith("s3://"):
        return FolderSource(Path(source))
    if snapshot == NOTHING:
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
