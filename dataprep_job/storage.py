"""Where a preparation is written to, and read back from by the next one: a prefix in S3 or a folder on disk.

Streams appear whole or not at all: in S3 by completing a multipart upload, on disk by renaming a file.
"""

from __future__ import annotations

import errno
import io
import os
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Protocol

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from dataprep_job.errors import LocationError, OutputError
from dataprep_job.s3_client import S3Location, connect, is_hidden_or_absent, is_taken, reason

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
else:
    S3Client = Any

PART_BYTES = 16 << 20
MIN_PART_BYTES = 5 << 20
"""S3's least, but for the last part."""
_MAX_COPY = 1 << 30
"""S3 allows 5 GiB a part; smaller ones are copied side by side."""
_UPLOADS = 3
_DELETED_AT_ONCE = 1000
_READS_AHEAD = 8
_PIECES_AHEAD = 16
_PIECE_BYTES = 4 << 20
_WINDOWS_KEPT = 3
_SMALL_COPY = 128 << 10
"""Below this, reading and writing costs less than emptying the buffer for the kernel."""
_BATCH_BYTES = 1 << 20
_BATCHES_AHEAD = 8
_COPIES_FOR_ONE = 8
_SYNC_BYTES = 16 << 20
"""So much is on its way to the disk before the end, where a file has to be there when it appears."""


class Patch(NamedTuple):
    """Bytes that take the place of those from `at` on, a position in the file that is copied from."""

    at: int
    data: bytes


class Stream(Protocol):
    """A file that is being written from its start to its end."""

    def write(self, data: bytes | bytearray) -> None:
        """Append bytes."""
        ...

    def copy(self, source: Storage, name: str, start: int, stop: int, patches: Sequence[Patch] = ()) -> None:
        """Append bytes `start` to `stop` of a file that exists already, by the shortest way.

        `patches`: bytes that are others in the copy, in the order of their places.
        """
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

    @property
    def prefix(self) -> str:
        """What comes before the names: `s3://bucket/prefix/`, or a folder's path with a slash at its end."""
        ...

    def names(self) -> Iterator[str]:
        """The names of all files."""
        ...

    def below(self, name: str) -> Storage:
        """The files whose names begin with `name/`, as a storage of its own."""
        ...

    def has(self, name: str) -> bool:
        """Whether a file is there (or S3 will not say so)."""
        ...

    def remove(self, names: Sequence[str]) -> None:
        """Delete files, as far as they are there."""
        ...

    def open(self, name: str) -> BinaryIO | None:
        """A file as a stream, None where there is none (or S3 will not say so)."""
        ...

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """Bytes `start` to `stop` of a file that exists."""
        ...

    def local_copy(self, name: str, folder: Path) -> Path | None:
        """A file on this machine's disk, in `folder` if it has to be fetched; None where there is none."""
        ...

    def put(self, name: str, data: bytes, content_type: str) -> None:
        """Write a whole file."""
        ...

    def put_file(self, name: str, path: Path, content_type: str) -> None:
        """Write a whole file from this machine's disk."""
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

    def __init__(self, root: Path, *, durable: bool = False) -> None:
        """`durable`: a file that appears is on the disk, and survives the loss of power."""
        self.root = root
        self._durable = durable

    def path(self, name: str) -> Path:
        """Where a file lies."""
        return self.root / name

    @property
    def prefix(self) -> str:
        """The folder's path with a slash at its end."""
        return f"{self.root}/"

    def names(self) -> Iterator[str]:
        """The names of all files that have appeared."""
        for path in self.root.rglob("*"):
            if path.is_file() and not path.name.startswith("."):
                yield path.relative_to(self.root).as_posix()

    def below(self, name: str) -> FolderStorage:
        """The folder of this name as a storage of its own."""
        return FolderStorage(self.path(name), durable=self._durable)

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        return self.path(name).is_file()

    def remove(self, names: Sequence[str]) -> None:
        """Delete files, as far as they are there, and the folders below the root that are empty then."""
        for path in map(self.path, names):
            path.unlink(missing_ok=True)
            for folder in path.parents:
                if folder == self.root or not folder.is_dir() or any(folder.iterdir()):
                    break
                folder.rmdir()

    def read(self, name: str) -> bytes | None:
        """The bytes of a file, None where there is none."""
        try:
            return (self.path(name)).read_bytes()
        except FileNotFoundError:
            return None

    def open(self, name: str) -> BinaryIO | None:
        """A file as a stream, None where there is none."""
        try:
            return (self.path(name)).open("rb")
        except FileNotFoundError:
            return None

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """Bytes `start` to `stop` of a file that exists."""
        try:
            with (self.path(name)).open("rb", buffering=0) as file:
                return os.pread(file.fileno(), stop - start, start)
        except OSError as error:
            raise OutputError(f"{self.path(name)} cannot be read: {error.strerror}.") from error

    def local_copy(self, name: str, folder: Path) -> Path | None:  # noqa: ARG002  (it is on disk already)
        """The file itself, None where there is none."""
        path = self.path(name)
        return path if path.is_file() else None

    def put_file(self, name: str, path: Path, content_type: str) -> None:
        """Write a whole file from this machine's disk."""
        stream = self.stream(name, content_type)
        stream.copy(FolderStorage(path.parent), path.name, 0, path.stat().st_size)
        stream.commit()

    def put(self, name: str, data: bytes, content_type: str) -> None:
        """Write a whole file."""
        stream = self.stream(name, content_type)
        stream.write(data)
        stream.commit()

    def put_if_absent(self, name: str, data: bytes, content_type: str) -> bool:  # noqa: ARG002
        """Write a whole file unless it exists."""
        path = self.path(name)
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
        path = self.path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return _FileStream(path, self._durable)
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}.") from error


class FlatFolder(FolderStorage):
    """All files side by side in one folder, whatever folders their names have: `train.rec`, `train.lst`, …"""

    def path(self, name: str) -> Path:
        """Where a file lies."""
        return self.root / name.rpartition("/")[2]


class _FileStream:
    """Written by a thread of its own, batch by batch, so that whoever prepares the data need not wait."""

    def __init__(self, path: Path, durable: bool) -> None:
        self._path = path
        self._durable = durable
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
        self._file = self._temporary.open("wb", buffering=0)
        self._sources: dict[Path, BinaryIO] = {}
        self._batch: list[bytes | bytearray | _Stretch] = []
        self._batch_bytes = 0
        self._writer = ThreadPoolExecutor(1)
        self._writing: deque[Future[None]] = deque()
        self._syncer = ThreadPoolExecutor(1) if durable else None
        self._syncing: Future[None] | None = None
        self._unsynced = 0

    def write(self, data: bytes | bytearray) -> None:
        self._batch.append(data)
        self._batch_bytes += len(data)
        if self._batch_bytes >= _BATCH_BYTES:
            self._hand_over()

    def copy(self, source: Storage, name: str, start: int, stop: int, patches: Sequence[Patch] = ()) -> None:
        if not isinstance(source, FolderStorage):
            self.write(_patched(source.read_range(name, start, stop), start, patches))
            return
        path = source.path(name)
        try:
            if path not in self._sources:
                self._sources[path] = path.open("rb", buffering=0)
        except OSError as error:
            raise OutputError(f"{path} cannot be read: {error.strerror}.") from error
        self._batch.append(_Stretch(self._sources[path].fileno(), start, stop, patches))
        # Nothing of it is in memory yet, and few long calls to the kernel wait less for the interpreter.
        self._batch_bytes += (stop - start) // _COPIES_FOR_ONE
        if self._batch_bytes >= _BATCH_BYTES:
            self._hand_over()

    def _hand_over(self) -> None:
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        self._writing.append(self._writer.submit(self._write_batch, batch))
        while len(self._writing) > _BATCHES_AHEAD:
            self._wait()

    def _wait(self) -> None:
        try:
            self._writing.popleft().result()
        except OSError as error:
            raise OutputError(f"{self._path} cannot be written: {error.strerror}.") from error

    def _write_batch(self, batch: list[bytes | bytearray | _Stretch]) -> None:
        self._write_pieces(batch)
        self._unsynced += sum(map(_length, batch))
        is_idle = self._syncing is None or self._syncing.done()
        if self._syncer is not None and is_idle and self._unsynced >= _SYNC_BYTES:
            # The disk works while the rest is prepared; whether it could is asked at the end.
            self._unsynced = 0
            self._syncing = self._syncer.submit(os.fdatasync, self._file.fileno())

    def _write_pieces(self, batch: list[bytes | bytearray | _Stretch]) -> None:
        buffer = bytearray()
        for piece in batch:
            if isinstance(piece, bytes | bytearray):
                buffer += piece
            elif piece.patches:
                self._write_all(buffer)
                buffer.clear()
                for start in range(piece.start, piece.stop, _PIECE_BYTES):
                    data = _read_fully(piece.file, start, min(piece.stop, start + _PIECE_BYTES))
                    self._write_all(_patched(data, start, piece.patches))
            elif piece.stop - piece.start < _SMALL_COPY:
                buffer += _read_fully(piece.file, piece.start, piece.stop)
            else:
                self._write_all(buffer)
                buffer.clear()
                self._copy(piece)
        self._write_all(buffer)

    def _write_all(self, data: bytes | bytearray) -> None:
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) or 0 :]
        view.release()

    def _copy(self, piece: _Stretch) -> None:
        """Let the kernel copy; file systems that cannot are read from."""
        start, target = piece.start, self._file.fileno()
        while start < piece.stop and hasattr(os, "copy_file_range"):
            try:
                copied = os.copy_file_range(piece.file, target, piece.stop - start, start)
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
                    raise
                break
            if not copied:
                break
            start += copied
        while start < piece.stop:
            data = _read_fully(piece.file, start, min(piece.stop, start + PART_BYTES))
            self._write_all(data)
            start += len(data)

    def commit(self) -> None:
        self._hand_over()
        while self._writing:
            self._wait()
        try:
            if self._durable:
                if self._syncing is not None:
                    self._syncing.result()
                os.fsync(self._file.fileno())
            self._close()
            self._temporary.replace(self._path)
            if self._durable:
                _sync_folder(self._path.parent)
        except OSError as error:
            raise OutputError(f"{self._path} cannot be written: {error.strerror}.") from error

    def abort(self) -> None:
        self._close()
        self._temporary.unlink(missing_ok=True)

    def _close(self) -> None:
        self._writer.shutdown(cancel_futures=True)
        if self._syncer is not None:
            self._syncer.shutdown(cancel_futures=True)
        self._file.close()
        for file in self._sources.values():
            file.close()


class _Stretch(NamedTuple):
    """Bytes `start` to `stop` of an open file, some of them replaced."""

    file: int
    start: int
    stop: int
    patches: Sequence[Patch]


def _length(piece: bytes | bytearray | _Stretch) -> int:
    return piece.stop - piece.start if isinstance(piece, _Stretch) else len(piece)


def _patched(data: bytes, start: int, patches: Sequence[Patch]) -> bytes | bytearray:
    """What was read from `start` on, with the patches in it; they may reach beyond its ends."""
    first = bisect_left(patches, start, key=lambda patch: patch.at + len(patch.data))
    last = bisect_left(patches, start + len(data), key=lambda patch: patch.at)
    if first >= last:
        return data
    changed = bytearray(data)
    for at, new in patches[first:last]:
        begin = max(at, start)
        end = min(at + len(new), start + len(data))
        changed[begin - start : end - start] = new[begin - at : end - at]
    return changed


def _read_fully(file: int, start: int, stop: int) -> bytes:
    data = os.pread(file, stop - start, start)
    if len(data) != stop - start:
        raise OSError(errno.EIO, "what it is copied from was cut off")
    return data


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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

    @property
    def prefix(self) -> str:
        """`s3://bucket/prefix/`."""
        return str(self._location.child(""))

    def names(self) -> Iterator[str]:
        """The names of all objects, a thousand a request."""
        prefix = self._location.child("")
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=prefix.bucket, Prefix=prefix.key)
        try:
            for page in pages:
                for entry in page.get("Contents", []):
                    yield entry["Key"].removeprefix(prefix.key)
        except (ClientError, BotoCoreError) as error:
            raise OutputError(f"{prefix} cannot be listed: {reason(error)}.") from error

    def below(self, name: str) -> S3Storage:
        """The objects whose names begin with `name/`, as a storage of its own."""
        return S3Storage(self._s3, self._location.child(name))

    def has(self, name: str) -> bool:
        """Whether an object is there (or S3 will not say so)."""
        target = self._location.child(name)
        try:
            self._s3.head_object(Bucket=target.bucket, Key=target.key)
        except ClientError as error:
            if is_hidden_or_absent(error):
                return False
            raise OutputError(f"{target} cannot be read: {reason(error)}.") from error
        except BotoCoreError as error:
            raise OutputError(f"{target} cannot be read: {reason(error)}.") from error
        return True

    def remove(self, names: Sequence[str]) -> None:
        """Delete objects, as far as they are there, a thousand a request."""
        for start in range(0, len(names), _DELETED_AT_ONCE):
            keys = [self._location.child(name).key for name in names[start : start + _DELETED_AT_ONCE]]
            try:
                answer = self._s3.delete_objects(
                    Bucket=self._location.bucket,
                    Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True},
                )
            except (ClientError, BotoCoreError) as error:
                raise OutputError(f"{self._location} cannot be emptied: {reason(error)}.") from error
            for refused in answer.get("Errors", []):
                raise OutputError(f"{refused.get('Key')} cannot be deleted: {refused.get('Message')}.")

    def location(self, name: str) -> S3Location:
        """Where an object lies."""
        return self._location.child(name)

    def open(self, name: str) -> BinaryIO | None:
        """An object as a stream, None where there is none. Large ones are better fetched whole."""
        data = self.read(name)
        return None if data is None else io.BytesIO(data)

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """Bytes `start` to `stop` of an object that exists."""
        target = self._location.child(name)
        try:
            return self._s3.get_object(
                Bucket=target.bucket, Key=target.key, Range=f"bytes={start}-{stop - 1}"
            )["Body"].read()
        except (ClientError, BotoCoreError) as error:
            raise OutputError(f"{target} cannot be read: {reason(error)}.") from error

    def local_copy(self, name: str, folder: Path) -> Path | None:
        """The object, fetched into `folder`; None where there is none."""
        target = self._location.child(name)
        path = folder / name.replace("/", "-")
        try:
            self._s3.download_file(target.bucket, target.key, str(path))
        except ClientError as error:
            if is_hidden_or_absent(error):
                return None
            raise OutputError(f"{target} cannot be read: {reason(error)}.") from error
        except (BotoCoreError, OSError) as error:
            raise OutputError(f"{target} cannot be read: {reason(error)}.") from error
        return path

    def put_file(self, name: str, path: Path, content_type: str) -> None:
        """Write a whole object from this machine's disk."""
        target = self._location.child(name)
        try:
            self._s3.upload_file(
                str(path), target.bucket, target.key, ExtraArgs={"ContentType": content_type}
            )
        except (ClientError, BotoCoreError, Boto3Error, OSError) as error:
            raise OutputError(f"{target} cannot be written: {reason(error)}.") from error

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


class _Piece(NamedTuple):
    """A stretch of an object that is to be part of another one, some of its bytes replaced.

    `data` is read from `first` on.
    """

    name: str
    start: int
    stop: int
    patches: Sequence[Patch]
    first: int
    data: Future[bytes]


class _MultipartStream:
    """Parts of 16 MiB, growing so that S3's 10,000 parts hold 880 GB; at most three wait in memory.

    Stretches of other objects that are long enough to be parts are copied inside S3; shorter ones are read
    ahead, neighbours at once, and sent again. https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
    """

    def __init__(self, s3: S3Client, target: S3Location, content_type: str) -> None:
        self._s3 = s3
        self._target = target
        self._content_type = content_type
        self._upload: str | None = None
        self._buffer = bytearray()
        self._parts: list[str] = []
        self._waiting: deque[Future[str]] = deque()
        self._pool = ThreadPoolExecutor(_UPLOADS)
        self._pieces: deque[_Piece | bytes | bytearray] = deque()
        self._readers = ThreadPoolExecutor(_READS_AHEAD)
        self._windows: dict[tuple[Storage, str, int], Future[bytes]] = {}

    def write(self, data: bytes | bytearray) -> None:
        if not self._pieces:
            self._append(data)
            return
        self._pieces.append(data)
        self._take_pieces(_PIECES_AHEAD)

    def copy(self, source: Storage, name: str, start: int, stop: int, patches: Sequence[Patch] = ()) -> None:
        if isinstance(source, S3Storage) and not patches and stop - start >= 2 * MIN_PART_BYTES:
            self._take_pieces(0)
            start = self._copy_inside(source, name, start, stop)
        while start < stop:
            window = start // _PIECE_BYTES
            end = min(stop, (window + 1) * _PIECE_BYTES)
            first, data = self._read_ahead(source, name, start, end, window)
            self._pieces.append(_Piece(name, start, end, patches, first, data))
            self._take_pieces(_PIECES_AHEAD)
            start = end

    def _read_ahead(
        self, source: Storage, name: str, start: int, stop: int, window: int
    ) -> tuple[int, Future[bytes]]:
        """Have bytes read, with their neighbours where these are likely to follow; and where that begins."""
        key = (source, name, window)
        if key not in self._windows:
            if stop - start < _PIECE_BYTES // 8:
                return start, self._readers.submit(source.read_range, name, start, stop)
            while len(self._windows) >= _WINDOWS_KEPT:
                del self._windows[next(iter(self._windows))]
            first, behind = window * _PIECE_BYTES, (window + 1) * _PIECE_BYTES
            self._windows[key] = self._readers.submit(source.read_range, name, first, behind)
        return window * _PIECE_BYTES, self._windows[key]

    def _copy_inside(self, source: S3Storage, name: str, start: int, stop: int) -> int:
        """Copy as much as whole parts allow without fetching it; returns where the rest begins."""
        if 0 < len(self._buffer) < MIN_PART_BYTES:
            missing = MIN_PART_BYTES - len(self._buffer)
            self._append(source.read_range(name, start, start + missing))
            start += missing
        if self._buffer:
            self._send()
        while stop - start >= MIN_PART_BYTES:
            end = stop if stop - start <= _MAX_COPY else min(start + _MAX_COPY, stop - MIN_PART_BYTES)
            self._submit(self._copy_part, source.location(name), start, end)
            start = end
        return start

    def _take_pieces(self, leave: int) -> None:
        while len(self._pieces) > leave:
            piece = self._pieces.popleft()
            if not isinstance(piece, _Piece):
                self._append(piece)
                continue
            found = piece.data.result()[piece.start - piece.first : piece.stop - piece.first]
            if len(found) != piece.stop - piece.start:
                raise OutputError(f"{self._target} cannot be written: {piece.name} is shorter than expected.")
            self._append(_patched(found, piece.start, piece.patches))

    def _append(self, data: bytes | bytearray) -> None:
        self._buffer += data
        sent = len(self._parts) + len(self._waiting)
        if len(self._buffer) >= PART_BYTES * (1 + sent // 1000):
            self._send()

    def commit(self) -> None:
        self._take_pieces(0)
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
        self._readers.shutdown()

    def abort(self) -> None:
        self._readers.shutdown(cancel_futures=True)
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
        body = bytes(self._buffer)
        self._buffer = bytearray()
        self._submit(self._send_part, body)

    def _submit(self, work: Callable[..., str], *arguments: Any) -> None:
        """Have one part made, in the order of submission."""
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
        self._waiting.append(self._pool.submit(work, self._upload, number, *arguments))

    def _send_part(self, upload: str, number: int, body: bytes) -> str:
        return self._s3.upload_part(
            Bucket=self._target.bucket, Key=self._target.key, UploadId=upload, PartNumber=number, Body=body
        )["ETag"]

    def _copy_part(self, upload: str, number: int, source: S3Location, start: int, stop: int) -> str:
        result = self._s3.upload_part_copy(
            Bucket=self._target.bucket,
            Key=self._target.key,
            UploadId=upload,
            PartNumber=number,
            CopySource={"Bucket": source.bucket, "Key": source.key},
            CopySourceRange=f"bytes={start}-{stop - 1}",
        )
        return result["CopyPartResult"]["ETag"]

    def _collect(self) -> None:
        self._parts.append(self._waiting.popleft().result())
