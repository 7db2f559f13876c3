"""Several annotations of one picture, in several formats and frames: the same, or not to be trusted."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dataprep_job.agreement import LabelledBox, say_the_same
from dataprep_job.check import CheckReport
from dataprep_job.labels import Edges

Files = dict[str, bytes]
Check = Callable[..., CheckReport]
Picture = Callable[..., bytes]
Xml = Callable[..., bytes]

DOG = ("dog", Edges(10, 20, 60, 70))


def coco(
    name: str, box: tuple[float, ...], size: tuple[int, int] = (100, 80), contributor: str = ""
) -> bytes:
    """A COCO file of one picture with one dog: left, top, right and bottom."""
    x0, y0, x1, y1 = box
    image = {"id": 1, "file_name": name, "width": size[0], "height": size[1]}
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0]}
    content = {"images": [image], "annotations": [annotation], "categories": [{"id": 1, "name": "dog"}]}
    return json.dumps(content | {"info": {"year": 2026, "contributor": contributor}}).encode()


def turned(picture: bytes, orientation: int) -> bytes:
    """The picture with an EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    saved = io.BytesIO()
    Image.open(io.BytesIO(picture)).save(saved, "JPEG", exif=exif.tobytes(), quality=90)
    return saved.getvalue()


def codes(report: CheckReport) -> list[str]:
    # One picture alone leaves a split empty, which is not of interest here.
    return [defect.code for defect in report.defects if not defect.code.startswith("class.")]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ([DOG], True),
        ([("dog", Edges(11, 21, 60, 70))], True),
        ([("dog", Edges(10.4, 19.6, 61.9, 68.1))], True),
        ([("dog", Edges(10, 20, 60, 72.5))], False),
        ([("cat", DOG[1])], False),
        ([], False),
        ([DOG, DOG], False),
    ],
)
def test_one_box(other: list[LabelledBox], same: bool) -> None:
    assert say_the_same([DOG], other) is same
    assert say_the_same(other, [DOG]) is same


edges = st.tuples(*[st.floats(0, 1000)] * 4).map(lambda four: Edges(*four))
boxes = st.lists(st.tuples(st.sampled_from("ab"), edges), max_size=12)


@given(boxes, st.randoms(use_true_random=False))
def test_the_order_does_not_matter(mine: list[LabelledBox], random: object) -> None:
    theirs = list(mine)
    random.shuffle(theirs)  # type: ignore[attr-defined]
    assert say_the_same(mine, theirs)


def test_thousands_of_boxes_do_not_take_long() -> None:
    many = [("dog", Edges(number, 0, number + 5, 5)) for number in range(50_000)]
    start = time.monotonic()
    assert say_the_same(many, many[::-1])
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("box", [(10.37, 20.41, 60.4, 70.3), (10, 20, 60, 70), (9.6, 19.8, 59.5, 70.9)])
def test_two_exports_with_pictures_of_their_own_are_copies(
    voc: Files, checked: Check, box: tuple[float, ...]
) -> None:
    """VOC rounds to whole pixels, COCO does not."""
    for number in range(10):
        name, split = f"a{number}.jpg", "train" if number % 5 else "val"
        voc[f"coco/{split}/{name}"] = voc[f"JPEGImages/{name}"]
        voc[f"coco/{split}/{number}.json"] = coco(name, box)
    report = checked(voc)
    assert set(codes(report)) == {"image.duplicate"}
    assert (report.usable_images, report.boxes) == (10, 10)


def test_two_exports_of_the_same_pictures_are_one_warning(voc: Files, checked: Check) -> None:
    for number in range(10):
        voc[f"coco/{number}.json"] = coco(f"a{number}.jpg", (10.37, 20.41, 60.4, 70.3))
    report = checked(voc)
    assert [(defect.code, defect.count) for defect in report.defects] == [("labels.repeated", 10)]
    assert report.splits == {"train": 8, "validation": 2}


def test_yolo_labels_in_a_folder_of_their_own_are_held_against_those_of_another_format(
    voc: Files, checked: Check
) -> None:
    for number in range(10):
        voc[f"yolo/labels/a{number}.txt"] = b"0 0.35 0.5625 0.5 0.625\n"
    voc["yolo/data.yaml"] = b"names: [dog]\n"
    report = checked(voc)
    assert {(defect.code, defect.count) for defect in report.defects} == {
        ("labels.repeated", 10),
        ("yolo.folder-mismatch", 10),
    }
    voc["yolo/labels/a3.txt"] = b"0 0.55 0.5625 0.5 0.625\n"
    assert {"labels.repeated", "labels.conflict"} <= set(codes(checked(voc)))


def frames(picture: Picture, orientation: int) -> tuple[Files, Edges, Edges]:
    """A picture of 100 x 80 that is stored turned, and a box on it: as it is stored, and as people see it."""
    stored = Edges(10, 20, 60, 70)
    return {"p.jpg": turned(picture(), orientation)}, stored, stored.turned(orientation, 100, 80)


@pytest.mark.parametrize("orientation", range(5, 9))
def test_two_formats_may_speak_of_different_frames(
    picture: Picture, checked: Check, orientation: int
) -> None:
    files, stored, seen = frames(picture, orientation)
    centre = (seen.x0 + seen.x1) / 160, (seen.y0 + seen.y1) / 200
    yolo = f"0 {centre[0]} {centre[1]} {(seen.x1 - seen.x0) / 80} {(seen.y1 - seen.y0) / 100}\n"
    files |= {"p.txt": yolo.encode(), "data.yaml": b"names: [dog]\n", "stored.json": coco("p.jpg", stored)}
    files |= {"seen.json": coco("p.jpg", seen, (80, 100))}
    report = checked(files)
    assert set(codes(report)) <= {"labels.repeated", "image.turned"}
    assert report.boxes == 1


@pytest.mark.parametrize("orientation", range(5, 9))
def test_coco_of_label_studio_is_read_as_shares(picture: Picture, checked: Check, orientation: int) -> None:
    """It multiplies shares of the displayed picture with the size of the stored one (its issue 6608)."""
    files, _, seen = frames(picture, orientation)
    shares = seen.relative(80, 100)
    written = shares.absolute(100, 80)
    result = coco("images/1/0a1b2c3d-p.jpg", written, contributor="Label Studio")
    report = checked(files | {"result.json": result})
    assert codes(report) == ["image.spelled-differently"]
    (shown,) = report.pictured
    assert shown.boxes[0].edges == pytest.approx(seen)


@pytest.mark.parametrize("size", [(100, 80), (80, 100)])
def test_the_size_in_coco_of_label_studio_is_still_checked(
    picture: Picture, checked: Check, size: tuple[int, int]
) -> None:
    result = coco("p.jpg", (1, 2, 30, 40), size, contributor="Label Studio")
    report = checked({"p.jpg": picture(60, 50), "result.json": result})
    assert codes(report) == ["image.size-mismatch"]


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("form", ["coco", "yolo"])
def test_a_turn_that_nothing_tells_of_is_pointed_out(
    picture: Picture, checked: Check, orientation: int, form: str
) -> None:
    """Upside down, a picture has the size it would have otherwise; shares tell nothing at all."""
    files, stored, seen = frames(picture, orientation)
    if form == "yolo":
        files |= {"p.txt": b"0 0.5 0.5 0.2 0.2\n", "data.yaml": b"names: [dog]\n"}
    elif orientation < 5:
        files["seen.json"] = coco("p.jpg", seen)
    else:
        files["stored.json"] = coco("p.jpg", stored)
    expected = "image.turned" if form == "coco" and orientation >= 5 else "image.turn-unknown"
    assert codes(checked(files)) == [expected]


def test_a_picture_that_is_not_turned_is_no_cause_for_warnings(picture: Picture, checked: Check) -> None:
    files = {"p.jpg": turned(picture(), 1), "p.txt": b"0 0.5 0.5 0.2 0.2\n", "data.yaml": b"names: [dog]\n"}
    assert codes(checked(files)) == []


def test_pictures_that_an_export_lists_without_boxes_are_no_contradiction(
    voc: Files, xml: Xml, checked: Check
) -> None:
    """Two people export one project; each has labelled some of its pictures, and both list them all."""
    images = [{"id": n, "file_name": f"a{n}.jpg", "width": 100, "height": 80} for n in range(10)]
    categories = [{"id": 1, "name": "dog"}]
    for name, numbers in (("anna", range(6)), ("ben", range(6, 9))):
        boxes = [{"id": n, "image_id": n, "category_id": 1, "bbox": [10, 20, 50, 50]} for n in numbers]
        content = {"images": images, "annotations": boxes, "categories": categories}
        voc[f"{name}.json"] = json.dumps(content).encode()
    report = checked({path: data for path, data in voc.items() if not path.endswith(".xml")})
    assert [(defect.code, defect.count) for defect in report.defects if defect.code[:6] != "split."] == [
        ("labels.partly-empty", 9),
        ("image.background", 1),
    ]
    assert report.boxes == 9


def test_the_split_of_an_annotation_without_boxes_counts(voc: Files, xml: Xml, checked: Check) -> None:
    voc["test/a1.json"] = b'{"shapes": [], "imagePath": "a1.jpg", "imageWidth": 100, "imageHeight": 80}'
    report = checked(voc)
    assert codes(report) == ["split.conflict", "labels.partly-empty"]
    assert report.splits == {"train": 7, "validation": 2, "test": 1}


def test_different_boxes_are_a_conflict(voc: Files, xml: Xml, checked: Check) -> None:
    voc["old/Annotations/a1.xml"] = xml([("dog", 31, 21, 60, 70)])
    assert codes(checked(voc)) == ["labels.conflict"]


@pytest.mark.parametrize("row", [b"0 0.500001 0.5 1.0 1.0\n", b"0 0.1499995 0.5 0.3 0.2\n"])
def test_shares_that_leave_the_picture_by_rounding_are_cut_without_a_word(
    picture: Picture, checked: Check, row: bytes
) -> None:
    report = checked({"p.jpg": picture(), "p.txt": row, "data.yaml": b"names: [dog]\n"})
    assert codes(report) == []
    (shown,) = report.pictured
    assert all(0 <= x <= 100 for box in shown.boxes for x in (box.edges.x0, box.edges.x1))


def test_roboflow_s_placeholder_is_no_class_and_a_box_drawn_twice_counts_once(
    picture: Picture, checked: Check
) -> None:
    content = json.loads(coco("p.jpg", (10, 20, 60, 70)))
    content["categories"] = [
        {"id": 0, "name": "pets", "supercategory": "none"},
        {"id": 1, "name": "dog", "supercategory": "pets"},
    ]
    content["annotations"] += [dict(content["annotations"][0], id=2)]
    report = checked({"p.jpg": picture(), "_annotations.coco.json": json.dumps(content).encode()})
    assert codes(report) == ["box.duplicate"]
    assert report.classes == {"dog": 1}
