"""A picture and a dataset in, boxes out.

The common case reads no table: the endpoint's name follows from the dataset, its answer names the run, and
a run's classes never change. Only when SageMaker knows no endpoint do the tables say what to tell the caller.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nestbox.api.boxes import Detection, ModelClasses, Wanted, check_classes, detections
from nestbox.api.errors import (
    BadParameterError,
    ModelAnswerError,
    NoChampionError,
    NoEndpointError,
    NotFoundError,
)
from nestbox.api.model_endpoint import ModelAnswer
from nestbox.api.picture import Picture
from nestbox.names import is_dataset_name, is_run_id
from nestbox.states import State
from nestbox.tables import REJECTED_ROW, DatasetRow, RunRow, find_dataset, find_run, plain_map

Model = Callable[[str, bytes, str], ModelAnswer]
"""Asks the endpoint of a dataset (name, content, media type): ``model_endpoint.invoke`` with a client."""


@dataclass(frozen=True)
class Detected:
    """What was found, and which run's model found it."""

    dataset: str
    run: str
    found: Sequence[Detection]
    model_milliseconds: float


class Detector:
    """Answers pictures; keeps what no longer changes once a run serves (its classes) from call to call."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._classes: dict[str, ModelClasses] = {}

    def detect(self, dataset: str | None, picture: Picture, wanted: Wanted) -> Detected:
        """The wanted boxes in the picture, by the model that serves the dataset (None: the only one) now.

        Raises NotFoundError, NoChampionError, BadParameterError (a class the model does not know) and the
        errors of the model (``nestbox.api.errors``).
        """
        if dataset is None:
            dataset = _only_dataset()
        if not is_dataset_name(dataset):
            raise _unknown(dataset)
        try:
            answer = self._model(dataset, picture.content, picture.media_type)
        except NoEndpointError:
            _explain_silence(dataset)
            raise
        classes = self._classes_of(answer.variant)
        check_classes(wanted, classes.names)
        found = detections(answer.prediction, classes, picture.width, picture.height, wanted)
        return Detected(dataset, answer.variant, found, answer.milliseconds)

    def _classes_of(self, run: str) -> ModelClasses:
        if run not in self._classes:
            row = find_run(run) if is_run_id(run) else None
            if row is None or not row.classes:
                raise ModelAnswerError(
                    f"The endpoint answered as {run!r}, which is no run with classes.",
                    "Somebody changed the endpoint outside Nestbox; the operator should look at it.",
                )
            self._classes[run] = ModelClasses(tuple(row.classes), plain_map(row.operating_thresholds))
        return self._classes[run]


def _only_dataset() -> str:
    rows = [row for row in DatasetRow.scan() if row.dataset != REJECTED_ROW]
    serving = sorted(row.dataset for row in rows if row.champion_run)
    if len(serving) == 1:
        return serving[0]
    if serving:
        raise BadParameterError(
            f"Several datasets serve a model: {', '.join(serving)}.", "Say which: POST /detect/DATASET."
        )
    if len(rows) == 1:
        raise _no_champion(rows[0])
    raise NoChampionError(
        "No dataset serves a model yet.",
        "GET /datasets shows how far they are; uploads start runs by themselves.",
    )


def _explain_silence(dataset: str) -> None:
    """Raises what the tables know about a dataset without an endpoint; returns where it should have one."""
    row = find_dataset(dataset)
    if row is None:
        raise _unknown(dataset)
    if not row.champion_run:
        raise _no_champion(row)


def _unknown(dataset: str) -> NotFoundError:
    return NotFoundError(
        f"There is no dataset {dataset!r}.",
        "GET /datasets lists them; uploading into datasets/NAME/ makes one.",
    )


def _no_champion(dataset: DatasetRow) -> NoChampionError:
    message = f"Dataset {dataset.dataset} serves no model yet."
    if dataset.active_run:
        run = find_run(dataset.active_run)
        state = run.state if run else State.PREPARING
        return NoChampionError(
            f"{message} Its run {dataset.active_run} is {state}.",
            f"Wait: a run that ends well serves by itself. GET /runs/{dataset.active_run} shows its way.",
        )
    if dataset.first_pending_at:
        return NoChampionError(
            f"{message} Its uploads have not settled.",
            "Wait: a run starts by itself once nothing has arrived for the quiet period.",
        )
    run = find_run(dataset.last_run) if dataset.last_run else None
    if run is None:
        return NoChampionError(
            message, f"Upload images with their annotations into datasets/{dataset.dataset}/."
        )
    return NoChampionError(f"{message} Its last run {run.run} ended {run.state}{_reason(run)}.", _mend(run))


def _reason(run: RunRow) -> str:
    if run.failure is not None:
        return f" ({run.failure.stage}: {run.failure.reason})"
    if run.decision is not None:
        return f" ({run.decision.reason})"
    return f" ({run.history[-1].why})" if run.history else ""


def _mend(run: RunRow) -> str:
    if run.state == State.BLOCKED:
        return f"GET /runs/{run.run}/report lists the defects; mend them and upload again."
    if run.state == State.REJECTED:
        return "Upload more or better labelled images; the next run starts by itself."
    return f"GET /runs/{run.run} shows what happened; uploading anything to the dataset starts the next run."
