"""The errors of the local AWS.

LocalError
├── AwsError            an answer in AWS's own words: code, message, HTTP status, modelled members
├── ImagesError         images.toml cannot be read, or an entry in it is wrong
├── ImagePullError      a job names an image that images.toml does not know
├── RoleError           a role does not exist, or does not trust the service
├── TransferError       S3 refused or lacks what a job needs
├── InputDataError      an object is not what the job says it is
└── ServerError         the server cannot start, or cannot be reached or stopped
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class LocalError(Exception):
    """Base of every error this package raises on purpose."""


class AwsError(LocalError):
    """A refusal in the service's protocol.

    `members` are extra members of the modelled error shape (for ModelError: OriginalStatusCode …).
    """

    def __init__(
        self, code: str, message: str, status: int | None = None, members: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.members = dict(members or {})


class ImagesError(LocalError):
    """images.toml cannot be read, or one of its entries is wrong."""


class ImagePullError(LocalError):
    """No entry of images.toml matches the image."""


class RoleError(LocalError):
    """The role does not exist, or its trust policy does not name the service."""


class TransferError(LocalError):
    """S3 refused, or lacks, what a job was told to read or write."""


class InputDataError(LocalError):
    """What lies in S3 is not what a transform job was told it is: its manifest, its records, their size."""


class ServerError(LocalError):
    """The server cannot start, be reached or be stopped."""
