"""Runs newest first, over one dataset or all, page by page.

A run id ends in its time and four hex digits, so within a dataset the range key is in order of time. Across
datasets the newest runs of each are merged; a cursor is the place of the last run that was told. Reading a
page costs one query per dataset, which a stack has tens of.
"""

import base64
import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nestbox.api.errors import BadParameterError
from nestbox.names import dataset_of_run, is_run_id
from nestbox.tables import REJECTED_ROW, DatasetRow, RunRow

MAX_PAGE = 100


@dataclass(frozen=True)
class RunPage:
    """Some runs, and where to go on (None: nowhere)."""

    runs: list[RunRow]
    cursor: str | None


def runs_page(dataset: str | None, cursor: str | None, limit: int) -> RunPage:
    """The newest runs (of one dataset, or of all where it is None) behind the cursor.

    Raises BadParameterError for a cursor that no page gave.
    """
    place = None if cursor is None else _read(cursor)
    datasets = [dataset] if dataset is not None else _datasets()
    # One more than asked for says whether there is a next page.
    merged = heapq.merge(*(_newest(name, place, limit + 1) for name in datasets), key=_place, reverse=True)
    runs = [run for run, _ in zip(merged, range(limit + 1), strict=False)]
    more = len(runs) > limit
    runs = runs[:limit]
    return RunPage(runs, _write(runs[-1].run) if more else None)


def _place(row: RunRow) -> tuple[str, str]:
    """Order of all runs: by time, then hex digits, then dataset."""
    return _place_of(row.dataset, row.run)


def _place_of(dataset: str, run: str) -> tuple[str, str]:
    return run.removeprefix(f"{dataset}-"), dataset


def _newest(dataset: str, place: tuple[str, str] | None, limit: int) -> Iterator[RunRow]:
    condition = None
    if place is not None:
        when, told = place
        edge = f"{dataset}-{when}"
        condition = RunRow.run <= edge if dataset < told else RunRow.run < edge
    yield from RunRow.query(dataset, condition, scan_index_forward=False, limit=limit)


def _datasets() -> Iterable[str]:
    return [
        row.dataset for row in DatasetRow.scan(attributes_to_get=["dataset"]) if row.dataset != REJECTED_ROW
    ]


def _write(run: str) -> str:
    return base64.urlsafe_b64encode(run.encode()).decode().rstrip("=")


def _read(cursor: str) -> tuple[str, str]:
    try:
        run = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError:
        run = ""
    if not is_run_id(run):
        raise BadParameterError(
            "cursor: no page of this list gave it.", "Leave it out to start with the newest runs."
        )
    dataset = dataset_of_run(run)
    return _place_of(dataset, run)
