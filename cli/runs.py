"""`nestbox datasets`, `nestbox runs` and `nestbox run`: what the tables say."""

from __future__ import annotations

import argparse
from itertools import pairwise

from nestbox import timestamps
from nestbox.names import is_run_id
from nestbox.states import State
from nestbox.tables import (
    REJECTED_ROW,
    DatasetRow,
    EpochRow,
    Notice,
    RunRow,
    epochs_of,
    find_dataset,
    get_dataset,
    get_run,
    plain_map,
)
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.errors import CliError
from cli.judged import classes_table, decision_facts
from cli.options import Commands, Parser, add_command, add_stack_options, count_from, dataset_name
from cli.output import (
    UNKNOWN,
    ago,
    bar,
    coloured,
    console,
    duration,
    number,
    plural,
    print_json,
    sparkline,
    table,
)
from cli.records import datasets, maps, record, runs, seconds_of, why
from cli.stack import find_stack

DEFAULT_RUNS = 20


def register(commands: Commands[Parser]) -> None:
    """Add the three commands."""
    parser = add_command(
        commands,
        "datasets",
        run_datasets,
        summary="List the datasets: what serves, what runs, what waits.",
        details="Of one dataset also its logbook: whose models served, since when, by whom and why.",
        example="nestbox datasets\nnestbox datasets birds",
    )
    parser.add_argument("dataset", nargs="?", type=dataset_name, metavar="DATASET", help="only this one")
    add_stack_options(parser)

    parser = add_command(
        commands, "runs", run_runs, summary="List runs, the newest first.", example="nestbox runs birds"
    )
    parser.add_argument(
        "dataset", nargs="?", type=dataset_name, metavar="DATASET", help="of this dataset only"
    )
    parser.add_argument(
        "--limit",
        type=count_from(1),
        default=DEFAULT_RUNS,
        metavar="N",
        help=f"at most N (default: {DEFAULT_RUNS})",
    )
    add_stack_options(parser)

    parser = add_command(
        commands,
        "run",
        run_run,
        summary="Show one run: how it went, its numbers, its epochs, and what the gate decided.",
        example="nestbox run birds-20261124224000-1a2b",
    )
    parser.add_argument("name", metavar="RUN", help="id of the run, or a dataset for its latest run")
    add_stack_options(parser)


def run_datasets(options: argparse.Namespace) -> int:
    """List the datasets."""
    find_stack(options)
    rows = datasets() if options.dataset is None else [get_dataset(options.dataset)]
    strays = find_dataset(REJECTED_ROW) if options.dataset is None else None
    notices = list(strays.defects or []) if strays else []
    if options.json:
        print_json(
            {
                "datasets": [record(row) for row in rows],
                "rejected_uploads": [plain_map(notice) for notice in notices],
            }
        )
        return 0
    out = console()
    if not rows:
        out.print("no datasets yet\nnext: nestbox push FOLDER DATASET")
    else:
        out.print(
            table(
                ["dataset", "now", "serving", "classes", "last upload"],
                [
                    [
                        row.dataset,
                        f"deploying {row.wanted_run}"
                        if row.wanted_run
                        else f"running {row.active_run}"
                        if row.active_run
                        else "waiting"
                        if row.first_pending_at
                        else "idle",
                        (row.champion_run or UNKNOWN) + (" [yellow](pinned)[/]" if row.pinned else ""),
                        str(len(row.classes or [])),
                        ago(row.last_upload_at),
                    ]
                    for row in rows
                ],
                right=["classes"],
            )
        )
    for notice in notices:
        out.print(_noticed(notice, notice.file), soft_wrap=True)
    for row in rows:
        for notice in row.defects or []:
            out.print(_noticed(notice, row.dataset), soft_wrap=True)
    if options.dataset is not None and (logbook := _logbook(rows[0])):
        out.print()
        out.print(table(["at", "what", "by", "why"], logbook))
    return 0


def _logbook(row: DatasetRow) -> list[list[str]]:
    """What was done about whose model serves, the oldest first."""
    entries = [
        (
            reign.at,
            f"[green]serves[/] {reign.run}" + (f", back from {reign.back_from}" if reign.back_from else ""),
            reign.by,
            reign.why,
        )
        for reign in row.champions or []
    ]
    entries += [
        (pin.at, "[yellow]pinned[/]" if pin.pinned else "unpinned", pin.by, pin.why) for pin in row.pins or []
    ]
    return [[at, what, by, escape(why)] for at, what, by, why in sorted(entries)]


def _noticed(notice: Notice, where: str) -> str:
    """A defect that stands before any run, as rich markup."""
    told = f"{escape(where)}: {escape(notice.message)} [dim]{escape(notice.hint)}[/]"
    return f"[yellow]{notice.code}[/] {told}"


def run_runs(options: argparse.Namespace) -> int:
    """List runs."""
    find_stack(options)
    if options.dataset and find_dataset(options.dataset) is None:
        raise CliError(f"There is no dataset {options.dataset!r}.", "nestbox datasets lists them.")
    rows = runs(options.dataset)
    shown = rows[: options.limit]
    if options.json:
        print_json({"runs": [record(row) for row in shown]})
        return 0
    out = console()
    if not rows:
        out.print("no runs yet\nnext: nestbox push FOLDER DATASET")
        return 0
    serving = {row.champion_run for row in datasets()}
    out.print(
        table(
            ["run", "state", "images", "best mAP", "took", "started", "why"],
            [
                [
                    row.run,
                    coloured(row.state) + (" [green]●[/]" if row.run in serving else ""),
                    UNKNOWN if row.images is None else str(row.images),
                    number(row.best_map),
                    duration(seconds_of(row)),
                    ago(row.created_at),
                    escape(why(row)[:80]),
                ]
                for row in shown
            ],
            right=["images", "best mAP"],
        )
    )
    if len(rows) > len(shown):
        out.print(f"… and {len(rows) - len(shown)} older ones: --limit {len(rows)}")
    return 0


def run_run(options: argparse.Namespace) -> int:
    """Show one run."""
    find_stack(options)
    row = find_run_or_latest(options.name)
    epochs = epochs_of(row.run)
    if options.json:
        print_json({**record(row), "epochs": [record(epoch) for epoch in epochs]})
        return 0
    show_run(console(), row, epochs)
    return 0


def find_run_or_latest(name: str) -> RunRow:
    """The run of this id, or the latest run of the dataset of this name; raises CliError, NestboxError."""
    dataset = find_dataset(name) if not is_run_id(name) else None
    if dataset is None:
        return get_run(name)
    if not dataset.last_run:
        raise CliError(f"Dataset {name} has had no run yet.", f"nestbox watch {name} waits for one.")
    return get_run(dataset.last_run)


def show_run(out: Console, row: RunRow, epochs: list[EpochRow]) -> None:
    """Print everything about a run."""
    out.print(f"[bold]{row.run}[/] {coloured(row.state)}  {escape(why(row))}", soft_wrap=True)
    out.print(table(["at", "state", "after", "by", "why"], _history(row), right=["after"]))
    facts: list[tuple[str, str]] = []
    if row.images is not None:
        split = f"{row.train_images} to train on, {row.validation_images} held out"
        data = f"{plural(int(row.images), 'image')} ({split}), {plural(int(row.boxes or 0), 'box')}"
        facts.append(("data", data))
    if row.classes:
        facts.append(("classes", ", ".join(row.classes)))
    counted = {name: int(count) for name, count in plain_map(row.defects).items() if count}
    if counted:
        facts.append(("defects", ", ".join(plural(count, severity) for severity, count in counted.items())))
    facts.append(
        ("snapshot", f"{plural(int(row.snapshot_objects), 'object')}, version {row.snapshot_version[:12]}")
    )
    if row.previous_run:
        facts.append(("started from", row.previous_run))
    if row.hyperparameters:
        values = plain_map(row.hyperparameters)
        facts.append(("training", " ".join(f"{name}={values[name]}" for name in sorted(values))))
    if row.best_map is not None:
        facts.append(("best", f"mAP {number(row.best_map, 4)} in epoch {row.best_epoch}"))
    if row.decision is not None:
        facts += decision_facts(row.decision)
    if row.code_version:
        facts.append(("code", row.code_version))
    for name, value in facts:
        out.print(f"[dim]{name:>12}[/]  {escape(value)}", soft_wrap=True)
    if row.decision is not None and row.decision.classes:
        out.print("\n[bold]classes[/]  average precision on held-out images")
        out.print(classes_table(row.decision))
    if epochs:
        out.print(f"\n[bold]epochs[/]  [green]{sparkline(maps(epochs))}[/]")
        out.print(epochs_table(epochs))
    if row.state == State.BLOCKED:
        out.print("next: mend what the report names and push again")


def epochs_table(epochs: list[EpochRow]) -> Table:
    """The epochs with a bar for each mAP."""
    return table(
        ["epoch", "mAP", "", "cross entropy", "smooth L1", "input px", "images/s", "seconds"],
        [
            [
                str(int(row.epoch)),
                number(row.validation_map, 4),
                f"[green]{bar(row.validation_map)}[/]",
                number(row.train_cross_entropy),
                number(row.train_smooth_l1),
                number(row.input_size, 0),
                number(row.images_per_second, 0),
                number(row.seconds, 1),
            ]
            for row in epochs
        ],
        right=["epoch", "mAP", "cross entropy", "smooth L1", "input px", "images/s", "seconds"],
    )


def _history(row: RunRow) -> list[list[str]]:
    steps = list(row.history)
    spans = [
        None,
        *(
            (timestamps.from_text(b.at) - timestamps.from_text(a.at)).total_seconds()
            for a, b in pairwise(steps)
        ),
    ]
    return [
        [step.at, coloured(step.to_state), "" if span is None else duration(span), step.by, escape(step.why)]
        for step, span in zip(steps, spans, strict=True)
    ]
