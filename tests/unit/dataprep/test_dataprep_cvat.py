"""CVAT XML: images and videos, shapes that are no boxes, and every kind of dirt costing only itself."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, BinaryIO

import pytest

from dataprep_job.dataset_files import DatasetFiles
from dataprep_job.defects import DefectLog
from dataprep_job.file_source import SourceFile
from dataprep_job.labels import Edges
from dataprep_job.readers import xml_files
from dataprep_job.readers.xml_files import XmlReader

Files = dict[str, bytes]

META = """<meta><task><id>7</id><labels><label><name>cat</name></label><label><name>dog</name></label>
<label><name>paw</name><type>points</type><parent>dog</parent></label></labels></task></meta>"""


def box(label: str = "dog", corners: str = "1.0 2.0 30.5 40.0", extra: str = "") -> str:
    left, top, right, bottom = corners.split()
    return (
        f'<box label="{label}" source="manual" occluded="0" xtl="{left}" ytl="{top}" xbr="{right}" '
        f'ybr="{bottom}" z_order="0" {extra}><attribute name="q">1</attribute></box>\n'
    )


def image(name: str, shapes: str = "", extra: str = 'width="100" height="80"') -> str:
    return f'<image id="0" name="{name}" {extra}>\n{shapes}</image>\n'


def document(*parts: str, meta: str = META) -> bytes:
    start = '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>'
    return "\n".join([start, meta, *parts, "</annotations>"]).encode()


def dataset(*images: str, meta: str = META, pictures: tuple[str, ...] = ("a.jpg", "b.jpg")) -> Files:
    return {"annotations.xml": document(*images, meta=meta), **{f"images/{name}": b"" for name in pictures}}


def codes(result: Any) -> list[str]:
    return sorted(defect.code for defect in result.defects)


def edges_by_image(result: Any) -> dict[str, list[Edges]]:
    return {one.image: [box.edges for box in one.boxes] for one in result.images}


def test_a_clean_task(found: type) -> None:
    result = found(XmlReader(), dataset(image("a.jpg", box() + box("cat")), image("b.jpg")))
    assert result.defects == []
    assert result.formats == ["cvat"]
    assert result.class_order == ["cat", "dog"]
    assert result.unclaimed("xml") == []
    assert result.lost == []
    first, background = result.images
    assert (first.image, first.declared_size, first.split) == ("images/a.jpg", (100, 80), None)
    assert [(one.name, one.edges) for one in first.boxes] == [
        ("dog", Edges(1, 2, 30.5, 40)),
        ("cat", Edges(1, 2, 30.5, 40)),
    ]
    assert str(first.boxes[0].place) == "annotations.xml, line 6"
    assert (background.image, background.boxes) == ("images/b.jpg", ())


def test_names_with_folders_are_kept_apart(found: type) -> None:
    pictures = ("left/a.jpg", "right/a.jpg")
    result = found(XmlReader(), dataset(image("right/a.jpg", box()), image("left\\a.jpg"), pictures=pictures))
    assert result.defects == []
    assert [one.image for one in result.images] == ["images/right/a.jpg", "images/left/a.jpg"]


@pytest.mark.parametrize(
    ("subset", "split"),
    [
        ("Train", "train"),
        ("TRAINING", "train"),
        ("Validation", "validation"),
        ("val", "validation"),
        ("Test", "test"),
        ("default", None),
        ("", None),
    ],
)
def test_a_subset_is_a_split(found: type, subset: str, split: str | None) -> None:
    result = found(XmlReader(), dataset(image("a.jpg", box(), f'subset="{subset}" width="100" height="80"')))
    assert result.defects == []
    assert [one.split for one in result.images] == [split]


def test_a_subset_of_the_task_holds_for_its_images(found: type) -> None:
    meta = META.replace("<id>", "<subset>Test</subset><id>")
    assert [one.split for one in found(XmlReader(), dataset(image("a.jpg"), meta=meta)).images] == ["test"]


def test_an_unknown_subset_is_named_once(found: type) -> None:
    extra = 'subset="spring" width="100" height="80"'
    images = [image("a.jpg", box(), extra)] * 9
    result = found(XmlReader(), dataset(*images))
    assert [(defect.code, defect.count) for defect in result.defects] == [("cvat.unknown-subset", 9)]
    assert len(result.images) == 9


def test_folders_name_splits_where_no_subset_does(found: type) -> None:
    files = {"train/annotations.xml": document(image("a.jpg", box())), "train/a.jpg": b"", "test/a.jpg": b""}
    result = found(XmlReader(), files)
    assert [(one.image, one.split) for one in result.images] == [("train/a.jpg", "train")]


def test_a_project_of_several_tasks(found: type) -> None:
    meta = """<meta><project><labels><label><name>dog</name></label></labels><tasks>
    <task><id>1</id><subset>Train</subset></task><task><id>2</id><subset>Val</subset></task></tasks></project></meta>"""
    result = found(
        XmlReader(),
        dataset(
            image("a.jpg", box(), 'subset="Train" task_id="1" width="100" height="80"'),
            image("a.jpg", box(), 'task_id="2" width="100" height="80"'),
            meta=meta,
            pictures=("Train/a.jpg", "Val/a.jpg"),
        ),
    )
    assert result.defects == []
    assert [(one.image, one.split) for one in result.images] == [
        ("images/Train/a.jpg", "train"),
        ("images/Val/a.jpg", "validation"),
    ]
    assert result.class_order == ["dog"]


def test_frames_of_a_video_task_are_named_without_extension(found: type) -> None:
    result = found(XmlReader(), dataset(image("frame_000000", box()), pictures=("frame_000000.PNG",)))
    assert result.defects == []
    assert [one.image for one in result.images] == ["images/frame_000000.PNG"]


def test_a_name_without_extension_can_fit_several(found: type) -> None:
    files = dataset(image("p", box()), image("a.jpg", box()))
    files |= {"one/p.png": b"", "two/p.jpg": b""}
    result = found(XmlReader(), files)
    assert codes(result) == ["image.ambiguous"]
    assert result.lost == [None]
    assert len(result.images) == 1


def test_a_missing_picture_costs_only_itself(found: type) -> None:
    result = found(
        XmlReader(), dataset(image("gone.jpg", box()), image("gone", box()), image("a.jpg", box()))
    )
    assert [(defect.code, defect.place.where) for defect in result.defects] == [
        ("image.missing", "line 5"),
        ("image.missing", "line 9"),
    ]
    assert result.lost == [None, None]
    assert len(result.images) == 1


def test_an_image_without_a_name(found: type) -> None:
    result = found(XmlReader(), dataset('<image id="1"><box/></image>', image("a.jpg", box())))
    assert [(defect.code, defect.place.where) for defect in result.defects] == [("cvat.bad-image", "line 5")]
    assert (result.lost, len(result.images)) == ([None], 1)


@pytest.mark.parametrize(
    "extra", ["", 'width="0" height="0"', 'width="x" height="80"', 'width="1e300" height="1"']
)
def test_an_image_without_a_usable_size(found: type, extra: str) -> None:
    result = found(XmlReader(), dataset(*[image("a.jpg", box(), extra)] * 5))
    assert [(defect.code, defect.count) for defect in result.defects] == [("cvat.size-missing", 5)]
    assert {one.declared_size for one in result.images} == {None}


@pytest.mark.parametrize("bad", ["", "abc", "nan", "inf", "1_0", "12,5", "1e300"])
def test_a_corner_that_is_no_number(found: type, bad: str) -> None:
    shapes = box().replace('ytl="2.0"', f'ytl="{bad}"') + box("cat")
    result = found(XmlReader(), dataset(image("a.jpg", shapes)))
    assert [(defect.code, defect.place.where) for defect in result.defects] == [
        ("box.not-a-number", "line 6")
    ]
    assert [one.name for one in result.images[0].boxes] == ["cat"]


def test_a_missing_corner_and_a_bad_rotation(found: type) -> None:
    shapes = '<box label="dog" xtl="1"/>' + box(extra='rotation="x"') + box("cat")
    result = found(XmlReader(), dataset(image("a.jpg", shapes)))
    assert codes(result) == ["box.not-a-number"] * 2
    assert [one.name for one in result.images[0].boxes] == ["cat"]


def test_a_shape_without_a_label(found: type) -> None:
    result = found(XmlReader(), dataset(image("a.jpg", box(" ") + box("cat"))))
    assert [(defect.code, defect.place.where) for defect in result.defects] == [("cvat.bad-shape", "line 6")]
    assert [one.name for one in result.images[0].boxes] == ["cat"]


def test_a_picture_whose_boxes_are_all_bad_is_lost(found: type) -> None:
    result = found(XmlReader(), dataset(image("a.jpg", box("")), image("b.jpg", box())))
    assert codes(result) == ["cvat.bad-shape"]
    assert result.lost == ["images/a.jpg"]
    assert list(edges_by_image(result)) == ["images/b.jpg"]


def test_swapped_corners_are_left_to_the_inspection(found: type) -> None:
    result = found(XmlReader(), dataset(image("a.jpg", box(corners="30 40 1 2"))))
    assert result.defects == []
    assert edges_by_image(result) == {"images/a.jpg": [Edges(30, 40, 1, 2)]}


def test_a_turned_box_becomes_the_box_around_it(found: type) -> None:
    shapes = box(corners="10 20 30 24", extra='rotation="45.0"')
    result = found(XmlReader(), dataset(image("a.jpg", shapes)))
    assert codes(result) == ["shape.hull"]
    half = (10 + 2) * 2**0.5 / 2
    (edges,) = edges_by_image(result)["images/a.jpg"]
    assert edges == pytest.approx((20 - half, 22 - half, 20 + half, 22 + half))


@pytest.mark.parametrize(
    ("rotation", "expected"),
    [
        ("0", Edges(10, 20, 30, 24)),
        ("", Edges(10, 20, 30, 24)),
        ("90.00", Edges(18, 12, 22, 32)),
        ("180", Edges(10, 20, 30, 24)),
        ("-90", Edges(18, 12, 22, 32)),
        ("360", Edges(10, 20, 30, 24)),
    ],
)
def test_quarter_turns_are_exact_and_lose_nothing(found: type, rotation: str, expected: Edges) -> None:
    shapes = box(corners="10 20 30 24", extra=f'rotation="{rotation}"')
    result = found(XmlReader(), dataset(image("a.jpg", shapes)))
    assert result.defects == []
    assert edges_by_image(result) == {"images/a.jpg": [expected]}


def test_outlines_become_the_box_around_them(found: type) -> None:
    shapes = (
        '<polygon label="dog" points="5,10;20.5,3;12,40.25"/>'
        '<ellipse label="dog" cx="50" cy="40" rx="20" ry="10"/>'
        '<ellipse label="dog" cx="50" cy="40" rx="20" ry="10" rotation="90"/>'
        '<mask label="dog" rle="1, 2, 3" left="5" top="6" width="10" height="4"/>'
    )
    result = found(XmlReader(), dataset(image("a.jpg", shapes)))
    assert edges_by_image(result)["images/a.jpg"] == [
        Edges(5, 3, 20.5, 40.25),
        Edges(30, 30, 70, 50),
        Edges(40, 20, 60, 60),
        Edges(5, 6, 15, 10),
    ]
    assert [defect.code for defect in result.defects] == ["shape.hull"] * 4
    assert "polygon" in result.defects[0].message
    assert "'dog' in annotations.xml, line 6" in result.defects[0].message


@pytest.mark.parametrize("points", ["", ";", "1,2", "1,2;3,4", "1,2;3;4,5", "1,2;a,4;5,6", "1,2;nan,4;5,6"])
def test_a_polygon_without_usable_points(found: type, points: str) -> None:
    shapes = f'<polygon label="dog" points="{points}"/>' + box("cat")
    result = found(XmlReader(), dataset(image("a.jpg", shapes)))
    assert codes(result) == ["box.not-a-number"]
    assert [one.name for one in result.images[0].boxes] == ["cat"]


def test_shapes_that_are_no_boxes_are_left_out_and_named(found: type) -> None:
    others = (
        '<polyline label="lane" points="1,2;3,4"/><points label="eye" points="1,2"/><tag label="sunny"/>'
        '<cuboid label="car" xtl1="1"/><skeleton label="dog"><points label="paw" points="1,2"/></skeleton>'
    )
    result = found(XmlReader(), dataset(image("a.jpg", others + box()), image("b.jpg", others)))
    assert set(codes(result)) == {"shape.skipped"}
    messages = " ".join(defect.message for defect in result.defects)
    for shape in ("polyline", "points", "tag", "cuboid", "skeleton"):
        assert f"A {shape} is no box" in messages
    assert len(result.defects) == 10
    assert [len(one.boxes) for one in result.images] == [1, 0]
    assert result.lost == []


def test_many_skipped_shapes_are_one_defect(found: type) -> None:
    lines = '<polyline label="lane" points="1,2;3,4"/>' * 50
    result = found(XmlReader(), dataset(image("a.jpg", lines + box())))
    assert [(defect.code, defect.count) for defect in result.defects] == [("shape.skipped", 50)]


def test_images_before_the_damage_are_kept(found: type) -> None:
    files = dataset(image("a.jpg", box()), image("b.jpg", box()))
    files["annotations.xml"] = files["annotations.xml"].rpartition(b"<image")[0] + b'<image name="b.jpg"><box'
    result = found(XmlReader(), files)
    assert [(defect.code, defect.place.where) for defect in result.defects] == [("cvat.bad-xml", "line 9")]
    assert [one.image for one in result.images] == ["images/a.jpg"]
    assert result.lost == [None]
    assert result.unclaimed("xml") == []


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"<annotations", "cvat.bad-xml"),
        (b"<annotations><version>1.1</version>", "cvat.bad-xml"),
        (b"\x00<annotations>", "cvat.bad-xml"),
        (b'<!DOCTYPE a [<!ENTITY x "y">]><annotations/>', "xml.dtd"),
    ],
)
def test_a_file_broken_from_its_start_is_claimed(found: type, data: bytes, code: str) -> None:
    result = found(XmlReader(), {"annotations.xml": data, "a.jpg": b""})
    assert codes(result) == [code]
    assert (result.formats, result.lost) == (["cvat"], [None])
    assert result.unclaimed("xml") == []


@pytest.mark.parametrize("data", [b"<annotations/>", b"<annotations><note/></annotations>", b"<images/>"])
def test_other_xml_is_left_alone(found: type, data: bytes) -> None:
    result = found(XmlReader(), {"other.xml": data})
    assert result.defects == []
    assert result.unclaimed("xml") == ["other.xml"]


# Videos


def video(*tracks: str, meta: str = "<start_frame>0</start_frame><stop_frame>3</stop_frame>") -> bytes:
    size = "<original_size><width>100</width><height>80</height></original_size>"
    return document(*tracks, meta=META.replace("<id>", f"{meta}{size}<id>"))


def track(*frames: tuple[int, str], label: str = "dog", extra: str = "") -> str:
    shapes = "".join(
        f'<box frame="{frame}" keyframe="1" outside="{outside}" xtl="{frame}" ytl="2" xbr="30" ybr="40"/>\n'
        for frame, outside in frames
    )
    return f'<track id="0" label="{label}" source="manual" {extra}>\n{shapes}</track>'


def pictures(*numbers: int, pattern: str = "images/frame_{:06d}.PNG") -> Files:
    return {pattern.format(number): b"" for number in numbers}


def test_frames_gather_what_all_tracks_say(found: type) -> None:
    files = {"annotations.xml": video(track((0, "0"), (1, "0"), (2, "1")), track((1, "0"), label="cat"))}
    result = found(XmlReader(), files | pictures(0, 1, 2, 3))
    assert result.defects == []
    assert [(one.image, [(box.name, box.edges) for box in one.boxes]) for one in result.images] == [
        ("images/frame_000000.PNG", [("dog", Edges(0, 2, 30, 40))]),
        ("images/frame_000001.PNG", [("dog", Edges(1, 2, 30, 40)), ("cat", Edges(1, 2, 30, 40))]),
        ("images/frame_000002.PNG", []),
    ]
    assert {one.declared_size for one in result.images} == {(100, 80)}
    assert result.class_order == ["cat", "dog"]
    assert str(result.images[0].boxes[0].place) == "annotations.xml, line 6"


@pytest.mark.parametrize("pattern", ["{}.jpg", "clip_{:04d}.png", "deep/er/x-{:02d}.jpg"])
def test_frames_are_found_by_number(found: type, pattern: str) -> None:
    files = {"clip/annotations.xml": video(track((0, "0"), (2, "0")))}
    files |= pictures(0, 1, 2, pattern="clip/" + pattern) | pictures(0, 2, pattern="other/{}.jpg")
    result = found(XmlReader(), files)
    assert result.defects == []
    assert [one.image for one in result.images] == ["clip/" + pattern.format(n) for n in (0, 2)]


def test_two_videos_stay_apart(found: type) -> None:
    files: Files = {}
    for clip in ("one", "two"):
        files[f"{clip}/annotations.xml"] = video(track((0, "0"), label=clip))
        files |= pictures(0, pattern=f"{clip}/images/frame_{{:06d}}.jpg")
    result = found(XmlReader(), files)
    assert result.defects == []
    assert [(one.image, one.boxes[0].name) for one in result.images] == [
        ("one/images/frame_000000.jpg", "one"),
        ("two/images/frame_000000.jpg", "two"),
    ]


def test_tasks_of_a_project_stay_apart(found: type) -> None:
    tracks = [
        track((0, "0"), label="cat", extra='task_id="1" subset="Train"'),
        track((0, "0"), label="dog", extra='task_id="2" subset="Test"'),
    ]
    files = {"annotations.xml": video(*tracks)}
    files |= pictures(0, pattern="images/Train/frame_{:06d}.jpg")
    files |= pictures(0, pattern="images/Test/frame_{:06d}.jpg")
    result = found(XmlReader(), files)
    assert result.defects == []
    assert [(one.image, one.split, one.boxes[0].name) for one in result.images] == [
        ("images/Train/frame_000000.jpg", "train", "cat"),
        ("images/Test/frame_000000.jpg", "test", "dog"),
    ]


def test_a_video_without_pictures_is_one_defect(found: type) -> None:
    files = {"annotations.xml": video(track(*[(frame, "0") for frame in range(50)])), "poster.jpg": b""}
    result = found(XmlReader(), files)
    assert [(defect.code, str(defect.place)) for defect in result.defects] == [
        ("cvat.video", "annotations.xml")
    ]
    assert "CVAT for images" in result.defects[0].hint
    assert (result.images, result.lost) == ([], [None])


def test_a_missing_frame_costs_only_itself(found: type) -> None:
    files = {"annotations.xml": video(track((0, "0"), (1, "0"), (2, "1")))} | pictures(0)
    result = found(XmlReader(), files)
    assert [(defect.code, defect.place.where) for defect in result.defects] == [("image.missing", "line 7")]
    assert (len(result.images), result.lost) == (1, [None])


def test_a_frame_that_can_be_several_pictures(found: type) -> None:
    files = {"annotations.xml": video(track((0, "0"), (1, "0"))), "left_1.jpg": b"", "right_1.jpg": b""}
    result = found(XmlReader(), files | pictures(0, pattern="left_{}.jpg"))
    assert codes(result) == ["image.ambiguous"]
    assert [one.image for one in result.images] == ["left_0.jpg"]


def test_pictures_numbered_from_one_are_refused(found: type) -> None:
    files = {"annotations.xml": video(track((0, "0"), (1, "0")))}
    result = found(XmlReader(), files | pictures(1, 2, 3, 4))
    assert codes(result) == ["cvat.video"]
    assert "numbered from 1" in result.defects[0].message
    assert (result.images, result.lost) == ([], [None])


def test_a_deleted_first_frame_is_no_shift(found: type) -> None:
    files = {"annotations.xml": video(track((1, "0")))}
    assert codes(found(XmlReader(), files | pictures(1, 2, 3))) == []


def test_frames_that_are_no_numbers(found: type) -> None:
    bad = track((0, "0")).replace('frame="0"', 'frame="x"') + track((0, "0"))
    result = found(XmlReader(), {"annotations.xml": video(bad)} | pictures(0))
    assert codes(result) == ["cvat.bad-shape"]
    assert [len(one.boxes) for one in result.images] == [1]


def test_a_track_without_label_costs_its_boxes_only(found: type) -> None:
    files = {"annotations.xml": video(track((0, "0"), (1, "0"), label=""), track((1, "0")))} | pictures(0, 1)
    result = found(XmlReader(), files)
    assert codes(result) == ["cvat.bad-shape"] * 2
    assert result.lost == ["images/frame_000000.PNG"]
    assert [(one.image, len(one.boxes)) for one in result.images] == [("images/frame_000001.PNG", 1)]


def test_a_damaged_video_loses_its_frames(found: type) -> None:
    data = video(track((0, "0"), (1, "0")), track((1, "0")))
    files = {"annotations.xml": data[: data.rfind(b"<track")]} | pictures(0)
    result = found(XmlReader(), files)
    assert codes(result) == ["cvat.bad-xml"]
    assert result.images == []
    assert result.lost == ["images/frame_000000.PNG", None]


# Fetching


class CountingSource:
    """Counts how often each file is fetched, whole or as a stream."""

    read_threads = 1

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self._contents = contents
        self.fetched: list[str] = []

    def files(self) -> list[SourceFile]:
        return [SourceFile(path, len(data)) for path, data in sorted(self._contents.items())]

    def refused(self) -> list[tuple[str, str]]:
        return []

    def read(self, file: SourceFile) -> bytes:
        self.fetched.append(f"read {file.path}")
        return self._contents[file.path]

    def open(self, file: SourceFile) -> BinaryIO:
        self.fetched.append(f"open {file.path}")
        return io.BytesIO(self._contents[file.path])


class Sink:
    """Takes findings and keeps the number of pictures."""

    images = 0

    def recognise(self, name: str) -> None: ...

    def add(self, image: object) -> None:
        self.images += 1

    def lose(self, image: str | None) -> None: ...

    def order_classes(self, names: object) -> None: ...


def test_every_file_is_fetched_once_and_large_ones_as_a_stream(
    monkeypatch: pytest.MonkeyPatch, xml: Any
) -> None:
    monkeypatch.setattr(xml_files, "SMALL_BYTES", 1000)
    source = CountingSource({
        "a.jpg": b"",
        "a.xml": xml(),
        "b.jpg": b"",
        "b.xml": xml([("dog", 1, 2, 30, 40)] * 50),
        "other.xml": b"<other/>",
        "small.xml": document(image("a.jpg"), meta="<meta/>"),
        "tasks.xml": document(*[image("a.jpg", box())] * 50),
    })  # fmt: skip
    log, sink = DefectLog(), Sink()
    XmlReader().read(DatasetFiles(source, log), log, sink)
    assert source.fetched == [
        "read a.xml",
        "read other.xml",
        "read small.xml",
        "open b.xml",
        "open tasks.xml",
    ]
    assert sink.images == 53
    assert log.listed() == []
