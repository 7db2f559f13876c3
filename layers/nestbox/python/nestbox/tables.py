# mypy: disable-error-code="no-untyped-call"
# (PynamoDB's own constructors carry no annotations.)
"""The four DynamoDB tables, made to be read by people in the DynamoDB console.

The name of a table is read from the environment when it is used (``DATASETS_TABLE``, ``RUNS_TABLE``,
``EPOCHS_TABLE``, ``TOKENS_TABLE``); the region and ``AWS_ENDPOINT_URL`` are read as boto3 does.

Times are texts (see ``nestbox.timestamps``). What is not known is absent, never 0, "" or NaN.
"""

import os
from typing import Any

from pynamodb.attributes import (
    BooleanAttribute,
    ListAttribute,
    MapAttribute,
    NumberAttribute,
    TTLAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
)
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex, KeysOnlyProjection
from pynamodb.models import Model

from nestbox.errors import NoSuchDatasetError, NoSuchRunError, SettingsError
from nestbox.names import dataset_of_run

REJECTED_ROW = "_rejected"
"""The row of ``Datasets`` that holds the defects of uploads which belong to no dataset (no dataset name)."""


class _NamedByEnvironment(type):
    """Metaclass of the models' ``Meta``: reads the table's name from the environment on every use."""

    environment_key: str

    @property
    def table_name(cls) -> str:
        name = os.environ.get(cls.environment_key)
        if not name:
            raise SettingsError(
                f"{cls.environment_key} is not set: it names a DynamoDB table and comes from template.yaml "
                "(or, outside Lambda, from the stack's outputs)"
            )
        return name


class _Fields(MapAttribute[str, Any]):
    """A map with known fields (and a constructor with annotations, which PynamoDB's has not)."""

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)


def plain_map(attribute: MapAttribute[str, Any] | None) -> dict[str, Any]:
    """The content of a map attribute as a dict; empty where it is absent."""
    return dict(attribute.as_dict()) if attribute is not None else {}


class Notice(_Fields):
    """A defect of a dataset that stands before any run: what, where, how to mend, since when."""

    code = UnicodeAttribute()
    severity = UnicodeAttribute()
    file = UnicodeAttribute()
    message = UnicodeAttribute()
    hint = UnicodeAttribute()
    at = UnicodeAttribute()


class Reign(_Fields):
    """One time that a run's model came to serve: whose, since when, by whom and why."""

    run = UnicodeAttribute()
    at = UnicodeAttribute()
    by = UnicodeAttribute()
    why = UnicodeAttribute()
    back_from = UnicodeAttribute(null=True)
    """The run that a rollback took out of service for it."""


class Pinning(_Fields):
    """One time that automatic promotion was stopped or let go on."""

    pinned = BooleanAttribute()
    at = UnicodeAttribute()
    by = UnicodeAttribute()
    why = UnicodeAttribute()


class Wish(_Fields):
    """What an operator asked for and a step has yet to do."""

    at = UnicodeAttribute()
    by = UnicodeAttribute()
    why = UnicodeAttribute()
    snapshot_run = UnicodeAttribute(null=True)
    """Of a start: the run whose snapshot is to be worked on again; absent: what is uploaded now."""


class PendingIndex(GlobalSecondaryIndex["DatasetRow"]):
    """The datasets with uploads (or an operator's wish) that no run has taken yet (sparse)."""

    class Meta:
        index_name = "pending"
        projection = AllProjection()

    pending = UnicodeAttribute(hash_key=True)
    dataset = UnicodeAttribute(range_key=True)


class DatasetRow(Model):
    """One dataset (or the row ``_rejected``)."""

    class Meta(metaclass=_NamedByEnvironment):
        environment_key = "DATASETS_TABLE"

    dataset = UnicodeAttribute(hash_key=True)
    last_upload_at = UnicodeAttribute(null=True)
    """Of the upload that armed the settle message, or the newest object a settling saw."""
    first_pending_at = UnicodeAttribute(null=True)
    """Since when uploads wait for a run; absent: nothing waits."""
    pending = UnicodeAttribute(null=True)
    """"1" exactly while ``first_pending_at`` or ``start_asked`` is there: the key of the sparse index."""
    settle_at = UnicodeAttribute(null=True)
    """When the settle message that is under way is due; absent: none is."""
    start_asked = Wish(null=True)
    """An operator's wish for a run, until that run has started."""
    active_run = UnicodeAttribute(null=True)
    """The unfinished run that came from uploads or a wish; there is at most one."""
    champion_run = UnicodeAttribute(null=True)
    """The run whose model serves, as far as the endpoint has come to rest."""
    champions: ListAttribute[Reign] = ListAttribute(of=Reign, null=True)
    """Whose models served, the newest last: the way back for rollbacks."""
    wanted_run = UnicodeAttribute(null=True)
    """The run whose model the endpoint is being brought to: exactly the one run that is DEPLOYING."""
    rollback_from = UnicodeAttribute(null=True)
    """The run that is being taken out of service, where ``wanted_run`` is wanted by a rollback."""
    asked_run = UnicodeAttribute(null=True)
    """Whose configuration SageMaker was last asked for (written before it is asked)."""
    asked_at = UnicodeAttribute(null=True)
    asked_taken_at = UnicodeAttribute(null=True)
    """When SageMaker had accepted that; absent: it may or may not have heard of it."""
    last_run = UnicodeAttribute(null=True)
    last_prepared_run = UnicodeAttribute(null=True)
    """The last run whose data was READY: its classes and held-out images bind the next one."""
    quiet_period = NumberAttribute(null=True)
    """Seconds, as `nestbox.yaml` had it when the data was last prepared; absent: the stack's own."""
    dataset_version = UnicodeAttribute(null=True)
    """SHA-256 of the last run's snapshot."""
    seen_version = UnicodeAttribute(null=True)
    """SHA-256 of what was there when uploads last became a run, or none: what an audit compares with."""
    classes: ListAttribute[str] = ListAttribute(null=True)
    pinned = BooleanAttribute(null=True)
    """Whether no run is promoted but by an operator."""
    pins: ListAttribute[Pinning] = ListAttribute(of=Pinning, null=True)
    """Who pinned and unpinned it, the newest last."""
    defects: ListAttribute[Notice] = ListAttribute(of=Notice, null=True)
    revision = NumberAttribute(null=True)
    """How many times the row was written."""

    pending_index = PendingIndex()


class Transition(_Fields):
    """One move of a run."""

    from_state = UnicodeAttribute(attr_name="from", null=True)
    to_state = UnicodeAttribute(attr_name="to")
    at = UnicodeAttribute()
    by = UnicodeAttribute()
    why = UnicodeAttribute()


class Judging(_Fields):
    """What a run is held against while it is judged."""

    round = NumberAttribute()
    """From 1; one more each time the champion changed meanwhile."""
    champion_run = UnicodeAttribute(null=True)
    """Of the dataset, when its pictures were handed out; absent: the dataset had none."""
    champion_problem = UnicodeAttribute(null=True)
    """Why the champion cannot be judged."""
    asked_at = UnicodeAttribute(null=True)
    """When SageMaker had been asked for all transform jobs."""
    evaluate_job_id = UnicodeAttribute(null=True)


class ClassDecision(_Fields):
    """One class under both models (average precision from 0 to 1); what cannot be measured is absent."""

    name = UnicodeAttribute()
    boxes = NumberAttribute()
    candidate_ap = NumberAttribute(null=True)
    champion_ap = NumberAttribute(null=True)
    fall = NumberAttribute(null=True)
    """By how much the candidate is worse; negative: better."""


class Decision(_Fields):
    """What the gate decided, with every number it looked at (mAP from 0 to 1)."""

    promote = BooleanAttribute()
    reason = UnicodeAttribute()
    split = UnicodeAttribute(null=True)
    """Whose pictures judged: ``test``, or ``validation`` where the data names no test split."""
    images = NumberAttribute(null=True)
    images_left_out = NumberAttribute(null=True)
    """Held out, but an earlier run trained on them."""
    candidate_map = NumberAttribute(null=True)
    champion_map = NumberAttribute(null=True)
    champion_run = UnicodeAttribute(null=True)
    improvement = NumberAttribute(null=True)
    improvement_low = NumberAttribute(null=True)
    improvement_high = NumberAttribute(null=True)
    confidence = NumberAttribute(null=True)
    """Of the interval from low to high (paired bootstrap)."""
    share_better = NumberAttribute(null=True)
    """In what share of the resamples the candidate is better."""
    min_map = NumberAttribute()
    min_improvement = NumberAttribute()
    max_class_drop = NumberAttribute(null=True)
    enough_boxes = NumberAttribute(null=True)
    """From so many boxes on the fall of a class counts."""
    classes: ListAttribute[ClassDecision] = ListAttribute(of=ClassDecision, null=True)
    """In id order; of very many those that fell furthest (the evaluation report has all)."""
    note = UnicodeAttribute(null=True)


class Failure(_Fields):
    """Why a run ended before its time."""

    stage = UnicodeAttribute()
    reason = UnicodeAttribute()


class UnfinishedIndex(GlobalSecondaryIndex["RunRow"]):
    """The runs that have not ended (sparse): all that reconcile reads."""

    class Meta:
        index_name = "unfinished"
        projection = AllProjection()

    unfinished = UnicodeAttribute(hash_key=True)
    run = UnicodeAttribute(range_key=True)


class UnannouncedIndex(GlobalSecondaryIndex["RunRow"]):
    """The runs with an end that nobody has been told of yet (sparse)."""

    class Meta:
        index_name = "unannounced"
        projection = KeysOnlyProjection()

    unannounced = UnicodeAttribute(hash_key=True)
    run = UnicodeAttribute(range_key=True)


class RunRow(Model):
    """One run."""

    class Meta(metaclass=_NamedByEnvironment):
        environment_key = "RUNS_TABLE"

    dataset = UnicodeAttribute(hash_key=True)
    run = UnicodeAttribute(range_key=True)
    state = UnicodeAttribute()
    revision = NumberAttribute()
    unfinished = UnicodeAttribute(null=True)
    """"1" exactly while the run has not ended: the key of the sparse index."""
    history: ListAttribute[Transition] = ListAttribute(of=Transition)
    unannounced = UnicodeAttribute(null=True)
    """"1" from the write that ends the run until its end has been announced: the key of the sparse index."""
    announced = NumberAttribute(null=True)
    """How many transitions of the history were there when its ends were last announced."""
    created_at = UnicodeAttribute()
    updated_at = UnicodeAttribute()
    code_version = UnicodeAttribute(null=True)
    timings: MapAttribute[str, float] = MapAttribute(null=True)
    """Stage (see ``nestbox.states.STAGES``) to seconds."""

    snapshot_version = UnicodeAttribute()
    snapshot_objects = NumberAttribute()
    snapshot_run = UnicodeAttribute(null=True)
    """The run whose snapshot this one works on again; absent: it froze its own."""
    cancel = Wish(null=True)
    """An operator's wish to end the run before its time, until it has ended."""
    slices = NumberAttribute(null=True)
    """Into how many jobs the preparation is dealt out; absent: one job does everything."""
    plan_job_id = UnicodeAttribute(null=True)
    slices_job_id = UnicodeAttribute(null=True)
    prepare_job_id = UnicodeAttribute(null=True)
    """The Batch job that leaves the result."""
    prepared_after = UnicodeAttribute(null=True)
    """The run whose classes and held-out images this one carries on."""
    images = NumberAttribute(null=True)
    train_images = NumberAttribute(null=True)
    validation_images = NumberAttribute(null=True)
    test_images = NumberAttribute(null=True)
    boxes = NumberAttribute(null=True)
    defects: MapAttribute[str, int] = MapAttribute(null=True)
    """Severity to count."""
    classes: ListAttribute[str] = ListAttribute(null=True)
    """Names in id order."""

    training_job = UnicodeAttribute(null=True)
    hyperparameters: MapAttribute[str, str] = MapAttribute(null=True)
    previous_run = UnicodeAttribute(null=True)
    """The champion whose weights this run started from."""
    gate: MapAttribute[str, float] = MapAttribute(null=True)
    """The gate's limits as ``nestbox.yaml`` gives them."""
    best_epoch = NumberAttribute(null=True)
    best_map = NumberAttribute(null=True)
    model = UnicodeAttribute(null=True)
    model_data = UnicodeAttribute(null=True)
    """S3 URI of model.tar.gz."""
    operating_thresholds: MapAttribute[str, float] = MapAttribute(null=True)
    """Class to the score from which `/detect` shows it by default: best F1 on the held-out pictures."""
    judging = Judging(null=True)
    image = UnicodeAttribute(null=True)
    """The container image that trained the model and serves it."""
    pruned_at = UnicodeAttribute(null=True)
    """When the SageMaker model and endpoint configuration were deleted; deploying makes them anew."""
    decision = Decision(null=True)
    endpoint_config = UnicodeAttribute(null=True)
    failure = Failure(null=True)

    unfinished_index = UnfinishedIndex()
    unannounced_index = UnannouncedIndex()


class EpochRow(Model):
    """One epoch of a run's training, with what its log said."""

    class Meta(metaclass=_NamedByEnvironment):
        environment_key = "EPOCHS_TABLE"

    run = UnicodeAttribute(hash_key=True)
    epoch = NumberAttribute(range_key=True)
    """From 0."""
    validation_map = NumberAttribute(null=True)
    train_cross_entropy = NumberAttribute(null=True)
    train_smooth_l1 = NumberAttribute(null=True)
    seconds = NumberAttribute(null=True)
    images_per_second = NumberAttribute(null=True)
    input_size = NumberAttribute(null=True)
    """Pixels a side."""
    at = UnicodeAttribute()
    """When the last of its metrics was logged."""


class TokenRow(Model):
    """One token of the API; the token itself is nowhere."""

    class Meta(metaclass=_NamedByEnvironment):
        environment_key = "TOKENS_TABLE"

    token_hash = UnicodeAttribute(hash_key=True)
    """SHA-256 of the token, hexadecimal."""
    token_id = UnicodeAttribute()
    name = UnicodeAttribute()
    scopes = UnicodeSetAttribute()
    created_at = UnicodeAttribute()
    expires_at = TTLAttribute(null=True)
    revoked_at = UnicodeAttribute(null=True)


def find_dataset(dataset: str) -> DatasetRow | None:
    """The row as it is now (consistent read), or None."""
    try:
        return DatasetRow.get(dataset, consistent_read=True)
    except DatasetRow.DoesNotExist:
        return None


def get_dataset(dataset: str) -> DatasetRow:
    """The row as it is now (consistent read); raises NoSuchDatasetError."""
    row = find_dataset(dataset)
    if row is None:
        raise NoSuchDatasetError(f"there is no dataset {dataset!r}: upload into datasets/{dataset}/ first")
    return row


def find_run(run: str) -> RunRow | None:
    """The row as it is now (consistent read), or None; raises BadNameError where ``run`` is no run id."""
    try:
        return RunRow.get(dataset_of_run(run), run, consistent_read=True)
    except RunRow.DoesNotExist:
        return None


def get_run(run: str) -> RunRow:
    """The row as it is now (consistent read); raises NoSuchRunError, or BadNameError for no run id."""
    row = find_run(run)
    if row is None:
        raise NoSuchRunError(f"there is no run {run!r}")
    return row


def epochs_of(run: str) -> list[EpochRow]:
    """The recorded epochs of a run, in order."""
    return list(EpochRow.query(run))
