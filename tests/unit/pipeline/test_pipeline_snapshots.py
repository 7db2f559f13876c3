import gzip
import hashlib
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nestbox.errors import BadArtifactError
from nestbox.rules.snapshots import Changes, SnapshotEntry, changes, decode, encode, is_image

keys = st.sampled_from(["a.jpg", "b.JPEG", "c.txt", "d/e.png", "ä.jpg", "z", "images.txt", "𝄞.png"])
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
    pictures = sum(is_image(key) for key in differing)
    assert changes(before, after) == Changes(pictures, len(differing) - pictures)


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
