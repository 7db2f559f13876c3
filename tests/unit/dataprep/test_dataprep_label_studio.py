"""Label Studio's JSON and JSON-MIN: per cents, renamed uploads, several annotators, and all their dirt."""

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
SIZE = {"original_width": 200, "original_height": 100}


def rectangle(x: Any = 10, y: Any = 20, width: Any = 30, height: Any = 40, **more: Any) -> dict[str, Any]:
    """The value of a region: 20, 20, 80, 60 in a picture of 200 x 100."""
    made = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": ["dog"]}
    return made | more


def result(value: Any, kind: Any = "rectanglelabels", **more: Any) -> dict[str, Any]:
    made = {"id": "r", "from_name": "label", "to_name": "image", "type": kind, "image_rotation": 0}
    return made | SIZE | {"value": value} | more


def annotation(*results: Any, **more: Any) -> dict[str, Any]:
    return {"id": 1, "completed_by": 1, "was_cancelled": False, "result": list(results)} | more


def task(*annotations: Any, image: Any = "/data/upload/3/0a1b2c3d-a.jpg", **more: Any) -> dict[str, Any]:
    made = {"id": 1, "data": {"image": image}, "annotations": list(annotations)}
    return made | {"predictions": [{"result": [result(rectangle())]}], "drafts": []} | more


def simple(image: str = "b.jpg") -> dict[str, Any]:
    return task(annotation(result(rectangle())), image=image)


def dataset(*tasks: Any) -> Files:
    return {"export.json": json.dumps(tasks).encode(), "a.jpg": b"", "b.jpg": b""}


def codes(found: Any) -> list[str]:
    return sorted(defect.code for defect in found.defects)


def places(found: Any) -> list[tuple[str, str]]:
    return [(defect.code, defect.place.where) for defect in found.defects]


def test_a_clean_export(found: type) -> None:
    read = found(
        JsonReader(), dataset(task(annotation(result(rectangle()))), task(annotation(), image="b.jpg"))
    )
    assert read.defects == []
    assert read.formats == ["label-studio"]
    assert read.class_order == ["dog"]
    assert read.unclaimed("json") == []
    first, background = read.images
    assert [(box.name, box.edges, str(box.place)) for box in first.boxes] == [
        ("dog", Edges(20, 20, 80, 60), "export.json, /0/annotations/0/result/0")
    ]
    assert (first.image, first.declared_size, first.is_relative) == ("a.jpg", (200, 100), False)
    assert (background.image, background.boxes, background.is_relative) == ("b.jpg", (), False)


def test_an_export_of_an_old_version(found: type) -> None:
    old = {"id": 1, "data": {"image": "a.jpg"}, "completions": [annotation(result(rectangle()))]}
    read = found(JsonReader(), dataset(old))
    assert read.defects == []
    assert str(read.images[0].boxes[0].place) == "export.json, /0/completions/0/result/0"


def minimal(
    image: str = "/data/upload/3/0a1b2c3d-a.jpg", *regions: Any, task_id: Any = 1, **more: Any
) -> Any:
    made = {"image": image, "id": task_id, "annotator": 1, "annotation_id": 1, "lead_time": 3.5}
    made |= {"created_at": "2024-01-01T10:00:00Z", "updated_at": "2024-01-01T10:00:00Z"}
    return made | ({"my label": [region | SIZE for region in regions]} if regions else {}) | more


def test_json_min(found: type) -> None:
    entries = [
        minimal("/data/upload/3/0a1b2c3d-a.jpg", rectangle(), weather="sunny"),
        minimal("b.jpg", task_id=2),
    ]
    read = found(JsonReader(), dataset(*entries))
    assert read.defects == []
    assert read.formats == ["label-studio"]
    first, background = read.images
    assert [(box.name, box.edges, str(box.place)) for box in first.boxes] == [
        ("dog", Edges(20, 20, 80, 60), "export.json, /0/my label/0")
    ]
    assert (first.image, first.declared_size) == ("a.jpg", (200, 100))
    assert (background.image, background.boxes) == ("b.jpg", ())


def test_json_min_has_an_entry_for_every_annotator(found: type) -> None:
    entries = [
        minimal("a.jpg", rectangle(), task_id=1),
        minimal("a.jpg", rectangle(x=10.5), task_id=1),
        minimal("b.jpg", rectangle(), task_id=2),
        minimal("b.jpg", rectangle(x=70), task_id=2),
        minimal("b.jpg", rectangle(x=70), task_id=2),
    ]
    read = found(JsonReader(), dataset(*entries))
    assert places(read) == [("labelstudio.annotators-disagree", "/2")]
    assert [one.image for one in read.images] == ["a.jpg"]
    assert read.lost == ["b.jpg"]


def test_a_control_s_name_cannot_spoil_the_place_of_its_boxes(found: type) -> None:
    entry = minimal("a.jpg", **{"a\nb/c~": [rectangle() | SIZE, rectangle() | SIZE]})
    read = found(JsonReader(), dataset(entry))
    assert [box.place.where for box in read.images[0].boxes] == ["/0/a b~1c~0/0", "/0/a b~1c~0/1"]


# Pictures


@pytest.mark.parametrize(
    "reference",
    [
        "/data/upload/3/0a1b2c3d-a.jpg",
        "/data/upload/0a1b2c3d-a.jpg?token=5",
        "http://127.0.0.1:8080/data/upload/3/0a1b2c3d-a.jpg",
        "/data/local-files/?d=photos/more/a.jpg",
        "http://127.0.0.1:8080/data/local-files/?d=photos%2Fa.jpg",
        "s3://bucket/photos/a.jpg",
        "https://example.com/photos/a.jpg?X-Amz-Signature=1",
        "C:\\photos\\a.jpg",
        " a.jpg ",
    ],
)
def test_references_to_a_picture(found: type, reference: str) -> None:
    read = found(JsonReader(), dataset(task(annotation(result(rectangle())), image=reference)))
    assert read.defects == []
    assert [one.image for one in read.images] == ["a.jpg"]


def test_a_picture_that_kept_its_upload_name(found: type) -> None:
    read = found(JsonReader(), dataset(simple("/data/upload/3/0a1b2c3d-a.jpg")) | {"x/0a1b2c3d-a.jpg": b""})
    assert read.defects == []
    assert [one.image for one in read.images] == ["x/0a1b2c3d-a.jpg"]


@pytest.mark.parametrize(
    ("reference", "picture"),
    [
        ("/data/upload/3/0a1b2c3d-my_photo_1.jpg", "my photo (1).jpg"),
        ("/data/upload/3/0a1b2c3d-gr%C3%BCn_1.jpg", "grün 1.jpg"),
        ("/data/upload/3/0a1b2c3d-gr%C3%BCn.jpg", "grün.jpg"),
    ],
)
def test_an_upload_changes_unusual_names(found: type, reference: str, picture: str) -> None:
    read = found(JsonReader(), dataset(simple(reference)) | {picture: b""})
    assert read.defects == []
    assert [one.image for one in read.images] == [picture]


@pytest.mark.parametrize(
    "data",
    [
        {"photo": "a.jpg"},
        {"id": 7, "caption": "two dogs", "photo_url": "https://example.com/a.jpg?x=1"},
        {"image": None, "picture": "a.jpg", "again": "a.jpg"},
        {"image": "", "only": "s3://bucket/a.jpg"},
    ],
)
def test_the_picture_can_have_any_key(found: type, data: Any) -> None:
    read = found(JsonReader(), dataset(task(annotation(result(rectangle())), data=data)))
    assert read.defects == []
    assert [one.image for one in read.images] == ["a.jpg"]


def test_the_upload_is_used_where_the_data_names_no_picture(found: type) -> None:
    made = task(annotation(result(rectangle())), data={"text": "x"}, file_upload="0a1b2c3d-a.jpg")
    read = found(JsonReader(), dataset(made))
    assert (read.defects, [one.image for one in read.images]) == ([], ["a.jpg"])


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"image": ["a.jpg", "b.jpg"]},
        {"left": "a.jpg", "right": "b.jpg"},
        {"image": 7},
        {"one": "x", "two": "y"},
    ],
)
def test_a_task_without_a_single_picture(found: type, data: Any) -> None:
    read = found(JsonReader(), dataset(task(annotation(result(rectangle())), data=data), simple()))
    assert places(read) == [("labelstudio.bad-task", "/0")]
    assert (read.lost, len(read.images)) == ([None], 1)


def test_a_missing_picture_costs_only_itself(found: type) -> None:
    read = found(JsonReader(), dataset(simple("/data/upload/3/0a1b2c3d-gone.jpg"), simple()))
    assert places(read) == [("image.missing", "/0")]
    assert "'gone.jpg'" in read.defects[0].message
    assert (read.lost, len(read.images)) == ([None], 1)


@pytest.mark.parametrize("key", ["split", "subset"])
def test_a_split_in_the_data_of_a_task_wins(found: type, key: str) -> None:
    tasks = [simple("a.jpg"), simple("b.jpg")]
    tasks[0]["data"][key] = "Valid"
    tasks[1]["data"][key] = "winter"
    read = found(JsonReader(), {"train/export.json": json.dumps(tasks).encode(), "a.jpg": b"", "b.jpg": b""})
    assert [image.split for image in read.images] == ["validation", "train"]
    entries = [minimal("a.jpg", rectangle()) | {key: "test"}, minimal("b.jpg", rectangle(), task_id=2)]
    assert [image.split for image in found(JsonReader(), dataset(*entries)).images] == ["test", None]


def test_split_folders(found: type) -> None:
    files = dataset(simple("a.jpg"), simple("c.jpg")) | {"valid/c.jpg": b""}
    assert [one.split for one in found(JsonReader(), files).images] == [None, "validation"]


# Annotators


def answers(*values: Any) -> list[Any]:
    return [annotation(*(result(one) for one in each), id=number) for number, each in enumerate(values)]


@pytest.mark.parametrize(
    "second",
    [
        [rectangle(), rectangle(x=60)],
        [rectangle(x=60), rectangle()],
        [rectangle(x=11, y=22), rectangle(x=60)],
        [rectangle(x=10.9, height=41), rectangle(x=60, width=29.5)],
    ],
)
def test_annotators_who_agree_are_one_record(found: type, second: Any) -> None:
    read = found(JsonReader(), dataset(task(*answers([rectangle(), rectangle(x=60)], second, second))))
    assert read.defects == []
    assert [[box.edges for box in one.boxes] for one in read.images] == [
        [Edges(20, 20, 80, 60), Edges(120, 20, 180, 60)]
    ]


@pytest.mark.parametrize(
    "second",
    [
        [],
        [rectangle()],
        [rectangle(), rectangle(x=60), rectangle(x=60)],
        [rectangle(), rectangle(x=62)],
        [rectangle(), rectangle(x=60, rectanglelabels=["cat"])],
        [rectangle(), rectangle()],
    ],
)
def test_annotators_who_disagree_cost_the_picture(found: type, second: Any) -> None:
    read = found(JsonReader(), dataset(task(*answers([rectangle(), rectangle(x=60)], second)), simple()))
    assert places(read) == [("labelstudio.annotators-disagree", "/0")]
    assert read.lost == ["a.jpg"]
    assert [one.image for one in read.images] == ["b.jpg"]


def test_many_boxes_are_compared_in_time(found: type) -> None:
    one = [rectangle(x=number / 20, width=1) for number in range(1000)]
    other = [rectangle(x=number / 20 + 0.01, width=1) for number in range(1000)]
    read = found(
        JsonReader(), dataset(task(*answers(one, other)), task(*answers(one, one[:-1]), image="b.jpg"))
    )
    assert codes(read) == ["labelstudio.annotators-disagree"]
    assert [one.image for one in read.images] == ["a.jpg"]


def test_the_ground_truth_settles_a_disagreement(found: type) -> None:
    made = answers([rectangle(x=60)], [rectangle()], [])
    made[1]["ground_truth"] = True
    read = found(JsonReader(), dataset(task(*made)))
    assert read.defects == []
    assert [box.edges for box in read.images[0].boxes] == [Edges(20, 20, 80, 60)]


def test_a_cancelled_annotation_is_skipped(found: type) -> None:
    made = answers([rectangle(x=60)], [rectangle()])
    made[0]["was_cancelled"] = True
    read = found(JsonReader(), dataset(task(*made)))
    assert read.defects == []
    assert len(read.images[0].boxes) == 1


def test_a_task_whose_annotations_are_all_cancelled_is_not_labelled(found: type) -> None:
    cancelled = [
        task(annotation(was_cancelled=True), annotation(result(rectangle()), was_cancelled=True))
    ] * 9
    read = found(JsonReader(), dataset(*cancelled, simple()))
    assert [(defect.code, defect.count) for defect in read.defects] == [("labelstudio.cancelled", 9)]
    assert (read.lost, len(read.images)) == ([], 1)


@pytest.mark.parametrize("annotations", [[], None, "absent"])
def test_a_task_without_annotations_is_not_labelled_yet(found: type, annotations: Any) -> None:
    waiting = task(annotations=annotations)
    if annotations == "absent":
        del waiting["annotations"]
    read = found(JsonReader(), dataset(*[waiting] * 9, simple()))
    assert [(defect.code, defect.count) for defect in read.defects] == [("labelstudio.unlabelled", 9)]
    assert (read.lost, len(read.images)) == ([], 1)


@pytest.mark.parametrize("bad", [None, 3, "x", [], {}, {"result": None}, {"result": {}}])
def test_an_annotation_that_is_none(found: type, bad: Any) -> None:
    read = found(JsonReader(), dataset(task(bad), task(bad, annotation(result(rectangle())), image="b.jpg")))
    assert places(read) == [
        ("labelstudio.bad-task", "/0/annotations/0"),
        ("labelstudio.bad-task", "/1/annotations/0"),
    ]
    assert read.lost == ["a.jpg"]
    assert [one.image for one in read.images] == ["b.jpg"]


@pytest.mark.parametrize("bad", [None, 3, "x", [], [1]])
def test_a_task_that_is_none(found: type, bad: Any) -> None:
    read = found(JsonReader(), dataset(simple("a.jpg"), bad, simple()))
    assert places(read) == [("labelstudio.bad-task", "/1")]
    assert (read.lost, len(read.images)) == ([None], 2)


def test_annotations_that_are_no_list(found: type) -> None:
    read = found(JsonReader(), dataset(task(annotations={"a": 1}), simple()))
    assert places(read) == [("labelstudio.bad-task", "/0")]
    assert (read.lost, len(read.images)) == (["a.jpg"], 1)


# Regions


def one_picture(found: type, *results: Any) -> Any:
    return found(JsonReader(), dataset(task(annotation(*results))))


def only_boxes(read: Any) -> list[tuple[str, Edges]]:
    (image,) = read.images
    return [(box.name, box.edges) for box in image.boxes]


@pytest.mark.parametrize("value", [None, "x", "", math.nan, math.inf, True, [], 10**400])
def test_numbers_that_are_none_cost_their_box(found: type, value: Any) -> None:
    read = one_picture(found, result(rectangle(x=value)), result(rectangle()))
    assert places(read) == [("box.not-a-number", "/0/annotations/0/result/0")]
    assert only_boxes(read) == [("dog", Edges(20, 20, 80, 60))]


def test_numbers_written_as_text_are_read(found: type) -> None:
    assert only_boxes(one_picture(found, result(rectangle(x="10.0")))) == [("dog", Edges(20, 20, 80, 60))]


def test_several_labels_cost_the_box(found: type) -> None:
    read = one_picture(found, result(rectangle(rectanglelabels=["dog", "wet"])), result(rectangle()))
    assert places(read) == [("labelstudio.several-labels", "/0/annotations/0/result/0")]
    assert "dog, wet" in read.defects[0].message
    assert len(only_boxes(read)) == 1


@pytest.mark.parametrize("labels", [[], None, [None], [" "], [["dog"]], {}, [True]])
def test_a_region_without_a_label_costs_itself(found: type, labels: Any) -> None:
    read = one_picture(found, result(rectangle(rectanglelabels=labels)), result(rectangle(x=60)))
    assert places(read) == [("labelstudio.bad-region", "/0/annotations/0/result/0")]
    assert len(only_boxes(read)) == 1


def test_a_picture_whose_regions_are_all_bad_is_lost(found: type) -> None:
    read = one_picture(found, result(rectangle(x="?")))
    assert codes(read) == ["box.not-a-number"]
    assert (read.images, read.lost) == ([], ["a.jpg"])


def test_a_turned_box_becomes_the_box_around_it(found: type) -> None:
    read = one_picture(found, result(rectangle(x=50, y=50, width=10, height=10, rotation=30)))
    assert places(read) == [("shape.hull", "/0/annotations/0/result/0")]
    ((_, edges),) = only_boxes(read)
    cosine, sine = math.cos(math.pi / 6), 0.5
    assert edges == pytest.approx((100 - 10 * sine, 50, 100 + 20 * cosine, 50 + 20 * sine + 10 * cosine))


@pytest.mark.parametrize(
    ("rotation", "edges"),
    [
        (90, Edges(90, 50, 100, 70)),
        (180, Edges(80, 40, 100, 50)),
        (-90, Edges(100, 30, 110, 50)),
        (360, Edges(100, 50, 120, 60)),
        (None, Edges(100, 50, 120, 60)),
        ("0", Edges(100, 50, 120, 60)),
    ],
)
def test_quarter_turns_about_the_top_left_are_exact(found: type, rotation: Any, edges: Edges) -> None:
    read = one_picture(found, result(rectangle(x=50, y=50, width=10, height=10, rotation=rotation)))
    assert read.defects == []
    assert only_boxes(read) == [("dog", edges)]


def test_a_picture_turned_on_the_screen_keeps_its_values(found: type) -> None:
    read = one_picture(found, result(rectangle(), image_rotation=90))
    assert (read.defects, only_boxes(read)) == ([], [("dog", Edges(20, 20, 80, 60))])


def test_outlines_become_the_box_around_them(found: type) -> None:
    polygon = {"points": [[10, 20], [30, 10], [20, 60]], "closed": True, "polygonlabels": ["dog"]}
    ellipse = {"x": 50, "y": 50, "radiusX": 10, "radiusY": 40, "rotation": 0, "ellipselabels": ["cat"]}
    read = one_picture(found, result(polygon, "polygonlabels"), result(ellipse, "ellipselabels"))
    assert codes(read) == ["shape.hull", "shape.hull"]
    assert only_boxes(read) == [("dog", Edges(20, 10, 60, 60)), ("cat", Edges(80, 10, 120, 90))]


@pytest.mark.parametrize(
    "points", [None, [], [[1, 2], [3, 4]], [[1, 2], [3], [5, 6]], [[1, 2], ["x", 4], [5, 6]]]
)
def test_a_polygon_without_usable_points(found: type, points: Any) -> None:
    read = one_picture(
        found, result({"points": points, "polygonlabels": ["dog"]}, "polygonlabels"), result(rectangle())
    )
    assert codes(read) == ["box.not-a-number"]
    assert len(only_boxes(read)) == 1


@pytest.mark.parametrize(
    "kind", ["brushlabels", "keypointlabels", "vectorlabels", "bitmask", "videorectangle"]
)
def test_regions_that_are_no_boxes_are_left_out(found: type, kind: str) -> None:
    read = one_picture(
        found, result({"x": 1, "y": 2, "width": 0.3, kind: ["dog"]}, kind), result(rectangle())
    )
    assert codes(read) == ["shape.skipped"]
    assert len(only_boxes(read)) == 1


def test_what_is_no_region_says_nothing_about_boxes(found: type) -> None:
    others = [
        result({"choices": ["sunny"]}, "choices"),
        result({"text": ["x"]}, "textarea"),
        {"type": "relation", "from_id": "r", "to_id": "s"},
        result({"rating": 4}, "rating"),
        result(None),
        result(rectangle(), None),
        None,
        7,
    ]
    read = one_picture(found, *others, result(rectangle()))
    assert (read.defects, len(only_boxes(read))) == ([], 1)


@pytest.mark.parametrize("is_labelled_first", [True, False])
def test_shape_and_label_can_be_two_controls(found: type, is_labelled_first: bool) -> None:
    bare = {key: value for key, value in rectangle().items() if key != "rectanglelabels"}
    twins = [result(bare, "rectangle"), result(bare | {"labels": ["dog"]}, "labels")]
    lone = result(bare | {"x": 60}, "rectangle")
    read = one_picture(found, *(twins[::-1] if is_labelled_first else twins), lone)
    assert codes(read) == ["labelstudio.bad-region"]
    assert only_boxes(read) == [("dog", Edges(20, 20, 80, 60))]


def test_shape_and_label_as_two_controls_in_json_min(found: type) -> None:
    bare = {key: value for key, value in rectangle().items() if key != "rectanglelabels"} | SIZE
    read = found(JsonReader(), dataset(minimal("a.jpg", bbox=[bare], what=[bare | {"labels": ["dog"]}])))
    assert (read.defects, only_boxes(read)) == ([], [("dog", Edges(20, 20, 80, 60))])


def without_size(value: Any, kind: str = "rectanglelabels") -> dict[str, Any]:
    return {key: inner for key, inner in result(value, kind).items() if not key.startswith("original_")}


def test_without_the_original_size_edges_are_relative(found: type) -> None:
    read = found(JsonReader(), dataset(*[task(annotation(without_size(rectangle())))] * 9))
    assert [(defect.code, defect.count) for defect in read.defects] == [("labelstudio.size-missing", 9)]
    image = read.images[0]
    assert (image.is_relative, image.declared_size) == (True, None)
    assert image.boxes[0].edges == pytest.approx((0.1, 0.2, 0.4, 0.6))


def test_one_region_says_the_size_for_all(found: type) -> None:
    read = one_picture(found, without_size(rectangle()), result(rectangle()))
    assert read.defects == []
    assert only_boxes(read) == [("dog", Edges(20, 20, 80, 60))] * 2


def test_a_turned_box_needs_the_size(found: type) -> None:
    read = one_picture(found, without_size(rectangle(rotation=30)), without_size(rectangle()))
    assert codes(read) == ["labelstudio.bad-region", "labelstudio.size-missing"]
    assert len(read.images[0].boxes) == 1


# Files


def test_tasks_before_the_damage_are_kept(found: type) -> None:
    files = dataset(simple("a.jpg"), simple())
    files["export.json"] = files["export.json"][:-40]
    read = found(JsonReader(), files)
    assert codes(read) == ["json.broken"]
    assert [one.image for one in read.images] == ["a.jpg"]
    assert read.lost == [None]


@pytest.mark.parametrize(
    "data",
    [[{"data": {"image": "a.jpg"}}], [{"image": "a.jpg", "id": 1}], {"data": {}, "annotations": []}, [1]],
)
def test_other_json_is_left_alone(found: type, data: Any) -> None:
    read = found(JsonReader(), {"other.json": json.dumps(data).encode()})
    assert read.unclaimed("json") == ["other.json"]
    assert read.defects == []


_ANY = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_VALUE = _ANY | st.builds(rectangle, _ANY, _ANY, _ANY, _ANY, rotation=_ANY, rectanglelabels=_ANY)
_KIND = _ANY | st.sampled_from(["rectanglelabels", "polygonlabels", "ellipselabels", "labels", "brushlabels"])
_RESULT = _ANY | st.builds(result, _VALUE, _KIND)
_TASK = _ANY | st.builds(task, _ANY | st.builds(annotation, _RESULT, _RESULT), image=_ANY | st.just("a.jpg"))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_TASK, max_size=4))
def test_bad_data_never_raises_and_never_costs_a_neighbour(found: type, tasks: list[Any]) -> None:
    read = found(JsonReader(), dataset(simple(), *tasks))
    assert read.images[0].image == "b.jpg"
    assert len(read.images[0].boxes) == 1
