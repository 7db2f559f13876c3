"""LabelMe: every shape and every kind of dirt costs only itself and is named."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from dataprep_job.labels import Edges
from dataprep_job.readers import labelme
from dataprep_job.readers.json_files import JsonReader

Files = dict[str, bytes]


def shape(points: Any, kind: str | None = "rectangle", label: Any = "dog", **more: Any) -> dict[str, Any]:
    made = {"label": label, "points": points, "group_id": None, "flags": {}, **more}
    return made if kind is None else made | {"shape_type": kind}


def document(*shapes: Any, **changes: Any) -> bytes:
    made = {
        "version": "5.4.1",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": "a.jpg",
        "imageData": "iVBORw0KGgo=",
        "imageHeight": 80,
        "imageWidth": 100,
    } | changes
    return json.dumps({key: value for key, value in made.items() if value != "absent"}).encode()


def dataset(*shapes: Any, **changes: Any) -> Files:
    return {"a.json": document(*shapes, **changes), "a.jpg": b""}


def codes(result: Any) -> list[str]:
    return sorted(defect.code for defect in result.defects)


def only_edges(result: Any) -> list[Edges]:
    (image,) = result.images
    return [box.edges for box in image.boxes]


BOX = [[10.5, 20], [30, 40.25]]


def test_a_clean_file(found: type) -> None:
    result = found(JsonReader(), dataset(shape(BOX), shape(BOX, label="cat")))
    assert result.defects == []
    assert result.formats == ["labelme"]
    assert result.unclaimed("json") == []
    assert result.class_order == ["cat", "dog"]
    (image,) = result.images
    assert (image.image, image.declared_size, image.split, image.format) == (
        "a.jpg",
        (100, 80),
        None,
        "labelme",
    )
    assert [(box.name, box.edges, str(box.place)) for box in image.boxes] == [
        ("dog", Edges(10.5, 20, 30, 40.25), "a.json, /shapes/0"),
        ("cat", Edges(10.5, 20, 30, 40.25), "a.json, /shapes/1"),
    ]


@pytest.mark.parametrize("data", [None, "absent", "x" * 3_000_000])
def test_the_picture_inside_the_file_is_ignored(found: type, data: str | None) -> None:
    result = found(JsonReader(), dataset(shape(BOX), imageData=data))
    assert result.defects == []
    assert len(result.images) == 1


@pytest.mark.parametrize("order", ["imageData", "shapes"])
def test_members_come_in_any_order(found: type, order: str) -> None:
    members = json.loads(document(shape(BOX)))
    first = {order: members.pop(order)}
    files = {"a.json": json.dumps(first | members).encode(), "a.jpg": b""}
    result = found(JsonReader(), files)
    assert (result.defects, len(result.images)) == ([], 1)


def test_a_file_with_many_shapes_is_recognised(found: type) -> None:
    result = found(JsonReader(), dataset(*[shape(BOX)] * 500))
    assert (result.defects, len(only_edges(result))) == ([], 500)


@pytest.mark.parametrize(
    "points",
    [
        [[10, 20], [30, 40]],
        [[30, 40], [10, 20]],
        [[30, 20], [10, 40]],
        [["10", "20.0"], [30, 40]],
        [[10, 20], [30, 20], [30, 40], [10, 40]],
    ],
)
def test_corners_of_a_rectangle_come_in_any_order(found: type, points: Any) -> None:
    result = found(JsonReader(), dataset(shape(points)))
    assert result.defects == []
    assert only_edges(result) == [Edges(10, 20, 30, 40)]


@pytest.mark.parametrize("points", [[], [[10, 20]], [[1, 2], [3, 4], [5, 6]]])
def test_a_rectangle_of_one_point(found: type, points: Any) -> None:
    result = found(JsonReader(), dataset(shape(points), shape(BOX)))
    assert [(defect.code, str(defect.place)) for defect in result.defects] == [
        ("labelme.bad-shape", "a.json, /shapes/0")
    ]
    assert only_edges(result) == [Edges(10.5, 20, 30, 40.25)]


@pytest.mark.parametrize(
    ("kind", "points", "edges"),
    [
        ("polygon", [[5, 10], [20.5, 3], [12, 40.25]], Edges(5, 3, 20.5, 40.25)),
        (None, [[5, 10], [20.5, 3], [12, 40.25]], Edges(5, 3, 20.5, 40.25)),
        ("circle", [[50, 40], [53, 44]], Edges(45, 35, 55, 45)),
        ("mask", [[30, 40], [10, 20]], Edges(10, 20, 30, 40)),
        ("rotation", [[5, 10], [10, 5], [15, 10], [10, 15]], Edges(5, 5, 15, 15)),
        ("rectangle", [[5, 10], [10, 5], [15, 10], [10, 15]], Edges(5, 5, 15, 15)),
    ],
)
def test_outlines_become_the_box_around_them(
    found: type, kind: str | None, points: Any, edges: Edges
) -> None:
    result = found(JsonReader(), dataset(shape(points, kind, mask="iVBORw0KGgo=")))
    assert [(defect.code, str(defect.place)) for defect in result.defects] == [
        ("shape.hull", "a.json, /shapes/0")
    ]
    assert only_edges(result) == [edges]


def test_outlines_in_every_file_are_one_defect(found: type) -> None:
    files: Files = {}
    for number in range(20):
        files[f"p{number}.json"] = document(
            shape([[1, 2], [3, 4], [5, 2]], "polygon"), imagePath=f"p{number}.jpg"
        )
        files[f"p{number}.jpg"] = b""
    result = found(JsonReader(), files)
    assert [(defect.code, defect.count) for defect in result.defects] == [("shape.hull", 20)]
    assert len(result.images) == 20


@pytest.mark.parametrize("kind", ["line", "linestrip", "point", "points", "cuboid", 7])
def test_shapes_that_are_no_boxes_are_left_out(found: type, kind: Any) -> None:
    result = found(JsonReader(), dataset(shape([[1, 2], [3, 4]], kind, label=None), shape(BOX)))
    assert codes(result) == ["shape.skipped"]
    assert only_edges(result) == [Edges(10.5, 20, 30, 40.25)]
    assert result.lost == []


@pytest.mark.parametrize(
    ("kind", "points"), [("polygon", [[1, 2], [3, 4]]), ("circle", [[1, 2]]), ("mask", [[1, 2]])]
)
def test_outlines_with_too_few_points(found: type, kind: str, points: Any) -> None:
    result = found(JsonReader(), dataset(shape(points, kind), shape(BOX)))
    assert codes(result) == ["labelme.bad-shape"]
    assert len(only_edges(result)) == 1


@pytest.mark.parametrize(
    "points",
    [None, "x", {}, [1, 2], [[1], [3, 4]], [[1, 2, 3], [3, 4]], [["a", 2], [3, 4]], [[True, 2], [3, 4]],
     [[math.nan, 2], [3, 4]], [[math.inf, 2], [3, 4]], [[None, 2], [3, 4]], [[10**400, 2], [3, 4]]],
)  # fmt: skip
def test_points_that_are_no_numbers(found: type, points: Any) -> None:
    result = found(JsonReader(), dataset(shape(points), shape(BOX)))
    assert [(defect.code, str(defect.place)) for defect in result.defects] == [
        ("box.not-a-number", "a.json, /shapes/0")
    ]
    assert len(only_edges(result)) == 1


@pytest.mark.parametrize("bad", [None, 3, "x", [], {}, {"points": [[1, 2], [3, 4]]}, shape(BOX, label=" ")])
def test_a_shape_that_is_none_costs_only_itself(found: type, bad: Any) -> None:
    result = found(JsonReader(), dataset(bad, shape(BOX)))
    assert len(result.defects) == 1
    assert codes(result)[0] in ("labelme.bad-shape", "box.not-a-number")
    assert len(only_edges(result)) == 1


def test_a_label_can_be_a_number(found: type) -> None:
    (image,) = found(JsonReader(), dataset(shape(BOX, label=7))).images
    assert image.boxes[0].name == "7"


def test_a_picture_without_shapes_is_background(found: type) -> None:
    result = found(JsonReader(), dataset())
    assert (result.defects, only_edges(result)) == ([], [])


def test_a_picture_whose_shapes_are_all_bad_is_lost(found: type) -> None:
    result = found(JsonReader(), dataset(shape([[1, 2]])))
    assert codes(result) == ["labelme.bad-shape"]
    assert (result.images, result.lost) == ([], ["a.jpg"])


@pytest.mark.parametrize("shapes", [None, "x", {"a": 1}, 7])
def test_shapes_that_are_no_list(found: type, shapes: Any) -> None:
    result = found(JsonReader(), dataset(shapes=shapes))
    assert [(defect.code, str(defect.place)) for defect in result.defects] == [
        ("labelme.bad-file", "a.json, /shapes")
    ]
    assert (result.images, result.lost) == ([], ["a.jpg"])


def test_too_many_shapes(found: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelme, "MAX_SHAPES", 3)
    result = found(JsonReader(), dataset(*[shape(BOX)] * 9))
    assert codes(result) == ["labelme.bad-file"]
    assert result.lost == ["a.jpg"]


@pytest.mark.parametrize(
    ("width", "height"), [(None, None), (0, 0), ("absent", 80), (True, 80), ("x", 80), (10**30, 80)]
)
def test_files_without_a_usable_size_are_one_defect(found: type, width: Any, height: Any) -> None:
    files: Files = {}
    for number in range(5):
        name = f"p{number}.jpg"
        files[f"p{number}.json"] = document(shape(BOX), imagePath=name, imageWidth=width, imageHeight=height)
        files[name] = b""
    result = found(JsonReader(), files)
    assert [(defect.code, defect.count) for defect in result.defects] == [("labelme.size-missing", 5)]
    assert {image.declared_size for image in result.images} == {None}


@pytest.mark.parametrize(
    "path", ["..\\img\\a.jpg", "../img/a.jpg", "C:\\photos\\img\\a.jpg", "/home/x/a.jpg"]
)
def test_paths_of_other_machines(found: type, path: str) -> None:
    files = {"labels/x.json": document(shape(BOX), imagePath=path), "img/a.jpg": b""}
    result = found(JsonReader(), files)
    assert result.defects == []
    assert [image.image for image in result.images] == ["img/a.jpg"]


def test_the_exact_path_wins(found: type) -> None:
    files = {"labels/a.json": document(shape(BOX), imagePath="..\\img\\b.jpg"), "labels/a.jpg": b""}
    result = found(JsonReader(), files | {"img/b.jpg": b""})
    assert result.defects == []
    assert [image.image for image in result.images] == ["img/b.jpg"]


@pytest.mark.parametrize("path", ["old.jpg", "..\\img\\old.jpg", None, 7, " ", "absent"])
def test_a_renamed_picture_is_found_by_the_file_s_own_name(found: type, path: Any) -> None:
    files = {"one/a.json": document(shape(BOX), imagePath=path), "one/a.jpg": b"", "two/old.jpg": b""}
    result = found(JsonReader(), files)
    assert codes(result) == ["labelme.image-path"]
    assert [image.image for image in result.images] == ["one/a.jpg"]


def test_a_missing_picture_costs_only_itself(found: type) -> None:
    result = found(JsonReader(), {"b.json": document(shape(BOX), imagePath="b.jpg"), **dataset(shape(BOX))})
    assert [(defect.code, str(defect.place)) for defect in result.defects] == [
        ("image.missing", "b.json, /imagePath")
    ]
    assert (len(result.images), result.lost) == (1, [None])


def test_a_file_that_names_no_picture(found: type) -> None:
    result = found(JsonReader(), {"b.json": document(shape(BOX), imagePath=None)})
    assert codes(result) == ["labelme.bad-file"]
    assert result.lost == [None]


def test_split_folders(found: type) -> None:
    files = {"train/a.json": document(shape(BOX)), "train/a.jpg": b""}
    files |= {"valid/a.json": document(shape(BOX)), "valid/a.jpg": b""}
    result = found(JsonReader(), files)
    assert [(image.image, image.split) for image in result.images] == [
        ("train/a.jpg", "train"),
        ("valid/a.jpg", "validation"),
    ]


@pytest.mark.parametrize("keep", ['"imagePath"', '"imageData"', '"imageHeight"'])
def test_a_damaged_file_loses_its_picture_only(found: type, keep: str) -> None:
    data = document(shape(BOX)).decode()
    files = {"a.json": data[: data.index(keep)].encode(), "a.jpg": b""}
    files |= {"b.json": document(shape(BOX), imagePath="b.jpg"), "b.jpg": b""}
    result = found(JsonReader(), files)
    assert codes(result) == ["json.broken"]
    assert result.lost == ["a.jpg"]
    assert [image.image for image in result.images] == ["b.jpg"]
    assert result.unclaimed("json") == []


@pytest.mark.parametrize(
    "data", [{"shapes": [1, 2]}, {"imagePath": "a.jpg"}, {"points": [], "label": ""}, []]
)
def test_other_json_is_left_alone(found: type, data: Any) -> None:
    result = found(JsonReader(), {"other.json": json.dumps(data).encode()})
    assert result.unclaimed("json") == ["other.json"]
    assert result.defects == []
