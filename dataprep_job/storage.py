"""Where a preparation is written to, and read back from by the next one: a prefix in S3 or a folder on disk.

Streams appear whole or not at all: in S3 by completing a multipart upload, on disk by renaming a file.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from dataprep_job.errors import LocationError, OutputError
from dataprep_job.s3_client import S3Location, connect, is_hidden_or_absent, is_taken, reason

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
else:
    S3Client = Any

PART_BYTES = 16 << 20
_UPLOADS = 3


class Stream(Protocol):
    """A file that is being written from its start to its end."""

    def write(self, data: bytes) -> None:
        """Append bytes."""
        ...

    def commit(self) -> None:
        """Make the file appear."""
        ...

    def abort(self) -> None:
        """Leave no trace. Harmless after commit."""
        ...


class Storage(Protocol):
    """A place with named files. Names use '/'. Errors are OutputError."""

    def read(self, name: str) -> bytes | None:
        """The bytes of a file, None where there is none (or S3 will not say so)."""
        ...

    def put(self, name: str, data: bytes, content_type: str) -> None:
        """Write a whole file."""
        ...

    def put_if_absent(self, name: str, data: bytes, content_type: str) -> bool:
        """Write a whole file unless it exists; False where it does."""
        ...

    def stream(self, name: str, content_type: str) -> Stream:
        """Begin a file of unknown length."""
        ...


def open_storage(address: str, s3: S3Client | None = None) -> Storage:
    """The storage at `s3://bucket/prefix/` or at a folder path."""
    if address.startswith("s3://"):
        return S3Storage(s3 if s3 is not None else connect(), S3Location.parse(address))
    if "://" in address or not address:
        raise LocationError(f"{address!r} is no place to store: write s3://bucket/prefix/ or a folder.")
    return FolderStorage(Path(address))


class FolderStorage:
    """Files below a folder, which is made when first written to."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, name: str) -> bytes | None:
        """The bytes of a file, None where there is none."""
        try:
            return (self._root / name).read_bytes()
        except FileNotFoundError:
            return None

    def put(self, name: str, data: bytes, content_type: str) -> None:
        """Write a whole file."""
        stream = self.stream(name, content_type)
        stream.write(data)
        stream.commit()

    def put_if_absent(self, name: str, data: bytes, content_type: str) -> bool:  # noqa: ARG002
        """Write a whole file unless it exists."""
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
        temporary.write_bytes(data)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            temporary.unlink()
        return True

    def stream(self, name: str, content_type: str) -> Stream:  # noqa: ARG002  (folders have no content types)
        """Begin a file of unknown length."""
        path = self._root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return _FileStream(path)
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}.") from error


class _FileStream:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
        self._file = self._temporary.open("wb", buffering=1 << 20)

    def write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise OutputError(f"{self._path} cannot be written: {error.strerror}.") from error

    def commit(self) -> None:
        try:
            self._file.close()
            self._temporary.replace(self._path)
        except OSError as error:
            raise OutputError(f"{self._path} cannot be written: {error.strerror}.") from error

    def abort(self) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)


class S3Storage:
    """Objects below a prefix."""

    def __init__(self, s3: S3Client, location: S3Location) -> None:
        self._s3 = s3
        self._location = location

    def read(self, name: str) -> bytes | None:
        """The bytes of an object, None where there is none."""
        target = self._location.child(name)
        try:
            return self._s3.get_object(Bucket=target.bucket, Key=target.key)["Body"].read()
        except ClientError as error:
            if is_hidden_or_absent(error):
                return None
            raise OutputError(f"{target} cannot be read: {reason(error)}.") from error
        except BotoCoreError as error:
            raise OutputError(f"{target} cannot be read: {reason(error)}.") from error

    def put(self, name: str, data: bytes, content_type: str) -> None:
        """Write a whole object."""
        target = self._location.child(name)
        try:
            self._s3.put_object(Bucket=target.bucket, Key=target.key, Body=data, ContentType=content_type)
        except (ClientError, BotoCoreError) as error:
            raise OutputError(f"{target} cannot be written: {reason(error)}.") from error

    def put_if_absent(self, name: str, data: bytes, content_type: str) -> bool:
        """Write a whole object with If-None-Match."""
        target = self._location.child(name)
        try:
            self._s3.put_object(
                Bucket=target.bucket, Key=target.key, Body=data, ContentType=content_type, IfNoneMatch="*"
            )
        except ClientError as error:
            if is_taken(error):
                return False
            raise OutputError(f"{target} cannot be written: {reason(error)}.") from error
        except BotoCoreError as error:
            raise OutputError(f"{target} cannot be written: {reason(error)}.") from error
        return True

    def stream(self, name: str, content_type: str) -> Stream:
        """Begin an object of unknown length; it is uploaded in parts while it is written."""
        return _MultipartStream(self._s3, self._location.child(name), content_type)


class _MultipartStream:
    """Parts of 16 MiB, growing so that S3's 10,000 parts hold 880 GB; at most three wait in memory."""

    def __init__(self, s3: S3Client, target: S3Location, content_type: str) -> None:
        self._s3 = s3
        self._target = target
        self._content_type = content_type
        self._upload: str | None = None
        self._buffer = bytearray()
        self._parts: list[str] = []
        self._waiting: deque[Future[str]] = deque()
        self._pool = ThreadPoolExecutor(_UPLOADS)

    def write(self, data: bytes) -> None:
        self._buffer += data
        sent = len(self._parts) + len(self._waiting)
        if len(self._buffer) >= PART_BYTES * (1 + sent // 1000):
            self._send()

    def commit(self) -> None:
        try:
            if self._upload is None:
                self._s3.put_object(
                    Bucket=self._target.bucket,
                    Key=self._target.key,
                    Body=bytes(self._buffer),
                    ContentType=self._content_type,
                )
            else:
                if self._buffer:
                    self._send()
                while self._waiting:
                    self._collect()
                self._s3.complete_multipart_upload(
                    Bucket=self._target.bucket,
                    Key=self._target.key,
                    UploadId=self._upload,
                    MultipartUpload={
                        "Parts": [
                            {"PartNumber": number, "ETag": etag} for number, etag in enumerate(self._parts, 1)
                        ]
                    },
                )
        except (ClientError, BotoCoreError) as error:
            raise OutputError(f"{self._target} cannot be written: {reason(error)}.") from error
        self._upload = None
        self._pool.shutdown()

    def abort(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        if self._upload is None:
            return
        try:
            self._s3.abort_multipart_upload(
                Bucket=self._target.bucket, Key=self._target.key, UploadId=self._upload
            )
        except (ClientError, BotoCoreError) as error:
            raise OutputError(f"The upload of {self._target} cannot be given up: {reason(error)}.") from error
        self._upload = None

    def _send(self) -> None:
        try:
            if self._upload is None:
                self._upload = self._s3.create_multipart_upload(
                    Bucket=self._target.bucket, Key=self._target.key, ContentType=self._content_type
                )["UploadId"]
            while len(self._waiting) >= _UPLOADS:
                self._collect()
        except (ClientError, BotoCoreError) as error:
            raise OutputError(f"{self._target} cannot be written: {reason(error)}.") from error
        number = len(self._parts) + len(self._waiting) + 1
        self._waiting.append(self._pool.submit(self._send_part, self._upload, number, bytes(self._buffer)))
        self._buffer = bytearray()

    def _send_part(self, upload: str, number: int, body: bytes) -> str:
        return self._s3.upload_part(
            Bucket=self._target.bucket, Key=self._target.key, UploadId=upload, PartNumber=number, Body=body
        )["ETag"]

    def _collect(self) -> None:
        self._parts.append(self._waiting.popleft().result())
