"""Which picture an annotation means: paths, cases, Unicode forms and folders differ between machines."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataprep_job.check import CheckReport
from dataprep_job.dataset_files import DatasetFiles, split_of_folders
from dataprep_job.defects import DefectLog, Place
from dataprep_job.spelling import name_before_upload, other_forms, plain

Check = Callable[..., CheckReport]
Files = dict[str, bytes]
Locate = Callable[..., tuple[str | None, list[str]]]


@pytest.fixture
def locate(memory_source: Callable[..., Any]) -> Locate:
    """`locate(reference, annotation, *pictures)`: the picture that is meant, and the codes of the defects."""

    def run(reference: str, annotation: str, *pictures: str) -> tuple[str | None, list[str]]:
        log = DefectLog()
        files = DatasetFiles(memory_source(dict.fromkeys((*pictures, annotation), b"")), log)
        found = files.locate(reference, Place(annotation))
        log.settle()
        return found, [defect.code for defect in log.listed()]

    return run


@pytest.mark.parametrize(
    ("reference", "picture"),
    [
        ("a.jpg", "x/a.JPG"),
        ("A.jpg", "x/a.jpg"),
        ("a.jpeg", "x/a.jpg"),
        ("a.JPG", "x/a.jfif"),
        ("C:\\data\\Größe.PNG", "x/größe.png"),
        (unicodedata.normalize("NFC", "é.jpg"), unicodedata.normalize("NFD", "x/é.jpg")),
        (unicodedata.normalize("NFD", "É.jpg"), unicodedata.normalize("NFC", "x/é.jpg")),
        ("s3://b/%C3%A9.jpg", unicodedata.normalize("NFD", "x/é.jpg")),
        ("images/3f2a9c01-a.jpg", "x/a.jpg"),
        ("images/3f2a9c01-a.jpg", "x/A.JPG"),
    ],
)
def test_other_spellings_are_found_and_said(locate: Locate, reference: str, picture: str) -> None:
    assert locate(reference, "n.json", picture, "x/b.jpg") == (picture, ["image.spelled-differently"])


@pytest.mark.parametrize(
    "reference", ["a.jpg", "x/a.jpg", "..\\x\\a.jpg", "s3://bucket/other/a.jpg", "https://h/a.jpg?v=1"]
)
def test_the_very_name_wins_without_a_word(locate: Locate, reference: str) -> None:
    assert locate(reference, "n.json", "x/a.jpg", "y/A.jpg", "y/a.JPG", "y/a.jpeg") == ("x/a.jpg", [])


def test_a_percent_encoded_name_is_spelled_right(locate: Locate) -> None:
    assert locate("x/a%20b.jpg", "n.json", "x/a b.jpg") == ("x/a b.jpg", [])


def test_another_kind_of_file_is_only_suggested(memory_source: Callable[..., Any]) -> None:
    """A PNG beside photos may as well be a mask."""
    log = DefectLog()
    files = DatasetFiles(memory_source({"x/a.png": b""}), log)
    assert files.locate("a.jpg", Place("n.json")) is None
    (defect,) = log.listed()
    assert (defect.code, defect.message) == (
        "image.missing",
        "There is no picture 'a.jpg'. Did you mean x/a.png?",
    )


def test_folders_tell_other_spellings_apart(locate: Locate) -> None:
    assert locate("day2/a.jpg", "n.json", "Day1/a.JPG", "Day2/a.JPG")[0] == "Day2/a.JPG"
    assert locate("a.jpg", "n.json", "Day1/a.JPG", "Day2/a.JPG") == (None, ["image.ambiguous"])


@pytest.mark.parametrize(
    ("annotation", "picture"),
    [
        ("annotations/day1.json", "photos/day1/a.jpg"),
        ("annotations/instances_day1.json", "photos/Day1/a.jpg"),
        ("annotations/day1_v2.json", "photos/day1/a.jpg"),
        ("day1/annotations.json", "day1/a.jpg"),
        ("labels/day1/annotations.json", "photos/day1.zip/a.jpg"),
        ("annotations/instances_train.json", "train/a.jpg"),
        ("annotations/instances_train2017.json", "train2017/a.jpg"),
        ("annotations/instances_valid.json", "images/val/a.jpg"),
        ("annotations/test/all.json", "images/test/a.jpg"),
    ],
)
def test_the_path_of_the_annotation_tells_pictures_of_one_name_apart(
    locate: Locate, annotation: str, picture: str
) -> None:
    others = ("photos/day10/a.jpg", "photos/day/a.jpg", "photos/other/a.jpg")
    assert locate("a.jpg", annotation, picture, *others) == (picture, [])


@pytest.mark.parametrize("copy", ["backup/images/a.jpg", "cvat.zip/images/a.jpg", "voc/JPEGImages/a.jpg"])
def test_a_copy_of_the_dataset_in_it_does_not_count(locate: Locate, copy: str) -> None:
    assert locate("a.jpg", "annotations/all.json", "images/a.jpg", copy) == ("images/a.jpg", [])


@pytest.mark.parametrize("annotation", ["annotations/all.json", "annotations/day1_day2.json"])
def test_nothing_is_guessed(locate: Locate, annotation: str) -> None:
    assert locate("a.jpg", annotation, "day1/a.jpg", "day2/a.jpg") == (None, ["image.ambiguous"])


@pytest.mark.parametrize(
    ("reference", "picture", "is_said"),
    [
        ("cam1/a.jpg", "cam0/a.jpg", True),
        ("data\\Cam1\\a.jpg", "data/cam0/a.jpg", True),
        ("train/a.jpg", "images/val/a.jpg", True),
        ("cam1/images/a.jpg", "cam0.zip/images/a.jpg", True),
        ("cam1/a.jpg", "more/CAM1/a.jpg", False),
        ("cam1/a.jpg", "cam1.zip/a.jpg", False),
        ("cam%201/a.jpg", "cam 1/a.jpg", False),
        ("cam1/a.jpg", "images/a.jpg", False),
        ("cam1/a.jpg", "a.jpg", False),
        ("images/a.jpg", "cam0/a.jpg", False),
        ("../a.jpg", "cam0/a.jpg", False),
        ("/home/anna/cam1/a.jpg", "cam0/a.jpg", False),
        ("C:\\cam1\\a.jpg", "cam0/a.jpg", False),
        ("s3://bucket/cam1/a.jpg", "cam0/a.jpg", False),
    ],
)
def test_a_picture_found_in_another_folder_than_named_is_said(
    locate: Locate, reference: str, picture: str, is_said: bool
) -> None:
    """Half of an upload is missing, and pictures of every folder are numbered alike: whose boxes are they?"""
    expected = ["image.other-folder"] if is_said else []
    assert locate(reference, "n.json", picture) == (picture, expected)


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("train2017/a.jpg", "train"),
        ("VAL-2024/a.jpg", "validation"),
        ("test_2007.zip/a.jpg", "test"),
        ("train2/a.jpg", None),
        ("2017/a.jpg", None),
        ("trainer2017/a.jpg", None),
        ("train20177/a.jpg", None),
    ],
)
def test_folders_of_a_split_and_a_year(path: str, split: str | None) -> None:
    assert split_of_folders(path) == split


def test_official_layout_of_coco_with_names_from_one(picture: Callable[..., bytes], checked: Check) -> None:
    files = {}
    for at, split in enumerate(("train", "val")):
        images = [{"id": n, "file_name": f"{n}.jpg", "width": 100, "height": 80} for n in range(3)]
        boxes = [{"image_id": n, "category_id": 1, "bbox": [1, 2, 30, 40]} for n in range(3)]
        document = {
            "images": images,
            "annotations": boxes,
            "categories": [{"id": 1, "name": "cat"}],
        }
        files[f"annotations/instances_{split}2017.json"] = json.dumps(document).encode()
        files |= {f"{split}2017/{n}.jpg": picture(seed=3 * at + n) for n in range(3)}
    report = checked(files)
    assert not report.defects
    assert report.splits == {"train": 3, "validation": 3}


@pytest.mark.parametrize(
    "name",
    ["labels.xlsx", "LABELS.XLS", "train.tfrecord", "train.record", "x.parquet", "digits.mat", "a.geojson"],
)
def test_what_may_hold_labels_and_is_not_read_is_said(voc: Files, checked: Check, name: str) -> None:
    report = checked(voc | {name: b"x", "notes.docx": b"x", "README.txt": b"x"})
    assert [(defect.code, defect.place.file) for defect in report.defects] == [("file.not-understood", name)]


names = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="/\0"), min_size=1, max_size=8)


@given(names)
def test_all_spellings_of_a_name_are_one(name: str) -> None:
    for form in ("NFC", "NFD"):
        again = unicodedata.normalize(form, name)
        assert plain(again) == plain(name)
        assert plain(plain(again)) == plain(name)
    assert name not in other_forms(name)


def test_names_before_an_upload() -> None:
    assert name_before_upload("3f2a9c01-a-b.jpg") == "a-b.jpg"
    assert name_before_upload("3f2a9c0-a.jpg") is None
    assert name_before_upload("3f2a9c01-") is None
