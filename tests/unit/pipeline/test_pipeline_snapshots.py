import gzip
import hashlib
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nestbox.errors import BadArtifactError
from nestbox.rules.snapshots import (
    ARCHIVED_IMAGE_BYTES,
    Counts,
    SnapshotEntry,
    changes,
    count,
    decode,
    encode,
    is_archive,
    is_image,
)

from dataprep_job.archive_contents import is_zip

keys = st.sampled_from(
    ["a.jpg", "b.JPEG", "c.txt", "d/e.png", "ä.jpg", "z", "images.txt", "𝄞.png", "f.zip", "g/H.ZIP"]
)
snapshots = st.dictionaries(
    keys, st.tuples(st.sampled_from(["1", "2"]), st.sampled_from(["v1", "v2"])), max_size=8
).map(lambda found: sorted(SnapshotEntry(key, version, etag, 5) for key, (etag, version) in found.items()))


@given(snapshots)
def test_a_snapshot_can_be_read_back_and_always_has_the_same_bytes(entries):
    content, version = encode(entries)
    assert list(decode(io.BytesIO(content))) == entries
    assert encode(entries) == (content, version)
    assert hashlib.sha256(gzip.decompress(content)).hexdigest() == version


def test_a_line_is_what_the_preparation_job_reads():
    content, _version = encode([SnapshotEntry("datasets/birds/ä.jpg", "v", "0a", 7)])
    assert json.loads(gzip.decompress(content)) == {
        "key": "datasets/birds/ä.jpg",
        "version_id": "v",
        "etag": "0a",
        "size": 7,
    }


@pytest.mark.parametrize(
    "content",
    [b"no gzip", gzip.compress(b"{"), gzip.compress(b'{"key": 1}\n'), gzip.compress(b"{}\n" * 99)[:-9]],
    ids=["no gzip", "no json", "no entry", "cut off"],
)
def test_a_damaged_snapshot_is_an_error(content):
    with pytest.raises(BadArtifactError):
        list(decode(io.BytesIO(content)))


@given(snapshots, snapshots)
def test_changes_are_those_of_the_bytes(before, after):
    def by_key(entries):
        return {entry.key: (entry.etag, entry.size) for entry in entries}

    old, new = by_key(before), by_key(after)
    differing = [key for key in old.keys() | new.keys() if old.get(key) != new.get(key)]
    pictures, archives = sum(map(is_image, differing)), sum(map(is_archive, differing))
    others = len(differing) - pictures - archives
    assert changes(before, after) == Counts(pictures, others, archives, archived_images=archives)


@pytest.mark.parametrize(
    ("key", "image"),
    [
        ("a/b.jpg", True),
        ("a/b.JPG", True),
        ("b.png", True),
        ("b.txt", False),
        ("jpg", False),
        ("a.jpg/b", False),
    ],
)
def test_images_by_name(key, image):
    assert is_image(key) == image


@pytest.mark.parametrize(
    "key", ["a.zip", "a/b.Zip", ".zip", "zip", "a.zip/b", "a.zipx", "a.z01", "a.tar", "a.7z"]
)
def test_archives_are_those_that_the_preparation_opens(key):
    assert is_archive(key) == is_zip(key)


def entry(key, size, etag="0a"):
    return SnapshotEntry(key, "v", etag, size)


@pytest.mark.parametrize(("size", "images"), [(0, 1), (1, 1), (450_000, 2), (10_000_000_000, 50_000)])
def test_the_size_of_an_archive_says_how_many_pictures_to_expect(size, images):
    counts = count([entry("a.jpg", 5), entry("b.zip", size), entry("c.txt", 10**9)])
    assert counts == Counts(images=1, others=1, archives=1, archived_images=images)
    assert counts.expected_images == images + 1


def test_an_archive_that_was_replaced_counts_as_the_larger_of_the_two():
    small, large = (entry("a.zip", size * ARCHIVED_IMAGE_BYTES, etag=str(size)) for size in (3, 7))
    assert changes([small], [large]) == changes([large], [small]) == Counts(archives=1, archived_images=7)
