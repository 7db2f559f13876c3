"""COCO files: exact boxes from clean ones, and from dirty ones everything but the dirt."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataprep_job.defects import Place
from dataprep_job.labels import Edges
from dataprep_job.readers.json_files import JsonReader
from dataprep_job.readers.json_values import corner_and_size, key_of, number, picture_size, shown

FILE = "annotations/instances_train2017.json"
Read = Callable[..., Any]

ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


def coco(**changes: Any) -> dict[str, Any]:
    """Two pictures, a dog on the first, a cat and a dog on the second."""
    whole: dict[str, Any] = {
        "info": {"year": 2026},
        "images": [
            {"id": 1, "file_name": "a.jpg", "width": 100, "height": 80},
            {"id": 2, "file_name": "b.jpg", "width": 100, "height": 80},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 18, "bbox": [10, 20, 30.5, 40], "iscrowd": 0},
            {"id": 2, "image_id": 2, "category_id": 17, "bbox": [1.5, 2, 3, 4]},
            {"id": 3, "image_id": 2, "category_id": 18, "bbox": [0, 0, 100, 80]},
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}, {"id": 0, "name": "pets"}],
    }
    whole.update(changes)
    return {section: value for section, value in whole.items() if value is not None}


@pytest.fixture
def read(found: Any) -> Read:
    """What the reader finds in one COCO file beside its pictures."""

    def run(
        content: dict[str, Any] | bytes | str,
        path: str = FILE,
        pictures: tuple[str, ...] = ("images/a.jpg", "images/b.jpg"),
    ) -> Any:
        data = (
            content if isinstance(content, bytes) else content.encode() if isinstance(content, str) else None
        )
        return found(
            JsonReader(),
            {path: json.dumps(content).encode() if data is None else data, **dict.fromkeys(pictures, b"")},
        )

    return run


def boxes(image: Any) -> list[tuple[str, tuple[float, ...]]]:
    return [(box.name, tuple(box.edges)) for box in image.boxes]


def codes(result: Any) -> list[str]:
    return [defect.code for defect in result.defects]


def with_annotation(index: int = 0, **changes: Any) -> dict[str, Any]:
    """The clean file with one annotation changed; a value of `...` removes the key."""
    content = coco()
    annotation = content["annotations"][index]
    annotation.update(changes)
    for key in [key for key, value in annotation.items() if value is ...]:
        del annotation[key]
    return content


def test_a_clean_file_gives_exact_records(read: Read) -> None:
    result = read(coco())
    assert result.defects == []
    assert result.formats == ["coco"]
    assert [image.image for image in result.images] == ["images/a.jpg", "images/b.jpg"]
    assert boxes(result.images[0]) == [("dog", (10, 20, 40.5, 60))]
    assert boxes(result.images[1]) == [("cat", (1.5, 2, 4.5, 6)), ("dog", (0, 0, 100, 80))]
    first = result.images[0]
    assert first.declared_size == (100, 80)
    assert (first.split, first.format, first.is_relative) == ("train", "coco", False)
    assert first.place == Place(FILE, "/images/0")
    assert result.images[1].boxes[1].place == Place(FILE, "/annotations/2")
    assert result.class_order == ["cat", "dog"]
    assert result.unclaimed("json") == []
    assert result.lost == []


def test_sections_and_entries_may_come_in_any_order(read: Read) -> None:
    content = coco()
    turned = dict(reversed(content.items()))
    turned["annotations"] = content["annotations"][::-1]
    result = read(turned)
    assert result.defects == []
    assert [boxes(image) for image in result.images] == [
        [("dog", (10, 20, 40.5, 60))],
        [("dog", (0, 0, 100, 80)), ("cat", (1.5, 2, 4.5, 6))],
    ]


def test_records_keep_the_order_of_the_images(read: Read) -> None:
    result = read(coco(images=coco()["images"][::-1]))
    assert [image.image for image in result.images] == ["images/b.jpg", "images/a.jpg"]
    assert result.defects == []


def test_pictures_without_annotation_are_background(read: Read) -> None:
    result = read(coco(annotations=coco()["annotations"][1:]))
    assert result.defects == []
    assert [len(image.boxes) for image in result.images] == [0, 2]


def test_extra_keys_and_types_do_no_harm(read: Read) -> None:
    content = {"type": "instances", "licenses": [], "x": {"images": 3}, **coco(), "extra": [[1], None]}
    content["annotations"][0]["attributes"] = {"occluded": False}
    assert read(content).defects == []


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("annotations/instances_train2017.json", "train"),
        ("annotations/instances_val2017.json", "validation"),
        ("train/_annotations.coco.json", "train"),
        ("valid/_annotations.coco.json", "validation"),
        ("test/_annotations.coco.json", "test"),
        ("train/instances_validation.json", "validation"),
        ("ValAnnotations.json", "validation"),
        ("train_val.json", None),
        ("trainval.json", None),
        ("contest.json", None),
        ("annotations.json", None),
    ],
)
def test_the_split_is_a_word_in_the_name_or_a_folder(read: Read, path: str, split: str | None) -> None:
    assert {image.split for image in read(coco(), path).images} == {split}


def test_without_a_word_the_folder_of_the_picture_counts(read: Read) -> None:
    result = read(coco(), "all.json", ("images/train/a.jpg", "images/val/b.jpg"))
    assert [image.split for image in result.images] == ["train", "validation"]


@pytest.mark.parametrize(
    "name", ["images/a.jpg", "C:\\Users\\me\\pics\\a.jpg", "/data/x/a.jpg", "s3://b/k/a.jpg"]
)
def test_file_names_of_other_machines_are_found(read: Read, name: str) -> None:
    content = coco()
    content["images"][0]["file_name"] = name
    result = read(content)
    assert [image.image for image in result.images] == ["images/a.jpg", "images/b.jpg"]
    assert result.defects == []


def test_numbers_as_text_are_read_with_one_warning(read: Read) -> None:
    result = read(with_annotation(bbox=[115, 43, "96.0000", "70.5000"]))
    assert boxes(result.images[0]) == [("dog", (115, 43, 211, 113.5))]
    assert codes(result) == ["json.number-as-text"]
    assert result.defects[0].place == Place(FILE, "/annotations/0")


@pytest.mark.parametrize(
    ("image_id", "category_id"), [("1", 18), (1.0, "18"), (" 1 ", 18.0)], ids=["text", "float", "blanks"]
)
def test_ids_match_whatever_their_type(read: Read, image_id: Any, category_id: Any) -> None:
    result = read(with_annotation(image_id=image_id, category_id=category_id))
    assert boxes(result.images[0]) == [("dog", (10, 20, 40.5, 60))]
    assert result.defects == []


def test_ids_may_be_texts(read: Read) -> None:
    content = coco(categories=[{"id": "d", "name": "dog"}, {"id": "c", "name": "cat"}])
    for image in content["images"]:
        image["id"] = f"i{image['id']}"
    for annotation in content["annotations"]:
        annotation["image_id"] = f"i{annotation['image_id']}"
        annotation["category_id"] = "d" if annotation["category_id"] == 18 else "c"
    result = read(content)
    assert [len(image.boxes) for image in result.images] == [1, 2]
    assert result.defects == []
    assert result.class_order == ["cat", "dog"]


@pytest.mark.parametrize(
    "bbox",
    [
        [1, 2, 3],
        [1, 2, 3, 4, 5],
        [float("nan"), 2, 3, 4],
        [1, 2, float("inf"), 4],
        [1e308, 2, 1e308, 4],
        [10**400, 2, 3, 4],
        [-(10**400), 2, 10**400, 4],
        [1, None, 3, 4],
        [1, True, 3, 4],
        ["a", 2, 3, 4],
        ["nan", 2, 3, 4],
        ["1_0", 2, 3, 4],
        [[1], 2, 3, 4],
        {"x": 1},
        "1,2,3,4",
        7,
        False,
    ],
)
def test_a_bad_box_costs_only_itself(read: Read, bbox: Any) -> None:
    result = read(with_annotation(1, bbox=bbox))
    assert [boxes(image) for image in result.images] == [
        [("dog", (10, 20, 40.5, 60))],
        [("dog", (0, 0, 100, 80))],
    ]
    assert codes(result) == ["box.not-a-number"]
    assert result.defects[0].place == Place(FILE, "/annotations/1")


@pytest.mark.parametrize("bbox", [None, [], ...])
def test_polygons_replace_a_missing_box(read: Read, bbox: Any) -> None:
    polygons = [[10, 20, 50, 20, 50, "60"], [5, 30, 20, 30, 20, 70, 5, 70]]
    result = read(with_annotation(bbox=bbox, segmentation=polygons))
    assert boxes(result.images[0]) == [("dog", (5, 20, 50, 70))]
    assert codes(result) == ["coco.box-from-polygon"]


@pytest.mark.parametrize(
    ("segmentation", "code"),
    [
        ({"counts": "abc", "size": [80, 100]}, "coco.mask-without-box"),
        ([], "coco.no-box"),
        (None, "coco.no-box"),
        (..., "coco.no-box"),
        ([[1, 2, 3, 4]], "box.not-a-number"),
        ([[1, 2, 3, 4, 5, None]], "box.not-a-number"),
        ([1, 2, 3, 4, 5, 6], "box.not-a-number"),
        ("mask", "box.not-a-number"),
    ],
)
def test_a_picture_whose_only_box_is_unusable_is_lost(read: Read, segmentation: Any, code: str) -> None:
    result = read(with_annotation(bbox=None, segmentation=segmentation))
    assert codes(result) == [code]
    assert result.defects[0].place == Place(FILE, "/annotations/0")
    assert [image.image for image in result.images] == ["images/b.jpg"]
    assert result.lost == ["images/a.jpg"]


@pytest.mark.parametrize("iscrowd", [1, "1", True])
def test_crowds_are_left_out_and_said(read: Read, iscrowd: Any) -> None:
    result = read(with_annotation(1, iscrowd=iscrowd))
    assert [len(image.boxes) for image in result.images] == [1, 1]
    assert codes(result) == ["coco.crowd"]
    only = read(with_annotation(0, iscrowd=iscrowd))
    assert only.lost == ["images/a.jpg"]


def test_annotations_of_unknown_pictures_are_reported_one_by_one(read: Read) -> None:
    result = read(with_annotation(1, image_id=77))
    assert [(d.code, d.place) for d in result.defects] == [
        ("coco.unknown-image", Place(FILE, "/annotations/1"))
    ]
    assert "77" in result.defects[0].message
    assert [len(image.boxes) for image in result.images] == [1, 1]


def test_unknown_categories_are_summed_up(read: Read) -> None:
    result = read(coco(categories=[{"id": 17, "name": "cat"}]))
    assert [(d.code, d.place, d.count) for d in result.defects] == [
        ("coco.class-without-name", Place(FILE, "/annotations/0"), 2)
    ]
    assert [boxes(image) for image in result.images] == [[("cat", (1.5, 2, 4.5, 6))]]
    assert result.lost == ["images/a.jpg"]


def test_without_categories_nothing_has_a_name(read: Read) -> None:
    result = read(coco(categories=None))
    assert sorted(codes(result)) == ["coco.class-without-name"] * 2
    assert result.images == []
    assert result.lost == ["images/a.jpg", "images/b.jpg"]


def test_a_category_id_with_two_names_cannot_be_trusted(read: Read) -> None:
    result = read(coco(categories=[*coco()["categories"], {"id": 18, "name": "wolf"}]))
    assert [(d.code, d.place) for d in result.defects] == [
        ("coco.duplicate-category", Place(FILE, "/categories/3"))
    ]
    assert [boxes(image) for image in result.images] == [[("cat", (1.5, 2, 4.5, 6))]]


def test_a_category_listed_twice_is_one(read: Read) -> None:
    assert read(coco(categories=coco()["categories"] * 2)).defects == []


@pytest.mark.parametrize(
    "category", [None, {"id": 1}, {"name": "x"}, {"id": None, "name": "x"}, {"id": 1, "name": []}]
)
def test_bad_categories_cost_only_themselves(read: Read, category: Any) -> None:
    result = read(coco(categories=[category, *coco()["categories"]]))
    assert [(d.code, d.place) for d in result.defects] == [
        ("coco.bad-category", Place(FILE, "/categories/0"))
    ]
    assert [len(image.boxes) for image in result.images] == [1, 2]


@pytest.mark.parametrize(
    "image", [None, 3, [], {}, {"id": 3}, {"id": 3, "file_name": ""}, {"id": 3, "file_name": 5}]
)
def test_bad_images_cost_only_themselves(read: Read, image: Any) -> None:
    result = read(coco(images=[image, *coco()["images"]]))
    assert [(d.code, d.place) for d in result.defects] == [("coco.bad-image", Place(FILE, "/images/0"))]
    assert [len(image.boxes) for image in result.images] == [1, 2]
    assert result.lost == [None]


@pytest.mark.parametrize("image_id", [None, [], True, "", {}])
def test_a_picture_without_id_is_lost(read: Read, image_id: Any) -> None:
    content = coco(annotations=coco()["annotations"][1:])
    content["images"][0]["id"] = image_id
    result = read(content)
    assert codes(result) == ["coco.bad-image"]
    assert result.lost == ["images/a.jpg"]


@pytest.mark.parametrize(
    "changes", [{"image_id": None}, {"image_id": ...}, {"category_id": None}, {"category_id": [3]}]
)
def test_bad_annotations_cost_only_themselves(read: Read, changes: dict[str, Any]) -> None:
    result = read(with_annotation(1, **changes))
    assert [(d.code, d.place) for d in result.defects] == [
        ("coco.bad-annotation", Place(FILE, "/annotations/1"))
    ]
    assert [len(image.boxes) for image in result.images] == [1, 1]


@pytest.mark.parametrize("annotation", [None, 5, "x", [1, 2]])
def test_annotations_that_are_no_objects_are_reported(read: Read, annotation: Any) -> None:
    result = read(coco(annotations=[annotation, *coco()["annotations"]]))
    assert codes(result) == ["coco.bad-annotation"]
    assert [len(image.boxes) for image in result.images] == [1, 2]


@pytest.mark.parametrize(
    "size",
    [{"width": 0, "height": 0}, {"width": None}, {"width": "x"}, {"height": float("nan")}, {"width": -3}],
)
def test_a_missing_size_is_said(read: Read, size: dict[str, Any]) -> None:
    content = coco()
    content["images"][0].update(size)
    result = read(content)
    assert [image.declared_size for image in result.images] == [None, (100, 80)]
    assert [(d.code, d.place) for d in result.defects] == [("coco.size-missing", Place(FILE, "/images/0"))]


def test_sizes_may_be_texts(read: Read) -> None:
    content = coco()
    content["images"][0].update({"width": "100", "height": "80.0"})
    assert read(content).images[0].declared_size == (100, 80)


def test_an_image_id_of_two_pictures_loses_both(read: Read) -> None:
    content = coco()
    content["images"].append({"id": 2, "file_name": "c.jpg", "width": 100, "height": 80})
    result = read(content, pictures=("images/a.jpg", "images/b.jpg", "images/c.jpg"))
    assert [(d.code, d.place) for d in result.defects] == [
        ("coco.duplicate-id", Place(FILE, "/images/1")),
        ("coco.duplicate-id", Place(FILE, "/images/2")),
    ]
    assert [image.image for image in result.images] == ["images/a.jpg"]
    assert result.lost == ["images/b.jpg", "images/c.jpg"]


def test_an_image_listed_twice_alike_counts_once(read: Read) -> None:
    result = read(coco(images=coco()["images"] * 2))
    assert [len(image.boxes) for image in result.images] == [1, 2]
    assert [(d.code, d.place) for d in result.defects] == [
        ("coco.repeated-image", Place(FILE, "/images/2")),
        ("coco.repeated-image", Place(FILE, "/images/3")),
    ]


def test_a_file_name_listed_again_without_boxes_is_no_background(read: Read) -> None:
    content = coco()
    content["images"].insert(0, {"id": 0, "file_name": "a.jpg", "width": 100, "height": 80})
    result = read(content)
    assert [len(image.boxes) for image in result.images] == [1, 2]
    assert [(d.code, d.place) for d in result.defects] == [("coco.repeated-image", Place(FILE, "/images/0"))]


def test_a_file_name_with_boxes_under_two_ids_is_annotated_twice(read: Read) -> None:
    content = coco()
    content["images"][1]["file_name"] = "a.jpg"
    result = read(content, pictures=("images/a.jpg",))
    assert [image.image for image in result.images] == ["images/a.jpg", "images/a.jpg"]
    assert result.defects == []


def test_repeated_annotation_ids_lose_nothing(read: Read) -> None:
    result = read(with_annotation(2, id=1))
    assert [(d.code, d.place) for d in result.defects] == [
        ("coco.duplicate-annotation-id", Place(FILE, "/annotations/2"))
    ]
    assert [len(image.boxes) for image in result.images] == [1, 2]


def test_annotation_ids_in_any_order_or_missing_are_fine(read: Read) -> None:
    content = coco()
    for annotation, annotation_id in zip(content["annotations"], ["x", 900100474028, None], strict=True):
        annotation["id"] = annotation_id
    assert read(content).defects == []


def test_missing_pictures_cost_only_themselves(read: Read) -> None:
    result = read(coco(), pictures=("images/b.jpg",))
    assert [(d.code, d.place) for d in result.defects] == [("image.missing", Place(FILE, "/images/0"))]
    assert [image.image for image in result.images] == ["images/b.jpg"]
    assert result.lost == [None]


def test_of_a_file_cut_off_the_boxes_before_are_kept(read: Read) -> None:
    text = json.dumps(coco(), indent=1)
    cut = text[: text.index('"id": 2,\n   "image_id"')]
    result = read(cut.replace('"categories"', '"x"').replace('"info"', '"i"'))
    # The categories come last in the file, so they are lost as well.
    assert sorted(codes(result)) == ["coco.class-without-name", "json.broken"]
    whole = dict(reversed(coco().items()))
    text = json.dumps(whole, indent=1)
    cut = text.replace('"info"', "oops")
    result = read(cut)
    assert codes(result) == ["json.broken"]
    assert [len(image.boxes) for image in result.images] == [1, 2]
    assert result.defects[0].place.where == f"line {cut[: cut.index('oops')].count(chr(10)) + 1}"


def test_in_a_file_cut_off_nothing_is_background(read: Read) -> None:
    content = {"categories": coco()["categories"], **coco(categories=None, info=None)}
    text = json.dumps(content)
    cut = text[: text.index('"image_id": 2')]
    result = read(cut)
    assert codes(result) == ["json.broken"]
    assert [boxes(image) for image in result.images] == [[("dog", (10, 20, 40.5, 60))]]
    assert result.lost == ["images/b.jpg"]
    assert result.unclaimed("json") == []


def test_a_list_of_pictures_alone_labels_nothing(read: Read) -> None:
    result = read(coco(annotations=None))
    assert codes(result) == ["coco.no-annotations"]
    assert result.images == []
    assert result.lost == []


def test_an_empty_list_of_annotations_says_that_all_is_background(read: Read) -> None:
    result = read(coco(annotations=[]))
    assert [len(image.boxes) for image in result.images] == [0, 0]
    assert result.defects == []


@pytest.mark.parametrize("annotation", [{"caption": "a dog"}, {"segments_info": [{"id": 1}]}])
def test_other_tasks_label_nothing(read: Read, annotation: dict[str, Any]) -> None:
    result = read(coco(annotations=[{"id": 1, "image_id": 1, **annotation}]))
    assert codes(result) == ["coco.no-boxes"]
    assert result.images == []


def test_key_points_of_the_same_pictures_are_not_read_twice(found: Any) -> None:
    data = json.dumps(coco()).encode()
    names = ("instances_val2017.json", "person_keypoints_val2017.json")
    files = dict.fromkeys(names, data) | {"a.jpg": b"", "b.jpg": b""}
    result = found(JsonReader(), files)
    assert [image.image for image in result.images] == ["a.jpg", "b.jpg"]
    assert [(d.code, d.place.file) for d in result.defects] == [("coco.no-boxes", names[1])]
    alone = found(JsonReader(), {name: files[name] for name in (names[1], "a.jpg", "b.jpg")})
    assert len(alone.images) == 2
    assert alone.defects == []


def test_classes_of_several_files_are_ordered_by_category_id(found: Any) -> None:
    other = coco(categories=[{"id": 18, "name": "dog"}, {"id": 17, "name": "bat"}])
    files = {
        "train/x.coco.json": json.dumps(coco()).encode(),
        "valid/x.coco.json": json.dumps(other).encode(),
        **dict.fromkeys(("train/a.jpg", "train/b.jpg", "valid/a.jpg", "valid/b.jpg"), b""),
    }
    result = found(JsonReader(), files)
    assert result.class_order == ["cat", "bat", "dog"]
    assert [image.image for image in result.images] == [
        "train/a.jpg",
        "train/b.jpg",
        "valid/a.jpg",
        "valid/b.jpg",
    ]
    assert result.defects == []


@pytest.mark.parametrize(
    "content",
    [
        {"categories": [{"id": 0, "name": "x"}], "info": {"version": "1.0"}},
        {"name": "a-package", "version": "1.0.0", "dependencies": {"x": "1"}},
        {"images": ["a.jpg"], "annotations": 3},
        [{"image_id": 1, "category_id": 18, "bbox": [1, 2, 3, 4], "score": 0.5}],
        [],
        {},
        "text",
    ],
)
def test_other_json_is_not_claimed(found: Any, content: Any) -> None:
    result = found(JsonReader(), {"a.json": json.dumps(content).encode(), "a.jpg": b""})
    assert result.unclaimed("json") == ["a.json"]
    assert result.formats == []
    assert result.defects == []


def test_broken_json_of_no_format_is_a_defect_where_it_bears_a_pictures_name(found: Any) -> None:
    result = found(JsonReader(), {"x/a.json": b'{"a":\n oops}', "x/notes.json": b"oops", "x/a.jpg": b""})
    assert [(d.code, d.place) for d in result.defects] == [("json.broken", Place("x/a.json", "line 2"))]
    assert result.lost == ["x/a.jpg"]
    assert result.unclaimed("json") == ["x/notes.json"]


def test_a_long_file_is_recognised_by_its_first_entries(read: Read) -> None:
    many = [{"id": n, "name": f"c{n}"} for n in range(3000)]
    content = {"categories": many, **coco(categories=None)}
    content["padding"] = "x" * (2 << 20)
    result = read(content)
    assert [boxes(image)[0][0] for image in result.images] == ["c18", "c17"]
    assert result.defects == []


def test_a_long_file_of_something_else_is_not_claimed(found: Any) -> None:
    content = {f"key{n}": {"x": [n] * 40} for n in range(9000)}
    result = found(JsonReader(), {"big.json": json.dumps(content).encode()})
    assert result.unclaimed("json") == ["big.json"]


def test_a_missing_class_map_of_millions_stays_small(read: Read) -> None:
    annotations = [{"image_id": 1, "category_id": n, "bbox": [1, 2, 3, 4]} for n in range(1200)]
    result = read(coco(annotations=annotations, categories=[{"id": -1, "name": "x"}]))
    assert sum(d.count for d in result.defects) >= 1200
    assert len(result.defects) < 1100


@settings(max_examples=50)
@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5)
)
def test_values_of_any_kind_are_shown_and_judged(value: Any) -> None:
    assert len(shown(value)) < 1000
    found = number(value)
    assert found is None or isinstance(found, float)
    key = key_of(value)
    assert key is None or key_of(key) == key
    assert picture_size(value, value) is None or value is not None
    assert corner_and_size([value] * 4) is None or number(value) is not None


def test_an_id_is_the_same_as_number_or_text() -> None:
    assert key_of(7) == key_of(7.0) == key_of(" 7 ") == 7
    assert key_of("007") == "007"
    no_ids: list[Any] = [None, True, [], {}, "", 1.5, float("nan")]
    assert [key_of(value) for value in no_ids] == [None] * 7
    assert isinstance(key_of(10**5000), str)
    assert corner_and_size([1, "2.5", 3, 4]) == Edges(1, 2.5, 4, 6.5)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_value_anywhere_makes_the_reader_fail(found: Any, data: st.DataObject) -> None:
    content = coco()
    for section in ("images", "annotations", "categories"):
        entry = data.draw(st.sampled_from(content[section]))
        entry[data.draw(st.sampled_from(sorted(entry)))] = data.draw(ODD)
        content[section].append(data.draw(ODD))
    result = found(JsonReader(), {FILE: json.dumps(content).encode(), "a.jpg": b"", "b.jpg": b""})
    assert result.formats == ["coco"]
    assert result.unclaimed("json") == []


PLAIN = st.fixed_dictionaries(
    {
        "id": st.integers(0, 40),
        "image_id": st.integers(1, 3),
        "category_id": st.sampled_from([17, 18, 99]),
        "bbox": st.lists(st.integers(-5, 60) | st.floats(0, 60), min_size=4, max_size=4),
    },
    optional={"iscrowd": st.sampled_from([0, 1]), "area": st.floats(0, 100)},
)
UNUSUAL = st.builds(
    lambda plain, key, value: plain | {key: value},
    PLAIN,
    st.sampled_from(["id", "image_id", "category_id", "bbox", "iscrowd"]),
    st.sampled_from(
        [None, True, 1.0, "1", "7", -1, 1 << 63, -(1 << 63), 1 << 53, 10**400, 1e308, float("nan"), [], {}]
    )
    | st.lists(st.sampled_from([True, "3", (1 << 53) + 1, 1e308, 1e16, float("inf"), 2, 3.5]), max_size=5),
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(PLAIN, min_size=2, max_size=12), st.lists(UNUSUAL, max_size=1), st.integers(0, 12))
def test_annotations_that_are_kept_together_are_those_that_are_kept_one_by_one(
    read: Read, plain: list[dict[str, Any]], unusual: list[dict[str, Any]], at: int
) -> None:
    document = coco(annotations=[*plain[:at], *unusual, *plain[at:]])
    # Elements on lines of their own are decoded and kept one by one.
    together, alone = read(json.dumps(document)), read(json.dumps(document, indent=1))
    assert together.images == alone.images
    assert together.defects == alone.defects
    assert together.lost == alone.lost
    assert together.class_order == alone.class_order


def test_the_plain_annotations_of_one_line_are_kept_together(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataprep_job.readers.coco_rows import CocoRows

    alone: list[int | None] = []
    keep = CocoRows._keep_annotation

    def spy(self: CocoRows, entry: Any) -> None:
        alone.append(entry.index)
        keep(self, entry)

    monkeypatch.setattr(CocoRows, "_keep_annotation", spy)
    found = read(json.dumps(coco()))
    assert (alone, len(found.images)) == ([], 2)
    read(json.dumps(with_annotation(1, iscrowd=1)))
    assert alone == [0, 1, 2]
