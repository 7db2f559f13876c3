"""What a transform job sends and writes: its objects, their records, mini-batches, the names of outputs.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_TransformInput.html
"""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

from local.errors import InputDataError
from local.objects import relative_name, split_uri

TOO_LARGE = "Too much data for max payload size"
SINGLE_RECORD = "SingleRecord"
MULTI_RECORD = "MultiRecord"

# https://mxnet.apache.org/versions/1.9.1/api/faq/recordio: magic, then 3 bits of part and 29 of length.
_RECORDIO_MAGIC = 0xCED7230A
_RECORDIO_HEADER = struct.Struct("<II")
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)


@dataclass(frozen=True)
class InputObject:
    """One object of the input; `name` is its name below the prefix."""

    bucket: str
    key: str
    name: str

    @property
    def path(self) -> str:
        """`bucket/key`, as SageMaker's data log names it."""
        return f"{self.bucket}/{self.key}"


def output_uri(output_path: str, source: InputObject) -> str:
    """Where the answers for an object go: `{output path}/{name below the prefix}.out`."""
    return f"{output_path.rstrip('/')}/{source.name}.out"


def prefix_objects(uri: str, keys: Iterable[str]) -> list[InputObject]:
    """The objects of an S3 prefix."""
    bucket, prefix = split_uri(uri)
    return [InputObject(bucket, key, relative_name(key, prefix)) for key in keys]


def manifest_objects(uri: str, content: bytes) -> list[InputObject]:
    """The objects a manifest names: `[{"prefix": "s3://bucket/some/prefix/"}, "name", …]`.

    A name continues the prefix as it is. Raises InputDataError for anything else.
    """
    try:
        document = json.loads(content)
    except ValueError as error:
        raise InputDataError(f"the manifest {uri} is no JSON: {error}") from error
    if not isinstance(document, list) or not document:
        raise InputDataError(f"the manifest {uri} is no list that begins with a prefix")
    first, *names = document
    prefix = first.get("prefix") if isinstance(first, dict) else None
    if not isinstance(prefix, str) or not prefix.startswith("s3://") or not split_uri(prefix)[0]:
        raise InputDataError(f'the manifest {uri} does not begin with {{"prefix": "s3://…"}}')
    bucket, beginning = split_uri(prefix)
    for number, name in enumerate(names, 1):
        if not isinstance(name, str) or not name:
            raise InputDataError(f"the manifest {uri}: entry {number} after the prefix is no key: {name!r}")
    return [InputObject(bucket, beginning + name, name.lstrip("/")) for name in names]


def payloads(file: Path, compression: str, split: str, strategy: str, limit: int) -> Iterator[bytes]:
    """The bodies of the requests for one downloaded object, each of at most `limit` bytes.

    Raises InputDataError for a record (unsplit: an object) that is larger, and for damaged content.
    """
    try:
        with gzip.open(file) if compression == "Gzip" else file.open("rb") as stream:
            if split == "Line":
                lines = _lines(stream, limit)
                yield from lines if strategy == SINGLE_RECORD else _batches(lines, limit)
            elif split == "RecordIO":
                records = _recordio(stream, limit)
                if strategy == SINGLE_RECORD:
                    yield from (content for _, content in records)
                else:
                    yield from _batches((framed for framed, _ in records), limit)
            else:
                whole = stream.read(limit + 1)
                if len(whole) > limit:
                    raise InputDataError(TOO_LARGE)
                yield whole
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputDataError(f"the object cannot be unpacked: {error}") from error


def _lines(stream: BufferedIOBase, limit: int) -> Iterator[bytes]:
    while line := stream.readline(limit + 1):
        if len(line) > limit:
            raise InputDataError(TOO_LARGE)
        yield line


def _recordio(stream: BufferedIOBase, limit: int) -> Iterator[tuple[bytes, bytes]]:
    """Yields (framed bytes, content) of every record; a record may lie in several parts."""
    framed: list[bytes] = []
    parts: list[bytes] = []
    while header := stream.read(_RECORDIO_HEADER.size):
        if len(header) < _RECORDIO_HEADER.size:
            raise InputDataError("the RecordIO file is cut off inside a header")
        magic, word = _RECORDIO_HEADER.unpack(header)
        part, length = word >> 29, word & (1 << 29) - 1
        if magic != _RECORDIO_MAGIC or part > _LAST or (part in (_WHOLE, _FIRST)) == bool(parts):
            raise InputDataError("the object is no RecordIO file, or a damaged one")
        if sum(map(len, framed)) + len(header) + length > limit:
            raise InputDataError(TOO_LARGE)
        padded = length + -length % 4
        data = stream.read(padded)
        if len(data) < padded:
            raise InputDataError("the RecordIO file is cut off inside a record")
        framed.append(header + data)
        parts.append(data[:length])
        if part in (_WHOLE, _LAST):
            # A record is cut where its content looks like the magic number, which then is left out.
            yield b"".join(framed), struct.pack("<I", _RECORDIO_MAGIC).join(parts)
            framed, parts = [], []
    if parts:
        raise InputDataError("the RecordIO file is cut off between two parts of a record")


def _batches(records: Iterable[bytes], limit: int) -> Iterator[bytes]:
    """Joins as many records as fit into `limit` bytes."""
    batch: list[bytes] = []
    size = 0
    for record in records:
        if batch and size + len(record) > limit:
            yield b"".join(batch)
            batch, size = [], 0
        batch.append(record)
        size += len(record)
    if batch:
        yield b"".join(batch)
