"""`nestbox compare`: one run beside another."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from nestbox.tables import Decision, EpochRow, RunRow, epochs_of, plain_map
from rich.console import Console
from rich.markup import escape

from cli.errors import CliError
from cli.judged import classes_table, improvement, judged_map
from cli.options import Commands, Parser, add_command, add_stack_options
from cli.output import UNKNOWN, coloured, console, duration, number, print_json, sparkline, table
from cli.records import maps, record, seconds_of, why
from cli.runs import find_run_or_latest
from cli.stack import find_stack


def register(commands: Commands[Parser]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "compare",
        run_compare,
        summary="Show two runs side by side: data, training, scores, classes.",
        example="nestbox compare birds-20261124224000-1a2b birds-20261125080000-3c4d",
    )
    for name in ("first", "second"):
        parser.add_argument(name, metavar="RUN", help="id of the run, or a dataset for its latest run")
    add_stack_options(parser)


def run_compare(options: argparse.Namespace) -> int:
    """Compare two runs."""
    find_stack(options)
    first, second = find_run_or_latest(options.first), find_run_or_latest(options.second)
    if first.run == second.run:
        raise CliError(f"Both names mean run {first.run}.", "nestbox runs lists the others.")
    duel = _duel(first, second)
    if options.json:
        print_json(
            {
                "runs": [record(first), record(second)],
                "same_pictures": duel is not None,
                "difference": _gain(first, second, duel),
                "hyperparameters": _differing(first, second),
            }
        )
        return 0
    _show(console(), first, second, duel)
    return 0


def _show(out: Console, first: RunRow, second: RunRow, duel: tuple[RunRow, RunRow] | None) -> None:
    epochs = epochs_of(first.run), epochs_of(second.run)
    rows = [
        [title, *(cell(row, own) for row, own in zip((first, second), epochs, strict=True))]
        for title, cell in _CELLS
    ]
    differing = _differing(first, second)
    rows += [[name, *map(escape, values)] for name, values in differing.items()]
    out.print(table(["", first.run, second.run], rows))
    if duel is None:
        _show_apart(out, first, second)
        return
    candidate, champion = duel
    decision = candidate.decision
    out.print(
        f"\n{candidate.run} was judged against {champion.run} on the same "
        f"{int(decision.images)} images of the {decision.split} split: {improvement(decision)}",
        soft_wrap=True,
    )
    out.print(classes_table(decision, candidate.run, champion.run))


def _show_apart(out: Console, first: RunRow, second: RunRow) -> None:
    if first.decision is None or second.decision is None:
        out.print("\nat least one of them has not been judged")
        return
    out.print("\nthey were not judged against each other: the pictures may differ as well as the models")
    by_name: dict[str, list[str]] = {}
    for place, row in enumerate((first, second)):
        for one in row.decision.classes or []:
            cells = by_name.setdefault(one.name, [UNKNOWN] * 4)
            cells[2 * place : 2 * place + 2] = [str(int(one.boxes)), number(one.candidate_ap)]
    columns = ["class", "boxes", first.run, "boxes ", second.run]
    out.print(table(columns, [[escape(name), *cells] for name, cells in by_name.items()], right=columns[1:]))


def _duel(first: RunRow, second: RunRow) -> tuple[RunRow, RunRow] | None:
    """Candidate and champion, where one of the two was judged against the other on the same pictures."""
    for candidate, champion in ((second, first), (first, second)):
        decision: Decision | None = candidate.decision
        if (
            decision is not None
            and decision.champion_run == champion.run
            and decision.improvement is not None
        ):
            return candidate, champion
    return None


def _gain(first: RunRow, second: RunRow, duel: tuple[RunRow, RunRow] | None) -> float | None:
    """By how much the second run's mAP exceeds the first's: on the same pictures where that was measured."""
    if duel is not None:
        gain = float(duel[0].decision.improvement)
        return gain if duel[0] is second else -gain
    own, rival = judged_map(second), judged_map(first)
    return None if own is None or rival is None else round(own - rival, 6)


def _differing(first: RunRow, second: RunRow) -> dict[str, list[str]]:
    """Hyperparameters that are not the same."""
    one, other = plain_map(first.hyperparameters), plain_map(second.hyperparameters)
    return {
        name: [str(one.get(name, UNKNOWN)), str(other.get(name, UNKNOWN))]
        for name in sorted(one.keys() | other.keys())
        if one.get(name) != other.get(name)
    }


def _count(value: Any) -> str:
    return UNKNOWN if value is None else f"{int(value):,}"


def _judged_on(row: RunRow) -> str:
    decision = row.decision
    if decision is None or decision.images is None:
        return UNKNOWN
    return f"{int(decision.images):,} {decision.split}"


_Cell = Callable[[RunRow, list[EpochRow]], str]

_CELLS: tuple[tuple[str, _Cell], ...] = (
    ("state", lambda row, _: coloured(row.state)),
    ("why", lambda row, _: escape(why(row)[:70])),
    ("started", lambda row, _: row.created_at[:19]),
    ("took", lambda row, _: duration(seconds_of(row))),
    ("images", lambda row, _: _count(row.images)),
    ("to train on", lambda row, _: _count(row.train_images)),
    ("boxes", lambda row, _: _count(row.boxes)),
    ("classes", lambda row, _: _count(len(row.classes) if row.classes else None)),
    ("started from", lambda row, _: row.previous_run or UNKNOWN),
    ("epochs", lambda _, epochs: f"{len(epochs)} {sparkline(maps(epochs))}".strip()),
    ("best in training", lambda row, _: number(row.best_map, 4)),
    ("judged on", lambda row, _: _judged_on(row)),
    ("judged mAP", lambda row, _: number(judged_map(row), 4)),
)
