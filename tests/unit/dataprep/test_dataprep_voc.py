"""The Pascal VOC reader: every kind of dirt costs only itself and is named."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from dataprep_job.check import CheckReport
from dataprep_job.dataset_files import stem
from dataprep_job.labels import Edges
from dataprep_job.readers.xml_files import XmlReader

Check = Callable[..., CheckReport]
Files = dict[str, bytes]
Xml = Callable[..., bytes]
VocObject = tuple[str, float, float, float, float]


def test_clean_dataset_has_no_defects(voc: Files, checked: Check) -> None:
    report = checked(voc)
    assert report.defects == []
    assert report.blocked == []
    assert report.splits == {"train": 8, "validation": 2}
    assert report.classes == {"dog": 10}
    assert report.formats == ["voc"]


def edges_of(files: Files, found: type) -> list[Edges]:
    return [box.edges for image in found(XmlReader(), files).images for box in image.boxes]


def test_whole_corners_are_one_based_and_inclusive(
    picture: Callable[..., bytes], xml: Xml, found: type
) -> None:
    files = {"a.xml": xml([("dog", 1, 1, 100, 80)]), "a.jpg": picture()}
    assert edges_of(files, found) == [Edges(0, 0, 100, 80)]


def test_fractional_corners_are_zero_based(picture: Callable[..., bytes], xml: Xml, found: type) -> None:
    files = {"a.xml": xml([("dog", 0.0, 0.0, 99.5, 80.0)]), "a.jpg": picture()}
    assert edges_of(files, found) == [Edges(0, 0, 99.5, 80)]


def test_elements_are_found_by_name_not_by_position(picture: Callable[..., bytes], found: type) -> None:
    xml = (
        b"<annotation><object><bndbox><xmax>60</xmax><xmin>11</xmin><ymax>70</ymax><ymin>21</ymin></bndbox>"
        b"<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></part>"
        b"<name>dog</name></object></annotation>"
    )
    assert edges_of({"a.xml": xml, "a.jpg": picture()}, found) == [Edges(10, 20, 60, 70)]


def test_swapped_corners_are_put_in_order(voc: Files, xml: Xml, checked: Check) -> None:
    voc["Annotations/a1.xml"] = xml([("dog", 60, 70, 11, 21)])
    report = checked(voc)
    assert [defect.code for defect in report.defects] == ["box.reversed"]
    assert report.boxes == 10


def test_box_without_area_costs_only_itself(voc: Files, xml: Xml, checked: Check) -> None:
    voc["Annotations/a1.xml"] = xml([("dog", 11, 21, 60, 70), ("dog", 30, 30, 30, 30)])
    report = checked(voc)
    (defect,) = report.defects
    assert (defect.code, defect.place.file) == ("box.zero-area", "Annotations/a1.xml")
    assert report.usable_images == 10


@pytest.mark.parametrize("bad", ["", "abc", "nan", "inf", "1_0", "12,5"])
def test_corner_that_is_no_number(voc: Files, xml: Xml, checked: Check, bad: str) -> None:
    voc["Annotations/a1.xml"] = xml([("dog", 11, 21, 60, 70), ("dog", bad, 30, 40, 40)])
    report = checked(voc)
    assert [(defect.code, defect.place.where) for defect in report.defects] == [
        ("box.not-a-number", "line 7")
    ]
    assert report.usable_images == 10


@pytest.mark.parametrize(
    "part",
    ["<object><bndbox/></object>", "<object><name>dog</name></object>", "<object><name> </name></object>"],
)
def test_incomplete_object_costs_only_itself(voc: Files, xml: Xml, checked: Check, part: str) -> None:
    voc["Annotations/a1.xml"] = xml().replace(b"</annotation>", part.encode() + b"</annotation>")
    report = checked(voc)
    assert [defect.code for defect in report.defects] == ["voc.bad-object"]
    assert (report.usable_images, report.boxes) == (10, 10)


def test_filename_without_extension_everywhere_is_one_defect(voc: Files, xml: Xml, checked: Check) -> None:
    for number in range(10):
        voc[f"Annotations/a{number}.xml"] = xml(filename=f"a{number}")
    (defect,) = checked(voc).defects
    assert (defect.code, defect.count) == ("voc.filename-without-extension", 10)


def test_wrong_filename_yields_to_the_file_s_own_name(voc: Files, xml: Xml, checked: Check) -> None:
    voc["Annotations/a1.xml"] = xml(filename="old-name.jpg")
    report = checked(voc)
    assert [defect.code for defect in report.defects] == ["voc.filename-mismatch"]
    assert report.usable_images == 10


def test_filename_is_used_where_names_differ(voc: Files, xml: Xml, checked: Check) -> None:
    del voc["Annotations/a1.xml"]
    voc["Annotations/0001.xml"] = xml(filename="C:\\photos\\a1.jpg")
    voc["ImageSets/Main/train.txt"] = voc["ImageSets/Main/train.txt"].replace(b"a1\n", b"0001\n")
    report = checked(voc)
    assert report.defects == []
    assert report.usable_images == 10


def test_annotation_without_picture(voc: Files, checked: Check) -> None:
    del voc["JPEGImages/a1.jpg"]
    report = checked(voc)
    (defect,) = report.defects
    assert (defect.code, defect.place.file) == ("image.missing", "Annotations/a1.xml")
    assert report.usable_images == 9


def test_picture_without_annotation(voc: Files, picture: Callable[..., bytes], checked: Check) -> None:
    voc["JPEGImages/new.jpg"] = picture(seed=77)
    report = checked(voc)
    assert [defect.code for defect in report.defects] == ["image.unlabelled"]
    assert (report.images, report.usable_images) == (11, 10)


def test_annotation_without_objects_is_background(voc: Files, xml: Xml, checked: Check) -> None:
    voc["Annotations/a1.xml"] = xml([])
    report = checked(voc)
    assert [defect.code for defect in report.defects] == ["image.background"]
    assert report.usable_images == 9


def test_missing_or_impossible_size_everywhere_is_one_defect(voc: Files, xml: Xml, checked: Check) -> None:
    for number in range(10):
        voc[f"Annotations/a{number}.xml"] = xml(
            size=None if number % 2 else (0, 0), filename=f"a{number}.jpg"
        )
    report = checked(voc)
    assert [(defect.code, defect.count) for defect in report.defects] == [("voc.size-missing", 10)]
    assert report.usable_images == 10


@pytest.mark.parametrize("size", [(10**30, 80), ("1e300", 80), ("nan", 80), (0.4, 80)])
def test_sizes_that_no_picture_has(found: type, xml: Xml, size: tuple[int, int]) -> None:
    result = found(XmlReader(), {"a.xml": xml(size=size), "a.jpg": b""})
    assert [defect.code for defect in result.defects] == ["voc.size-missing"]
    assert [one.declared_size for one in result.images] == [None]


def test_more_objects_than_a_picture_can_hold(found: type, xml: Xml, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataprep_job.readers.voc.MAX_OBJECTS", 2)
    result = found(XmlReader(), {"a.xml": xml([("dog", 1, 1, 9, 9)] * 3), "a.jpg": b""})
    assert [defect.code for defect in result.defects] == ["voc.bad-xml"]
    assert result.lost == ["a.jpg"]


def test_picture_of_another_size_is_left_out(voc: Files, xml: Xml, checked: Check) -> None:
    voc["Annotations/a1.xml"] = xml(size=(200, 160))
    report = checked(voc)
    assert [defect.code for defect in report.defects] == ["image.size-mismatch"]
    assert report.usable_images == 9


@pytest.mark.parametrize(
    "attack",
    [
        b'<!DOCTYPE a [<!ENTITY x "y">]>',
        b'<!DOCTYPE a SYSTEM "http://127.0.0.1/x.dtd">',
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        b'<!DOCTYPE a [<!ENTITY a "1"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>',
    ],
)
def test_dtd_and_entities_are_refused(voc: Files, checked: Check, attack: bytes) -> None:
    voc["Annotations/a1.xml"] = attack + voc["Annotations/a1.xml"].replace(b"dog", b"&x;")
    report = checked(voc)
    assert [(defect.code, defect.place.file) for defect in report.defects] == [
        ("xml.dtd", "Annotations/a1.xml")
    ]
    assert report.usable_images == 9


@pytest.mark.parametrize(
    "broken", [b"", b"<annotation>", b"<annotation><object></annotation>", b"\xff\xfe\x00", b"{}"]
)
def test_broken_xml_costs_only_itself(voc: Files, checked: Check, broken: bytes) -> None:
    voc["Annotations/a1.xml"] = broken
    report = checked(voc)
    assert [(defect.code, defect.place.file) for defect in report.defects] == [
        ("voc.bad-xml", "Annotations/a1.xml")
    ]
    assert report.usable_images == 9


def test_xml_that_is_no_voc_is_named(voc: Files, checked: Check) -> None:
    voc["project.xml"] = b"<project/>"
    report = checked(voc)
    assert [(defect.code, defect.place.file) for defect in report.defects] == [
        ("file.not-understood", "project.xml")
    ]


def test_filename_that_climbs_out_is_refused(voc: Files, xml: Xml, checked: Check) -> None:
    voc["Annotations/a1.xml"] = xml(filename="../../../etc/passwd.jpg")
    assert "path.outside" in [defect.code for defect in checked(voc).defects]


def test_trainval_is_ignored_in_favour_of_train_and_val(voc: Files, checked: Check) -> None:
    voc["ImageSets/Main/trainval.txt"] = "".join(f"a{n}\n" for n in range(10)).encode()
    voc["ImageSets/Main/dog_train.txt"] = b"a0 -1\na1  1\n"
    report = checked(voc)
    assert report.defects == []
    assert report.splits == {"train": 8, "validation": 2}


def test_trainval_trains_where_train_is_missing(voc: Files, checked: Check) -> None:
    del voc["ImageSets/Main/train.txt"]
    voc["ImageSets/Main/trainval.txt"] = "".join(f"a{n}\n" for n in range(10)).encode()
    assert checked(voc).splits == {"train": 8, "validation": 2}


def test_three_splits_stay_three(voc: Files, checked: Check) -> None:
    voc["ImageSets/Main/train.txt"] = b"".join(f"a{n}\n".encode() for n in (1, 2, 3, 4, 6))
    voc["ImageSets/Main/test.txt"] = b"a7\na8  1\nJPEGImages/a9.jpg\n"
    report = checked(voc)
    assert report.splits == {"train": 5, "validation": 2, "test": 3}
    assert not report.validation_is_test
    assert report.defects == []


def test_picture_in_two_splits_is_held_out(voc: Files, checked: Check) -> None:
    voc["ImageSets/Main/train.txt"] += b"a0\n"
    report = checked(voc)
    assert [defect.code for defect in report.defects] == ["split.conflict"]
    assert report.splits == {"train": 8, "validation": 2}


def test_picture_in_three_splits_is_named_for_each(voc: Files, checked: Check) -> None:
    voc["ImageSets/Main/train.txt"] += b"a0\na0\n"
    voc["ImageSets/Main/test.txt"] = b"a0\na5\n"
    report = checked(voc)
    assert [(defect.code, str(defect.place)) for defect in report.defects] == [
        ("split.conflict", "ImageSets/Main/val.txt, line 1"),
        ("split.conflict", "ImageSets/Main/test.txt, line 1"),
        ("split.conflict", "ImageSets/Main/test.txt, line 2"),
    ]
    assert report.splits == {"train": 8, "validation": 2}


def test_trainval_trains_where_every_training_picture_is_held_out(voc: Files, checked: Check) -> None:
    voc["ImageSets/Main/train.txt"] = b"a0\n"
    voc["ImageSets/Main/trainval.txt"] = "".join(f"a{n}\n" for n in range(10)).encode()
    report = checked(voc)
    assert [defect.code for defect in report.defects] == ["split.conflict"]
    assert report.splits == {"train": 8, "validation": 2}


def test_split_lists_of_two_folders_stay_apart(xml: Xml, found: type) -> None:
    files: Files = {}
    for folder, name in (("one", "train"), ("two", "val")):
        files[f"{folder}/Annotations/p.xml"] = xml()
        files[f"{folder}/JPEGImages/p.jpg"] = b""
        files[f"{folder}/ImageSets/Main/{name}.txt"] = b"p\nelsewhere\n"
    result = found(XmlReader(), files)
    assert [one.split for one in result.images] == ["train", "validation"]
    assert [(defect.code, str(defect.place)) for defect in result.defects] == [
        ("split.unknown-image", "one/ImageSets/Main/train.txt, line 2"),
        ("split.unknown-image", "two/ImageSets/Main/val.txt, line 2"),
    ]
    assert result.unclaimed("txt") == []


def test_split_lists_of_a_larger_set_are_one_defect(voc: Files, checked: Check) -> None:
    voc["ImageSets/Main/train.txt"] += "".join(f"b{n}\n" for n in range(500)).encode()
    (defect,) = checked(voc).defects
    assert (defect.code, defect.count) == ("split.unknown-image", 500)


def test_folders_named_after_splits(picture: Callable[..., bytes], xml: Xml, checked: Check) -> None:
    files: Files = {}
    for number, folder in enumerate(("train", "train", "train", "valid", "test")):
        files[f"set/{folder}/p{number}.jpg"] = picture(seed=number)
        files[f"set/{folder}/p{number}.xml"] = xml()
    assert checked(files).splits == {"train": 3, "validation": 1, "test": 1}


def test_pictures_of_one_name_in_two_folders_stay_two(
    picture: Callable[..., bytes], xml: Xml, checked: Check
) -> None:
    files: Files = {}
    for number, folder in enumerate(("one", "two", "three", "four")):
        files[f"{folder}/Annotations/p.xml"] = xml([(folder, 11, 21, 60, 70)])
        files[f"{folder}/JPEGImages/p.jpg"] = picture(seed=number)
    report = checked(files)
    assert report.usable_images == 4
    assert report.classes == {"four": 1, "one": 1, "three": 1, "two": 1}


ZERO: VocObject = ("dog", 0, 21, 60, 70)
TOP: VocObject = ("dog", 11, 0, 60, 70)
WHOLE: VocObject = ("dog", 11, 21, 60, 70)
FRACTION: VocObject = ("dog", 11.5, 21, 60, 70)


def first_edges(found: type, xml: Xml, source: dict[str, VocObject]) -> dict[str, Edges]:
    """The box of every annotation, given as path without extension -> object."""
    files: Files = {}
    for path, written in source.items():
        files |= {f"{path}.xml": xml([written]), f"{path}.jpg": b""}
    result = found(XmlReader(), files)
    assert not result.defects
    assert len(result.images) == len(source)
    return {stem(image.image): image.boxes[0].edges for image in result.images}


@pytest.mark.parametrize("sign", [ZERO, TOP])
def test_a_zero_shows_what_its_whole_source_counts_from(found: type, xml: Xml, sign: VocObject) -> None:
    edges = first_edges(found, xml, {"x/a": WHOLE, "x/b": sign, "x/c": WHOLE, "y/d": WHOLE})
    assert edges["a"] == edges["c"] == Edges(11, 21, 60, 70)
    assert edges["b"] == Edges(*sign[1:])
    assert edges["d"] == Edges(10, 20, 60, 70)


def test_split_folders_are_one_source(found: type, xml: Xml) -> None:
    edges = first_edges(found, xml, {"s/train/a": WHOLE, "s/valid/b": ZERO, "s/test/c": WHOLE})
    assert edges["a"] == edges["c"] == Edges(11, 21, 60, 70)


@pytest.mark.parametrize(("fractions", "left"), [(1, 10), (2, 11)])
def test_a_source_counts_from_zero_where_most_files_have_fractions(
    found: type, xml: Xml, fractions: int, left: float
) -> None:
    source = {f"f{number}": FRACTION for number in range(fractions)}
    assert first_edges(found, xml, source | {"a": WHOLE})["a"].x0 == left


@pytest.mark.parametrize("box", [("dog", 0, 0, 0, 0), ("dog", 60, 70, 0, 0), ("dog", -3, -3, 60, 70)])
def test_a_zero_of_a_box_that_is_none_shows_nothing(found: type, xml: Xml, box: VocObject) -> None:
    edges = first_edges(found, xml, {"a": WHOLE, "b": box})
    assert edges["a"] == Edges(10, 20, 60, 70)


def test_a_whole_picture_counted_from_zero_is_not_read_a_pixel_off(
    picture: Callable[..., bytes], xml: Xml, checked: Check
) -> None:
    files: Files = {}
    for number in range(4):
        files |= {f"p{number}.jpg": picture(seed=number), f"p{number}.xml": xml([("dog", 0, 0, 100, 80)])}
    report = checked(files)
    assert not report.defects
    assert report.boxes == 4


@pytest.mark.parametrize("depth", [b"", b"<depth>1</depth>", b"<depth>none</depth>"])
def test_depth_is_of_no_interest(voc: Files, checked: Check, depth: bytes) -> None:
    for path in voc:
        if path.endswith(".xml"):
            voc[path] = voc[path].replace(b"<depth>3</depth>", depth)
    assert not checked(voc).defects


def batches(xml: Xml, annotations: str, pictures: str, names: Sequence[str] = ("one", "two")) -> Files:
    """Two batches that number their pictures alike; '*' stands for the batch's name."""
    files: Files = {}
    for name in names:
        for number in range(3):
            files[f"{annotations}/p{number}.xml".replace("*", name)] = xml([(name, 11, 21, 60, 70)])
            files[f"{pictures}/p{number}.jpg".replace("*", name)] = b""
    return files


def test_folders_of_one_name_belong_together(xml: Xml, found: type) -> None:
    result = found(XmlReader(), batches(xml, "xml/*", "photos/*"))
    assert not result.defects
    assert all(image.boxes[0].name == image.image.split("/")[1] for image in result.images)


def test_nothing_is_guessed_where_two_pictures_fit_alike(xml: Xml, found: type) -> None:
    files = batches(xml, "xml/*", "photos/day of *")
    files = {path.replace("day of one", "a").replace("day of two", "b"): data for path, data in files.items()}
    result = found(XmlReader(), files)
    assert [(defect.code, defect.place.file) for defect in result.defects] == [
        ("image.ambiguous", path) for path in sorted(files) if path.endswith(".xml")
    ]
    assert (result.images, result.lost) == ([], [None] * 6)


def test_a_missing_picture_does_not_take_that_of_another_annotation(xml: Xml, found: type) -> None:
    files = batches(xml, "*/Annotations", "*/JPEGImages", ("one", "two", "three"))
    for number in range(3):
        del files[f"three/JPEGImages/p{number}.jpg"]
    result = found(XmlReader(), files)
    assert [(defect.code, defect.place.file) for defect in result.defects] == [
        ("image.missing", f"three/Annotations/p{number}.xml") for number in range(3)
    ]
    assert "that is there has a nearer annotation" in result.defects[0].message
    assert len(result.images) == 6
    assert all(image.boxes[0].name == image.image.split("/")[0] for image in result.images)


def test_older_annotations_of_the_same_pictures_are_held_against_them(voc: Files, checked: Check) -> None:
    voc |= {f"old/{path}": data for path, data in voc.items() if path.endswith(".xml")}
    report = checked(voc)
    assert [(defect.code, defect.count) for defect in report.defects] == [("labels.repeated", 10)]
    assert report.usable_images == 10


def test_a_copy_of_the_dataset_in_it_is_read_for_itself(voc: Files, checked: Check) -> None:
    voc |= {f"backup.zip/{path}": data for path, data in voc.items()}
    report = checked(voc)
    assert {defect.code for defect in report.defects} == {"image.duplicate"}
    assert (report.images, report.usable_images) == (20, 10)


@pytest.mark.parametrize(("photos", "filename"), [("photos/day1", "p.jpg"), ("x/JPEGImages", "")])
def test_masks_of_the_same_name_are_no_pictures(xml: Xml, found: type, photos: str, filename: str) -> None:
    files = {"xml/p.xml": xml(filename=filename), "masks/p.png": b"", f"{photos}/p.jpg": b""}
    result = found(XmlReader(), files)
    assert [image.image for image in result.images] == [f"{photos}/p.jpg"]
    assert not result.defects


def test_names_of_uploads_to_label_studio(xml: Xml, found: type) -> None:
    files = {"Annotations/3f2a9c01-p.xml": xml(filename="3f2a9c01-p"), "images/p.jpg": b""}
    result = found(XmlReader(), files)
    assert [image.image for image in result.images] == ["images/p.jpg"]
    assert [defect.code for defect in result.defects] == ["voc.filename-without-extension"]


@pytest.mark.parametrize(
    ("annotation", "written", "picture", "codes"),
    [
        ("u\u0308.xml", "\u00fc.jpg", "\u00fc.jpg", []),
        ("\u00fc.xml", "\u00fc.jpg", "u\u0308.jpg", ["image.spelled-differently"]),
        ("a.xml", "a.jpg", "a.JPG", ["image.spelled-differently"]),
        ("a.xml", "a.jpeg", "a.jpg", ["image.spelled-differently"]),
        ("a.xml", "b.jpg", "a.jpg", ["voc.filename-mismatch"]),
    ],
)
def test_names_that_are_spelled_differently(
    xml: Xml, found: type, annotation: str, written: str, picture: str, codes: list[str]
) -> None:
    result = found(XmlReader(), {annotation: xml(filename=written), picture: b""})
    assert [image.image for image in result.images] == [picture]
    assert [defect.code for defect in result.defects] == codes


@pytest.mark.parametrize("folder", ["ImageSets/Main", "ImageSets"])
@pytest.mark.parametrize("name", ["val", "valid", "validation", "test"])
def test_split_lists_of_other_habits(voc: Files, checked: Check, folder: str, name: str) -> None:
    lists = {list_: voc.pop(f"ImageSets/Main/{list_}.txt") for list_ in ("train", "val")}
    report = checked(voc | {f"{folder}/train.txt": lists["train"], f"{folder}/{name}.txt": lists["val"]})
    assert not report.defects
    assert report.splits == {"train": 8, "validation": 2}


@pytest.mark.parametrize("folder", ["ImageSets.zip/Main", "ImageSets.zip/ImageSets/Main", "ImageSets.zip"])
def test_split_lists_in_an_archive(voc: Files, checked: Check, folder: str) -> None:
    files = {
        path.replace("ImageSets/Main", folder)
        .replace("Annotations/", "Annotations.zip/")
        .replace("JPEGImages/", "JPEGImages.zip/"): data
        for path, data in voc.items()
    }
    report = checked(files)
    assert not report.defects
    assert report.splits == {"train": 8, "validation": 2}


def test_lists_in_main_win(voc: Files, checked: Check) -> None:
    voc["ImageSets/train.txt"] = voc["ImageSets/Main/val.txt"]
    report = checked(voc)
    assert not report.defects
    assert report.splits == {"train": 8, "validation": 2}


def test_lists_in_another_unicode_form(picture: Callable[..., bytes], xml: Xml, checked: Check) -> None:
    files: Files = {}
    for number in range(4):
        files[f"Annotations/u\u0308{number}.xml"] = xml()
        files[f"JPEGImages/u\u0308{number}.jpg"] = picture(seed=number)
    files["ImageSets/Main/train.txt"] = "\u00fc0\n\u00fc1\n\u00fc2\n".encode()
    files["ImageSets/Main/val.txt"] = "\u00fc3\n".encode()
    report = checked(files)
    assert not report.defects
    assert report.splits == {"train": 3, "validation": 1}
