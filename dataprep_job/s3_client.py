"""The S3 client of the job, and addresses in S3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from dataprep_job.errors import LocationError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
else:
    S3Client = Any

READ_THREADS = 24
"""Reads at once: a GET waits some 30 ms for its first byte, in which one CPU prepares ten photos."""


@dataclass(frozen=True, slots=True)
class S3Location:
    """A bucket and a key or key prefix in it."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, address: str) -> S3Location:
        """Read `s3://bucket/key`. Raises LocationError for anything else."""
        bucket, _, key = address.removeprefix("s3://").partition("/")
        if not address.startswith("s3://") or not bucket:
            raise LocationError(f"{address!r} is no S3 address: write it as s3://bucket/prefix/.")
        return cls(bucket, key)

    def child(self, name: str) -> S3Location:
        """The address of a name below this prefix."""
        prefix = self.key if self.key.endswith("/") or not self.key else self.key + "/"
        return S3Location(self.bucket, prefix + name)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def connect() -> S3Client:
    """A thread-safe S3 client with patient retries; everything else comes from the environment."""
    config = Config(
        max_pool_connections=READ_THREADS + 8,
        retries={"mode": "standard", "max_attempts": 8},
        connect_timeout=10,
        read_timeout=60,
    )
    return boto3.client("s3", config=config)


def is_absent(error: ClientError) -> bool:
    """Whether S3's answer means that the object or version does not exist."""
    return error.response.get("Error", {}).get("Code") in ("NoSuchKey", "NoSuchVersion", "404", "NotFound")


def is_hidden_or_absent(error: ClientError) -> bool:
    """Like `is_absent`, for callers who may not list the bucket: to them S3 answers 403 instead of 404."""
    return is_absent(error) or error.response.get("Error", {}).get("Code") in ("AccessDenied", "403")


def is_taken(error: ClientError) -> bool:
    """Whether a write with If-None-Match was refused because somebody else wrote first."""
    code = error.response.get("Error", {}).get("Code")
    return code in ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")


def reason(error: Exception) -> str:
    """What AWS said, without the SDK's wrapping."""
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        return f"{details.get('Code', 'error')}: {details.get('Message', '')}".rstrip(": ")
    return str(error)
