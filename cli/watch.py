"""`nestbox watch`: a run as it happens."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol

from nestbox import timestamps
from nestbox.rules.epochs import Epoch, best_epoch
from nestbox.states import State, has_ended
from nestbox.tables import RunRow, Transition
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from cli.following import Expected, Look, looks
from cli.options import Commands, Parser, add_command, add_stack_options
from cli.output import bar, coloured, console, duration, number, plural, print_json_line, sparkline, table
from cli.records import record, why
from cli.stack import Stack, find_stack

ENDS: dict[State, int] = {
    State.SERVED: 0,
    State.BLOCKED: 3,
    State.REJECTED: 4,
    State.FAILED: 5,
    State.CANCELLED: 6,
}
"""Exit code for each end of a run."""

LIVE_EPOCHS = 12
_UP_TO_TRAINING = frozenset({State.PREPARING, State.TRAINING})
PATH = (State.PREPARING, State.TRAINING, State.EVALUATING, State.DEPLOYING, State.SERVED)


def register(commands: Commands[Parser]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "watch",
        run,
        summary="Follow a run until it ends: states and epochs as they happen.",
        details="""
            Of a dataset, follows the run that goes on or is about to start, else shows how the last one
            ended.
            With --json every news is one line: {"event": "waiting"|"state"|"epoch"|"ended", …}.

            exit codes: 0 SERVED, 3 BLOCKED, 4 REJECTED, 5 FAILED, 6 CANCELLED, 1 time is up or there is
            nothing to follow
        """,
        example="nestbox watch birds",
    )
    parser.add_argument("target", metavar="DATASET|RUN", help="a dataset, or the id of a run")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="give up after this long")
    add_stack_options(parser)


def run(options: argparse.Namespace) -> int:
    """Follow."""
    stack = find_stack(options)
    return follow(stack, options.target, expected=None, as_json=options.json, timeout=options.timeout)


def follow(
    stack: Stack,
    target: str,
    *,
    expected: Expected | None,
    as_json: bool,
    timeout: float | None,
    before: RunRow | None = None,
) -> int:
    """Follow a run to its end and return the exit code for that end; see `looks`.

    What is in the history of ``before``, the run as it was, is no news.
    """
    out = console()
    news = News(before)
    view: View = JsonLines(news) if as_json else LiveView(out) if out.is_terminal else PlainLines(out, news)
    last: Look | None = None
    with view:
        for last in looks(stack, target, expected, timeout):
            view.show(last)
    assert last is not None
    assert last.run is not None
    if not as_json:
        _show_end(out, last.run, len(before.history) if before else 0)
    return ENDS[State(last.run.state)]


class View(AbstractContextManager[Any], Protocol):
    """Shows looks, one after the other."""

    def show(self, look: Look) -> None:
        """Show what is new."""


class News:
    """Tells what is new in a look."""

    def __init__(self, before: RunRow | None = None) -> None:
        self._steps = len(before.history) if before else 0
        self._trained = before is not None and before.state != State.TRAINING
        self._epochs: set[int] = set()
        self._waiting = False

    def starts_waiting(self, look: Look) -> bool:
        """Whether this is the first look at a dataset that waits for its run."""
        first = look.run is None and not self._waiting
        self._waiting = self._waiting or first
        return first

    def of(self, look: Look) -> Iterator[Transition | Epoch]:
        """Moves and complete epochs since the last look, in the order in which they happened."""
        history = list(look.run.history) if look.run else []
        steps, self._steps = history[self._steps :], len(history)
        # Epochs belong to the training, so they come before the move that ends it.
        yield from (step for step in steps if step.to_state in _UP_TO_TRAINING)
        yield from self._new_epochs(look)
        yield from (step for step in steps if step.to_state not in _UP_TO_TRAINING)

    def _new_epochs(self, look: Look) -> Iterator[Epoch]:
        if self._trained:
            return
        for place, epoch in enumerate(look.epochs):
            # The throughput is the last that a log says of an epoch, where it says it at all.
            complete = epoch.validation_map is not None and epoch.images_per_second is not None
            followed = place + 1 < len(look.epochs) or (look.run and look.run.state != State.TRAINING)
            if (complete or followed) and epoch.epoch not in self._epochs:
                self._epochs.add(epoch.epoch)
                yield epoch


class _Quiet:
    def __enter__(self) -> Any:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class PlainLines(_Quiet):
    """A line for each news, for pipes and logs."""

    def __init__(self, out: Console, news: News | None = None) -> None:
        self._out = out
        self._news = news or News()
        self._last_step: datetime | None = None
        self._named = False

    def show(self, look: Look) -> None:
        """Print what is new."""
        if self._news.starts_waiting(look):
            self._out.print("waiting for the run to start")
        if look.run and not self._named:
            self._named = True
            self._out.print(f"run {look.run.run}")
        for news in self._news.of(look):
            if isinstance(news, Epoch):
                self._epoch(news)
            else:
                self._step(news)

    def _epoch(self, epoch: Epoch) -> None:
        speed = f"{epoch.images_per_second:.0f} images/s" if epoch.images_per_second else ""
        if epoch.input_size:
            speed += f" at {epoch.input_size} px"
        self._out.print(
            f"{epoch.at:%H:%M:%S}   epoch {epoch.epoch:>3}  mAP {number(epoch.validation_map, 4)} "
            f"{bar(epoch.validation_map, 16):<16} cross entropy {number(epoch.train_cross_entropy)}  "
            f"smooth L1 {number(epoch.train_smooth_l1)}  {speed}"
        )

    def _step(self, step: Transition) -> None:
        at = timestamps.from_text(step.at)
        spent = "" if self._last_step is None else f" (+{duration((at - self._last_step).total_seconds())})"
        self._last_step = at
        self._out.print(f"{at:%H:%M:%S} {coloured(step.to_state)}{spent}  {escape(step.why)}", soft_wrap=True)


class JsonLines(_Quiet):
    """A JSON line for each news, for programs."""

    def __init__(self, news: News | None = None) -> None:
        self._news = news or News()

    def show(self, look: Look) -> None:
        """Print what is new."""
        if self._news.starts_waiting(look):
            print_json_line({"event": "waiting"})
        if look.run is None:
            return
        for news in self._news.of(look):
            if isinstance(news, Epoch):
                print_json_line({"event": "epoch", "run": look.run.run, **_epoch_record(news)})
            else:
                print_json_line({"event": "state", "run": look.run.run, **news.to_simple_dict()})
        if look.ended:
            print_json_line({"event": "ended", **record(look.run)})


class LiveView:
    """A picture of the run that redraws itself on a terminal."""

    def __init__(self, out: Console) -> None:
        self._look: Look | None = None
        # Live draws once while it is made.
        self._live = Live(console=out, refresh_per_second=4, get_renderable=self._draw)

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def show(self, look: Look) -> None:
        """Take the look over into the picture."""
        self._look = look

    def _draw(self) -> RenderableType:
        look = self._look
        if look is None:
            return Text("looking …")
        if look.run is None:
            return Text("waiting for the run to start: nothing may arrive for the quiet period")
        parts: list[RenderableType] = [Text.from_markup(f"[bold]{look.run.run}[/]"), _path(look.run)]
        if look.epochs:
            parts += _live_epochs(look.epochs)
        return Group(*parts)


def _path(run: RunRow) -> Text:
    """The states passed with their seconds, the one now with its clock, and those ahead."""
    entered = [(State(step.to_state), timestamps.from_text(step.at)) for step in run.history]
    parts = []
    for place, (state, at) in enumerate(entered):
        if has_ended(state):
            parts.append(coloured(state.value))
            continue
        now = place == len(entered) - 1
        until = timestamps.now() if now else entered[place + 1][1]
        took = duration(max(0.0, (until - at).total_seconds()))
        parts.append(
            f"[bold]{coloured(state.value)}[/] {took}" if now else f"[green]✓[/] {state.value} [dim]{took}[/]"
        )
    last = entered[-1][0]
    if last in PATH:
        parts += [f"[dim]{state.value}[/]" for state in PATH[PATH.index(last) + 1 :]]
    return Text.from_markup(" > ".join(parts))


def _live_epochs(epochs: Sequence[Epoch]) -> list[RenderableType]:
    best = best_epoch(epochs)
    known = [epoch.validation_map for epoch in epochs if epoch.validation_map is not None]
    speed = next((epoch.images_per_second for epoch in reversed(epochs) if epoch.images_per_second), None)
    head = f"mAP [green]{sparkline(known)}[/]"
    if best is not None:
        head += f"  best [bold]{number(best.validation_map, 4)}[/] in epoch {best.epoch}"
    if speed:
        head += f"  [dim]{speed:.0f} images/s[/]"
    shown = epochs[-LIVE_EPOCHS:]
    rows = [
        [
            str(epoch.epoch) + (" ★" if best and epoch.epoch == best.epoch else "  "),
            number(epoch.validation_map, 4),
            f"[green]{bar(epoch.validation_map)}[/]",
            number(epoch.train_cross_entropy),
            number(epoch.train_smooth_l1),
        ]
        for epoch in shown
    ]
    return [
        Text.from_markup(head),
        table(
            ["epoch", "mAP", "", "cross entropy", "smooth L1"],
            rows,
            right=["epoch", "mAP", "cross entropy", "smooth L1"],
        ),
    ]


def _epoch_record(epoch: Epoch) -> dict[str, Any]:
    values = {
        "epoch": epoch.epoch,
        "validation_map": epoch.validation_map,
        "train_cross_entropy": epoch.train_cross_entropy,
        "train_smooth_l1": epoch.train_smooth_l1,
        "seconds": epoch.seconds,
        "images_per_second": epoch.images_per_second,
        "input_size": epoch.input_size,
        "at": timestamps.to_text(epoch.at),
    }
    return {name: value for name, value in values.items() if value is not None}


def _show_end(out: Console, run: RunRow, known_steps: int = 0) -> None:
    first_news = run.history[known_steps] if known_steps < len(run.history) - 1 else None
    began = first_news.at if first_news is not None else run.created_at
    took = (timestamps.from_text(run.updated_at) - timestamps.from_text(began)).total_seconds()
    state = State(run.state)
    out.print(f"{coloured(run.state)} after {duration(took)}: {escape(why(run))}", soft_wrap=True)
    if run.best_map is not None:
        out.print(
            f"best mAP {number(run.best_map, 4)} in epoch {run.best_epoch}, "
            f"{plural(len(run.classes or []), 'class')}"
        )
    hints = {
        State.SERVED: f"next: nestbox detect IMAGE --dataset {run.dataset}",
        State.BLOCKED: "next: mend what is named above (nestbox check FOLDER shows it all), then push again",
        State.REJECTED: "the model that served before still serves; push more or better labelled images",
        State.FAILED: f"next: nestbox run {run.run} shows the whole history",
        State.CANCELLED: f"next: nestbox run {run.run} shows who cancelled it and why",
    }
    out.print(hints[state], soft_wrap=True)
