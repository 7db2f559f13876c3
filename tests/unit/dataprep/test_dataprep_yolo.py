"""The YOLO reader: layouts, class lists and splits, and every kind of dirt with its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataprep_job.catalogue import Catalogue
from dataprep_job.dataset_files import DatasetFiles
from dataprep_job.defects import DefectLog
from dataprep_job.labels import Edges
from dataprep_job.readers.cub import CubReader
from dataprep_job.readers.written_numbers import has_decimal_comma, whole_number, written_number
from dataprep_job.readers.yolo import MAX_LABEL_BYTES, YoloReader
from dataprep_job.readers.yolo_rows import RowError, read_row

Files = dict[str, bytes]
Find = Callable[..., Any]

PICTURE = b"a picture; readers never open it"
ROW = b"0 0.5 0.5 0.25 0.5\n"
EDGES = Edges(0.375, 0.25, 0.625, 0.75)
YAML = b"train: images/train\nval: images/val\nnc: 2\nnames: [cat, dog]\n"


def dataset(**changes: bytes | None) -> Files:
    """A clean dataset of Ultralytics' layout: `a` and `b` train, `c` judges."""
    files: dict[str, bytes | None] = {"data.yaml": YAML}
    for name, split in (("a", "train"), ("b", "train"), ("c", "val")):
        files[f"images/{split}/{name}.jpg"] = PICTURE
        files[f"labels/{split}/{name}.txt"] = ROW
    return {path: data for path, data in {**files, **changes}.items() if data is not None}


def with_rows(rows: str | bytes) -> Files:
    """The clean dataset with other lines in the first label file."""
    return dataset(**{"labels/train/a.txt": rows if isinstance(rows, bytes) else rows.encode()})


def boxes(seen: Any) -> dict[str, list[tuple[str, Edges]]]:
    return {image.image: [(box.name, box.edges) for box in image.boxes] for image in seen.images}


def splits(seen: Any) -> dict[str, str | None]:
    return {image.image: image.split for image in seen.images}


def told(seen: Any) -> list[tuple[str, str, str | None]]:
    return [(defect.code, defect.place.file, defect.place.where) for defect in seen.defects]


@pytest.fixture
def find(found: type) -> Find:
    return lambda files: found(YoloReader(), files)


# Layouts


def test_clean_dataset(find: Find) -> None:
    seen = find(dataset())
    assert seen.defects == []
    assert seen.formats == ["yolo"]
    assert seen.lost == []
    assert seen.class_order == ["cat", "dog"]
    assert splits(seen) == {
        "images/train/a.jpg": "train",
        "images/train/b.jpg": "train",
        "images/val/c.jpg": "validation",
    }
    image = seen.images[0]
    assert image.is_relative
    assert image.declared_size is None
    assert (image.format, str(image.place)) == ("yolo", "labels/train/a.txt")
    assert [(box.name, box.edges, str(box.place)) for box in image.boxes] == [
        ("cat", EDGES, "labels/train/a.txt, line 1")
    ]
    assert [*seen.unclaimed("txt"), *seen.unclaimed("yaml")] == []


def test_roboflow_layout_with_paths_that_lead_out(find: Find) -> None:
    yaml = b"train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 1\nnames: ['cat']\n"
    files = {"data.yaml": yaml, "README.roboflow.txt": b"Made by Roboflow\n", "README.dataset.txt": b"# x\n"}
    for split in ("train", "valid", "test"):
        files[f"{split}/images/a_jpg.rf.0123456789abcdef0.jpg"] = PICTURE
        files[f"{split}/labels/a_jpg.rf.0123456789abcdef0.txt"] = ROW
    seen = find(files)
    assert seen.defects == []
    assert sorted(splits(seen).values()) == ["test", "train", "validation"]
    assert seen.unclaimed("txt") == ["README.dataset.txt", "README.roboflow.txt"]


def test_flat_darknet_layout(find: Find) -> None:
    files = {
        "obj.data": b"classes = 2\ntrain = data/train.txt\nvalid = data/test.txt\nnames = data/obj.names\n",
        "obj.names": b"cat\ndog\n",
        "train.txt": b"data/obj_train_data/a.jpg\n",
        "test.txt": b"data/obj_train_data/b.jpg\n",
        "obj_train_data/a.jpg": PICTURE,
        "obj_train_data/a.txt": b"1 0.5 0.5 0.25 0.5\n",
        "obj_train_data/b.jpg": PICTURE,
        "obj_train_data/b.txt": b"",
    }
    seen = find(files)
    assert seen.defects == []
    assert boxes(seen) == {"obj_train_data/a.jpg": [("dog", EDGES)], "obj_train_data/b.jpg": []}
    assert splits(seen) == {"obj_train_data/a.jpg": "train", "obj_train_data/b.jpg": "validation"}
    assert [path for ending in ("txt", "data", "names") for path in seen.unclaimed(ending)] == []


def test_roboflow_darknet_names_lie_beside_the_pictures(find: Find) -> None:
    files = {
        "train/_darknet.labels": b"cat\ndog\n",
        "train/a.jpg": PICTURE,
        "train/a.txt": ROW,
        "valid/_darknet.labels": b"dog\ncat\n",
        "valid/b.jpg": PICTURE,
        "valid/b.txt": ROW,
    }
    seen = find(files)
    assert seen.defects == []
    assert boxes(seen) == {"train/a.jpg": [("cat", EDGES)], "valid/b.jpg": [("dog", EDGES)]}
    assert splits(seen) == {"train/a.jpg": "train", "valid/b.jpg": "validation"}


@pytest.mark.parametrize("description", ["data.yaml", "labels.zip/data.yaml", "images.zip/data.yaml"])
@pytest.mark.parametrize("labels", ["labels.zip/labels", "labels.zip", "labels"])
@pytest.mark.parametrize("images", ["images.zip/images", "images.zip", "images"])
def test_pictures_and_labels_in_archives_side_by_side(
    find: Find, images: str, labels: str, description: str
) -> None:
    """`one` and `two` are no splits' names, so that only the description can tell; names repeat in both."""
    files = {
        description: b"train: images/one\nval: images/two\nnames: [cat]\n",
        **{f"{images}/{folder}/a.jpg": PICTURE for folder in ("one", "two")},
        **{f"{labels}/{folder}/a.txt": ROW for folder in ("one", "two")},
        f"{images}/two/background.jpg": PICTURE,
    }
    seen = find(files)
    assert told(seen) == [("yolo.no-label-file", f"{images}/two/background.jpg", None)]
    assert boxes(seen) == {
        f"{images}/one/a.jpg": [("cat", EDGES)],
        f"{images}/two/a.jpg": [("cat", EDGES)],
        f"{images}/two/background.jpg": [],
    }
    assert list(splits(seen).values()) == ["train", "validation", "validation"]
    assert (seen.lost, seen.unclaimed("txt")) == ([], [])


@pytest.mark.parametrize("inner", ["", "{}/"])
@pytest.mark.parametrize("written", ["{}/images", "../{}/images", "/content/set/{}/images"])
def test_an_archive_for_each_split(find: Find, written: str, inner: str) -> None:
    paths = [f"{key}: {written.format(split)}\n" for key, split in (("train", "train"), ("val", "valid"))]
    files = {"data.yaml": "".join([*paths, "names: [cat]\n"]).encode()}
    for split in ("train", "valid"):
        files[f"{split}.zip/{inner.format(split)}images/a.jpg"] = PICTURE
        files[f"{split}.zip/{inner.format(split)}labels/a.txt"] = ROW
    seen = find(files)
    assert seen.defects == []
    assert list(boxes(seen).values()) == [[("cat", EDGES)]] * 2
    assert list(splits(seen).values()) == ["train", "validation"]


def test_an_archive_called_after_pictures_may_hold_labels_as_well(find: Find) -> None:
    files = {"classes.txt": b"cat\n", "images.zip/images/a.jpg": PICTURE, "images.zip/labels/a.txt": ROW}
    seen = find(files)
    assert seen.defects == []
    assert boxes(seen) == {"images.zip/images/a.jpg": [("cat", EDGES)]}


def test_label_studio_layout(find: Find) -> None:
    notes = {"categories": [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}], "info": {"year": 2024}}
    files = {
        "classes.txt": b"cat\ndog\n",
        "notes.json": json.dumps(notes).encode(),
        "images/1a2b3c4d-a.jpg": PICTURE,
        "labels/1a2b3c4d-a.txt": ROW,
    }
    seen = find(files)
    assert seen.defects == []
    assert boxes(seen) == {"images/1a2b3c4d-a.jpg": [("cat", EDGES)]}
    del files["classes.txt"]
    assert find(files).class_order == ["cat", "dog"]
    assert find(files).unclaimed("json") == []


def test_label_studio_prefix_of_uploads_is_no_part_of_the_name(find: Find) -> None:
    files = {"classes.txt": b"cat\n", "photos/a.jpg": PICTURE, "labels/1a2b3c4d-a.txt": ROW}
    seen = find(files)
    assert boxes(seen) == {"photos/a.jpg": [("cat", EDGES)]}
    assert told(seen) == [("yolo.folder-mismatch", "labels/1a2b3c4d-a.txt", None)]


def test_split_lists_of_ultralytics(find: Find) -> None:
    files = dataset(
        **{
            "data.yaml": b"path: ../datasets/pets\ntrain: train.txt\nval: [val.txt]\nnames: {0: cat}\n",
            "train.txt": b"./images/train/a.jpg\n/home/me/pets/images/val/c.jpg\n",
            "val.txt": b"./images/train/b.jpg\r\n./images/train/gone.jpg\r\n",
        }
    )
    seen = find(files)
    assert splits(seen) == {
        "images/train/a.jpg": "train",
        "images/train/b.jpg": "validation",
        "images/val/c.jpg": "train",
    }
    assert told(seen) == [("split.unknown-image", "val.txt", "line 2")]


def test_split_lists_known_by_their_name_only(find: Find) -> None:
    files = {
        "classes.txt": b"cat\n",
        "train.txt": b"data/a.jpg\n",
        "valid.txt": b"data/b.jpg\n",
        **{f"data/{name}.jpg": PICTURE for name in "ab"},
        **{f"data/{name}.txt": ROW for name in "ab"},
    }
    seen = find(files)
    assert seen.defects == []
    assert splits(seen) == {"data/a.jpg": "train", "data/b.jpg": "validation"}


def test_picture_in_two_lists_is_held_out(find: Find) -> None:
    files = dataset(
        **{
            "data.yaml": b"train: train.txt\nval: val.txt\nnames: [cat]\n",
            "train.txt": b"images/train/a.jpg\nimages/train/b.jpg\n",
            "val.txt": b"images/val/c.jpg\nimages/train/b.jpg\n",
        }
    )
    seen = find(files)
    assert told(seen) == [("split.conflict", "train.txt", "line 2")]
    assert splits(seen)["images/train/b.jpg"] == "validation"


def test_one_folder_for_training_and_judging_names_no_split(find: Find) -> None:
    files = {
        "data.yaml": b"train: images\nval: images\nnames: [cat]\n",
        "images/a.jpg": PICTURE,
        "labels/a.txt": ROW,
    }
    seen = find(files)
    assert told(seen) == [("yolo.split-overlap", "data.yaml", None)]
    assert splits(seen) == {"images/a.jpg": None}


def test_one_folder_for_val_and_test_is_validation(find: Find) -> None:
    seen = find(dataset(**{"data.yaml": YAML + b"test: images/val\n"}))
    assert seen.defects == []
    assert splits(seen)["images/val/c.jpg"] == "validation"


def test_paths_that_do_not_exist_give_way_to_folders(find: Find) -> None:
    yaml = b"train: /content/x/training\nval: https://example.org/set.zip\nnames: [cat, dog]\n"
    seen = find(dataset(**{"data.yaml": yaml}))
    assert told(seen) == [
        ("yolo.path-not-found", "data.yaml", "line 1"),
        ("yolo.path-not-found", "data.yaml", "line 2"),
    ]
    assert splits(seen)["images/val/c.jpg"] == "validation"


def test_paths_deeper_than_any_are_not_tried_in_every_way(find: Find) -> None:
    deep = "/".join(["a"] * 2000)
    yaml = f"train: [{', '.join([deep] * 200)}]\nval: images/val\nnames: [cat, dog]\n"
    seen = find(dataset(**{"data.yaml": yaml.encode()}))
    assert told(seen) == [("yolo.path-not-found", "data.yaml", "line 1")]
    assert len(seen.images) == 3


def test_the_name_of_a_split_is_never_left_out_of_a_path(find: Find) -> None:
    yaml = b"train: ../train/images\nval: ../valid/images\nnames: [cat]\n"
    files = {"data.yaml": yaml, "images/a.jpg": PICTURE, "labels/a.txt": ROW}
    seen = find(files)
    assert [code for code, *_ in told(seen)] == ["yolo.path-not-found"] * 2
    assert splits(seen) == {"images/a.jpg": None}


# Class names


@pytest.mark.parametrize(
    "names",
    [
        b"names: [no, 'dog']",
        b"names:\n  0: no\n  1: dog",
        b"names:\n- no\n- dog",
        b"'names': {'0': no, '1': dog}",
    ],
)
def test_names_stay_as_written(find: Find, names: bytes) -> None:
    seen = find(dataset(**{"data.yaml": b"train: images/train\nval: images/val\n" + names + b"\n"}))
    assert seen.defects == []
    assert seen.class_order == ["no", "dog"]


def test_names_in_a_file_of_their_own(find: Find) -> None:
    yaml = b"train: images/train\nval: images/val\nnc: 2\nnames: ../cfg/pets.list\n"
    seen = find(dataset(**{"data.yaml": yaml, "cfg/pets.list": b"cat\n\ndog\n"}))
    assert told(seen) == []
    assert seen.class_order == ["cat", "dog"]


def test_hole_in_the_names_costs_its_boxes_only(find: Find) -> None:
    yaml = b"train: images/train\nval: images/val\nnames: {0: cat, 2: dog}\n"
    files = dataset(**{"data.yaml": yaml, "labels/train/a.txt": ROW + b"1 0.5 0.5 0.1 0.1\n" * 2})
    seen = find(files)
    (defect,) = seen.defects
    assert (defect.code, str(defect.place), defect.count) == (
        "class.without-name",
        "labels/train/a.txt, line 2",
        2,
    )
    assert boxes(seen)["images/train/a.jpg"] == [("cat", EDGES)]


def test_ids_counted_from_one_are_suspected(find: Find) -> None:
    one, two = b"1 0.5 0.5 0.25 0.5\n", b"2 0.5 0.5 0.25 0.5\n"
    files = dataset(**{f"labels/train/{name}.txt": one + two for name in "ab"}, **{"labels/val/c.txt": one})
    (defect,) = find(files).defects
    assert (defect.code, defect.count) == ("class.without-name", 2)
    assert "were the ids counted from 1?" in defect.message
    files["labels/val/c.txt"] = ROW
    (defect,) = find(files).defects
    assert "counted from 1" not in defect.message


def test_picture_whose_classes_have_no_name_is_lost(find: Find) -> None:
    seen = find(with_rows("7 0.5 0.5 0.1 0.1\n"))
    assert told(seen) == [("class.without-name", "labels/train/a.txt", "line 1")]
    assert seen.lost == ["images/train/a.jpg"]


def test_blank_line_in_a_list_of_names_counts(find: Find) -> None:
    seen = find(
        dataset(**{"data.yaml": None, "classes.txt": b"cat\n\ndog\n", "labels/train/a.txt": b"2" + ROW[1:]})
    )
    assert seen.defects == []
    assert boxes(seen)["images/train/a.jpg"] == [("dog", EDGES)]


def test_no_names_at_all(find: Find) -> None:
    seen = find(dataset(**{"data.yaml": None}))
    (defect,) = seen.defects
    assert (defect.code, defect.severity, defect.count) == ("yolo.no-class-names", "error", 3)
    assert "classes.txt" in defect.hint
    assert sorted(seen.lost) == ["images/train/a.jpg", "images/train/b.jpg", "images/val/c.jpg"]
    assert seen.images == []
    assert seen.unclaimed("txt") == []


def test_description_without_names_is_not_enough(find: Find) -> None:
    seen = find(dataset(**{"data.yaml": b"train: images/train\nval: images/val\nnc: 2\n"}))
    assert [code for code, *_ in told(seen)] == ["yolo.no-class-names"]
    assert seen.unclaimed("yaml") == []


def test_number_of_classes_differs(find: Find) -> None:
    seen = find(dataset(**{"data.yaml": YAML.replace(b"nc: 2", b"nc: 80")}))
    assert told(seen) == [("yolo.class-count", "data.yaml", "line 3")]
    assert len(seen.images) == 3


@pytest.mark.parametrize(
    "yaml", [b"names: [cat,\n  dog\ntrain: [", b"names: [cat]\n\tval: x", b"names: " + b"[" * 60_000]
)
def test_broken_yaml(find: Find, yaml: bytes) -> None:
    seen = find(dataset(**{"data.yaml": yaml}))
    codes = [code for code, *_ in told(seen)]
    assert codes == ["yolo.bad-yaml", "yolo.no-class-names"]
    assert len(seen.lost) == 3


def test_yaml_bomb_and_wrong_types(find: Find) -> None:
    bomb = b"a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nnames: [cat, [dog], {x: y}, *c]\n"
    bomb += b"train: {x: 1}\nval: [[1]]\nnc: [1]\nkpt_shape: 5\n"
    seen = find(dataset(**{"data.yaml": bomb}))
    assert [code for code, *_ in told(seen)] == ["yolo.bad-yaml"] * 3
    assert len(seen.images) == 3


def test_other_yaml_files_are_left_alone(find: Find) -> None:
    files = dataset(
        **{
            "nestbox.yaml": b"names: [x]\ntrain: y\n",
            "mkdocs.yml": b"site_name: x\nnav: [a]\n",
            "hyp.yaml": b"lr0: 0.01\nval: true\n",
        }
    )
    seen = find(files)
    assert seen.defects == []
    assert seen.unclaimed("yaml") == ["hyp.yaml", "nestbox.yaml"]
    assert seen.unclaimed("yml") == ["mkdocs.yml"]


def test_descriptions_of_several_datasets_hold_for_their_own_folders(find: Find) -> None:
    files: Files = {}
    for animal in ("cat", "dog"):
        files[f"{animal}s.yaml"] = f"train: {animal}s/images\nnames: [{animal}]\nnc: 1\n".encode()
        files[f"{animal}s/images/a.jpg"] = PICTURE
        files[f"{animal}s/labels/a.txt"] = ROW
    moved = {path.replace("s.yaml", "s/data.yaml"): data for path, data in files.items()}
    for seen in (find(files), find(moved)):
        assert seen.defects == []
        assert boxes(seen) == {"cats/images/a.jpg": [("cat", EDGES)], "dogs/images/a.jpg": [("dog", EDGES)]}


def test_descriptions_of_nothing_in_particular_contradict_each_other(find: Find) -> None:
    seen = find(dataset(**{"data.yaml": b"names: [cat]\nnc: 1\n", "other.yml": b"names: [dog]\nnc: 1\n"}))
    (defect,) = seen.defects
    assert (defect.code, defect.count) == ("class.lists-differ", 3)
    assert len(seen.lost) == 3


def test_lists_that_contradict_each_other(find: Find) -> None:
    files = dataset(**{"labels/train/classes.txt": b"dog\ndog\n", "labels/train/b.txt": b"1" + ROW[1:]})
    seen = find(files)
    assert told(seen) == [("class.lists-differ", "labels/train/a.txt", "line 1")]
    assert seen.lost == ["images/train/a.jpg"]
    assert boxes(seen)["images/train/b.jpg"] == [("dog", EDGES)]


def test_list_apart_from_all_pictures_is_used(find: Find) -> None:
    files = {"cfg/data.yaml": b"names: [cat]\nnc: 1\n", "set/images/a.jpg": PICTURE, "set/labels/a.txt": ROW}
    seen = find(files)
    assert seen.defects == []
    assert boxes(seen) == {"set/images/a.jpg": [("cat", EDGES)]}


def test_list_of_another_dataset_is_not_used(find: Find) -> None:
    files = {
        "one/classes.txt": b"cat\n",
        "one/images/a.jpg": PICTURE,
        "one/labels/a.txt": ROW,
        "two/images/b.jpg": PICTURE,
        "two/labels/b.txt": ROW,
    }
    seen = find(files)
    assert told(seen) == [("yolo.no-class-names", "two/labels/b.txt", None)]
    assert seen.lost == ["two/images/b.jpg"]
    assert boxes(seen) == {"one/images/a.jpg": [("cat", EDGES)]}


# Lines


@pytest.mark.parametrize(
    ("rows", "edges"),
    [
        ("1 0.5 0.5 0.25 0.5", EDGES),
        ("1.0\t0.5\t0.5 0.25  0.5", EDGES),
        ("1 5e-1 .5 +0.25 0.50", EDGES),
        ("\ufeff1 0.5 0.5 0.25 0.5\r\n\r\n", EDGES),
        ("1 0.1 0.5 0.2000001 0.5", Edges(-5e-08, 0.25, 0.20000005, 0.75)),
    ],
)
def test_harmless_spellings(find: Find, rows: str, edges: Edges) -> None:
    seen = find(with_rows(rows))
    assert seen.defects == []
    ((name, found),) = boxes(seen)["images/train/a.jpg"]
    assert name == "dog"
    assert found == pytest.approx(edges, abs=1e-12)


def test_utf16(find: Find) -> None:
    seen = find(with_rows(ROW.decode().encode("utf-16")))
    assert seen.defects == []
    assert boxes(seen)["images/train/a.jpg"] == [("cat", EDGES)]


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("0", "yolo.bad-line"),
        ("0 0.5 0.5 0.1", "yolo.bad-line"),
        ("0 0.1 0.1 0.2 0.2 0.3 0.3 0.4", "yolo.bad-line"),
        ("0 120 200 50 60", "yolo.not-relative"),
        ("0 0.5 0.5 0.1 -37", "yolo.not-relative"),
        ("0 0.1 0.1 0.2 0.2 0.3 300", "yolo.not-relative"),
        ("0 0.5 0.5 -0.1 0.1", "yolo.negative-size"),
        ("0 0.5 0.5 0.1 -0.1", "yolo.negative-size"),
        ("0 0.5 nan 0.1 0.1", "box.not-a-number"),
        ("0 0.5 inf 0.1 0.1", "box.not-a-number"),
        ("0 0.5 1_0 0.1 0.1", "box.not-a-number"),
        ("0 0.5 abc 0.1 0.1", "box.not-a-number"),
        ("0 0.5 0.5 0.1 0.1 high", "box.not-a-number"),
        ("1.5 0.5 0.5 0.1 0.1", "yolo.bad-class"),
        ("-1 0.5 0.5 0.1 0.1", "yolo.bad-class"),
        ("bird 0.5 0.5 0.1 0.1", "yolo.bad-class"),
        ("9" * 5000 + " 0.5 0.5 0.1 0.1", "yolo.bad-class"),
        ("99999 0.5 0.5 0.1 0.1", "class.without-name"),
        ("0,0.5,0.5,0.1,0.1", "yolo.bad-line"),
    ],
)
def test_bad_line_costs_only_itself(find: Find, row: str, code: str) -> None:
    seen = find(with_rows(f"{ROW.decode()}{row}\n1 0.5 0.5 0.25 0.5\n"))
    assert told(seen) == [(code, "labels/train/a.txt", "line 2")]
    assert boxes(seen)["images/train/a.jpg"] == [("cat", EDGES), ("dog", EDGES)]
    assert seen.lost == []


@pytest.mark.parametrize(
    "rows", ["0 0.5 abc 0.1 0.1", "a photo of a dog", "0 1 2", b"\xff\xfe\xfd \x80\x81", b"\0\0\0"]
)
def test_picture_without_a_usable_line_is_lost(find: Find, rows: str | bytes) -> None:
    seen = find(with_rows(rows))
    assert seen.defects
    assert {defect.place.file for defect in seen.defects} == {"labels/train/a.txt"}
    assert seen.lost == ["images/train/a.jpg"]
    assert len(seen.images) == 2
    assert seen.unclaimed("txt") == []


def test_line_that_is_not_utf8(find: Find) -> None:
    seen = find(with_rows(ROW + b"0 0.5 \xff 0.1 0.1\n"))
    assert told(seen) == [("text.not-utf8", "labels/train/a.txt", "line 2")]
    assert boxes(seen)["images/train/a.jpg"] == [("cat", EDGES)]


def test_confidence_of_predictions(find: Find) -> None:
    seen = find(with_rows("0 0.5 0.5 0.25 0.5 0.87\n"))
    assert told(seen) == [("yolo.confidence", "labels/train/a.txt", "line 1")]
    assert boxes(seen)["images/train/a.jpg"] == [("cat", EDGES)]


def test_confidence_everywhere_is_one_defect(find: Find) -> None:
    files = {
        path: data.replace(b"\n", b" 0.9\n") if path.startswith("labels") else data
        for path, data in dataset().items()
    }
    files["labels/train/a.txt"] *= 3
    (defect,) = find(files).defects
    assert (defect.code, defect.count) == ("yolo.confidence", 5)


@pytest.mark.parametrize(
    "row",
    [
        "0 0.375 0.25 0.625 0.25 0.625 0.75 0.375 0.75",
        "0 0.375 0.5 0.5 0.25 0.625 0.75",
        "0 0.375,0 0.25 0.5",
    ],
)
def test_outline_becomes_the_box_around_it(find: Find, row: str) -> None:
    seen = find(with_rows(row))
    if "," in row:
        assert [code for code, *_ in told(seen)] == ["yolo.bad-line"]
        return
    assert told(seen) == [("shape.hull", "labels/train/a.txt", "line 1")]
    assert boxes(seen)["images/train/a.jpg"] == [("cat", EDGES)]


def test_poses_have_a_box_in_front(find: Find) -> None:
    row = "0 0.5 0.5 0.25 0.5 0.1 0.1 2 0.2 0.2 2\n"
    files = dataset(**{"data.yaml": YAML + b"kpt_shape: [2, 3]\n", "labels/train/a.txt": row.encode()})
    seen = find(files)
    assert seen.defects == []
    assert boxes(seen)["images/train/a.jpg"] == [("cat", EDGES)]
    assert [code for code, *_ in told(find(with_rows(row)))] == ["yolo.not-relative"]


def test_decimal_comma(find: Find) -> None:
    seen = find(with_rows("0 0,5 0,5 0,25 0,5\n"))
    assert told(seen) == [("yolo.decimal-comma", "labels/train/a.txt", "line 1")]
    assert boxes(seen)["images/train/a.jpg"] == [("cat", EDGES)]


def test_class_name_in_the_first_column(find: Find) -> None:
    yaml = b"train: images/train\nval: images/val\nnames: [cat, traffic light]\n"
    rows = b"traffic light 0.5 0.5 0.25 0.5\ncat 0.5 0.5 0.25 0.5\n"
    seen = find(dataset(**{"data.yaml": yaml, "labels/train/a.txt": rows}))
    assert told(seen) == [("yolo.class-by-name", "labels/train/a.txt", f"line {line}") for line in (1, 2)]
    assert boxes(seen)["images/train/a.jpg"] == [("traffic light", EDGES), ("cat", EDGES)]


# Files


@pytest.mark.parametrize("rows", [b"", b"\n \r\n", b"\xef\xbb\xbf"])
def test_empty_file_is_background(find: Find, rows: bytes) -> None:
    seen = find(with_rows(rows))
    assert seen.defects == []
    assert boxes(seen)["images/train/a.jpg"] == []
    assert seen.lost == []


def test_no_label_file_in_a_labelled_folder_is_background(find: Find) -> None:
    seen = find(dataset(**{"labels/train/a.txt": None}))
    assert told(seen) == [("yolo.no-label-file", "images/train/a.jpg", None)]
    assert seen.defects[0].severity == "warning"
    assert boxes(seen)["images/train/a.jpg"] == []
    assert splits(seen)["images/train/a.jpg"] == "train"
    assert seen.lost == []


def test_pictures_of_other_folders_are_not_background(find: Find) -> None:
    seen = find(dataset(**{"images/more/d.jpg": PICTURE, "e.jpg": PICTURE}))
    assert seen.defects == []
    assert len(seen.images) == 3


def test_picture_that_another_format_labels_is_not_background(memory_source: type, found: type) -> None:
    log = DefectLog()
    catalogue = Catalogue()
    files = DatasetFiles(memory_source(dataset(**{"labels/train/a.txt": None})), log, catalogue)
    catalogue.lose("images/train/a.jpg")
    assert files.is_annotated("images/train/a.jpg")
    seen = found(CubReader(), {})
    YoloReader().read(files, log, seen)
    log.settle()
    assert log.listed() == []
    assert [image.image for image in seen.images] == ["images/train/b.jpg", "images/val/c.jpg"]


def test_label_file_without_picture(find: Find) -> None:
    seen = find(dataset(**{"images/train/a.jpg": None}))
    assert told(seen) == [("image.missing", "labels/train/a.txt", None)]
    assert seen.lost == [None]
    assert len(seen.images) == 2


def test_label_file_without_picture_in_a_flat_folder(find: Find) -> None:
    files = {"classes.txt": b"cat\n", "b.jpg": PICTURE, "b.txt": ROW, "a.txt": ROW}
    seen = find(files)
    assert told(seen) == [("image.missing", "a.txt", None)]
    assert boxes(seen) == {"b.jpg": [("cat", EDGES)]}


def test_two_pictures_of_one_name(find: Find) -> None:
    seen = find(dataset(**{"images/train/a.png": PICTURE}))
    assert told(seen) == [("image.ambiguous", "labels/train/a.txt", None)]
    assert seen.lost == ["images/train/a.jpg", "images/train/a.png"]
    assert len(seen.images) == 2


def test_list_tells_two_pictures_of_one_name_apart(find: Find) -> None:
    files = dataset(
        **{
            "data.yaml": b"train: train.txt\nval: images/val\nnames: [cat]\n",
            "train.txt": b"images/train/a.png\nimages/train/b.jpg\n",
            "images/train/a.png": PICTURE,
        }
    )
    seen = find(files)
    assert seen.defects == []
    assert "images/train/a.png" in boxes(seen)


def test_folders_that_do_not_match(find: Find) -> None:
    files = {"classes.txt": b"cat\n", "photos/a.jpg": PICTURE, "labels/x/a.txt": ROW}
    seen = find(files)
    assert told(seen) == [("yolo.folder-mismatch", "labels/x/a.txt", None)]
    assert boxes(seen) == {"photos/a.jpg": [("cat", EDGES)]}


def test_label_in_the_folder_of_another_split(find: Find) -> None:
    files = dataset(
        **{"labels/val/c.txt": None, "labels/train/c.txt": ROW, "data.yaml": b"names: [cat]\nnc: 1\n"}
    )
    seen = find(files)
    assert sorted(told(seen)) == [
        ("split.conflict", "labels/train/c.txt", None),
        ("yolo.folder-mismatch", "labels/train/c.txt", None),
    ]
    assert splits(seen)["images/val/c.jpg"] == "validation"
    assert len(seen.images) == 3


def test_missing_picture_does_not_take_that_of_another_split(find: Find) -> None:
    files = dataset(**{"images/val/a.jpg": PICTURE, "labels/val/a.txt": b"", "images/train/a.jpg": None})
    seen = find(files)
    assert told(seen) == [("image.missing", "labels/train/a.txt", None)]
    assert "each a.jpg that is there has labels of its own" in seen.defects[0].message
    assert boxes(seen)["images/val/a.jpg"] == []


def test_names_in_another_unicode_form(find: Find) -> None:
    files = dataset(**{"labels/train/\u00fc.txt": ROW, "images/train/u\u0308.jpg": PICTURE})
    seen = find(files)
    assert seen.defects == []
    assert boxes(seen)["images/train/u\u0308.jpg"] == [("cat", EDGES)]


def test_folder_names_in_upper_case(find: Find) -> None:
    files = {
        "classes.txt": b"cat\n",
        "Images/a.JPG": PICTURE,
        "Labels/a.TXT": ROW,
        "Images/b.jpg": PICTURE,
        "Labels/b.txt": b"",
    }
    seen = find(files)
    assert seen.defects == []
    assert boxes(seen) == {"Images/a.JPG": [("cat", EDGES)], "Images/b.jpg": []}


def test_text_file_too_large_for_labels(find: Find) -> None:
    seen = find(with_rows(ROW * (MAX_LABEL_BYTES // len(ROW) + 1)))
    assert told(seen) == [("file.too-large", "labels/train/a.txt", None)]
    assert seen.lost == ["images/train/a.jpg"]
    assert len(seen.images) == 2


def test_dataset_of_damaged_labels_only(find: Find) -> None:
    files = {path: b"?" if path.endswith(".txt") else data for path, data in dataset().items()}
    seen = find(files)
    assert [code for code, *_ in told(seen)] == ["yolo.bad-line"] * 3
    assert len(seen.lost) == 3
    assert seen.formats == ["yolo"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("requirements.txt", b"numpy==1.26\nopencv-python>=4\n"),
        ("README.txt", b"0 1 2\nHow to use this\n"),
        ("LICENSE.txt", b"MIT\n"),
        ("images/train/a.txt", b"a photo of a cat on a sofa\n"),
        ("ImageSets/Main/train.txt", b"a\nb\n"),
        ("images.txt", b"1 x/a.jpg\n2 x/b.jpg\n"),
        ("bounding_boxes.txt", b"1 60.0 27.0 325.0 304.0\n2 1 2 3 4\n"),
        ("scores.txt", b"1 0.5 0.2 0.1 0.9\n"),
        ("gt.txt", b"1,1,912,484,97,109,0,7,1\n"),
        (
            "label_2/a.txt",
            b"Car 0.00 0 -1.57 587.01 173.33 614.12 200.12 1.65 1.67 3.64 -0.65 1.71 46.70 -1.59\n",
        ),
        ("dota/a.txt", b"937.0 913.0 921.0 912.0 923.0 874.0 940.0 875.0 plane 0\n"),
        ("empty.txt", b""),
    ],
)
def test_other_text_files_are_left_alone(find: Find, path: str, text: bytes) -> None:
    seen = find(dataset(**{path: text}))
    assert seen.defects == []
    assert seen.unclaimed("txt") == [path]
    alone = find({path: text, "images/a.jpg": PICTURE})
    assert (alone.defects, alone.formats, alone.images, alone.lost) == ([], [], [], [])


def test_captions_beside_pictures_are_left_alone(find: Find) -> None:
    files = {"a.jpg": PICTURE, "a.txt": b"a dog, 4k, best quality\n", "b.jpg": PICTURE, "b.txt": b""}
    seen = find(files)
    assert (seen.defects, seen.formats) == ([], [])
    assert seen.unclaimed("txt") == ["a.txt", "b.txt"]


def test_cub_is_not_taken_for_yolo(found: type, cub: Files) -> None:
    assert found(YoloReader(), cub).formats == []


def test_nothing_at_all(find: Find) -> None:
    seen = find({})
    assert (seen.defects, seen.formats) == ([], [])


# Laws


_share = st.floats(0, 1)


@given(_share, _share, _share, _share)
def test_box_is_centred_where_the_line_says(x: float, y: float, width: float, height: float) -> None:
    edges = read_row(f"0 {x} {y} {width} {height}").edges
    assert (edges.x0 + edges.x1) / 2 == pytest.approx(x, abs=1e-12)
    assert (edges.y0 + edges.y1) / 2 == pytest.approx(y, abs=1e-12)
    assert (edges.x1 - edges.x0, edges.y1 - edges.y0) == pytest.approx((width, height), abs=1e-12)


@given(st.text().filter(lambda text: text.split()))
def test_any_line_is_a_row_or_a_defect(line: str) -> None:
    with suppress(RowError):
        assert read_row(line).edges.is_finite()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_read_as_written(number: float) -> None:
    assert written_number(repr(number)) == number


@pytest.mark.parametrize(
    ("text", "number", "share"),
    [
        ("0,5", 0.5, 0.5),
        ("1,024", None, 1.024),
        ("0,358", 0.358, 0.358),
        ("12,5", 12.5, 12.5),
        ("1,2,3", None, None),
    ],
)
def test_decimal_comma_only_where_it_is_clear(text: str, number: float | None, share: float | None) -> None:
    assert written_number(text) == number
    assert written_number(text, is_share=True) == share


def test_whole_numbers() -> None:
    assert [whole_number(text) for text in ("0", "007", "1.0", "1.", "1.5", "-1", "x", "1e3", "")] == [
        *(0, 7, 1, 1, None, None, None, None, None)
    ]
    assert not has_decimal_comma("1.5")
