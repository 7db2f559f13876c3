"""What the API's functions are told through their environment (see ``nestbox.settings``)."""

import dataclasses

from nestbox.settings import OperateSettings


@dataclasses.dataclass(frozen=True)
class DetectSettings:
    """Of the function that answers pictures."""

    cors_origin: str


@dataclasses.dataclass(frozen=True)
class RunsApiSettings:
    """Of the function that tells about datasets and runs."""

    artifacts_bucket: str
    cors_origin: str


@dataclasses.dataclass(frozen=True)
class OperateApiSettings(OperateSettings):
    """Of the function that lets operators act over the API."""

    cors_origin: str
