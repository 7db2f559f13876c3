"""The CUB reader: every kind of dirt costs only itself and is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dataprep_job.check import CheckReport

Check = Callable[..., CheckReport]
Files = dict[str, bytes]


def test_clean_dataset_has_no_defects(cub: Files, checked: Check) -> None:
    report = checked(cub)
    assert report.defects == []
    assert report.blocked == []
    assert (report.images, report.usable_images, report.boxes) == (10, 10, 10)
    assert report.formats == ["cub"]


def test_classes_are_in_the_order_of_class_ids_and_only_used_ones(cub: Files, checked: Check) -> None:
    cub["classes.txt"] = b"10 ten\n9 nine\n3 three\n7 seven\n"
    cub["image_class_labels.txt"] = "".join(f"{i} {[10, 9, 7][i % 3]}\n" for i in range(1, 11)).encode()
    assert list(checked(cub).classes) == ["seven", "nine", "ten"]


def test_test_split_is_validation_where_there_is_no_other(cub: Files, checked: Check) -> None:
    report = checked(cub)
    assert report.splits == {"train": 8, "validation": 2}
    assert report.validation_is_test


def test_dataset_may_lie_deeper_and_several_merge(cub: Files, checked: Check) -> None:
    deeper = {f"one/{path}": data for path, data in cub.items()}
    assert checked(deeper).usable_images == 10
    other = {f"two/sub/{path}": data for path, data in cub.items() if not path.endswith(".jpg")}
    for number in range(1, 11):
        other[f"two/sub/images/a b/p{number}.jpg"] = cub[f"images/a b/p{number}.jpg"] + b"different"
    assert checked(deeper | other).usable_images == 20


def test_orphan_ids_are_one_defect_a_file(cub: Files, checked: Check) -> None:
    cub["image_class_labels.txt"] += "".join(f"{i} 3\n" for i in range(11, 5000)).encode()
    cub["train_test_split.txt"] += "".join(f"{i} 1\n" for i in range(11, 5000)).encode()
    report = checked(cub)
    assert [defect.code for defect in report.defects] == ["cub.orphan-id"] * 2
    assert report.defects[0].count == 4989
    assert "and 4,984 more" in report.defects[0].message
    assert "id 11" in report.defects[0].message
    assert report.usable_images == 10


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("bounding_boxes.txt", b"1 10,5 20 30 40"),
        ("bounding_boxes.txt", b"1 10 20 30"),
        ("bounding_boxes.txt", b"garbage"),
        ("images.txt", b"11"),
        ("image_class_labels.txt", b"1 3 4"),
        ("train_test_split.txt", b"1 yes"),
        ("train_test_split.txt", b"1 2"),
    ],
)
def test_bad_line_is_named_and_costs_only_itself(cub: Files, checked: Check, file: str, line: bytes) -> None:
    cub[file] += line + b"\n"
    report = checked(cub)
    (defect,) = report.defects
    assert (defect.code, defect.place.file, defect.place.where) == ("cub.bad-line", file, "line 11")
    assert report.usable_images == 10


def test_line_that_is_not_utf8_costs_only_itself(cub: Files, checked: Check) -> None:
    cub["images.txt"] += b"11 caf\xe9.jpg\n"
    report = checked(cub)
    assert [(defect.code, defect.place.where) for defect in report.defects] == [("text.not-utf8", "line 11")]
    assert report.usable_images == 10


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\r\n", "\r", "\n\n"])
def test_byte_order_marks_and_line_ends_of_any_system(
    cub: Files, checked: Check, encoding: str, end: str
) -> None:
    for file in ("images.txt", "bounding_boxes.txt", "classes.txt"):
        cub[file] = cub[file].decode().replace("\n", end).encode(encoding)
    report = checked(cub)
    assert report.defects == []
    assert report.usable_images == 10


def test_listed_picture_that_is_missing(cub: Files, checked: Check) -> None:
    del cub["images/a b/p4.jpg"]
    report = checked(cub)
    (defect,) = report.defects
    assert (defect.code, defect.place.file, defect.place.where) == ("image.missing", "images.txt", "line 4")
    assert report.usable_images == 9


def test_other_spelling_is_accepted(cub: Files, checked: Check) -> None:
    cub["images/a b/P4.JPG"] = cub.pop("images/a b/p4.jpg")
    report = checked(cub)
    assert [(defect.code, defect.place.where) for defect in report.defects] == [
        ("image.spelled-differently", "line 4")
    ]
    assert report.usable_images == 10


@pytest.mark.parametrize("path", ["../secret.jpg", "/etc/passwd", "a\\..\\b.jpg", "x/../../y.jpg"])
def test_paths_that_leave_the_dataset_are_refused(cub: Files, checked: Check, path: str) -> None:
    cub["images.txt"] += f"11 {path}\n".encode()
    report = checked(cub)
    assert [defect.code for defect in report.defects] == ["path.outside"]


def test_an_id_of_two_pictures_costs_both(cub: Files, picture: Callable[..., bytes], checked: Check) -> None:
    """Nobody knows which of them the id's box was drawn on."""
    cub["images/a b/extra.jpg"] = picture(seed=99)
    cub["images.txt"] += b"1 a b/extra.jpg\n"
    report = checked(cub)
    assert [defect.code for defect in report.defects] == ["cub.duplicate-id"]
    assert (report.usable_images, report.boxes) == (9, 9)


def test_a_picture_listed_twice_alike_loses_nothing(cub: Files, checked: Check) -> None:
    cub["images.txt"] += b"1 a b/p1.jpg\n"
    report = checked(cub)
    assert [defect.code for defect in report.defects] == ["cub.duplicate-id"]
    assert report.usable_images == 10


def test_class_id_with_two_names_costs_its_boxes(cub: Files, checked: Check) -> None:
    cub["classes.txt"] += b"3 003.Another\n"
    report = checked(cub)
    assert [(defect.code, defect.place.where) for defect in report.defects] == [
        ("cub.duplicate-class", "line 4")
    ]
    assert report.classes == {"007.Auklet": 5}


def test_picture_for_training_and_for_testing_is_held_out(cub: Files, checked: Check) -> None:
    cub["train_test_split.txt"] += b"1 0\n5 1\n2 1\n"
    report = checked(cub)
    assert [(defect.code, defect.place.where) for defect in report.defects] == [
        ("split.conflict", "line 11"),
        ("split.conflict", "line 12"),
    ]
    assert report.splits == {"train": 7, "validation": 3}


@pytest.mark.parametrize(
    ("file", "line", "classes"),
    [
        ("image_class_labels.txt", b"1 3 4", {"003.Ani": 5, "007.Auklet": 5}),
        ("bounding_boxes.txt", b"1 9 9 9", {"003.Ani": 6, "007.Auklet": 4}),
    ],
)
def test_bad_line_never_moves_classes_to_other_boxes(
    cub: Files, checked: Check, file: str, line: bytes, classes: dict[str, int]
) -> None:
    """Picture 1 has two boxes of two classes, and one of the four lines cannot be read."""
    cub["bounding_boxes.txt"] += b"1 60 10 30 30\n"
    cub["image_class_labels.txt"] += b"1 3\n"
    before = cub[file].splitlines()
    at = len(before) - 1 if file == "image_class_labels.txt" else 0
    cub[file] = b"\n".join([*before[:at], line, *before[at + 1 :]])
    report = checked(cub)
    assert [defect.code for defect in report.defects] == ["cub.bad-line"]
    assert report.classes == classes


def test_labels_of_other_formats_below_the_folder_are_not_swallowed(
    cub: Files, picture: Callable[..., bytes], checked: Check
) -> None:
    cub["extra/images/q.jpg"] = picture(seed=77)
    cub["extra/labels/q.txt"] = b"0 0.5 0.5 0.2 0.2\n"
    cub["extra/data.yaml"] = b"names: [007.Auklet]\n"
    cub["notes.txt"] = b"ask Anna\n"
    cub["attributes/image_attribute_labels.txt"] = cub["parts/part_locs.txt"] = b"1 1 1 1 1.5\n"
    report = checked(cub)
    assert report.formats == ["cub", "yolo"]
    assert (report.usable_images, report.boxes) == (11, 11)
    assert [(defect.code, defect.place.file) for defect in report.defects] == [
        ("file.not-understood", "notes.txt"),
        ("split.unlisted", "extra/labels/q.txt"),
    ]


@pytest.mark.parametrize("file", ["bounding_boxes.txt", "image_class_labels.txt"])
def test_listed_picture_without_label(cub: Files, checked: Check, file: str) -> None:
    cub[file] = b"".join(line for line in cub[file].splitlines(True) if not line.startswith(b"4 "))
    report = checked(cub)
    (defect,) = report.defects
    assert (defect.code, defect.place.where) == ("labels.missing", "line 4")
    assert file in defect.message
    assert report.usable_images == 9


def test_picture_that_nothing_lists(cub: Files, picture: Callable[..., bytes], checked: Check) -> None:
    cub["images/a b/extra.jpg"] = picture(seed=99)
    report = checked(cub)
    assert [(defect.code, defect.place.file) for defect in report.defects] == [
        ("image.unlabelled", "images/a b/extra.jpg")
    ]
    assert (report.images, report.usable_images) == (11, 10)


def test_class_id_without_name_is_one_defect(cub: Files, checked: Check) -> None:
    cub["classes.txt"] = b"7 007.Auklet\n"
    report = checked(cub)
    assert [(defect.code, defect.count) for defect in report.defects] == [("cub.class-without-name", 5)]
    assert list(report.classes) == ["007.Auklet"]
    assert "5 of 10" in report.blocked[0]


def test_missing_file_of_the_layout_is_named(cub: Files, checked: Check) -> None:
    del cub["classes.txt"]
    report = checked(cub)
    assert "cub.file-missing" in [defect.code for defect in report.defects]
    assert report.blocked


def test_several_boxes_a_picture(cub: Files, checked: Check) -> None:
    cub["bounding_boxes.txt"] += b"1 60 10 30 30\n2 60 10 30 30\n3 60 10 30 30\n"
    cub["image_class_labels.txt"] += b"2 7\n3 3\n3 7\n"
    report = checked(cub)
    assert [(defect.code, "id 3" in defect.message) for defect in report.defects] == [
        ("cub.label-count", True)
    ]
    assert (report.usable_images, report.boxes) == (9, 11)
    assert report.classes == {"003.Ani": 5, "007.Auklet": 6}


def test_box_one_pixel_out_is_clipped_without_a_word(cub: Files, checked: Check) -> None:
    cub["bounding_boxes.txt"] = cub["bounding_boxes.txt"].replace(
        b"1 10.0 20.0 50.0 40.0", b"1 10.0 20.0 91.0 61.0"
    )
    assert checked(cub).defects == []


@pytest.mark.parametrize(
    ("box", "code", "boxes"),
    [
        (b"nan 20 50 40", "box.not-a-number", 9),
        (b"10 20 inf 40", "box.not-a-number", 9),
        (b"10 20 0 40", "box.zero-area", 9),
        (b"60 60 -50 -40", "box.reversed", 10),
        (b"300 300 50 40", "box.outside", 9),
        (b"-2000 10 2010 10", "box.outside", 9),
        (b"60 20 60 40", "box.clipped", 10),
        (b"160 20 -120 40", "box.outside", 9),
        (b"10 20 0.5 40", "box.too-small", 9),
        (b"100.0 20 1 40", "box.too-small", 9),
        (b"1e308 -1e308 1e308 1e308", "box.not-a-number", 9),
    ],
)
def test_boxes_that_cannot_be_right(cub: Files, checked: Check, box: bytes, code: str, boxes: int) -> None:
    cub["bounding_boxes.txt"] = cub["bounding_boxes.txt"].replace(b"1 10.0 20.0 50.0 40.0", b"1 " + box, 1)
    report = checked(cub)
    (named, *rest) = sorted(report.defects, key=lambda defect: defect.place.file)
    assert named.code == code
    assert (named.place.file, named.place.where) == ("bounding_boxes.txt", "line 1")
    assert [defect.code for defect in rest] == (["image.no-usable-box"] if boxes == 9 else [])
    assert report.boxes == boxes


@pytest.mark.parametrize(("size", "codes"), [(b"100 80", []), (b"200 160", ["image.size-mismatch"])])
def test_sizes_of_the_public_notebook_are_held_against_the_pictures(
    cub: Files, checked: Check, size: bytes, codes: list[str]
) -> None:
    cub["sizes.txt"] = b"".join(b"%d %s\n" % (i, size if i == 4 else b"100 80") for i in range(1, 11))
    assert [defect.code for defect in checked(cub).defects] == codes
