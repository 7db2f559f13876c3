"""What things are called, and what their names say.

Every job, model and configuration of a run is named after the run, so that doing something twice finds
the first one instead of making a second.
"""

import re
import secrets
from datetime import UTC, datetime
from typing import Literal, get_args

from nestbox.errors import BadNameError

MAX_DATASET_NAME = 32
DATASET_NAME_RULE = (
    f"lower-case letters, digits and single hyphens between them, at most {MAX_DATASET_NAME} characters"
)

_DATASET = re.compile(r"[a-z0-9](?:-?[a-z0-9])*")
_RUN = re.compile(r"(?P<dataset>[a-z0-9](?:-?[a-z0-9])*)-(?P<when>[0-9]{14})-[0-9a-f]{4}")
_ENDPOINT_PREFIX = "nestbox-"

PrepareJobKind = Literal["plan", "slices", "prepare"]
"""The Batch jobs that prepare a run's data, in the order in which they wait for each other.

A small run has only the last one; ``slices`` is an array job.
"""


def is_dataset_name(name: str) -> bool:
    """Whether a folder of this name under ``datasets/`` is a dataset."""
    return len(name) <= MAX_DATASET_NAME and _DATASET.fullmatch(name) is not None


def check_dataset_name(name: str) -> str:
    """The name itself; raises BadNameError where it is no dataset name."""
    if not is_dataset_name(name):
        raise BadNameError(f"{name!r} is no dataset name: use {DATASET_NAME_RULE}")
    return name


def new_run_id(dataset: str, now: datetime, suffix: str | None = None) -> str:
    """``{dataset}-{YYYYMMDDhhmmss}-{4 hex}`` (UTC), also valid as the name of a SageMaker job.

    Raises BadNameError where ``dataset`` is no dataset name.
    """
    check_dataset_name(dataset)
    return f"{dataset}-{now.astimezone(UTC):%Y%m%d%H%M%S}-{suffix or secrets.token_hex(2)}"


def is_run_id(text: str) -> bool:
    """Whether the text has the form of a run id (the run need not exist)."""
    match = _RUN.fullmatch(text)
    return match is not None and is_dataset_name(match["dataset"])


def dataset_of_run(run: str) -> str:
    """The dataset a run belongs to; raises BadNameError where ``run`` is no run id."""
    match = _RUN.fullmatch(run)
    if match is None or not is_dataset_name(match["dataset"]):
        raise BadNameError(f"{run!r} is no run id: expected DATASET-YYYYMMDDhhmmss-XXXX")
    return match["dataset"]


def prepare_job_name(run: str, kind: PrepareJobKind = "prepare") -> str:
    """A Batch job that prepares the data of a run; ``prepare`` is the one that ends with the result."""
    return f"{run}-{kind}"


def run_of_prepare_job(job_name: str) -> str | None:
    """The run whose data this Batch job prepares, or None where it is somebody else's job.

    The children of an array job have its name.
    """
    run, _, kind = job_name.rpartition("-")
    return run if kind in get_args(PrepareJobKind) and is_run_id(run) else None


def training_job_name(run: str) -> str:
    """The SageMaker training job of a run."""
    return run


def transform_job_names(run: str) -> tuple[str, str]:
    """The batch transform jobs that let the candidate and the champion predict for a run's judging."""
    return f"{run}-candidate", f"{run}-champion"


def evaluate_job_name(run: str) -> str:
    """The Batch job that scores those predictions."""
    return f"{run}-evaluate"


def model_name(run: str) -> str:
    """The SageMaker model of a run."""
    return run


def endpoint_config_name(run: str) -> str:
    """The SageMaker endpoint configuration that serves a run's model."""
    return run


def variant_name(run: str) -> str:
    """The production variant; InvokeEndpoint answers with it, which tells whose classes an answer speaks."""
    return run


def endpoint_name(dataset: str) -> str:
    """The one SageMaker endpoint of a dataset."""
    return _ENDPOINT_PREFIX + dataset


def dataset_of_endpoint(endpoint: str) -> str | None:
    """The dataset an endpoint serves, or None where the endpoint is somebody else's."""
    dataset = endpoint.removeprefix(_ENDPOINT_PREFIX)
    return dataset if dataset != endpoint and is_dataset_name(dataset) else None
