"""Create ML: centres and sizes become edges, and every kind of dirt costs only itself."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataprep_job.labels import Edges
from dataprep_job.readers.json_files import JsonReader

Files = dict[str, bytes]


def box(x: Any = 20, y: Any = 30, width: Any = 10, height: Any = 20, label: Any = "dog") -> dict[str, Any]:
    return {"label": label, "coordinates": {"x": x, "y": y, "width": width, "height": height}}


def picture(*boxes: Any, image: Any = "a.jpg") -> dict[str, Any]:
    return {"image": image, "annotations": list(boxes)}


def dataset(*entries: Any) -> Files:
    return {"labels.json": json.dumps(entries).encode(), "a.jpg": b"", "b.jpg": b""}


def codes(result: Any) -> list[str]:
    return sorted(defect.code for defect in result.defects)


GOOD = picture(box(), image="b.jpg")


def test_a_clean_file(found: type) -> None:
    result = found(JsonReader(), dataset(picture(box(), box(50.5, 40, 11, 3, "cat")), picture(image="b.jpg")))
    assert result.defects == []
    assert result.formats == ["createml"]
    assert result.class_order == ["cat", "dog"]
    assert result.unclaimed("json") == []
    first, background = result.images
    assert [(one.name, one.edges, str(one.place)) for one in first.boxes] == [
        ("dog", Edges(15, 20, 25, 40), "labels.json, /0/annotations/0"),
        ("cat", Edges(45, 38.5, 56, 41.5), "labels.json, /0/annotations/1"),
    ]
    assert (first.image, first.declared_size, first.is_relative) == ("a.jpg", None, False)
    assert (background.image, background.boxes) == ("b.jpg", ())


def test_the_newer_names_of_the_members(found: type) -> None:
    result = found(JsonReader(), dataset({"imagefilename": "a.jpg", "annotation": [box()]}))
    assert result.defects == []
    assert str(result.images[0].boxes[0].place) == "labels.json, /0/annotation/0"


def test_roboflow_has_one_file_in_every_split_folder(found: type) -> None:
    files: Files = {}
    for folder in ("train", "valid", "test"):
        files[f"{folder}/_annotations.createml.json"] = json.dumps([picture(box())]).encode()
        files[f"{folder}/a.jpg"] = b""
    result = found(JsonReader(), files)
    assert result.defects == []
    assert [(one.image, one.split) for one in result.images] == [
        ("test/a.jpg", "test"),
        ("train/a.jpg", "train"),
        ("valid/a.jpg", "validation"),
    ]


@pytest.mark.parametrize("value", [None, "x", "", math.nan, math.inf, True, [], 10**400])
def test_coordinates_that_are_no_numbers(found: type, value: Any) -> None:
    result = found(JsonReader(), dataset(picture(box(x=value), box()), GOOD))
    assert [(defect.code, str(defect.place)) for defect in result.defects] == [
        ("box.not-a-number", "labels.json, /0/annotations/0")
    ]
    assert [len(one.boxes) for one in result.images] == [1, 1]


def test_numbers_written_as_text_are_read(found: type) -> None:
    result = found(JsonReader(), dataset(picture(box(x="20.0", width="10"))))
    assert result.defects == []
    assert result.images[0].boxes[0].edges == Edges(15, 20, 25, 40)


@pytest.mark.parametrize(
    "bad",
    [None, 3, "x", [], {}, {"label": "dog"}, {"label": "dog", "coordinates": [1, 2, 3, 4]}, box(label=None),
     box(label=" "), box(label=["dog"])],
)  # fmt: skip
def test_an_annotation_that_is_none_costs_only_itself(found: type, bad: Any) -> None:
    result = found(JsonReader(), dataset(picture(bad, box()), GOOD))
    assert [(defect.code, str(defect.place)) for defect in result.defects] == [
        ("createml.bad-annotation", "labels.json, /0/annotations/0")
    ]
    assert [len(one.boxes) for one in result.images] == [1, 1]


def test_a_picture_whose_annotations_are_all_bad_is_lost(found: type) -> None:
    result = found(JsonReader(), dataset(picture(box(x="?")), GOOD))
    assert codes(result) == ["box.not-a-number"]
    assert result.lost == ["a.jpg"]
    assert [one.image for one in result.images] == ["b.jpg"]


@pytest.mark.parametrize("bad", [None, 3, [], "x", {}, picture(box(), image=None), picture(box(), image=" ")])
def test_an_entry_that_is_none_costs_only_itself(found: type, bad: Any) -> None:
    result = found(JsonReader(), dataset(bad, GOOD))
    assert [(defect.code, str(defect.place)) for defect in result.defects] == [
        ("createml.bad-image", "labels.json, /0")
    ]
    assert (result.lost, len(result.images)) == ([None], 1)


@pytest.mark.parametrize("annotations", [None, "x", {}, 3])
def test_annotations_that_are_no_list(found: type, annotations: Any) -> None:
    result = found(JsonReader(), dataset({"image": "a.jpg", "annotations": annotations}, GOOD))
    assert codes(result) == ["createml.bad-image"]
    assert (result.lost, len(result.images)) == (["a.jpg"], 1)


def test_an_entry_without_annotations(found: type) -> None:
    result = found(JsonReader(), dataset({"image": "a.jpg"}, GOOD))
    assert codes(result) == ["createml.bad-image"]
    assert (result.lost, len(result.images)) == (["a.jpg"], 1)


def test_a_missing_picture_costs_only_itself(found: type) -> None:
    result = found(JsonReader(), dataset(picture(box(), image="gone.jpg"), GOOD))
    assert [(defect.code, str(defect.place)) for defect in result.defects] == [
        ("image.missing", "labels.json, /0")
    ]
    assert (result.lost, len(result.images)) == ([None], 1)


def test_what_stands_before_the_damage_is_kept(found: type) -> None:
    files = dataset(picture(box()), GOOD)
    files["labels.json"] = files["labels.json"][:-20]
    result = found(JsonReader(), files)
    assert codes(result) == ["json.broken"]
    assert [one.image for one in result.images] == ["a.jpg"]
    assert result.lost == [None]


@pytest.mark.parametrize(
    "data",
    [
        [],
        [{"image": "a.jpg"}],
        [{"image": "a.jpg", "annotations": [{"label": "cup", "bbox": [1, 2, 3, 4]}]}],
        {"image": "a.jpg", "annotations": []},
        "x",
    ],
)
def test_other_json_is_left_alone(found: type, data: Any) -> None:
    result = found(JsonReader(), {"other.json": json.dumps(data).encode()})
    assert result.unclaimed("json") == ["other.json"]
    assert result.defects == []


_ANY = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_ANY | st.builds(picture, _ANY | st.builds(box, _ANY, _ANY, _ANY, _ANY, _ANY), image=_ANY)))
def test_bad_data_never_raises_and_never_costs_a_neighbour(found: type, entries: list[Any]) -> None:
    result = found(JsonReader(), dataset(GOOD, *entries))
    assert result.images[0].image == "b.jpg"
    assert len(result.images) + len(result.lost) == len(entries) + 1
