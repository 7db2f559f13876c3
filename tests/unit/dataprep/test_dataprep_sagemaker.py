"""JSON of SageMaker's built-in object detection: channels, stems, class ids, and what is wrong with them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataprep_job.defects import Place
from dataprep_job.readers.json_files import JsonReader

FILE = "train_annotation/x.json"

ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


def annotation(**changes: Any) -> dict[str, Any]:
    """A dog and a cat on x.jpg; a value of `...` removes the key."""
    whole: dict[str, Any] = {
        "file": "x.jpg",
        "image_size": [{"width": 100, "height": 80, "depth": 3}],
        "annotations": [
            {"class_id": 0, "left": 10, "top": 20, "width": 30, "height": 40},
            {"class_id": 1, "left": 1, "top": 2, "width": 3, "height": 4},
        ],
        "categories": [{"class_id": 0, "name": "dog"}, {"class_id": 1, "name": "cat"}],
    }
    whole.update(changes)
    return {key: value for key, value in whole.items() if value is not ...}


def with_box(**changes: Any) -> dict[str, Any]:
    """The dog's entry changed."""
    content = annotation()
    content["annotations"][0].update(changes)
    return content


def read(found: Any, content: Any, path: str = FILE, pictures: tuple[str, ...] = ("train/x.jpg",)) -> Any:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return found(JsonReader(), {path: data, **dict.fromkeys(pictures, b"")})


def boxes(image: Any) -> list[tuple[str, tuple[float, ...]]]:
    return [(box.name, tuple(box.edges)) for box in image.boxes]


def listed(result: Any) -> list[tuple[str, str | None]]:
    return [(defect.code, defect.place.where) for defect in result.defects]


def test_a_clean_file_gives_an_exact_record(found: Any) -> None:
    result = read(found, annotation())
    (image,) = result.images
    assert result.defects == []
    assert result.formats == ["sagemaker"]
    assert image.image == "train/x.jpg"
    assert boxes(image) == [("dog", (10, 20, 40, 60)), ("cat", (1, 2, 4, 6))]
    assert (image.declared_size, image.split, image.format) == ((100, 80), "train", "sagemaker")
    assert image.place == Place(FILE)
    assert image.boxes[1].place == Place(FILE, "/annotations/1")
    assert result.class_order == ["dog", "cat"]
    assert result.unclaimed("json") == []


def test_the_channels_pair_pictures_of_one_name(found: Any) -> None:
    files = {
        "train_annotation/x.json": json.dumps(annotation()).encode(),
        "validation_annotation/x.json": json.dumps(annotation(annotations=[])).encode(),
        "train/x.jpg": b"",
        "validation/x.jpg": b"",
    }
    result = found(JsonReader(), files)
    assert [(image.image, image.split, len(image.boxes)) for image in result.images] == [
        ("train/x.jpg", "train", 2),
        ("validation/x.jpg", "validation", 0),
    ]
    assert result.defects == []


def test_a_picture_of_another_channel_is_not_taken(found: Any) -> None:
    result = read(found, annotation(), pictures=("validation/x.jpg",))
    assert listed(result) == [("image.missing", None)]
    assert (result.images, result.lost) == ([], [None])


@pytest.mark.parametrize("path", ["x.json", "annotations/x.json", "train/annotations/x.json"])
def test_a_missing_channel_folder_does_no_harm(found: Any, path: str) -> None:
    result = read(found, annotation(file="your_image_directory/x.jpg"), path, ("images/x.jpg",))
    assert [image.image for image in result.images] == ["images/x.jpg"]
    assert result.defects == []


@pytest.mark.parametrize(
    ("written", "picture", "code"),
    [
        ("old.jpg", "train/x.jpg", "sagemaker.file-mismatch"),
        ("x.jpeg", "train/x.jpg", "image.spelled-differently"),
        ("real.jpg", "train/real.jpg", "sagemaker.file-mismatch"),
    ],
)
def test_of_two_names_the_picture_that_exists_is_meant(
    found: Any, written: str, picture: str, code: str
) -> None:
    result = read(found, annotation(file=written), pictures=(picture,))
    assert [image.image for image in result.images] == [picture]
    assert listed(result) == [(code, None)]


def test_two_pictures_that_both_exist_are_ambiguous(found: Any) -> None:
    result = read(found, annotation(file="y.jpg"), pictures=("train/x.jpg", "train/y.jpg"))
    assert listed(result) == [("image.ambiguous", None)]
    assert (result.images, result.lost) == ([], [None])


def test_class_ids_may_begin_at_one_or_be_texts(found: Any) -> None:
    content = annotation(categories=[{"class_id": "2", "name": "cat"}, {"class_id": 1, "name": "dog"}])
    content["annotations"][0]["class_id"] = "1"
    content["annotations"][1]["class_id"] = 2
    result = read(found, content)
    assert [box.name for box in result.images[0].boxes] == ["dog", "cat"]
    assert result.class_order == ["dog", "cat"]
    assert result.defects == []


@pytest.mark.parametrize(
    "categories", [[{"class_id": 1, "name": "cat"}], [None, {"class_id": 1, "name": "cat"}]]
)
def test_a_class_without_name_costs_its_box(found: Any, categories: list[Any]) -> None:
    result = read(found, annotation(categories=categories))
    assert boxes(result.images[0]) == [("cat", (1, 2, 4, 6))]
    assert ("sagemaker.class-without-name", "/annotations/0") in listed(result)
    assert (("sagemaker.bad-category", "/categories/0") in listed(result)) == (categories[0] is None)


@pytest.mark.parametrize("categories", [..., []])
def test_without_categories_the_picture_is_lost(found: Any, categories: Any) -> None:
    result = read(found, annotation(categories=categories))
    assert [code for code, _ in listed(result)] == ["sagemaker.class-without-name"] * 2
    assert result.lost == ["train/x.jpg"]


def test_a_class_id_with_two_names_in_a_file_costs_its_boxes(found: Any) -> None:
    categories = [*annotation()["categories"], {"class_id": 0, "name": "wolf"}]
    result = read(found, annotation(categories=categories))
    assert boxes(result.images[0]) == [("cat", (1, 2, 4, 6))]
    assert listed(result) == [("sagemaker.bad-category", "/categories/2")]


def test_categories_that_differ_between_files_are_said(found: Any) -> None:
    other = annotation(
        file="y.jpg", categories=[{"class_id": 0, "name": "cat"}, {"class_id": 1, "name": "dog"}]
    )
    files = {
        "train_annotation/x.json": json.dumps(annotation()).encode(),
        "train_annotation/y.json": json.dumps(other).encode(),
        "train/x.jpg": b"",
        "train/y.jpg": b"",
    }
    result = found(JsonReader(), files)
    assert [[box.name for box in image.boxes] for image in result.images] == [["dog", "cat"], ["cat", "dog"]]
    assert listed(result) == [
        ("sagemaker.categories-differ", "/categories/0"),
        ("sagemaker.categories-differ", "/categories/1"),
    ]


@pytest.mark.parametrize("entry", [None, [], "x"])
def test_entries_that_are_no_objects_cost_only_themselves(found: Any, entry: Any) -> None:
    result = read(found, annotation(annotations=[entry, *annotation()["annotations"]]))
    assert listed(result) == [("sagemaker.bad-annotation", "/annotations/0")]
    assert len(result.images[0].boxes) == 2


def test_a_box_without_class_costs_only_itself(found: Any) -> None:
    result = read(found, with_box(class_id=None))
    assert listed(result) == [("sagemaker.bad-annotation", "/annotations/0")]
    assert boxes(result.images[0]) == [("cat", (1, 2, 4, 6))]


@pytest.mark.parametrize("left", [None, "x", True, float("nan"), 10**400, [1]])
def test_a_bad_number_costs_only_its_box(found: Any, left: Any) -> None:
    result = read(found, with_box(left=left))
    assert listed(result) == [("box.not-a-number", "/annotations/0")]
    assert boxes(result.images[0]) == [("cat", (1, 2, 4, 6))]


def test_numbers_as_text_are_read_with_a_warning(found: Any) -> None:
    result = read(found, with_box(left="10.0"))
    assert boxes(result.images[0])[0] == ("dog", (10, 20, 40, 60))
    assert listed(result) == [("json.number-as-text", "/annotations/0")]


@pytest.mark.parametrize("size", [..., [], [{}], [{"width": 0, "height": 0}], "x", None])
def test_a_missing_size_is_said(found: Any, size: Any) -> None:
    result = read(found, annotation(image_size=size))
    assert result.images[0].declared_size is None
    assert listed(result) == [("sagemaker.size-missing", None)]


def test_the_size_may_stand_without_a_list(found: Any) -> None:
    result = read(found, annotation(image_size={"width": 100, "height": 80}))
    assert (result.images[0].declared_size, result.defects) == ((100, 80), [])


@pytest.mark.parametrize("annotations", [..., None, {"class_id": 0}, "x"])
def test_without_a_list_of_annotations_the_picture_is_lost(found: Any, annotations: Any) -> None:
    result = read(found, annotation(annotations=annotations))
    assert listed(result) == [("sagemaker.bad-file", None)]
    assert result.lost == ["train/x.jpg"]


def test_a_file_cut_off_loses_its_picture(found: Any) -> None:
    data = json.dumps(annotation(), indent=1).encode()
    result = read(found, data[: data.index(b"class_id")])
    assert listed(result) == [("json.broken", "line 12")]
    assert result.lost == ["train/x.jpg"]
    assert result.unclaimed("json") == []


@pytest.mark.parametrize(
    "content", [{"file": "x.jpg"}, {"file": 3, "image_size": []}, {"image_size": [], "x": 1}]
)
def test_other_json_is_not_claimed(found: Any, content: Any) -> None:
    result = read(found, content)
    assert (result.formats, result.unclaimed("json")) == ([], [FILE])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_value_anywhere_makes_the_reader_fail(found: Any, data: st.DataObject) -> None:
    content = annotation()
    for section in ("image_size", "annotations", "categories"):
        entry = data.draw(st.sampled_from(content[section]))
        entry[data.draw(st.sampled_from(sorted(entry)))] = data.draw(ODD)
        content[section].append(data.draw(ODD))
    content[data.draw(st.sampled_from(["annotations", "categories", "other"]))] = data.draw(ODD)
    result = read(found, content)
    assert result.formats == ["sagemaker"]
    assert len(result.images) + len(result.lost) == 1
