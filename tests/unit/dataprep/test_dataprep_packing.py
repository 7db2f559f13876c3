"""What goes into the files of a split."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataprep_job.image_header import ImageHeader
from dataprep_job.inspection import Photo
from dataprep_job.labels import Edges, Split
from dataprep_job.packed_index import PackedImage
from dataprep_job.packing import BLOCK, ID_BITS, SplitPacker, block_bits, slice_bounds
from dataprep_job.recordio import detection_label, label_values, mirrored_label, records, unpack_image
from dataprep_job.splitting import record_id
from dataprep_job.storage import FolderStorage

LABEL = detection_label([(0, Edges(0.1, 0.1, 0.4, 0.4))])


def photo(path: str, *, mirrored: bytes = b"mirrored") -> Photo:
    file = SimpleNamespace(tag="t", size=3)
    plan = SimpleNamespace(labels=SimpleNamespace(image=path), record_id=record_id(path), file=file)
    return Photo(
        plan,  # type: ignore[arg-type]
        b"digest",
        ImageHeader("jpeg", 10, 10),
        (SimpleNamespace(class_id=0),),  # type: ignore[arg-type]
        (),
        LABEL,
        b"as it is",
        mirrored,
    )


@pytest.mark.parametrize(("split", "samples"), [("train", 2), ("validation", 1), ("test", 1)])
def test_only_the_train_split_is_mirrored_whatever_was_encoded(
    tmp_path: Path, split: Split, samples: int
) -> None:
    """A held-out picture that comes back under a training name was encoded both ways."""
    packer = SplitPacker(FolderStorage(tmp_path), split, 0)
    packer.add(photo("a.jpg"))
    packer.commit()
    assert packer.samples == samples
    assert len((tmp_path / f"lists/{split}.lst").read_text().splitlines()) == samples
    assert (b"mirrored" in (tmp_path / f"channels/{split}/{split}.rec").read_bytes()) == (samples == 2)


def test_mirrored_copies_follow_their_block_and_every_place_is_noted(tmp_path: Path) -> None:
    noted: list[PackedImage] = []
    packer = SplitPacker(FolderStorage(tmp_path), "train", 3, noted.extend)
    photos = sorted((photo(f"{n}.jpg") for n in range(40)), key=lambda one: one.plan.record_id)
    for one in photos:
        packer.add(one)
    packer.commit()
    data = (tmp_path / "channels/train/train.rec").read_bytes()
    ids = [unpack_image(payload)[0] for _, payload in records(data)]
    wanted: list[int] = []
    for block in range(8):
        inside = [one.plan.record_id for one in photos if one.plan.record_id >> (ID_BITS - 3) == block]
        wanted += [*inside, *(number + 1 for number in inside)]
    assert ids == wanted
    for packed in noted:
        ((_, payload),) = records(data[packed.start : packed.stop])
        assert unpack_image(payload)[2] == b"as it is"
        ((_, payload),) = records(data[packed.mirrored_start : packed.mirrored_stop])
        assert unpack_image(payload)[2] == b"mirrored"
    assert len(noted) == 40


@given(st.integers(0, 5_000_000))
def test_blocks_hold_no_more_photos_than_they_may_on_average(planned: int) -> None:
    assert planned / (1 << block_bits(planned)) <= BLOCK
    assert block_bits(planned) == 0 or planned / (1 << block_bits(planned) - 1) > BLOCK


@given(st.integers(0, 12), st.integers(1, 50))
def test_slices_cover_every_id_once(bits: int, slices: int) -> None:
    bounds = list(slice_bounds(bits, slices))
    assert len(bounds) == slices
    assert bounds[0][0] == 0
    assert bounds[-1][1] == 1 << ID_BITS
    assert all(one[1] == other[0] for one, other in pairwise(bounds))


@given(st.text(max_size=30))
def test_record_ids_are_even_and_fit_a_signed_word(path: str) -> None:
    number = record_id(path)
    assert number % 2 == 0
    assert 0 <= number < 1 << ID_BITS


shares = st.floats(0, 1, width=32)


@given(st.lists(st.tuples(st.integers(0, 200), shares, shares, shares, shares), max_size=8))
def test_mirroring_a_label_twice_is_the_identity(
    objects: list[tuple[int, float, float, float, float]],
) -> None:
    label = detection_label([(number, Edges(*edges)) for number, *edges in objects])
    once = mirrored_label(label)
    assert label_values(mirrored_label(once)) == pytest.approx(label_values(label), abs=1e-7)
    assert len(once) == len(label)
