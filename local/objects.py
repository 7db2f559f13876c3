"""Moves data between S3 and directories, with the permissions of whoever's client is used."""

from __future__ import annotations

import logging
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError

from local.errors import TransferError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger("local.objects")


def split_uri(uri: str) -> tuple[str, str]:
    """`s3://bucket/key` → (bucket, key)."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def download_prefix(client: S3Client, uri: str, directory: Path) -> int:
    """Downloads what lies under an S3 prefix and returns the number of objects.

    Names below `directory` are relative to the prefix as SageMaker makes them: `s3://b/p/train` gives
    `p/train/x` the name `x`, and an object that is the prefix itself its own last name.
    """
    bucket, prefix = split_uri(uri)
    count = 0
    for key in list_keys(client, uri):
        target = directory / relative_name(key, prefix)
        if not target.resolve().is_relative_to(directory.resolve()):
            raise TransferError(f"the key {key} leaves the directory it belongs to")
        target.parent.mkdir(parents=True, exist_ok=True)
        download_object(client, bucket, key, target)
        count += 1
    return count


def list_keys(client: S3Client, uri: str) -> Iterator[str]:
    """The keys under an S3 prefix, without those that only mark a folder."""
    bucket, prefix = split_uri(uri)
    with _translated(f"list {uri}"):
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            yield from (found["Key"] for found in page.get("Contents", []) if not found["Key"].endswith("/"))


def relative_name(key: str, prefix: str) -> str:
    """The name an object gets below the directory its prefix is downloaded to."""
    folder = prefix if prefix.endswith("/") else f"{prefix}/"
    if prefix and key.startswith(folder):
        return key.removeprefix(folder)
    return key[prefix.rfind("/") + 1 :]


def download_object(client: S3Client, bucket: str, key: str, target: Path) -> None:
    """Streams one object to a file."""
    with _translated(f"download s3://{bucket}/{key}"), target.open("wb") as file:
        shutil.copyfileobj(client.get_object(Bucket=bucket, Key=key)["Body"], file, 1 << 20)


def read_object(client: S3Client, uri: str, limit: int) -> bytes:
    """The content of an object of at most `limit` bytes; a larger one raises TransferError."""
    bucket, key = split_uri(uri)
    with _translated(f"download {uri}"):
        content: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read(limit + 1)
    if len(content) > limit:
        raise TransferError(f"cannot read {uri}: it has more than {limit} bytes")
    return content


def upload_object(client: S3Client, source: Path, uri: str) -> None:
    """Uploads one file to `uri`."""
    bucket, key = split_uri(uri)
    with _translated(f"upload {uri}"):
        # Threads would take longer to start than most files to travel.
        client.upload_file(str(source), bucket, key, Config=TransferConfig(use_threads=False))


def require_object(client: S3Client, uri: str) -> None:
    """Raises TransferError unless the object can be read."""
    bucket, key = split_uri(uri)
    with _translated(f"read {uri}"):
        client.head_object(Bucket=bucket, Key=key)


def upload_archive(client: S3Client, source: Path, archive: Path, uri: str) -> None:
    """Packs the contents of a directory as `archive` (gzipped tar) and uploads it to `uri`."""
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for path in sorted(source.iterdir()):
            tar.add(path, arcname=path.name)
    upload_object(client, archive, uri)


def extract_archive(archive: Path, directory: Path) -> None:
    """Unpacks a (gzipped) tar; members that point outside are refused. Raises TransferError."""
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(directory, filter="data")
    except (tarfile.TarError, OSError) as error:
        raise TransferError(f"{archive.name} is no archive that can be unpacked: {error}") from error


class MirroredDirectory:
    """Keeps a copy of a directory in S3 up to date, as SageMaker does with checkpoints."""

    def __init__(self, client: S3Client, directory: Path, uri: str) -> None:
        self._client = client
        self._directory = directory
        self._bucket, key = split_uri(uri)
        self._prefix = key if not key or key.endswith("/") else f"{key}/"
        self._uploaded: dict[Path, tuple[int, int]] = {}

    def fetch(self) -> None:
        """Downloads what earlier jobs left, and takes it for uploaded."""
        download_prefix(self._client, f"s3://{self._bucket}/{self._prefix}", self._directory)
        self._uploaded = {path: _version(path) for path in self._files()}

    def sync(self) -> None:
        """Uploads files that are new or have changed since the last call."""
        for path in self._files():
            try:
                version = _version(path)
            except FileNotFoundError:  # a checkpoint rotated away between listing and looking
                continue
            if self._uploaded.get(path) != version:
                key = self._prefix + path.relative_to(self._directory).as_posix()
                with _translated(f"upload s3://{self._bucket}/{key}"):
                    self._client.upload_file(str(path), self._bucket, key)
                self._uploaded[path] = version

    def _files(self) -> list[Path]:
        return [path for path in sorted(self._directory.rglob("*")) if path.is_file()]


def _version(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        details = error.response["Error"]
        raise TransferError(f"cannot {what}: {details['Code']}: {details.get('Message', '')}") from error
    except (BotoCoreError, S3UploadFailedError) as error:
        raise TransferError(f"cannot {what}: {error}") from error
