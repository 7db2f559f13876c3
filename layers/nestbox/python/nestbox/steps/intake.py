"""Notes that something was uploaded: one write per dataset and arming, not per object."""

from collections.abc import Callable
from datetime import datetime

from nestbox import timestamps
from nestbox.bucket_layout import folder_of_upload, is_ready_marker
from nestbox.errors import LostRaceError
from nestbox.events import Upload, dataset_message
from nestbox.gateways.queues import Queues
from nestbox.rows import datasets
from nestbox.rules.arming import arm
from nestbox.rules.strays import Stray, find_stray
from nestbox.settings import IntakeSettings
from nestbox.tables import Notice, find_dataset

_TRIES = 5


class Intake:
    """The step."""

    def __init__(
        self, settings: IntakeSettings, queues: Queues, clock: Callable[[], datetime] = timestamps.now
    ) -> None:
        self._settings = settings
        self._queues = queues
        self._clock = clock

    def batch(self) -> "IntakeBatch":
        """A batch of uploads that are looked at together."""
        return IntakeBatch(self)

    def pend(self, dataset: str, *, uploaded_at: datetime, ready: bool) -> str:
        """Note that a dataset has uploads; returns what was done."""
        for _try in range(_TRIES):
            row = find_dataset(dataset)
            now = self._clock()
            own = row.quiet_period if row is not None else None
            quiet_seconds = self._settings.quiet_period_seconds if own is None else own
            arming = arm(datasets.standing_of(row), now, quiet_seconds, ready=ready)
            if arming is None:
                return "already pending"
            try:
                datasets.mark_pending(dataset, row, arming, uploaded_at=uploaded_at, now=now)
            except LostRaceError:
                continue
            if arming.delay_seconds is None:
                return "pending until the run ends"
            self._queues.send(self._settings.settle_queue_url, dataset_message(dataset), arming.delay_seconds)
            return f"to be settled in {arming.delay_seconds} s"
        raise LostRaceError(f"dataset {dataset} was written by others {_TRIES} times in a row")

    def reject(self, strays: list[Stray]) -> list[Stray]:
        """Write down uploads that belong to no dataset; returns those not written down before."""
        now = self._clock()
        notices = [
            Notice(
                code=stray.code,
                severity="error",
                file=stray.folder,
                message=stray.message,
                hint=stray.hint,
                at=timestamps.to_text(now),
            )
            for stray in strays
        ]
        for _try in range(_TRIES):
            try:
                new = {notice.file for notice in datasets.reject_uploads(notices, now)}
                return [stray for stray in strays if stray.folder in new]
            except LostRaceError:
                continue
        raise LostRaceError(f"the rejected uploads were written by others {_TRIES} times in a row")


class IntakeBatch:
    """Uploads that arrived together. Its objects were there before it began, so one look at a dataset
    covers all of them."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._seen: dict[tuple[str, bool], str] = {}
        self.strays: dict[str, Stray] = {}
        self.stray_objects = 0

    def note(self, upload: Upload) -> str:
        """Take note of one upload or deletion; returns what was done."""
        # Consoles make folders as empty objects whose keys end with a slash.
        if upload.key.endswith("/"):
            return "a folder, no object"
        stray = find_stray(upload.key)
        if stray is not None:
            if upload.deleted:
                return "a deletion outside the datasets"
            self.strays[stray.folder] = stray
            self.stray_objects += 1
            return stray.code
        dataset = folder_of_upload(upload.key) or ""
        ready = is_ready_marker(upload.key)
        if ready and upload.deleted:
            return "_READY was taken away"
        if (dataset, ready) not in self._seen:
            self._seen[dataset, ready] = self._intake.pend(dataset, uploaded_at=upload.at, ready=ready)
        return self._seen[dataset, ready]

    def finish(self) -> list[Stray]:
        """Write down what belongs to no dataset; returns what was not known before."""
        return self._intake.reject(list(self.strays.values())) if self.strays else []
