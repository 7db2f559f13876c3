"""Pictures of what is wrong: few, with the very box that the defect speaks of."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dataprep_job import exhibits
from dataprep_job.check import CheckReport
from dataprep_job.exhibits import PICTURES_PER_CODE, Exhibit, Flaw
from dataprep_job.labels import Edges

Files = dict[str, bytes]
Check = Callable[..., CheckReport]
Xml = Callable[..., bytes]


def only(report: CheckReport, code: str) -> Exhibit:
    (shown,) = [one for one in report.exhibits if one.code == code]
    return shown


def test_a_clean_dataset_has_no_exhibits(voc: Files, checked: Check) -> None:
    report = checked(voc)
    assert report.exhibits == []
    assert len(report.pictured) == 8
    assert all(one.flaws == () for one in report.pictured)


@pytest.mark.parametrize(
    ("corners", "code", "edges"),
    [
        ((300, 11, 350, 40), "box.outside", Edges(299, 10, 350, 40)),
        ((91, 11, 110, 40), "box.clipped", Edges(90, 10, 110, 40)),
        ((31, 11, 31, 11), "box.zero-area", Edges(31, 11, 31, 11)),
        ((50, 40, 20, 10), "box.reversed", Edges(19, 9, 50, 40)),
        ((11, 21, 60, 70), "box.duplicate", Edges(10, 20, 60, 70)),
    ],
)
def test_a_bad_box_is_marked_beside_the_good_ones(
    corners: tuple[int, int, int, int], code: str, edges: Edges, voc: Files, xml: Xml, checked: Check
) -> None:
    voc["Annotations/a1.xml"] = xml([("dog", 11, 21, 60, 70), ("dog", *corners)])
    shown = only(checked(voc), code)
    (picture,) = shown.pictures
    assert picture.flaws == (Flaw(edges, 1),)
    assert [defect.edges for defect in shown.defects] == [edges]
    assert (picture.path, picture.width, picture.height) == ("JPEGImages/a1.jpg", 100, 80)
    assert Edges(10, 20, 60, 70) in [box.edges for box in picture.boxes]
    assert picture.annotation == "Annotations/a1.xml"
    assert picture.jpeg[:2] == b"\xff\xd8"


def test_numbers_that_are_none_are_shown_without_a_box(voc: Files, cub: Files, checked: Check) -> None:
    cub["bounding_boxes.txt"] += b"1 nan 20.0 50.0 40.0\n"
    cub["image_class_labels.txt"] += b"1 7\n"
    report = checked(cub)
    assert "box.not-a-number" in {defect.code for defect in report.defects}
    assert all(flaw.number == 0 for shown in report.exhibits for one in shown.pictures for flaw in one.flaws)


def test_all_bad_boxes_of_one_picture_are_one_exhibit_and_numbered(
    voc: Files, xml: Xml, checked: Check
) -> None:
    bad = [("dog", 91, 11 + n, 110, 40 + n) for n in range(3)]
    voc["Annotations/a1.xml"] = xml(bad)
    shown = only(checked(voc), "box.clipped")
    assert [flaw.number for flaw in shown.pictures[0].flaws] == [1, 2, 3]
    assert [defect.edges for defect in shown.defects] == [flaw.edges for flaw in shown.pictures[0].flaws]


def test_a_lost_picture_shows_every_box_that_was_rejected(voc: Files, xml: Xml, checked: Check) -> None:
    voc["Annotations/a1.xml"] = xml([("dog", 300, 11, 350, 40), ("dog", 31, 11, 31, 11)])
    (picture,) = only(checked(voc), "image.no-usable-box").pictures
    assert (picture.boxes, picture.split) == ((), "left out")
    assert picture.flaws == (Flaw(Edges(299, 10, 350, 40), 0), Flaw(Edges(31, 11, 31, 11), 0))


def test_boxes_of_a_picture_of_another_size_are_stretched_over_it(
    voc: Files, xml: Xml, checked: Check
) -> None:
    voc["Annotations/a1.xml"] = xml([("dog", 21, 41, 120, 140)], size=(200, 160))
    (picture,) = only(checked(voc), "image.size-mismatch").pictures
    assert picture.flaws == (Flaw(Edges(10, 20, 60, 70), 0),)


def test_a_copy_in_another_split_shows_both_pictures(voc: Files, checked: Check) -> None:
    voc["JPEGImages/a1.jpg"] = voc["JPEGImages/a0.jpg"]
    shown = only(checked(voc), "image.duplicate-across-splits")
    assert [(one.path, one.split, one.flaws) for one in shown.pictures] == [
        ("JPEGImages/a1.jpg", "train", ()),
        ("JPEGImages/a0.jpg", "validation", ()),
    ]


def test_copies_labelled_differently_show_the_boxes_that_differ(voc: Files, xml: Xml, checked: Check) -> None:
    voc["JPEGImages/a2.jpg"] = voc["JPEGImages/a1.jpg"]
    voc["Annotations/a2.xml"] = xml([("dog", 11, 21, 60, 70), ("cat", 70, 21, 90, 70)])
    shown = only(checked(voc), "labels.conflict")
    marked = {one.path: [flaw.edges for flaw in one.flaws] for one in shown.pictures}
    assert marked == {"JPEGImages/a1.jpg": [], "JPEGImages/a2.jpg": [Edges(69, 20, 90, 70)]}


def test_one_picture_in_two_annotations_is_shown_as_each_says(voc: Files, xml: Xml, checked: Check) -> None:
    voc["more/a1.xml"] = xml([("cat", 11, 21, 60, 70)], filename="a1.jpg")
    shown = only(checked(voc), "labels.conflict")
    assert [(one.path, one.annotation) for one in shown.pictures] == [
        ("JPEGImages/a1.jpg", "Annotations/a1.xml"),
        ("JPEGImages/a1.jpg", "more/a1.xml"),
    ]
    assert [len(one.flaws) for one in shown.pictures] == [1, 1]


def test_augmented_copies_in_two_splits_are_shown_together(voc: Files, xml: Xml, checked: Check) -> None:
    for number, split in ((1, "train"), (2, "train"), (3, "val")):
        name = f"cat_jpg.rf.{number:032x}"
        voc[f"JPEGImages/{name}.jpg"] = voc[f"JPEGImages/a{number}.jpg"] + bytes(number)
        voc[f"Annotations/{name}.xml"] = xml()
        voc[f"ImageSets/Main/{split}.txt"] += f"{name}\n".encode()
    shown = only(checked(voc), "image.copies-across-splits")
    (defect,) = shown.defects
    assert [one.split for one in shown.pictures] == ["train", "validation"]
    assert "0001.jpg and 1 more in train; " in defect.message
    assert all(one.path in defect.message for one in shown.pictures)


def test_there_are_few_pictures_of_a_code(voc: Files, xml: Xml, checked: Check) -> None:
    for number in range(10):
        voc[f"Annotations/a{number}.xml"] = xml([("dog", 11, 21, 60, 70), ("dog", 91, 11, 110, 40)])
    report = checked(voc)
    assert sum(defect.code == "box.clipped" for defect in report.defects) == 10
    assert len(report.exhibits) == PICTURES_PER_CODE


def test_there_are_few_pictures_in_all(
    voc: Files, xml: Xml, checked: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exhibits, "PICTURES_IN_ALL", 2)
    bad = [
        ("dog", 11, 21, 60, 70),
        ("dog", 91, 11, 110, 40),
        ("dog", 300, 11, 350, 40),
        ("dog", 31, 11, 31, 11),
    ]
    voc["Annotations/a1.xml"] = xml(bad)
    assert [shown.code for shown in checked(voc).exhibits] == ["box.outside", "box.zero-area"]


def test_a_picture_that_is_gone_or_damaged_is_not_shown(
    voc: Files, xml: Xml, checked: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    voc["Annotations/a1.xml"] = xml([("dog", 11, 21, 60, 70), ("dog", 91, 11, 110, 40)])
    voc["JPEGImages/a2.jpg"] = voc["JPEGImages/a2.jpg"][:200]

    def refuse(*_: object) -> None:
        raise exhibits.PictureError("image.unreadable", "Gone bad meanwhile.")

    monkeypatch.setattr(exhibits, "decode", refuse)
    report = checked(voc)
    assert {defect.code for defect in report.defects} == {"box.clipped", "image.truncated"}
    assert report.exhibits == []


def test_a_picture_whose_labels_are_lost_is_shown_without_boxes(
    checked: Check, picture: Callable[..., bytes]
) -> None:
    def task(annotator: int, x: float) -> bytes:
        value = f'{{"x": {x}, "y": 20, "width": 30, "height": 40, "rectanglelabels": ["dog"]}}'
        size = '"original_width": 100, "original_height": 80'
        region = f'{{"type": "rectanglelabels", {size}, "value": {value}}}'
        return f'{{"id": {annotator}, "result": [{region}]}}'.encode()

    tasks = b'[{"id": 1, "data": {"image": "a.jpg"}, "annotations": [%s, %s]}]' % (task(1, 10), task(2, 60))
    shown = only(checked({"a.jpg": picture(), "tasks.json": tasks}), "labelstudio.annotators-disagree")
    (one,) = shown.pictures
    assert (one.path, one.boxes, one.flaws, one.annotation) == ("a.jpg", (), (), "")
