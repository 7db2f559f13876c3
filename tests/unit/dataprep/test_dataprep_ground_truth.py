"""Manifests of SageMaker Ground Truth and Rekognition, line by line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataprep_job.defects import Place
from dataprep_job.readers.ground_truth import GroundTruthReader
from dataprep_job.readers.json_files import JsonReader

FILE = "output.manifest"
TYPE = "groundtruth/object-detection"
Line = dict[str, Any]

ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


def line(picture: str = "a.jpg", job: str = "birds", boxes: list[Any] | None = None, **changes: Any) -> Line:
    """One line with a dog; `changes` go into the metadata, and a value of `...` removes a key."""
    metadata: dict[str, Any] = {
        "objects": [{"confidence": 0.09}],
        "class-map": {"0": "dog"},
        "type": TYPE,
        "human-annotated": "yes",
        "creation-date": "2026-01-02T03:04:05.000000",
        "job-name": f"labeling-job/{job}",
    }
    metadata.update({key.replace("_", "-"): value for key, value in changes.items()})
    return {
        "source-ref": f"s3://bucket/prefix/{picture}",
        job: {
            "image_size": [{"width": 100, "height": 80, "depth": 3}],
            "annotations": [{"class_id": 0, "left": 10, "top": 20, "width": 30, "height": 40}]
            if boxes is None
            else boxes,
        },
        f"{job}-metadata": {key: value for key, value in metadata.items() if value is not ...},
    }


def box(class_id: Any = 0, left: Any = 1) -> dict[str, Any]:
    return {"class_id": class_id, "left": left, "top": 2, "width": 3, "height": 4}


def read(
    found: Any, *lines: Line | str, path: str = FILE, pictures: tuple[str, ...] = ("a.jpg", "b.jpg")
) -> Any:
    text = "\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines)
    return found(GroundTruthReader(), {path: text.encode(), **dict.fromkeys(pictures, b"")})


def boxes_of(image: Any) -> list[tuple[str, tuple[float, ...]]]:
    return [(one.name, tuple(one.edges)) for one in image.boxes]


def listed(result: Any) -> list[tuple[str, str | None]]:
    return [(defect.code, defect.place.where) for defect in result.defects]


DOG = ("dog", (10, 20, 40, 60))
GOOD = line("b.jpg")


def test_a_clean_manifest_gives_exact_records(found: Any) -> None:
    second = line("b.jpg", "birds", [box(3), box(0)], class_map={"3": "ant", "0": "dog"})
    result = read(found, line(), second)
    assert result.defects == []
    assert result.formats == ["ground-truth"]
    assert [(image.image, boxes_of(image)) for image in result.images] == [
        ("a.jpg", [DOG]),
        ("b.jpg", [("ant", (1, 2, 4, 6)), ("dog", (1, 2, 4, 6))]),
    ]
    image = result.images[1]
    assert image.place == image.boxes[0].place == Place(FILE, "line 2")
    assert (image.declared_size, image.split, image.format) == ((100, 80), None, "ground-truth")
    assert result.class_order == ["dog", "ant"]
    assert result.unclaimed("manifest") == []


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("output.manifest", None),
        ("train.manifest", "train"),
        ("manifests/validation/output.manifest", "validation"),
        ("x.jsonl", None),
        ("test.manifest.json", "test"),
        ("labels.txt", None),
        ("output.manifest.txt", None),
        ("manifest", None),
    ],
)
def test_manifests_have_many_names(found: Any, path: str, split: str | None) -> None:
    result = read(found, line(), path=path)
    assert [(image.image, image.split) for image in result.images] == [("a.jpg", split)]
    assert result.unclaimed(path.rpartition(".")[2] if "." in path else "") == []


def test_a_manifest_named_json_is_read_with_the_other_json_files(found: Any) -> None:
    text = "\n".join(map(json.dumps, [line(), "oops", GOOD]))
    result = found(JsonReader(), {"birds.json": text.encode(), "a.jpg": b"", "b.jpg": b""})
    assert result.formats == ["ground-truth"]
    assert [image.image for image in result.images] == ["a.jpg", "b.jpg"]
    assert listed(result) == [("manifest.bad-line", "line 2")]
    assert result.class_order == ["dog"]


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("MANIFEST.manifest", b"Manifest-Version: 1.0\nClass-Path: x"),
        ("x.jsonl", b'{"imageGcsUri": "gs://b/a.jpg"}\n'),
        ("x.jsonl", b'{"source": "some text to label"}\n'),
        ("manifest.json", b'{"name": "web app", "icons": [{"src": "a.jpg"}]}'),
        ("classes.txt", b"dog\ncat\n"),
        ("a.txt", b'{"source-ref": "s3://b/a.jpg"}'),
        ("x.manifest", b""),
        ("x.manifest", b"\xff\xfe\xff\x00"),
    ],
)
def test_other_files_are_not_claimed(found: Any, path: str, data: bytes) -> None:
    result = found(GroundTruthReader(), {path: data, "a.jpg": b""})
    assert (result.formats, result.defects) == ([], [])
    assert result.unclaimed(path.rpartition(".")[2]) == [path]


def test_only_few_text_files_are_looked_into(found: Any) -> None:
    files = {f"{number:03}.txt": b"0 0.5 0.5 1 1" for number in range(150)}
    result = found(GroundTruthReader(), {**files, "zz.txt": json.dumps(line()).encode()})
    assert result.formats == []


def test_the_first_line_may_be_broken(found: Any) -> None:
    result = read(found, '{"source-ref": ', GOOD)
    assert [image.image for image in result.images] == ["b.jpg"]
    assert listed(result) == [("manifest.bad-line", "line 1")]
    assert result.lost == [None]


@pytest.mark.parametrize("text", ["oops", "[1, 2]", '"x"', "{} {}", "[" * 5000, '{"source-ref": "s3://b/a.j'])
def test_a_broken_line_costs_only_itself(found: Any, text: str) -> None:
    result = read(found, line(), text, GOOD)
    assert [image.image for image in result.images] == ["a.jpg", "b.jpg"]
    assert listed(result) == [("manifest.bad-line", "line 2")]
    assert result.lost == [None]


@pytest.mark.parametrize("reference", [..., None, "", 5, ["s3://b/a.jpg"]])
def test_a_line_needs_a_source_ref(found: Any, reference: Any) -> None:
    row = {key: value for key, value in {**line(), "source-ref": reference}.items() if value is not ...}
    result = read(found, row, GOOD)
    assert listed(result) == [("manifest.missing-source-ref", "line 1")]
    assert [image.image for image in result.images] == ["b.jpg"]
    assert result.lost == [None]


@pytest.mark.parametrize(
    ("reference", "picture"),
    [
        ("s3://other/elsewhere/my bird.jpg", "images/my bird.jpg"),
        ("s3://other/my%20bird.jpg", "my bird.jpg"),
        ("s3://other/v%C3%B6gel/a.jpg", "vögel/a.jpg"),
        ("s3://other/vögel/日本.jpg", "日本.jpg"),
        ("s3://b/train/a.jpg", "x/train/a.jpg"),
        ("s3://b/100%.jpg", "100%.jpg"),
    ],
)
def test_pictures_in_other_buckets_are_found(found: Any, reference: str, picture: str) -> None:
    row = {**line(), "source-ref": reference}
    result = read(found, row, pictures=(picture, "x/test/b.jpg"))
    assert [image.image for image in result.images] == [picture]
    assert result.defects == []


def test_a_missing_picture_costs_only_its_line(found: Any) -> None:
    result = read(found, line("gone.jpg"), GOOD)
    assert listed(result) == [("image.missing", "line 1")]
    assert [image.image for image in result.images] == ["b.jpg"]
    assert result.lost == [None]


def test_background_rows_have_an_empty_class_map(found: Any) -> None:
    result = read(found, line("a.jpg", "birds", [], class_map={}, objects=[]), GOOD)
    assert [len(image.boxes) for image in result.images] == [0, 1]
    assert result.defects == []


def test_unlabelled_lines_are_said_together(found: Any) -> None:
    rows = [{"source-ref": "s3://b/a.jpg", "note": "x"} for _ in range(5)]
    result = read(found, *rows, GOOD)
    assert [(d.code, d.count) for d in result.defects] == [("manifest.no-annotation", 5)]
    assert [image.image for image in result.images] == ["b.jpg"]
    assert result.lost == []


@pytest.mark.parametrize("kind", [TYPE, ...])
def test_failed_lines_give_the_reason(found: Any, kind: Any) -> None:
    row = line(type=kind, failure_reason="ClientError: no such object")
    del row["birds"]
    result = read(found, row, GOOD)
    assert listed(result) == [("manifest.failed", "line 1")]
    assert "no such object" in result.defects[0].message
    assert result.lost == ["a.jpg"]
    assert [image.image for image in result.images] == ["b.jpg"]


def test_a_failed_line_with_an_empty_label_is_no_background(found: Any) -> None:
    result = read(found, line("a.jpg", "birds", [], failure_reason="timeout"))
    assert listed(result) == [("manifest.failed", "line 1")]
    assert (result.images, result.lost) == ([], ["a.jpg"])


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ({"job": 1}, "groundtruth/image-classification"),
        ({"job-ref": "s3://b/mask.png"}, "groundtruth/semantic-segmentation"),
        ({"job-ref": "s3://b/seq.json"}, "groundtruth/video-object-detection"),
        ({"job": {"annotations": []}}, "groundtruth/polygons"),
        ({"job": 1}, 7),
    ],
)
def test_other_jobs_are_refused_by_their_type(found: Any, label: Line, kind: Any) -> None:
    row = {"source-ref": "s3://b/a.jpg", **label, "job-metadata": {"type": kind, "class-name": "dog"}}
    result = read(found, row, GOOD)
    assert listed(result) == [("manifest.wrong-type", "line 1")]
    assert str(kind) in result.defects[0].message
    assert [image.image for image in result.images] == ["b.jpg"]
    assert result.lost == [None]


def test_a_classification_beside_boxes_does_no_harm(found: Any) -> None:
    row = {**line(), "kind": 1, "kind-metadata": {"type": "groundtruth/image-classification"}}
    result = read(found, row)
    assert [boxes_of(image) for image in result.images] == [[DOG]]
    assert result.defects == []


def test_of_several_jobs_the_newest_is_used(found: Any) -> None:
    newer = line(job="corrected", boxes=[box()], creation_date="2026-02-01T00:00:00")
    result = read(found, {**newer, **line()})
    assert [boxes_of(image) for image in result.images] == [[("dog", (1, 2, 4, 6))]]
    assert listed(result) == [("manifest.several-labels", "line 1")]
    assert "'corrected' is used, not 'birds'" in result.defects[0].message


def test_without_dates_the_last_job_is_used(found: Any) -> None:
    rows = [line(creation_date=...), line(job="corrected", boxes=[box()], creation_date=...)]
    result = read(found, {**rows[0], **rows[1]})
    assert [boxes_of(image) for image in result.images] == [[("dog", (1, 2, 4, 6))]]


def test_a_job_that_failed_does_not_undo_an_older_one(found: Any) -> None:
    newer = line(job="corrected", boxes=[], creation_date="2026-02-01T00:00:00", failure_reason="x")
    result = read(found, {**line(), **newer})
    assert [boxes_of(image) for image in result.images] == [[DOG]]
    assert listed(result) == [("manifest.several-labels", "line 1")]


def test_a_class_without_name_costs_only_its_box(found: Any) -> None:
    result = read(found, line(boxes=[box(7), box(0), box(None)]))
    assert boxes_of(result.images[0]) == [("dog", (1, 2, 4, 6))]
    assert listed(result) == [("manifest.class-without-name", "line 1")] * 2
    assert "Annotation 1 of the line" in result.defects[0].message


@pytest.mark.parametrize("class_map", [{}, ..., None, [], {"0": None}, {"1": "dog"}])
def test_a_line_whose_class_map_lacks_every_class_is_lost(found: Any, class_map: Any) -> None:
    result = read(found, line(class_map=class_map), GOOD)
    assert listed(result) == [("manifest.class-without-name", "line 1")]
    assert result.lost == ["a.jpg"]
    assert [image.image for image in result.images] == ["b.jpg"]


def test_names_count_where_class_maps_differ(found: Any) -> None:
    result = read(found, line(), line("b.jpg", class_map={"0": "cat"}))
    assert [image.boxes[0].name for image in result.images] == ["dog", "cat"]
    assert listed(result) == [("manifest.class-map-differs", "line 2")]


@pytest.mark.parametrize("left", [None, "x", True, float("nan"), 10**400, [1]])
def test_a_bad_number_costs_only_its_box(found: Any, left: Any) -> None:
    result = read(found, line(boxes=[box(0, left), box()]))
    assert boxes_of(result.images[0]) == [("dog", (1, 2, 4, 6))]
    assert listed(result) == [("box.not-a-number", "line 1")]


@pytest.mark.parametrize("entry", [None, 3, []])
def test_annotations_that_are_no_objects_cost_only_themselves(found: Any, entry: Any) -> None:
    result = read(found, line(boxes=[entry, box()]))
    assert boxes_of(result.images[0]) == [("dog", (1, 2, 4, 6))]
    assert listed(result) == [("manifest.bad-label", "line 1")]


@pytest.mark.parametrize("label", [None, 5, [], {}, {"annotations": None}, {"annotations": {"0": 1}}])
def test_a_label_without_annotations_is_lost(found: Any, label: Any) -> None:
    result = read(found, {**line(), "birds": label}, GOOD)
    assert listed(result) == [("manifest.bad-label", "line 1")]
    assert result.lost == ["a.jpg"]
    assert [image.image for image in result.images] == ["b.jpg"]


@pytest.mark.parametrize("size", [..., [], [{"width": 0, "height": 0}], "x", [None]])
def test_a_missing_size_is_said(found: Any, size: Any) -> None:
    row = line()
    row["birds"]["image_size"] = size
    if size is ...:
        del row["birds"]["image_size"]
    result = read(found, row)
    assert result.images[0].declared_size is None
    assert listed(result) == [("manifest.size-missing", "line 1")]


def test_a_label_is_known_by_its_shape_where_the_type_is_missing(found: Any) -> None:
    result = read(found, line(type=...))
    assert [boxes_of(image) for image in result.images] == [[DOG]]
    assert listed(result) == [("manifest.metadata-missing", "line 1")]


def test_without_metadata_no_class_has_a_name(found: Any) -> None:
    row = line()
    del row["birds-metadata"]
    result = read(found, row)
    assert sorted(listed(result)) == [
        ("manifest.class-without-name", "line 1"),
        ("manifest.metadata-missing", "line 1"),
    ]
    assert result.lost == ["a.jpg"]


def test_numbers_as_text_are_read_with_a_warning(found: Any) -> None:
    result = read(found, line(boxes=[box("0", "1.0")]))
    assert boxes_of(result.images[0]) == [("dog", (1, 2, 4, 6))]
    assert listed(result) == [("json.number-as-text", "line 1")]


def test_lines_that_are_no_text_cost_only_themselves(found: Any) -> None:
    data = b"\n".join([json.dumps(line()).encode(), b"\xff\xff", json.dumps(GOOD).encode()])
    result = found(GroundTruthReader(), {FILE: data, "a.jpg": b"", "b.jpg": b""})
    assert [image.image for image in result.images] == ["a.jpg", "b.jpg"]
    assert listed(result) == [("text.not-utf8", "line 2")]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_other_encodings_are_read(found: Any, encoding: str) -> None:
    result = found(GroundTruthReader(), {FILE: json.dumps(line()).encode(encoding), "a.jpg": b""})
    assert [boxes_of(image) for image in result.images] == [[DOG]]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_value_anywhere_makes_the_reader_fail(found: Any, data: st.DataObject) -> None:
    row = line()
    for part in (row, row["birds"], row["birds"]["annotations"][0], row["birds-metadata"]):
        key = data.draw(st.sampled_from([*sorted(part), "other", "other-metadata"]))
        if part is not row or key != "source-ref":
            part[key] = data.draw(ODD)
    result = read(found, row, GOOD)
    assert [image.image for image in result.images][-1:] == ["b.jpg"]
