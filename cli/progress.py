"""Progress bars on standard error, only where somebody is watching."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from cli.output import console


@contextmanager
def counting(what: str, total: int, quiet: bool = False) -> Iterator[Callable[[], None]]:
    """A bar that counts things; yields what to call for each."""
    with _bar([MofNCompleteColumn(), TimeRemainingColumn()], quiet) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)


@contextmanager
def transferring(what: str, total_bytes: int, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """A bar that counts bytes; yields what to call with each number of them."""
    with _bar([DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()], quiet) as progress:
        task = progress.add_task(what, total=total_bytes)
        yield lambda count: progress.advance(task, count)


def _bar(columns: list[ProgressColumn], quiet: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *columns,
        console=console(stderr=True),
        transient=True,
        disable=quiet or not sys.stderr.isatty(),
    )
