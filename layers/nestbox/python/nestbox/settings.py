"""What each function is told through its environment (set only by ``template.yaml``).

A settings class is a frozen dataclass; the field ``settle_queue_url`` is read from ``SETTLE_QUEUE_URL``.
Settings are read on the first event, never at import, so that modules can be imported anywhere. Table
names are not here: ``nestbox.tables`` reads them itself.
"""

import dataclasses
import os
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar, get_type_hints

from nestbox.errors import SettingsError


class DetectorKind(StrEnum):
    """Whose container trains and serves."""

    BUILT_IN = "built-in"
    NESTBOX = "nestbox"


class EndpointType(StrEnum):
    """How a model is kept ready to answer."""

    REAL_TIME = "real-time"
    SERVERLESS = "serverless"


S = TypeVar("S")


def read_settings(cls: type[S], environ: Mapping[str, str] | None = None) -> S:
    """An instance of the settings class from the environment; raises SettingsError naming the bad keys."""
    environ = os.environ if environ is None else environ
    types = get_type_hints(cls)
    values: dict[str, Any] = {}
    problems: list[str] = []
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        key = field.name.upper()
        raw = environ.get(key)
        if raw is None or raw == "":
            if field.default is dataclasses.MISSING:
                problems.append(f"{key} is not set")
            continue
        try:
            values[field.name] = _convert(types[field.name], raw)
        except ValueError as error:
            problems.append(f"{key}={raw!r}: {error}")
    if problems:
        raise SettingsError(f"{'; '.join(problems)}. The function's environment is set by template.yaml.")
    return cls(**values)


def _convert(kind: Any, raw: str) -> Any:
    if kind is bool:
        words = {"true": True, "1": True, "false": False, "0": False}
        if raw.lower() not in words:
            raise ValueError("expected true or false")
        return words[raw.lower()]
    if kind is int:
        number = int(raw)
        if number < 0:
            raise ValueError("expected a number that is not negative")
        return number
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind(raw)
    return raw


@dataclasses.dataclass(frozen=True)
class IntakeSettings:
    """Of the function that notes uploads."""

    settle_queue_url: str
    quiet_period_seconds: int = 60


@dataclasses.dataclass(frozen=True)
class StartRunSettings:
    """Of the function that decides when uploads become a run."""

    uploads_bucket: str
    artifacts_bucket: str
    settle_queue_url: str
    batch_job_queue: str
    prepare_job_definition: str
    quiet_period_seconds: int = 60
    max_wait_seconds: int = 900
    min_new_images: int = 1
    array_threshold: int = 50_000
    """Above so many images the preparation is dealt out to several jobs."""
    code_version: str = "unknown"


@dataclasses.dataclass(frozen=True)
class StartTrainingSettings:
    """Of the function that turns prepared data into a training job."""

    uploads_bucket: str
    artifacts_bucket: str
    settle_queue_url: str
    record_queue_url: str
    batch_job_queue: str
    prepare_job_definition: str
    detector_image: str
    detector_kind: DetectorKind
    base_network: str
    training_role_arn: str
    training_instance_type: str
    training_max_seconds: int
    default_epochs: int = 0
    """0: the base network's own default."""
    training_volume_gb: int = 50
    training_spot: bool = False
    follow_seconds: int = 15


@dataclasses.dataclass(frozen=True)
class RecordRunSettings:
    """Of the function that records epochs and makes the model."""

    settle_queue_url: str
    record_queue_url: str
    judge_queue_url: str
    training_role_arn: str
    follow_seconds: int = 15
    """How often a run in training is looked at between events, so that its epochs appear while it trains."""


@dataclasses.dataclass(frozen=True)
class JudgeSettings:
    """Of the function that has models judged and decides whether a candidate replaces the champion."""

    artifacts_bucket: str
    settle_queue_url: str
    endpoint_queue_url: str
    batch_job_queue: str
    evaluate_job_definition: str
    transform_instance_type: str


@dataclasses.dataclass(frozen=True)
class UpdateEndpointSettings:
    """Of the function that brings endpoints to the wanted models."""

    settle_queue_url: str
    endpoint_queue_url: str
    serving_role_arn: str
    endpoint_instance_type: str
    endpoint_instance_count: int = 1
    endpoint_type: EndpointType = EndpointType.REAL_TIME
    serverless_memory_mb: int = 3072
    serverless_concurrency: int = 5
    bake_seconds: int = 300
    """How long a new model's alarms are watched, with the champion put back where one goes off."""
    max_latency_ms: int = 5000
    keep_models: int = 5
    """How many of a dataset's newest models stay in SageMaker beside the champion's."""
    follow_seconds: int = 15
    alarm_topic_arn: str = ""


@dataclasses.dataclass(frozen=True)
class OperateSettings:
    """Of whatever lets operators act."""

    settle_queue_url: str
    endpoint_queue_url: str
    cancel_queue_url: str


@dataclasses.dataclass(frozen=True)
class CancelRunSettings:
    """Of the function that stops what goes on for a run and ends it."""

    settle_queue_url: str
    endpoint_queue_url: str
    prepare_job_queue: str
    evaluate_job_queue: str


@dataclasses.dataclass(frozen=True)
class ReconcileSettings:
    """Of the function that looks at everything unfinished."""

    settle_queue_url: str
    cancel_queue_url: str
    training_queue_url: str
    record_queue_url: str
    judge_queue_url: str
    endpoint_queue_url: str
    prepare_job_queue: str
    evaluate_job_queue: str
    prepare_max_seconds: int
    training_max_seconds: int
    grace_seconds: int
    """How much longer than its jobs may take a run may stand in one state."""
    run_topic_arn: str
    uploads_bucket: str
    audit_minutes: int
    """How often each dataset's folder is compared with what was last seen of it."""


@dataclasses.dataclass(frozen=True)
class AnnounceSettings:
    """Of the function that tells how runs ended."""

    run_topic_arn: str
