"""A dataset as it was when its run started: exact object versions in S3, listed in `snapshot.jsonl.gz`."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from botocore.exceptions import BotoCoreError, ClientError

from dataprep_job.defects import Defect
from dataprep_job.errors import FileGoneError, SourceError
from dataprep_job.file_source import SourceFile, is_hidden, outside, why_unsafe
from dataprep_job.range_cache import RangeCache, RangeStream
from dataprep_job.s3_client import READ_THREADS, S3Location, is_absent, reason

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
else:
    S3Client = Any


_STREAM_BUFFER = 256 << 10


class SnapshotSource:
    """The objects of a snapshot below one prefix, read by their version ids."""

    read_threads = READ_THREADS

    def __init__(self, s3: S3Client, source: S3Location, snapshot: bytes) -> None:
        """`snapshot`: gzipped JSON lines of key, version_id, etag, size, in the order of the keys."""
        self._s3 = s3
        self._source = source
        self._snapshot = snapshot
        self._refused: list[Defect] = []
        self._ranges = RangeCache(self._get_range)

    def paths(self) -> Iterator[str]:
        """The path of every file, in the order of the snapshot."""
        return (file.path for file in self.files())

    def files(self) -> Iterator[SourceFile]:
        """Every file, in the order of the snapshot, which is that of the keys.

        Raises:
            SourceError: the snapshot is damaged or lists objects outside the source.
        """
        self._refused = []
        try:
            with gzip.open(io.BytesIO(self._snapshot), "rt", encoding="utf-8") as lines:
                for number, line in enumerate(lines, 1):
                    file = self._file(number, line)
                    if file is not None:
                        yield file
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise SourceError(f"The snapshot of {self._source} is damaged: {error}.") from error

    def _file(self, number: int, line: str) -> SourceFile | None:
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
            return None
        unsafe = why_unsafe(path)
        if unsafe is not None:
            self._refused.append(outside(path, unsafe))
            return None
        version = None if version in (None, "", "null") else str(version)
        return SourceFile(path, size, version, str(entry.get("etag") or version or ""))

    def refused(self) -> list[Defect]:
        """Keys that name no safe path below the prefix."""
        return self._refused

    def read(self, file: SourceFile) -> bytes:
        """The bytes of one object version."""
        return self._get(file, {})

    def read_range(self, file: SourceFile, start: int, size: int) -> bytes:
        """Bytes from any place of one object version, fetched ahead where they are read in order."""
        return self._ranges.read(file, start, size)

    def open(self, file: SourceFile) -> BinaryIO:
        """One object version as a stream."""
        stream = io.BufferedReader(RangeStream(self._ranges, file), _STREAM_BUFFER)
        # What is gone must show here, not to the one who reads.
        stream.peek(1)
        return cast(BinaryIO, stream)

    def _get_range(self, file: SourceFile, start: int, stop: int) -> bytes:
        return self._get(file, {"Range": f"bytes={start}-{stop - 1}"})

    def _get(self, file: SourceFile, wanted: dict[str, Any]) -> bytes:
        bucket, key = self._source.bucket, self._source.key + file.path
        if file.version is not None:
            wanted["VersionId"] = file.version
        try:
            return self._s3.get_object(Bucket=bucket, Key=key, **wanted)["Body"].read()
        except ClientError as error:
            if is_absent(error):
                raise FileGoneError(f"{file.path} was deleted after the snapshot was taken.") from error
            raise SourceError(f"{self._source}{file.path} cannot be read: {reason(error)}.") from error
        except BotoCoreError as error:
            raise SourceError(f"{self._source}{file.path} cannot be read: {reason(error)}.") from error
