"""What operators do by hand: each is one conditional write that says who and why, and a message to look.

Done twice, the second time says that it is done. What cannot be done raises ActionRefusedError. Nothing here
touches a job or an endpoint: the steps do, at their next look.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from nestbox import timestamps
from nestbox.errors import ActionRefusedError, LostRaceError
from nestbox.events import dataset_message, run_message
from nestbox.gateways.queues import Queues
from nestbox.names import dataset_of_run
from nestbox.rows import datasets, promotions, runs
from nestbox.rules.champions import champion_before
from nestbox.settings import OperateSettings
from nestbox.states import State, has_ended
from nestbox.tables import DatasetRow, Wish, get_dataset, get_run

_TRIES = 5


@dataclass(frozen=True)
class Operator:
    """Who acts, and why; both go into the history."""

    by: str
    why: str


@dataclass(frozen=True)
class Done:
    """What came of an action: of which run it is (None: none yet), whether anything changed, and in words."""

    dataset: str
    run: str | None
    changed: bool
    told: str


class Operate:
    """The actions."""

    def __init__(
        self, settings: OperateSettings, queues: Queues, clock: Callable[[], datetime] = timestamps.now
    ) -> None:
        self._settings = settings
        self._queues = queues
        self._clock = clock

    def promote(self, run: str, operator: Operator) -> Done:
        """Have a run's model served, whatever the gate said; a run on its way in is cancelled for it.

        Raises ActionRefusedError (no model), NoSuchRunError.
        """
        return self._tried(lambda: self._promote(run, operator))

    def rollback(self, dataset: str, operator: Operator, *, leave: str | None = None) -> Done:
        """Undo the last promotion: one that is on its way in is called off, else the champion before serves.

        ``leave`` is the run to get away from; where it neither serves nor is on its way in, nothing is done,
        so a rollback that is sent twice goes back once. Raises ActionRefusedError, NoSuchDatasetError.
        """
        return self._tried(lambda: self._rollback(dataset, operator, leave))

    def pin(self, dataset: str, pinned: bool, operator: Operator) -> Done:
        """Stop automatic promotion or let it go on. Raises NoSuchDatasetError."""
        return self._tried(lambda: self._pin(dataset, pinned, operator))

    def cancel(self, run: str, operator: Operator) -> Done:
        """End a run before its time, with its jobs. Raises ActionRefusedError (ended), NoSuchRunError."""
        return self._tried(lambda: self._cancel(run, operator))

    def start(self, dataset: str, operator: Operator, *, snapshot_run: str | None = None) -> Done:
        """Start a run now, on what is uploaded or on the snapshot of an earlier run.

        Raises ActionRefusedError (a run is under way), NoSuchDatasetError, NoSuchRunError.
        """
        return self._tried(lambda: self._start(dataset, operator, snapshot_run))

    def _promote(self, run: str, operator: Operator) -> Done:
        dataset = get_dataset(dataset_of_run(run))
        row = get_run(run)
        state = runs.state_of(row)
        if state is State.DEPLOYING:
            self._look_at_promoted(run)
            return Done(row.dataset, run, False, f"{run} is being deployed already")
        if state is State.SERVED and dataset.champion_run == run and dataset.wanted_run is None:
            return Done(row.dataset, run, False, f"{run} serves already")
        if not promotions.has_model(row):
            raise ActionRefusedError(
                "no_model",
                f"Run {run} is {state} and has no model to serve.",
                "Wait until it is trained." if not has_ended(state) else "Promote a run that was trained.",
            )
        promotions.want(row, dataset, by=operator.by, why=operator.why, now=self._clock())
        self._look_at_promoted(run)
        return Done(row.dataset, run, True, f"{run} is being deployed{_instead(dataset)}")

    def _rollback(self, name: str, operator: Operator, leave: str | None) -> Done:
        dataset = get_dataset(name)
        coming = dataset.wanted_run if dataset.wanted_run != dataset.champion_run else None
        if dataset.rollback_from is not None and dataset.wanted_run is not None:
            self._look_at_endpoint(dataset.wanted_run)
            return Done(
                name, dataset.wanted_run, False, f"{dataset.wanted_run} is being brought back already"
            )
        if leave is not None and leave not in (coming, dataset.champion_run):
            told = f"{leave} does not serve: {dataset.champion_run or 'no run'} does"
            return Done(name, dataset.champion_run, False, told)
        back_from = coming if coming is not None and leave in (None, coming) else dataset.champion_run
        target = (
            dataset.champion_run if back_from == coming else champion_before(promotions.served_runs(dataset))
        )
        if target is None or back_from is None:
            raise ActionRefusedError("nothing_to_roll_back_to", *_no_way_back(dataset, coming))
        if target == dataset.wanted_run:
            self._look_at_endpoint(target)
            return Done(name, target, False, f"{target} is being put back already")
        promotions.want(
            get_run(target),
            dataset,
            by=operator.by,
            why=operator.why,
            now=self._clock(),
            rollback_from=back_from,
        )
        self._look_at_endpoint(target)
        return Done(name, target, True, f"{target} is being brought back instead of {back_from}")

    def _pin(self, name: str, pinned: bool, operator: Operator) -> Done:
        dataset = get_dataset(name)
        champion = dataset.champion_run
        told = f"pinned to {champion}" if pinned and champion else "pinned" if pinned else "not pinned"
        if bool(dataset.pinned) == pinned:
            return Done(name, champion, False, f"{name} is {told} already")
        promotions.pin(dataset, pinned, by=operator.by, why=operator.why, now=self._clock())
        return Done(name, champion, True, f"{name} is {told}")

    def _cancel(self, run: str, operator: Operator) -> Done:
        dataset = get_dataset(dataset_of_run(run))
        row = get_run(run)
        state = runs.state_of(row)
        if state is State.CANCELLED:
            return Done(row.dataset, run, False, f"{run} is cancelled already")
        if has_ended(state):
            raise ActionRefusedError(
                "run_ended", f"Run {run} has ended {state}.", "Only a run that goes on can be cancelled."
            )
        if dataset.champion_run == run:
            raise ActionRefusedError(
                "is_champion",
                f"Run {run} is the champion that is being put back.",
                "Promote another run to have that one served instead.",
            )
        changed = row.cancel is None
        if changed:
            runs.ask_to_cancel(row, self._wish(operator))
        self._queues.send(self._settings.cancel_queue_url, run_message(run))
        return Done(row.dataset, run, changed, f"{run} is being cancelled")

    def _start(self, name: str, operator: Operator, snapshot_run: str | None) -> Done:
        dataset = get_dataset(name)
        if snapshot_run is not None and get_run(snapshot_run).dataset != name:
            raise ActionRefusedError(
                "another_dataset",
                f"Run {snapshot_run} is of dataset {dataset_of_run(snapshot_run)}.",
                f"Name a run of {name}.",
            )
        if dataset.active_run is not None:
            raise ActionRefusedError(
                "run_under_way",
                f"Run {dataset.active_run} of {name} has not ended.",
                f"Wait for it, or cancel it: POST /runs/{dataset.active_run}/cancel.",
            )
        asked = dataset.start_asked
        if asked is not None and asked.snapshot_run != snapshot_run:
            raise ActionRefusedError(
                "start_under_way",
                f"{asked.by} has just asked for another run of {name}.",
                "Wait until it has started.",
            )
        if asked is None:
            wish = self._wish(operator)
            wish.snapshot_run = snapshot_run
            datasets.ask_to_start(dataset, wish)
        self._queues.send(self._settings.settle_queue_url, dataset_message(name))
        what = f"on the snapshot of {snapshot_run}" if snapshot_run else "on what is uploaded"
        return Done(name, None, asked is None, f"a run {what} is being started")

    def _tried(self, action: Callable[[], Done]) -> Done:
        for _try in range(_TRIES):
            try:
                return action()
            except LostRaceError:
                # The steps write all the while; what was read is read again.
                continue
        raise ActionRefusedError(
            "busy", "Others were changing the same at every try.", "Try again in a few seconds."
        )

    def _wish(self, operator: Operator) -> Wish:
        return Wish(at=timestamps.to_text(self._clock()), by=operator.by, why=operator.why)

    def _look_at_promoted(self, run: str) -> None:
        self._look_at_endpoint(run)
        # The jobs that judge it may still be at work.
        self._queues.send(self._settings.cancel_queue_url, run_message(run))

    def _look_at_endpoint(self, run: str) -> None:
        self._queues.send(self._settings.endpoint_queue_url, run_message(run, follow=True))


def _instead(dataset: DatasetRow) -> str:
    leaving = dataset.wanted_run or dataset.champion_run
    return f" instead of {leaving}" if leaving else ""


def _no_way_back(dataset: DatasetRow, coming: str | None) -> tuple[str, str]:
    if dataset.champion_run is None:
        message = f"No model of {dataset.dataset} has served."
        if coming:
            return message, f"To stop the one on its way in, cancel it: POST /runs/{coming}/cancel."
        return message, "The first run that passes the gate serves by itself."
    return (
        f"No model of {dataset.dataset} served before {dataset.champion_run}.",
        "Promote any run that has a model: POST /runs/RUN/promote.",
    )
