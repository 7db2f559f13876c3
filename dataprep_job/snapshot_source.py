"""A dataset as it was when its run started: exact object versions in S3, listed in `snapshot.jsonl.gz`."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from dataprep_job.errors import FileGoneError, SourceError
from dataprep_job.file_source import SourceFile, is_hidden, why_unsafe
from dataprep_job.s3_client import READ_THREADS, S3Location, is_absent, reason

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
else:
    S3Client = Any


class SnapshotSource:
    """The objects of a snapshot below one prefix, read by their version ids."""

    read_threads = READ_THREADS

    def __init__(self, s3: S3Client, source: S3Location, snapshot: bytes) -> None:
        """Read the snapshot (gzipped JSON lines of key, version_id, etag, size).

        Raises:
            SourceError: the snapshot is damaged or lists objects outside `source`.
        """
        self._s3 = s3
        self._source = source
        self._files: list[SourceFile] = []
        self._refused: list[tuple[str, str]] = []
        try:
            lines = gzip.decompress(snapshot).decode().splitlines()
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise SourceError(f"The snapshot of {source} is damaged: {error}.") from error
        for number, line in enumerate(lines, 1):
            self._add(number, line)
        self._files.sort(key=lambda file: file.path)

    def _add(self, number: int, line: str) -> None:
        try:
            entry = json.loads(line)
            key, size, version = entry["key"], int(entry["size"]), entry.get("version_id")
        except (ValueError, TypeError, KeyError) as error:
            raise SourceError(
                f"Line {number} of the snapshot of {self._source} is damaged: {error!r}."
            ) from error
        if not isinstance(key, str) or not key.startswith(self._source.key):
            raise SourceError(f"Line {number} of the snapshot lists {key!r}, which is not in {self._source}.")
        path = key[len(self._source.key) :]
        if not path or path.endswith("/") or is_hidden(path):
            return
        unsafe = why_unsafe(path)
        if unsafe is not None:
            self._refused.append((path, unsafe))
            return
        self._files.append(SourceFile(path, size, None if version in (None, "", "null") else str(version)))

    def files(self) -> list[SourceFile]:
        """Every file, sorted by path."""
        return self._files

    def refused(self) -> list[tuple[str, str]]:
        """Keys that name no safe path below the prefix."""
        return self._refused

    def read(self, file: SourceFile) -> bytes:
        """The bytes of one object version."""
        bucket, key = self._source.bucket, self._source.key + file.path
        try:
            if file.version is None:
                return self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            return self._s3.get_object(Bucket=bucket, Key=key, VersionId=file.version)["Body"].read()
        except ClientError as error:
            if is_absent(error):
                raise FileGoneError(f"{file.path} was deleted after the snapshot was taken.") from error
            raise SourceError(f"{self._source}{file.path} cannot be read: {reason(error)}.") from error
        except BotoCoreError as error:
            raise SourceError(f"{self._source}{file.path} cannot be read: {reason(error)}.") from error
