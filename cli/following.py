"""Follows a run while it happens: the tables say how far it is, the training log says it sooner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic, sleep

from botocore.exceptions import ClientError
from nestbox import timestamps
from nestbox.gateways.job_logs import JobLogs
from nestbox.names import is_run_id
from nestbox.rows.epochs import from_row
from nestbox.rules.epochs import Epoch, LogLine, read_log
from nestbox.states import State, has_ended
from nestbox.tables import DatasetRow, RunRow, epochs_of, find_dataset, find_run, get_run

from cli.errors import CliError
from cli.stack import Stack

LOCAL_INTERVAL = 0.5
INTERVAL = 2.0
"""Seconds between looks; on AWS every look costs a few reads."""


@dataclass(frozen=True)
class Look:
    """What one look at a run or a waiting dataset saw."""

    dataset: DatasetRow | None
    run: RunRow | None
    """None while the dataset waits for its next run."""
    epochs: Sequence[Epoch] = field(default=())

    @property
    def ended(self) -> bool:
        """Whether the run will never move again."""
        return self.run is not None and has_ended(State(self.run.state))


class TrainingLog:
    """The epochs that a training job's log tells of so far; every line is read once."""

    def __init__(self, logs: JobLogs) -> None:
        self._logs = logs
        self._job: str | None = None
        self._lines: list[LogLine] = []
        self._since: datetime | None = None
        self._seen: set[LogLine] = set()
        self.refused = False
        """Whether the caller may not read logs; the tables then say everything, only later."""

    def epochs(self, job: str) -> list[Epoch]:
        """Read on, and return all epochs known."""
        if self.refused:
            return []
        if job != self._job:
            self._job, self._lines, self._since, self._seen = job, [], None, set()
        try:
            read = self._logs.training_lines(job, self._since)
        except ClientError as error:
            if "AccessDenied" not in error.response["Error"]["Code"]:
                raise
            self.refused = True
            return []
        for line in read:
            if line not in self._seen:
                # Lines within an epoch are many and say nothing about it as a whole.
                if line.text.find("_metric:") >= 0 and ", batch=" not in line.text:
                    self._lines.append(line)
                self._seen.add(line)
        if read:
            self._since = read[-1].at
            self._seen = {line for line in self._seen if line.at >= read[-1].at}
        return list(read_log(self._lines).epochs)


def interval(stack: Stack) -> float:
    """How long to wait between looks."""
    return (
        LOCAL_INTERVAL
        if stack.session.client("sts").meta.endpoint_url.startswith("http://127.")
        else INTERVAL
    )


@dataclass(frozen=True)
class Expected:
    """A run that something just uploaded will start, and that is no run known before."""

    known_run: str | None
    """The dataset's latest run before the upload."""
    since: datetime
    """When the upload began."""


def looks(stack: Stack, target: str, expected: Expected | None, timeout: float | None) -> Iterator[Look]:
    """Look again and again until the run has ended; the last look says so.

    `target` is a run, or a dataset: its active run, else the run that its waiting uploads will start, else
    its last one. A run that is `expected` is waited for, and no other counts. Raises CliError where there is
    nothing to follow, the uploads start no run, or the time is up.
    """
    log = TrainingLog(JobLogs(stack.session.client("logs")))
    pause = interval(stack)
    deadline = None if timeout is None else monotonic() + timeout
    run_id = target if is_run_id(target) and find_dataset(target) is None else None
    while True:
        look = _look_at_run(run_id, log) if run_id else _look_at_dataset(target, expected)
        if run_id is None and look.run is not None:
            run_id = look.run.run
            continue
        yield look
        if look.ended:
            return
        if deadline is not None and monotonic() > deadline:
            waited = f"run {run_id} is {look.run.state}" if look.run else f"no run of {target} has started"
            raise CliError(
                f"Time is up after {timeout:g} s: {waited}.", f"Go on with: nestbox watch {run_id or target}"
            )
        sleep(pause)


def _look_at_dataset(name: str, expected: Expected | None) -> Look:
    row = find_dataset(name)
    if expected is not None:
        return _look_for_expected(row, expected)
    if row is None:
        raise CliError(
            f"There is no dataset or run {name!r}.", "nestbox datasets lists them; nestbox push makes one."
        )
    if row.active_run:
        return Look(row, find_run(row.active_run))
    if row.first_pending_at:
        return Look(row, None)
    if row.last_run:
        return Look(row, find_run(row.last_run))
    raise CliError(f"Dataset {name} has had no run and nothing waits for one.", f"nestbox push FOLDER {name}")


def _look_for_expected(row: DatasetRow | None, expected: Expected) -> Look:
    if row is None:
        return Look(None, None)
    for run in (row.active_run, row.last_run):
        if run and run != expected.known_run:
            return Look(row, find_run(run))
    if not row.active_run and not row.first_pending_at:
        for notice in row.defects or []:
            if timestamps.from_text(notice.at) >= expected.since:
                raise CliError(f"No run starts: {notice.message}", notice.hint)
    return Look(row, None)


def _look_at_run(run_id: str, log: TrainingLog) -> Look:
    row = get_run(run_id)
    epochs = {int(epoch.epoch): from_row(epoch) for epoch in epochs_of(run_id)}
    if row.state == State.TRAINING and row.training_job:
        # The log knows sooner; where both know an epoch, the later word has more of its metrics.
        for epoch in log.epochs(row.training_job):
            known = epochs.get(epoch.epoch)
            if known is None or known.at <= epoch.at:
                epochs[epoch.epoch] = epoch
    return Look(None, row, [epochs[number] for number in sorted(epochs)])
