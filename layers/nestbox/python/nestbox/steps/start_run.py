"""Settles a dataset: decides when its uploads become a run, freezes them, and has them prepared."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from nestbox import bucket_layout, names, timestamps
from nestbox.errors import AwsRefusedError, BadArtifactError, LostRaceError
from nestbox.events import dataset_message
from nestbox.gateways.artifacts import Artifacts
from nestbox.gateways.batch_jobs import BatchJobs
from nestbox.gateways.queues import Queues
from nestbox.gateways.uploads import Listing, Uploads
from nestbox.rows import datasets, runs
from nestbox.rules.arming import Arming
from nestbox.rules.settling import (
    Drop,
    SettlingLimits,
    Wait,
    asked_for_a_run,
    time_to_start,
    worth_a_run,
)
from nestbox.rules.slicing import count_slices
from nestbox.rules.snapshots import Counts, SnapshotEntry, changes, count, decode, encode
from nestbox.settings import StartRunSettings
from nestbox.states import State
from nestbox.steps.endings import end_run
from nestbox.steps.preparation import find_jobs, submit_jobs
from nestbox.tables import DatasetRow, Notice, RunRow, Wish, find_dataset, find_run, get_dataset

BY = "start_run"
_EARLY = timedelta(seconds=1)
_TRIES = 5


class StartRun:
    """The step."""

    def __init__(
        self,
        settings: StartRunSettings,
        uploads: Uploads,
        artifacts: Artifacts,
        jobs: BatchJobs,
        queues: Queues,
        clock: Callable[[], datetime] = timestamps.now,
    ) -> None:
        self._settings = settings
        self._uploads = uploads
        self._artifacts = artifacts
        self._jobs = jobs
        self._queues = queues
        self._clock = clock
        self._limits = SettlingLimits(
            settings.quiet_period_seconds, settings.max_wait_seconds, settings.min_new_images
        )

    def look(self, dataset: str) -> str:
        """Look whether a dataset's uploads are to become a run; returns what was done."""
        row = get_dataset(dataset)
        standing = datasets.standing_of(row)
        if standing.active_run is not None:
            return f"pending until {standing.active_run} ends"
        if row.start_asked is not None:
            return self._start_as_asked(row, row.start_asked)
        if standing.first_pending_at is None:
            return "nothing is pending"
        now = self._clock()
        if standing.settle_at is not None:
            if standing.settle_at > now + _EARLY:
                return "a later settle message is under way"
            # Before the listing: what is uploaded from now on arms its own settle message.
            datasets.disarm(row)
        limits = self._limits.with_quiet_period(row.quiet_period)
        listing = self._uploads.list(dataset)
        last_run = find_run(row.last_run) if row.last_run else None
        ripe = time_to_start(
            now=now,
            first_pending_at=standing.first_pending_at,
            last_change_at=listing.last_change_at,
            ready_at=listing.ready_at,
            last_run_at=timestamps.from_text(last_run.created_at) if last_run else None,
            limits=limits,
        )
        if isinstance(ripe, Wait):
            datasets.rearm(row, now + timedelta(seconds=ripe.seconds), listing.last_change_at)
            self._queues.send(self._settings.settle_queue_url, dataset_message(dataset), ripe.seconds)
            return f"not quiet yet, to be settled in {ripe.seconds} s"
        there = listing.counts()
        worth = worth_a_run(
            there=there,
            changed=self._changes(last_run, listing),
            asked=ripe.asked,
            last_state=runs.state_of(last_run) if last_run else None,
            limits=limits,
        )
        if isinstance(worth, Drop):
            notices = _notices(worth, dataset, now)
            datasets.drop_pending(row, notices, listing.last_change_at, listing.version())
            return f"no run: {worth.why}"
        return self._start(row, listing.entries, listing.last_change_at, BY, f"{ripe.why}; {worth.why}")

    def audit(self, dataset: str) -> str:
        """Look whether there are uploads that no event told of, and have them settled; returns what was done.

        While uploads wait, or a run has the dataset, they are left to the next audit.
        """
        row = find_dataset(dataset)
        standing = datasets.standing_of(row)
        if standing.first_pending_at is not None or standing.active_run is not None:
            return "to be settled anyway"
        listing = self._uploads.list(dataset)
        if row is not None and row.seen_version == listing.version():
            return "no upload was missed"
        now = self._clock()
        uploaded_at = listing.last_change_at or now
        datasets.mark_pending(dataset, row, Arming(delay_seconds=0), uploaded_at=uploaded_at, now=now)
        self._queues.send(self._settings.settle_queue_url, dataset_message(dataset))
        return "uploads that no event told of are to be settled"

    def _start_as_asked(self, row: DatasetRow, wish: Wish) -> str:
        """Start the run that an operator asked for: now, changed or not, of what is there or of what was."""
        last_change_at = None
        if wish.snapshot_run is None:
            if row.settle_at is not None:
                datasets.disarm(row)
            listing = self._uploads.list(row.dataset)
            entries, last_change_at = listing.entries, listing.last_change_at
        else:
            found = self._snapshot_of(wish.snapshot_run)
            if found is None:
                gone = Drop(
                    "snapshot-gone",
                    f"the snapshot of run {wish.snapshot_run} is not in the artifacts bucket any more",
                    "start a run on what is uploaded now",
                )
                return self._drop_wish(row, gone)
            entries = found
        worth = asked_for_a_run(count(entries))
        if isinstance(worth, Drop):
            return self._drop_wish(row, worth)
        what = f"on the snapshot of {wish.snapshot_run}" if wish.snapshot_run else "now"
        why = f"{wish.why} (asked to start {what}; {worth.why})"
        return self._start(row, entries, last_change_at, wish.by, why, wish.snapshot_run)

    def _drop_wish(self, row: DatasetRow, drop: Drop) -> str:
        datasets.drop_wish(row, _notices(drop, row.dataset, self._clock()))
        return f"no run: {drop.why}"

    def _snapshot_of(self, run: str) -> list[SnapshotEntry] | None:
        stream = self._artifacts.open(bucket_layout.snapshot_key(run))
        if stream is None:
            return None
        with stream:
            return list(decode(stream))

    def _changes(self, last_run: RunRow | None, listing: Listing) -> Counts | None:
        if last_run is None:
            return None
        stream = self._artifacts.open(bucket_layout.snapshot_key(last_run.run))
        if stream is None:
            raise BadArtifactError(
                f"the snapshot of run {last_run.run} is gone from the artifacts bucket: remove last_run from "
                f"dataset {last_run.dataset} in the table to have everything counted as new"
            )
        with stream:
            return changes(decode(stream), listing.entries)

    def _start(
        self,
        row: DatasetRow,
        entries: Sequence[SnapshotEntry],
        last_change_at: datetime | None,
        by: str,
        why: str,
        snapshot_run: str | None = None,
    ) -> str:
        now = self._clock()
        content, version = encode(entries)
        slices = count_slices(count(entries).expected_images, self._settings.array_threshold)
        run_id = names.new_run_id(row.dataset, now)
        self._artifacts.put_new(bucket_layout.snapshot_key(run_id), content)
        run = runs.new_run(
            run_id,
            now=now,
            by=by,
            why=why,
            snapshot_version=version,
            snapshot_objects=len(entries),
            slices=slices,
            prepared_after=row.last_prepared_run,
            code_version=self._settings.code_version,
            snapshot_run=snapshot_run,
        )
        self._give_dataset(run, now, last_change_at, row.revision)
        try:
            submit_jobs(
                run,
                self._jobs,
                find_jobs(run, self._jobs),
                self._settings.uploads_bucket,
                self._settings.artifacts_bucket,
            )
        except AwsRefusedError as error:
            return end_run(
                run,
                State.FAILED,
                by=BY,
                why="the preparation job was refused",
                now=self._clock(),
                queues=self._queues,
                settle_queue_url=self._settings.settle_queue_url,
                failure=str(error),
            )
        return f"run {run_id} started: {why}"

    def _give_dataset(
        self, run: RunRow, now: datetime, last_change_at: datetime | None, listed_at: float | None
    ) -> None:
        for _try in range(_TRIES):
            row = get_dataset(run.dataset)
            if row.active_run is not None:
                raise LostRaceError(f"run {row.active_run} of dataset {row.dataset} has started meanwhile")
            try:
                datasets.start_run(row, run, now, last_change_at, listed_at=listed_at)
                return
            except LostRaceError:
                # Intake arms settle messages all the while; only another run is a reason to give up.
                continue
        raise LostRaceError(f"dataset {run.dataset} was written by others {_TRIES} times in a row")


def _notices(drop: Drop, dataset: str, now: datetime) -> list[Notice]:
    if not drop.hint:
        return []
    return [
        Notice(
            code=drop.code,
            severity="warning",
            file=bucket_layout.dataset_prefix(dataset),
            message=drop.why,
            hint=drop.hint,
            at=timestamps.to_text(now),
        )
    ]
