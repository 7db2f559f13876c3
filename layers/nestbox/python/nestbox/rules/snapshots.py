"""The frozen list of a dataset's objects that one run works on, and what changed between two of them."""

import gzip
import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

from nestbox.errors import BadArtifactError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"})


class SnapshotEntry(NamedTuple):
    """One object: its full key, the version that counts, its ETag without quotes, its size in bytes."""

    key: str
    version_id: str
    etag: str
    size: int


class Changes(NamedTuple):
    """How many objects were added, replaced by other bytes, or removed."""

    images: int
    others: int


def is_image(key: str) -> bool:
    """Whether an object's name says that it is a picture."""
    name = key.rpartition("/")[2]
    return "." in name and "." + name.rpartition(".")[2].lower() in IMAGE_SUFFIXES


def encode(entries: Iterable[SnapshotEntry]) -> tuple[bytes, str]:
    """``snapshot.jsonl.gz`` and its version: the SHA-256 (hex) of the lines before compression.

    Entries must come sorted by key. The same entries always give the same bytes.
    """
    digest = hashlib.sha256()
    target = io.BytesIO()
    with gzip.GzipFile(fileobj=target, mode="wb", mtime=0, compresslevel=6) as stream:
        for entry in entries:
            line = json.dumps(entry._asdict(), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
            digest.update(line)
            stream.write(line)
    return target.getvalue(), digest.hexdigest()


def decode(compressed: BinaryIO) -> Iterator[SnapshotEntry]:
    """The entries of ``snapshot.jsonl.gz``, one at a time; raises BadArtifactError where it is damaged."""
    try:
        with gzip.GzipFile(fileobj=compressed) as stream:
            for line in stream:
                yield SnapshotEntry(**json.loads(line))
    except (OSError, EOFError, ValueError, TypeError) as error:
        raise BadArtifactError(f"a snapshot cannot be read: {error}") from error


def changes(before: Iterable[SnapshotEntry], after: Iterable[SnapshotEntry]) -> Changes:
    """What changed between two snapshots sorted by key. The same bytes uploaded again are no change.

    (The version id of an object changes with every upload; its ETag and size do not.)
    """
    counts = {True: 0, False: 0}
    olds, news = iter(before), iter(after)
    old, new = next(olds, None), next(news, None)
    while old is not None or new is not None:
        if new is None or (old is not None and old.key < new.key):
            assert old is not None
            counts[is_image(old.key)] += 1
            old = next(olds, None)
        elif old is None or new.key < old.key:
            counts[is_image(new.key)] += 1
            new = next(news, None)
        else:
            if (old.etag, old.size) != (new.etag, new.size):
                counts[is_image(new.key)] += 1
            old, new = next(olds, None), next(news, None)
    return Changes(images=counts[True], others=counts[False])
