"""The reader of MXNet's `.lst`: boxes, class names, mirrored copies, and every kind of dirt with its line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataprep_job.labels import Edges
from dataprep_job.readers.lst import ListReader
from dataprep_job.recordio import detection_label, list_line

Files = dict[str, bytes]
Find = Callable[..., Any]

PICTURE = b"a picture; readers never open it"
BOX = (0.1, 0.2, 0.5, 0.75)
EDGES = Edges(*BOX)


def line(*fields: object) -> str:
    return "\t".join(map(str, fields)) + "\n"


A = line(0, 2, 5, 0, *BOX, "a.jpg")
B = line(1, 2, 5, 1, *BOX, 0, 0.0, 0.0, 1.0, 1.0, "b.jpg")


def dataset(*lines: str, **more: bytes) -> Files:
    return {
        "train.lst": "".join(lines).encode(),
        "classes.txt": b"cat\ndog\n",
        **{f"{name}.jpg": PICTURE for name in "abc"},
        **{path.replace("__", "/").replace("_", "."): data for path, data in more.items()},
    }


def boxes(seen: Any) -> dict[str, list[tuple[str, Edges]]]:
    return {image.image: [(box.name, box.edges) for box in image.boxes] for image in seen.images}


def told(seen: Any) -> list[tuple[str, str, str | None]]:
    return [(defect.code, defect.place.file, defect.place.where) for defect in seen.defects]


@pytest.fixture
def find(found: type) -> Find:
    return lambda files: found(ListReader(), files)


def test_clean_list(find: Find) -> None:
    seen = find(dataset(A, B))
    assert (seen.defects, seen.lost, seen.formats) == ([], [], ["lst"])
    assert boxes(seen) == {
        "a.jpg": [("cat", EDGES)],
        "b.jpg": [("dog", EDGES), ("cat", Edges(0, 0, 1, 1))],
    }
    image = seen.images[0]
    assert (image.is_relative, image.declared_size, image.split) == (True, None, "train")
    assert str(image.place) == str(image.boxes[0].place) == "train.lst, line 1"
    assert seen.class_order == ["cat", "dog"]
    assert seen.unclaimed("lst") == []
    assert seen.unclaimed("txt") == []


@pytest.mark.parametrize(
    "text",
    [
        line(7, "2.0", "5.000", "0.0000", "0.1000", *BOX[1:], "a.jpg"),
        line(0, 2, 6, 0, *BOX, 1, "a.jpg"),
        line(0, 3, 5, "0.25", 0, *BOX, "a.jpg"),
        line(0, 2, 5, 0, *BOX, -1, -1, -1, -1, -1, "a.jpg"),
        "\ufeff" + A.replace("\n", "\r\n\r\n"),
        line(0, 2, 5, 0, "0,1", "0,2", "0,5", "0,75", "a.jpg"),
    ],
)
def test_spellings_of_one_box(find: Find, text: str) -> None:
    seen = find(dataset(text))
    assert seen.defects == []
    assert boxes(seen) == {"a.jpg": [("cat", EDGES)]}


def test_header_of_four_has_the_size(find: Find) -> None:
    seen = find(dataset(line(0, 4, 5, 200, 100, 0, *BOX, "a.jpg")))
    (image,) = seen.images
    assert (image.is_relative, image.declared_size) == (False, (200, 100))
    assert image.boxes[0].edges == pytest.approx(Edges(20, 20, 100, 75))
    (image,) = find(dataset(line(0, 4, 5, 0, 0, 0, *BOX, "a.jpg"))).images
    assert (image.is_relative, image.declared_size, image.boxes[0].edges) == (True, None, EDGES)


def test_line_without_boxes_is_background(find: Find) -> None:
    seen = find(dataset(line(0, 2, 5, "a.jpg"), B))
    assert seen.defects == []
    assert boxes(seen)["a.jpg"] == []


@pytest.mark.parametrize(
    "path",
    [
        "photos/a b/x.jpg",
        "a b/x.jpg",
        "/home/me/photos/a b/x.jpg",
        "photos\\a b\\x.jpg",
        "photos/a%20b/x.jpg",
    ],
)
def test_paths(find: Find, path: str) -> None:
    files = {
        "lists/val.lst": line(0, 2, 5, 0, *BOX, path).encode(),
        "photos/a b/x.jpg": PICTURE,
        "x/x.jpg": PICTURE,
    }
    files["lists/classes.txt"] = b"cat\n"
    seen = find(files)
    assert seen.defects == []
    assert boxes(seen) == {"photos/a b/x.jpg": [("cat", EDGES)]}
    assert seen.images[0].split == "validation"


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("birds_ssd_train.lst", "train"),
        ("val.lst", "validation"),
        ("test/list.lst", "test"),
        ("all.lst", None),
    ],
)
def test_split_by_the_name_of_the_list(find: Find, path: str, split: str | None) -> None:
    seen = find({path: A.encode(), "classes.txt": b"cat\n", "a.jpg": PICTURE})
    assert [image.split for image in seen.images] == [split]


def test_split_tells_pictures_of_one_name_apart(find: Find) -> None:
    pictures = {"train/a.jpg": PICTURE, "val/a.jpg": PICTURE, "classes.txt": b"cat\n"}
    assert list(boxes(find({"val.lst": A.encode(), **pictures}))) == ["val/a.jpg"]
    seen = find({"all.lst": A.encode(), **pictures})
    assert told(seen) == [("image.ambiguous", "all.lst", "line 1")]
    assert seen.lost == [None]


# Class names


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("lists/classes.json", b'["cat", "dog"]'),
        ("lists/classes.json", b'{"cat": 0, "dog": 1}'),
        ("classes.json", b'{"0": "cat", "1": "dog"}'),
        ("lists/pets.names", b"cat\ndog\n"),
        ("lists/classes.txt", b"cat\r\ndog"),
    ],
)
def test_class_names_beside_the_list_or_above(find: Find, path: str, text: bytes) -> None:
    files = {path: text, "b.jpg": PICTURE, "lists/train.lst": B.encode(), "lists/val.lst": B.encode()}
    seen = find(files)
    assert seen.defects == []
    assert [box.name for box in seen.images[0].boxes] == ["dog", "cat"]
    assert seen.class_order == ["cat", "dog"]
    assert seen.unclaimed(path.rpartition(".")[2]) == []


def test_without_class_names(find: Find) -> None:
    files = dataset(B)
    del files["classes.txt"]
    seen = find(files)
    assert told(seen) == [("lst.no-class-names", "train.lst", None)]
    assert seen.defects[0].severity == "warning"
    assert "rename" in seen.defects[0].hint
    assert [box.name for box in seen.images[0].boxes] == ["class 1", "class 0"]


@pytest.mark.parametrize("text", [b"{", b"[" * 100_000, b"[1, null, {}]", b'{"a": {"b": 1}}', b"\xff"])
def test_unusable_list_of_classes(find: Find, text: bytes) -> None:
    files = {"train.lst": A.encode(), "a.jpg": PICTURE, "classes.json": text}
    assert told(find(files)) == [("lst.no-class-names", "train.lst", None)]


def test_class_id_without_a_name_costs_its_box(find: Find) -> None:
    seen = find(dataset(line(0, 2, 5, 9, *BOX, 1, *BOX, "a.jpg"), line(1, 2, 5, 9, *BOX, "b.jpg")))
    (defect,) = seen.defects
    assert (defect.code, str(defect.place), defect.count) == ("class.without-name", "train.lst, line 1", 2)
    assert boxes(seen) == {"a.jpg": [("dog", EDGES)]}
    assert seen.lost == ["b.jpg"]


def test_class_lists_that_differ(find: Find) -> None:
    seen = find(dataset(A, B, pets_names=b"bird\ndog\n"))
    (defect,) = seen.defects
    assert (defect.code, defect.count) == ("class.lists-differ", 2)
    assert boxes(seen) == {"b.jpg": [("dog", EDGES)]}


# Mirrored copies


def test_mirrored_copies_of_our_own_lists_are_left_out(find: Find) -> None:
    label = [(0, EDGES), (1, Edges(0.123456789, 0, 1 / 3, 1))]
    mirrored = [(class_id, edges.mirrored()) for class_id, edges in label]
    lines = [
        list_line(0, detection_label(label), "a.jpg"),
        B,
        list_line(1, detection_label(mirrored), "a.jpg"),
    ]
    seen = find(dataset(*lines))
    assert "lst.duplicate-index" in {code for code, *_ in told(seen)}
    lines[1] = line(2, 2, 5, 1, *BOX, "b.jpg")
    seen = find(dataset(*lines))
    assert seen.defects == []
    assert [image.image for image in seen.images] == ["a.jpg", "b.jpg"]
    assert seen.images[0].boxes[0].edges == pytest.approx(EDGES, abs=1e-7)


def test_mirrored_copies_rounded_to_four_digits(find: Find) -> None:
    seen = find(
        dataset(
            line(0, 2, 5, 0, 0.1234, 0.2, 0.5, 0.7, "a.jpg"), line(1, 2, 5, 0, 0.5, 0.2, 0.8767, 0.7, "a.jpg")
        )
    )
    assert seen.defects == []
    assert len(seen.images) == 1


@pytest.mark.parametrize("other", [(0, *BOX), (1, 0.5, 0.2, 0.9, 0.75), (0, 0.2, 0.2, 0.5, 0.75)])
def test_other_second_lines_are_annotations_of_their_own(find: Find, other: tuple[float, ...]) -> None:
    seen = find(dataset(A, line(1, 2, 5, *other, "a.jpg")))
    # What two annotations of one picture amount to is decided later: a conflict, unless they say the same.
    assert [str(image.place) for image in seen.images] == ["train.lst, line 1", "train.lst, line 2"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)), min_size=1))
def test_any_mirrored_copy_is_known(found: type, corners: list[tuple[float, float, float, float]]) -> None:
    label = [(0, Edges(*corner)) for corner in corners]
    mirrored = [(0, edges.mirrored()) for _, edges in label]
    lines = [list_line(0, detection_label(label), "a.jpg"), list_line(1, detection_label(mirrored), "a.jpg")]
    seen = found(ListReader(), dataset(*lines))
    assert seen.defects == []
    (image,) = seen.images
    for box, corner in zip(image.boxes, corners, strict=True):
        assert tuple(box.edges) == pytest.approx(corner, abs=1e-7)


# Dirt


@pytest.mark.parametrize(
    ("text", "code", "lost"),
    [
        (line(1, 2, 5, 0, *BOX, 0.3, "b.jpg"), "lst.bad-width", "b.jpg"),
        (line(1, 2, 6, 0, *BOX, "b.jpg"), "lst.bad-width", "b.jpg"),
        (line(1, 9, 5, 0, *BOX, "b.jpg"), "lst.bad-row", "b.jpg"),
        (line(1, 1, 5, 0, *BOX, "b.jpg"), "lst.bad-row", "b.jpg"),
        (line(1, 2, 4, *BOX, "b.jpg"), "lst.bad-row", "b.jpg"),
        (line(1, "two", 5, 0, *BOX, "b.jpg"), "lst.bad-row", "b.jpg"),
        (line("x", 2, 5, 0, *BOX, "b.jpg"), "lst.bad-row", "b.jpg"),
        (line(1, 2, 5, 0, *BOX), "lst.bad-row", None),
        (line(1, "b.jpg"), "lst.bad-row", "b.jpg"),
        (line(1, 2, 5, 0, *BOX, "b.jpg").replace("\t", " "), "lst.bad-row", "b.jpg"),
        (line(1, 3, "b.jpg"), "lst.classification", "b.jpg"),
        (line(1, 2, 5, 0, 10, 20, 50, 75, "b.jpg"), "lst.not-relative", "b.jpg"),
        (line(1, 2, 5, 0, 0.1, "nan", 0.5, 0.5, "b.jpg"), "box.not-a-number", "b.jpg"),
        (line(1, 2, 5, 0, 0.1, "", 0.5, 0.5, "b.jpg"), "box.not-a-number", "b.jpg"),
        (line(1, 2, 5, 0.5, *BOX, "b.jpg"), "lst.bad-class", "b.jpg"),
        (line(1, 2, 5, -1, *BOX, "b.jpg"), "lst.bad-class", "b.jpg"),
        (line(1, 2, 5, "9" * 400, *BOX, "b.jpg"), "lst.bad-class", "b.jpg"),
        (line(1, 2, 5, "cat", *BOX, "b.jpg"), "lst.bad-class", "b.jpg"),
        (line(1, 2, 5, 0, *BOX, "gone.jpg"), "image.missing", None),
        (line(1, 2, 5, 0, *BOX, "../../etc/passwd"), "image.missing", None),
        (line(1, 2, 5, 0, *BOX, "two\ttabs\t.jpg"), "image.missing", None),
    ],
)
def test_bad_line_costs_only_itself(find: Find, text: str, code: str, lost: str | None) -> None:
    seen = find(dataset(A, text, line(2, 2, 5, 1, *BOX, "c.jpg")))
    assert told(seen) == [(code, "train.lst", "line 2")]
    assert seen.lost == [lost]
    assert boxes(seen) == {"a.jpg": [("cat", EDGES)], "c.jpg": [("dog", EDGES)]}


def test_bad_box_costs_only_itself(find: Find) -> None:
    seen = find(dataset(line(0, 2, 5, 0, *BOX, 0, 0.1, "x", 0.5, 0.5, 1, 10, 10, 20, 20, 1, *BOX, "a.jpg")))
    assert told(seen) == [
        ("box.not-a-number", "train.lst", "line 1"),
        ("lst.not-relative", "train.lst", "line 1"),
    ]
    assert boxes(seen) == {"a.jpg": [("cat", EDGES), ("dog", EDGES)]}
    assert seen.lost == []


def test_pixels_name_the_symptom_of_sagemaker(find: Find) -> None:
    seen = find(dataset(line(1, 2, 5, 0, 10, 20, 50, 75, "b.jpg")))
    assert "Not enough annotation packed" in seen.defects[0].hint


def test_lists_of_classes_are_one_defect(find: Find) -> None:
    seen = find(dataset(*(line(number, 3, f"{name}.jpg") for number, name in enumerate("abc"))))
    (defect,) = seen.defects
    assert (defect.code, str(defect.place), defect.count) == ("lst.classification", "train.lst, line 1", 3)
    assert seen.lost == ["a.jpg", "b.jpg", "c.jpg"]


def test_index_used_twice(find: Find) -> None:
    seen = find(dataset(A, line(0, 2, 5, 0, *BOX, "b.jpg")))
    assert told(seen) == [("lst.duplicate-index", "train.lst", "line 2")]
    assert len(seen.images) == 2


def test_line_that_is_not_utf8(find: Find) -> None:
    files = dataset(A)
    files["train.lst"] += b"1\t2\t5\t0\t0\t0\t1\t1\t\xff.jpg\n"
    seen = find(files)
    assert told(seen) == [("text.not-utf8", "train.lst", "line 2")]
    assert len(seen.images) == 1


@pytest.mark.parametrize("text", [b"", b"a.jpg\nb.jpg\n", b"# files\n", b"\0\0\0", b"one two three\n"])
def test_other_lists_are_left_alone(find: Find, text: bytes) -> None:
    seen = find({"files.lst": text, "a.jpg": PICTURE})
    assert (seen.defects, seen.formats, seen.unclaimed("lst")) == ([], [], ["files.lst"])
