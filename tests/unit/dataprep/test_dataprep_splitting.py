"""Splits never leak, held out stays held out, and class ids never change their meaning."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from dataprep_job.catalogue import Catalogue
from dataprep_job.check import CheckReport, check
from dataprep_job.class_list import append_classes, classes_from_json, classes_to_json
from dataprep_job.defects import DefectLog, Place
from dataprep_job.held_out import HeldOutImage
from dataprep_job.labels import Box, Edges, LabelledImage, Split
from dataprep_job.splitting import Splitting, group_of, photo_of
from dataprep_job.survey import Earlier

Files = dict[str, bytes]
Check = Callable[..., CheckReport]

names = st.lists(st.text("abcdef/0123", min_size=1, max_size=6), unique=True, min_size=2, max_size=40)


def image(path: str, split: Split | None = None) -> LabelledImage:
    box = Box("dog", Edges(1, 1, 5, 5), Place(path))
    return LabelledImage(path, (box,), None, split, Place(path), "test")


def choose(
    images: list[LabelledImage],
    earlier: Iterable[HeldOutImage] = (),
    share: float = 0.2,
    log: DefectLog | None = None,
) -> tuple[dict[str, Split], bool]:
    """The splits by path, and whether validation has to judge as well."""
    catalogue = Catalogue()
    splitting = Splitting(catalogue)
    for one in images:
        catalogue.add_record(one)
    catalogue.flush()
    splitting.add((one.image, seq, one.split) for seq, one in enumerate(images, 1))
    splitting.hold_out(earlier)
    is_test = splitting.choose(share, log or DefectLog())
    return dict(catalogue.database.execute("SELECT image, split FROM plan")), is_test


def splits_of(
    images: list[LabelledImage], earlier: Iterable[HeldOutImage] = (), share: float = 0.2
) -> dict[str, Split]:
    return choose(images, earlier, share)[0]


def held_out(path: str, split: Split = "validation", digest: bytes = b"") -> HeldOutImage:
    return HeldOutImage(path, group_of(path), digest, split)


def test_groups_by_hand() -> None:
    assert group_of("train/cat_jpg.rf.0123456789abcdef0123.jpg") == "train/cat_jpg"
    assert group_of("a.b.jpg") == "a.b"
    assert group_of("x/photo.rf.short.jpg") == "x/photo.rf.short"
    assert photo_of("train/cat_jpg.rf.0123456789abcdef0123.jpg") == "cat_jpg"
    assert photo_of("x/photo.rf.short.jpg") is None


@given(names, st.floats(0.05, 0.8))
def test_every_picture_has_a_split_and_neither_is_empty(paths: list[str], share: float) -> None:
    splits = splits_of([image(path) for path in paths], share=share)
    assert set(splits) == set(paths)
    assert set(splits.values()) == {"train", "validation"}


@given(names, st.integers(2, 5))
def test_copies_of_one_photo_never_straddle(paths: list[str], copies: int) -> None:
    images = [image(f"{path}.rf.{n:032x}.jpg") for path in paths for n in range(copies)]
    splits = splits_of(images)
    for path in paths:
        assert len({splits[one.image] for one in images if group_of(one.image) == path}) == 1


def copies(name: str, *folders: str, split: Split | None = None) -> list[LabelledImage]:
    """Roboflow's copies of one photo, one in every folder."""
    return [image(f"{folder}/{name}.rf.{number:032x}.jpg", split) for number, folder in enumerate(folders)]


@given(st.lists(st.sampled_from("abcdefghij"), unique=True, min_size=4))
def test_copies_never_straddle_in_whatever_folders_they_lie(photos: list[str]) -> None:
    images = [one for photo in photos for one in copies(photo, "x", "y/deeper", "z")]
    splits = splits_of(images)
    for photo in photos:
        assert len({splits[one.image] for one in images if photo_of(one.image) == photo}) == 1


def test_copies_of_a_held_out_photo_that_no_split_names_are_held_out() -> None:
    log = DefectLog()
    named = [*copies("p", "valid", split="validation"), image("t.jpg", "train"), image("e.jpg", "test")]
    more = copies("p", "new", "extra")
    others = [one for name in "abcdefgh" for one in copies(name, "new")]
    splits, _ = choose([*named, *more, *others], log=log)
    assert {splits[one.image] for one in more} == {"validation"}
    assert "train" in {splits[one.image] for one in others}
    assert [defect.code for defect in log.listed()] == ["split.unlisted"]


@pytest.mark.parametrize(("split", "expected"), [(None, "validation"), ("train", "train")])
def test_new_copies_of_what_was_held_out(split: Split | None, expected: str) -> None:
    """The data's own split wins, and `image.copies-across-splits` speaks of it."""
    (held,) = copies("p", "valid")
    more = copies("p", "a", "b", "c", split=split)
    named = [image("t.jpg", "train"), image("v.jpg", "validation")]
    splits = splits_of([*more, *named], [held_out(held.image)])
    assert {splits[one.image] for one in more} == {expected}


@given(names, st.randoms(use_true_random=False))
def test_the_choice_does_not_depend_on_the_order(paths: list[str], random: object) -> None:
    images = [image(path) for path in paths]
    shuffled = list(images)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert splits_of(images) == splits_of(shuffled)


@given(names, names)
def test_held_out_stays_held_out_when_the_dataset_grows(first: list[str], more: list[str]) -> None:
    before = splits_of([image(path) for path in first])
    held = [path for path, split in before.items() if split != "train"]
    earlier = [held_out(path) for path in held]
    after = splits_of([image(path) for path in dict.fromkeys([*first, *more])], earlier)
    assert all(after[path] != "train" for path in held)


@given(names, st.data())
def test_the_split_of_the_data_wins(paths: list[str], data: st.DataObject) -> None:
    choice = st.sampled_from(["train", "validation", "test"])
    named = {path: data.draw(choice) for path in paths} | {"t": "train", "v": "validation", "e": "test"}
    assert splits_of([image(path, split) for path, split in named.items()]) == named


def test_twenty_per_cent_of_many_are_held_out() -> None:
    splits = splits_of([image(f"p{number}.jpg") for number in range(2000)])
    held = sum(split == "validation" for split in splits.values())
    assert 0.17 < held / 2000 < 0.23


def test_data_that_only_names_train_gets_a_validation_split() -> None:
    log = DefectLog()
    splits, validation_is_test = choose([image(f"p{n}", "train") for n in range(20)], log=log)
    assert set(splits.values()) == {"train", "validation"}
    assert validation_is_test
    assert [defect.code for defect in log.listed()] == ["split.made-from-train"]


def test_pictures_outside_the_lists_are_shared_out_and_named() -> None:
    log = DefectLog()
    listed = [image("a", "train"), image("b", "validation")]
    splits, _ = choose([*listed, *(image(f"p{n}") for n in range(50))], log=log)
    assert (splits["a"], splits["b"]) == ("train", "validation")
    assert set(splits.values()) == {"train", "validation"}
    assert [(defect.code, defect.count) for defect in log.listed()] == [("split.unlisted", 50)]


def test_held_out_before_beats_train_now_and_is_named() -> None:
    log = DefectLog()
    images = [image("a", "train"), image("b", "validation"), image("c", "train")]
    splits, _ = choose(images, [held_out("a")], log=log)
    assert splits == {"a": "validation", "b": "validation", "c": "train"}
    assert [defect.code for defect in log.listed()] == ["split.held-out-kept"]


def test_a_held_out_picture_under_a_new_name_stays_held_out(
    voc: Files, memory_source: type, checked: Check
) -> None:
    digest = blake3(voc["JPEGImages/a3.jpg"]).digest()
    report = checked(voc, Earlier(("dog",), [held_out("other", digest=digest)]))
    assert report.splits == {"train": 7, "validation": 3}


def test_duplicates_across_splits_are_an_error_and_the_held_out_one_stays(voc: Files, checked: Check) -> None:
    voc["JPEGImages/a1.jpg"] = voc["JPEGImages/a0.jpg"]
    report = checked(voc)
    assert [(defect.code, defect.place.file) for defect in report.defects] == [
        ("image.duplicate-across-splits", "JPEGImages/a1.jpg")
    ]
    assert report.splits == {"train": 7, "validation": 2}


def test_duplicates_within_a_split_are_used_once(voc: Files, checked: Check) -> None:
    voc["JPEGImages/a1.jpg"] = voc["JPEGImages/a2.jpg"]
    report = checked(voc)
    assert [defect.code for defect in report.defects] == ["image.duplicate"]
    assert report.splits == {"train": 7, "validation": 2}
    assert report.blocked == []


def test_duplicates_labelled_differently_are_a_conflict(
    voc: Files, xml: Callable[..., bytes], checked: Check
) -> None:
    voc["JPEGImages/a1.jpg"] = voc["JPEGImages/a2.jpg"]
    voc["Annotations/a1.xml"] = xml([("dog", 1, 1, 9, 9)])
    assert [defect.code for defect in checked(voc).defects] == ["labels.conflict"]


def test_one_picture_in_two_formats_alike(voc: Files, checked: Check) -> None:
    report = checked(voc | two_formats(b"10 20 50 50"))
    assert [defect.code for defect in report.defects] == ["labels.repeated"]
    assert report.formats == ["cub", "voc"]
    assert (report.usable_images, report.boxes) == (10, 10)


def test_one_picture_in_two_formats_differently(voc: Files, checked: Check) -> None:
    report = checked(voc | two_formats(b"10 20 15 15"))
    assert [defect.code for defect in report.defects] == ["labels.conflict"]
    assert report.usable_images == 9


def two_formats(box: bytes) -> Files:
    return {
        "images.txt": b"1 JPEGImages/a1.jpg\n",
        "bounding_boxes.txt": b"1 " + box + b"\n",
        "image_class_labels.txt": b"1 1\n",
        "classes.txt": b"1 dog\n",
    }


@given(
    st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=6), max_size=6),
)
def test_classes_never_change_their_id(runs: list[list[str]]) -> None:
    classes: list[str] = []
    for found in runs:
        longer = append_classes(classes, found)
        assert longer[: len(classes)] == classes
        assert len(set(longer)) == len(longer)
        assert set(found) <= set(longer)
        classes = classes_from_json(classes_to_json(longer))
        assert classes == longer


def test_earlier_classes_keep_their_ids_even_without_boxes(voc: Files, memory_source: type) -> None:
    report = check(memory_source(voc), Earlier(("zebra", "cat")))
    assert report.classes == {"zebra": 0, "cat": 0, "dog": 10}
