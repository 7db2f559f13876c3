"""The frozen list of a dataset's objects that one run works on, and what changed between two of them."""

import gzip
import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

from nestbox.errors import BadArtifactError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"})
ARCHIVE_SUFFIX = ".zip"
"""Of the archives whose files the preparation reads."""

ARCHIVED_IMAGE_BYTES = 200_000
"""What a picture takes in an archive, its annotation included.

Pascal VOC's and COCO's photos take 120 to 150 kB, those of Open Images 290 kB. Larger ones (a telephone's
take ten times as much) count several times, as they also take several times as long to prepare.
"""


class SnapshotEntry(NamedTuple):
    """One object: its full key, the version that counts, its ETag without quotes, its size in bytes."""

    key: str
    version_id: str
    etag: str
    size: int


class Counts(NamedTuple):
    """How many of some objects are pictures, zip archives, and something else; all by their names.

    What an archive holds is known only once it is opened, so its size says how many pictures to expect in it.
    An archive of annotations cannot be told from one of pictures.
    """

    images: int = 0
    others: int = 0
    archives: int = 0
    archived_images: int = 0
    """About how many pictures the archives hold: one for every 200 kB, and at least one in each."""

    @property
    def expected_images(self) -> int:
        """Pictures beside archives, and about as many as are in them."""
        return self.images + self.archived_images


def is_image(key: str) -> bool:
    """Whether an object's name says that it is a picture."""
    name = key.rpartition("/")[2]
    return "." in name and "." + name.rpartition(".")[2].lower() in IMAGE_SUFFIXES


def is_archive(key: str) -> bool:
    """Whether an object's name says that it is a zip archive."""
    return key.lower().endswith(ARCHIVE_SUFFIX)


def count(entries: Iterable[SnapshotEntry]) -> Counts:
    """How many of the objects are what."""
    images = others = archives = archived_images = 0
    for entry in entries:
        if is_image(entry.key):
            images += 1
        elif is_archive(entry.key):
            archives += 1
            archived_images += max(1, round(entry.size / ARCHIVED_IMAGE_BYTES))
        else:
            others += 1
    return Counts(images, others, archives, archived_images)


def version_of(entries: Iterable[SnapshotEntry]) -> str:
    """The version of a snapshot of these entries, which must come sorted by key."""
    digest = hashlib.sha256()
    for entry in entries:
        digest.update(_line(entry))
    return digest.hexdigest()


def encode(entries: Iterable[SnapshotEntry]) -> tuple[bytes, str]:
    """``snapshot.jsonl.gz`` and its version: the SHA-256 (hex) of the lines before compression.

    Entries must come sorted by key. The same entries always give the same bytes.
    """
    digest = hashlib.sha256()
    target = io.BytesIO()
    with gzip.GzipFile(fileobj=target, mode="wb", mtime=0, compresslevel=6) as stream:
        for entry in entries:
            line = _line(entry)
            digest.update(line)
            stream.write(line)
    return target.getvalue(), digest.hexdigest()


def _line(entry: SnapshotEntry) -> bytes:
    return json.dumps(entry._asdict(), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def decode(compressed: BinaryIO) -> Iterator[SnapshotEntry]:
    """The entries of ``snapshot.jsonl.gz``, one at a time; raises BadArtifactError where it is damaged."""
    try:
        with gzip.GzipFile(fileobj=compressed) as stream:
            for line in stream:
                yield SnapshotEntry(**json.loads(line))
    except (OSError, EOFError, ValueError, TypeError) as error:
        raise BadArtifactError(f"a snapshot cannot be read: {error}") from error


def changes(before: Iterable[SnapshotEntry], after: Iterable[SnapshotEntry]) -> Counts:
    """What was added, replaced by other bytes, or removed between two snapshots sorted by key.

    The same bytes uploaded again are no change. (The version id of an object changes with every upload; its
    ETag and size do not.) An archive that was replaced counts as the larger of the two.
    """
    return count(_differing(before, after))


def _differing(before: Iterable[SnapshotEntry], after: Iterable[SnapshotEntry]) -> Iterator[SnapshotEntry]:
    olds, news = iter(before), iter(after)
    old, new = next(olds, None), next(news, None)
    while old is not None or new is not None:
        if new is None or (old is not None and old.key < new.key):
            assert old is not None
            yield old
            old = next(olds, None)
        elif old is None or new.key < old.key:
            yield new
            new = next(news, None)
        else:
            if (old.etag, old.size) != (new.etag, new.size):
                yield max(old, new, key=lambda entry: entry.size)
            old, new = next(olds, None), next(news, None)
