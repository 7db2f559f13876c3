"""Every writer: what it writes to the letter, strange names, pictures that share a name, all or nothing."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from dataprep_job.annotation_formats import FORMAT_TITLES
from dataprep_job.errors import OutputError
from dataprep_job.export import WRITERS, ExportedBox, ExportedImage
from dataprep_job.export.coordinates import one_based, whole_box
from dataprep_job.export.staging import whole_folder
from dataprep_job.image_header import read_header
from dataprep_job.labels import Edges, Split

CLASSES = ("dog", "cat & mouse")


def png(width: int, height: int, seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def image(
    path: str, split: Split = "train", boxes: Sequence[tuple[str, tuple[float, ...]]] = (), seed: int = 0
) -> ExportedImage:
    data = png(100, 80, seed)
    return ExportedImage(
        path, 100, 80, tuple(ExportedBox(name, Edges(*edges)) for name, edges in boxes), split, lambda: data
    )


SMALL = (
    image("x/a.png", "train", [("dog", (10.25, 20.5, 40.25, 60.625)), ("cat & mouse", (0, 0, 100, 80))]),
    image("x/b.png", "validation", [("cat & mouse", (33.3333333, 4, 35, 6))]),
    image("x/c.png", "test"),
)


def write(
    name: str,
    folder: Path,
    images: Sequence[ExportedImage] = SMALL,
    classes: Sequence[str] = CLASSES,
    base: str = "",
) -> dict[str, str]:
    """Write a dataset, and give the texts of all files but pictures, by path."""
    folder.mkdir(exist_ok=True)
    writer = WRITERS[name](base)
    try:
        writer.begin(folder, classes)
        for one in images:
            writer.add(one)
        writer.finish()
    finally:
        writer.close()
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix.lower() not in (".png", ".jpg")
    }


def pictures(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))


def test_every_format_can_be_written() -> None:
    assert list(WRITERS) == list(FORMAT_TITLES)


def test_coco(tmp_path: Path) -> None:
    files = write("coco", tmp_path)
    assert list(files) == [f"annotations/instances_{split}.json" for split in ("test", "train", "val")]
    assert files["annotations/instances_train.json"] == (
        '{"info": {}, "licenses": [],\n'
        '"categories": [{"id": 1, "name": "dog", "supercategory": ""}, '
        '{"id": 2, "name": "cat & mouse", "supercategory": ""}],\n'
        '"images": [\n{"id": 1, "file_name": "a.png", "width": 100, "height": 80}\n],\n'
        '"annotations": [\n'
        '{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10.25, 20.5, 30, 40.125], "area": 1203.75, '
        '"iscrowd": 0, "segmentation": []},\n'
        '{"id": 2, "image_id": 1, "category_id": 2, "bbox": [0, 0, 100, 80], "area": 8000, '
        '"iscrowd": 0, "segmentation": []}\n]}\n'
    )
    val = json.loads(files["annotations/instances_val.json"])
    assert val["annotations"][0]["id"] == 3
    assert val["annotations"][0]["bbox"] == [33.3333, 4, 1.6667, 2]
    assert json.loads(files["annotations/instances_test.json"])["annotations"] == []
    assert pictures(tmp_path) == ["test/c.png", "train/a.png", "val/b.png"]


def test_voc(tmp_path: Path) -> None:
    files = write("voc", tmp_path)
    assert {path: text for path, text in files.items() if path.startswith("ImageSets")} == {
        "ImageSets/Main/test.txt": "c\n",
        "ImageSets/Main/train.txt": "a\n",
        "ImageSets/Main/trainval.txt": "a\nb\n",
        "ImageSets/Main/val.txt": "b\n",
    }
    assert files["Annotations/c.xml"] == (
        "<annotation>\n\t<folder>JPEGImages</folder>\n\t<filename>c.png</filename>\n\t<size>\n"
        "\t\t<width>100</width>\n\t\t<height>80</height>\n\t\t<depth>3</depth>\n\t</size>\n"
        "\t<segmented>0</segmented>\n</annotation>\n"
    )
    assert (
        "\t<object>\n\t\t<name>cat &amp; mouse</name>\n\t\t<pose>Unspecified</pose>\n"
        "\t\t<truncated>0</truncated>\n\t\t<difficult>0</difficult>\n\t\t<bndbox>\n"
        "\t\t\t<xmin>1</xmin>\n\t\t\t<ymin>1</ymin>\n\t\t\t<xmax>100</xmax>\n\t\t\t<ymax>80</ymax>\n"
        "\t\t</bndbox>\n\t</object>\n"
    ) in files["Annotations/a.xml"]
    assert pictures(tmp_path) == ["JPEGImages/a.png", "JPEGImages/b.png", "JPEGImages/c.png"]


def test_yolo(tmp_path: Path) -> None:
    files = write("yolo", tmp_path)
    assert files == {
        "data.yaml": (
            "train: images/train\nval: images/val\ntest: images/test\nnc: 2\n"
            "names:\n  0: dog\n  1: cat & mouse\n"
        ),
        "labels/test/c.txt": "",
        "labels/train/a.txt": "0 0.2525 0.50703125 0.3 0.5015625\n1 0.5 0.5 1 1\n",
        "labels/val/b.txt": "1 0.3416666665 0.0625 0.016666667 0.025\n",
    }
    assert pictures(tmp_path) == ["images/test/c.png", "images/train/a.png", "images/val/b.png"]


def test_yolo_without_a_test_split_names_none(tmp_path: Path) -> None:
    files = write("yolo", tmp_path, SMALL[:1])
    assert "test" not in yaml.safe_load(files["data.yaml"])
    assert (tmp_path / "images/val").is_dir()


def test_ground_truth(tmp_path: Path) -> None:
    files = write("ground-truth", tmp_path)
    assert list(files) == [f"{split}/output.manifest" for split in ("test", "train", "validation")]
    line = json.loads(files["train/output.manifest"])
    assert len(line["bounding-box-metadata"].pop("creation-date")) == len("2018-10-18T22:18:13.527256")
    assert line == {
        "source-ref": "train/a.png",
        "bounding-box": {
            "image_size": [{"width": 100, "height": 80, "depth": 3}],
            "annotations": [
                {"class_id": 0, "left": 10, "top": 21, "width": 30, "height": 40},
                {"class_id": 1, "left": 0, "top": 0, "width": 100, "height": 80},
            ],
        },
        "bounding-box-metadata": {
            "objects": [{"confidence": 1}, {"confidence": 1}],
            "class-map": {"0": "dog", "1": "cat & mouse"},
            "type": "groundtruth/object-detection",
            "human-annotated": "yes",
            "job-name": "labeling-job/nestbox-export",
        },
    }
    assert pictures(tmp_path) == ["test/c.png", "train/a.png", "validation/b.png"]


@pytest.mark.parametrize("base", ["s3://bucket/birds", "s3://bucket/birds/"])
def test_addresses_lie_under_the_base(tmp_path: Path, base: str) -> None:
    manifest = write("ground-truth", tmp_path / "1", base=base)["train/output.manifest"]
    assert json.loads(manifest)["source-ref"] == "s3://bucket/birds/train/a.png"
    tasks = json.loads(write("label-studio", tmp_path / "2", base=base)["tasks.json"])
    assert tasks[0]["data"]["image"] == "s3://bucket/birds/train/a.png"


def test_web_addresses_are_encoded(tmp_path: Path) -> None:
    tasks = json.loads(write("label-studio", tmp_path, [image("a b.png")], base="https://host")["tasks.json"])
    assert tasks[0]["data"]["image"] == "https://host/train/a%20b.png"


def test_a_base_is_refused_where_there_are_no_addresses() -> None:
    for name in WRITERS:
        if not WRITERS[name].takes_base:
            with pytest.raises(OutputError, match="never by address"):
                WRITERS[name]("s3://bucket")


def test_cvat(tmp_path: Path) -> None:
    files = write("cvat", tmp_path)
    assert list(files) == ["annotations.xml"]
    text = files["annotations.xml"]
    labels = ElementTree.fromstring(text).findall("meta/task/labels/label")
    assert [label.findtext("name") for label in labels] == list(CLASSES)
    assert text.endswith(
        '  <image id="1" name="b.png" subset="Validation" width="100" height="80">\n'
        '    <box label="cat &amp; mouse" source="manual" occluded="0" '
        'xtl="33.3333" ytl="4" xbr="35" ybr="6" z_order="0">\n    </box>\n  </image>\n'
        '  <image id="2" name="c.png" subset="Test" width="100" height="80">\n  </image>\n</annotations>\n'
    )
    assert pictures(tmp_path) == ["images/a.png", "images/b.png", "images/c.png"]


def test_label_studio(tmp_path: Path) -> None:
    tasks = json.loads(
        write(
            "label-studio",
            tmp_path,
            [image("a b&c.png", boxes=SMALL[0].boxes and [("dog", (10.25, 20.5, 40.25, 60.625))])],
        )["tasks.json"]
    )
    assert tasks == [
        {
            "id": 1,
            "data": {"image": "/data/local-files/?d=train/a%20b%26c.png", "split": "train"},
            "annotations": [
                {
                    "id": 1,
                    "result": [
                        {
                            "id": "1-0",
                            "type": "rectanglelabels",
                            "from_name": "label",
                            "to_name": "image",
                            "original_width": 100,
                            "original_height": 80,
                            "image_rotation": 0,
                            "value": {
                                "x": 10.25,
                                "y": 25.625,
                                "width": 30,
                                "height": 50.15625,
                                "rotation": 0,
                                "rectanglelabels": ["dog"],
                            },
                        }
                    ],
                    "was_cancelled": False,
                    "ground_truth": False,
                }
            ],
            "predictions": [],
        }
    ]


def test_labelme(tmp_path: Path) -> None:
    files = write("labelme", tmp_path)
    assert list(files) == ["test/c.json", "train/a.json", "validation/b.json"]
    assert json.loads(files["validation/b.json"]) == {
        "version": "5.0.1",
        "flags": {},
        "shapes": [
            {
                "label": "cat & mouse",
                "points": [[33.3333, 4], [35, 6]],
                "group_id": None,
                "description": "",
                "shape_type": "rectangle",
                "flags": {},
            }
        ],
        "imagePath": "b.png",
        "imageData": None,
        "imageHeight": 80,
        "imageWidth": 100,
    }


def test_sagemaker(tmp_path: Path) -> None:
    files = write("sagemaker", tmp_path)
    assert list(files) == [
        "test_annotation/c.json",
        "train_annotation/a.json",
        "validation_annotation/b.json",
    ]
    assert files["validation_annotation/b.json"] == (
        '{"file": "b.png", "image_size": [{"width": 100, "height": 80, "depth": 3}], '
        '"annotations": [{"class_id": 1, "left": 33, "top": 4, "width": 2, "height": 2}], '
        '"categories": [{"class_id": 1, "name": "cat & mouse"}]}\n'
    )
    assert pictures(tmp_path) == ["test/c.png", "train/a.png", "validation/b.png"]


def test_lst(tmp_path: Path) -> None:
    assert write("lst", tmp_path) == {
        "classes.txt": "dog\ncat & mouse\n",
        "test.lst": "2\t2\t5\ttest/c.png\n",
        "train.lst": "0\t2\t5\t0\t0.1025\t0.25625\t0.4025\t0.7578125\t1\t0\t0\t1\t1\ttrain/a.png\n",
        "validation.lst": "1\t2\t5\t1\t0.333333333\t0.05\t0.35\t0.075\tvalidation/b.png\n",
    }


def test_openimages(tmp_path: Path) -> None:
    head = (
        "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,"
        "IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n"
    )
    assert write("openimages", tmp_path) == {
        "class-descriptions-boxable.csv": "dog,dog\ncat & mouse,cat & mouse\n",
        "test-annotations-bbox.csv": head,
        "train-annotations-bbox.csv": head
        + "a,xclick,dog,1,0.1025,0.4025,0.25625,0.7578125,0,0,0,0,0\n"
        + "a,xclick,cat & mouse,1,0,1,0,1,0,0,0,0,0\n",
        "validation-annotations-bbox.csv": head
        + "b,xclick,cat & mouse,1,0.333333333,0.35,0.05,0.075,0,0,0,0,0\n",
    }


def test_csv(tmp_path: Path) -> None:
    head = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
    assert write("csv", tmp_path) == {
        "test/_annotations.csv": head + "c.png,100,80,,,,,\n",
        "train/_annotations.csv": head
        + "a.png,100,80,dog,10.25,20.5,40.25,60.625\na.png,100,80,cat & mouse,0,0,100,80\n",
        "validation/_annotations.csv": head + "b.png,100,80,cat & mouse,33.3333,4,35,6\n",
    }


def test_createml(tmp_path: Path) -> None:
    files = write("createml", tmp_path)
    assert list(files) == ["test/annotations.json", "train/annotations.json", "validation/annotations.json"]
    assert files["train/annotations.json"] == (
        '[\n{"image": "a.png", "annotations": ['
        '{"label": "dog", "coordinates": {"x": 25.25, "y": 40.5625, "width": 30, "height": 40.125}}, '
        '{"label": "cat & mouse", "coordinates": {"x": 50, "y": 40, "width": 100, "height": 80}}]}\n]\n'
    )
    assert json.loads(files["test/annotations.json"]) == [{"image": "c.png", "annotations": []}]


def test_cub(tmp_path: Path) -> None:
    assert write("cub", tmp_path) == {
        "bounding_boxes.txt": "1 10.25 20.5 30.0 40.125\n1 0.0 0.0 100.0 80.0\n2 33.3333 4.0 1.6667 2.0\n",
        "classes.txt": "1 dog\n2 cat & mouse\n",
        "image_class_labels.txt": "1 1\n1 2\n2 2\n",
        "images.txt": "1 001.dog/a.png\n2 002.cat_mouse/b.png\n3 c.png\n",
        "train_test_split.txt": "1 1\n2 0\n3 0\n",
    }
    assert pictures(tmp_path) == ["images/001.dog/a.png", "images/002.cat_mouse/b.png", "images/c.png"]


def test_cub_keeps_the_folders_of_the_original(tmp_path: Path) -> None:
    name = "004.Groove_billed_Ani"
    write("cub", tmp_path, [image("a.png", boxes=[(name, (1, 2, 3, 4))])], ("dog", name, "../.."))
    assert pictures(tmp_path) == [f"images/{name}/a.png"]
    write("cub", tmp_path / "2", [image("a.png", boxes=[("../..", (1, 2, 3, 4))])], ("dog", name, "../.."))
    assert pictures(tmp_path / "2") == ["images/003..._../a.png"]


STRANGE = (
    'say "hi", <b>',
    "a/b\\c",
    "it's 100 % &amp;",
    "Größe 雪 🐦",
    "#1",
    "no",
    "- a: b",
    "{}",
    "1 1",
    "=1+1",
    "null",
)


def names_of(name: str, files: dict[str, str]) -> set[str]:
    """The class names that a simple reader of the format sees."""
    match name:
        case "coco":
            document = json.loads(files["annotations/instances_train.json"])
            return {category["name"] for category in document["categories"]}
        case "voc":
            root = ElementTree.fromstring(files["Annotations/a.xml"])
            return {one.findtext("name", "") for one in root.findall("object")}
        case "yolo":
            return set(yaml.safe_load(files["data.yaml"])["names"].values())
        case "ground-truth":
            line = json.loads(files["train/output.manifest"])
            return set(line["bounding-box-metadata"]["class-map"].values())
        case "cvat":
            root = ElementTree.fromstring(files["annotations.xml"])
            return {box.attrib["label"] for box in root.findall("image/box")}
        case "label-studio":
            (task,) = json.loads(files["tasks.json"])
            return {result["value"]["rectanglelabels"][0] for result in task["annotations"][0]["result"]}
        case "labelme":
            return {shape["label"] for shape in json.loads(files["train/a.json"])["shapes"]}
        case "sagemaker":
            return {one["name"] for one in json.loads(files["train_annotation/a.json"])["categories"]}
        case "lst":
            return set(files["classes.txt"].splitlines())
        case "openimages":
            rows = csv.DictReader(io.StringIO(files["train-annotations-bbox.csv"]))
            return {row["LabelName"] for row in rows}
        case "csv":
            return {row["class"] for row in csv.DictReader(io.StringIO(files["train/_annotations.csv"]))}
        case "createml":
            (entry,) = json.loads(files["train/annotations.json"])
            return {one["label"] for one in entry["annotations"]}
        case "cub":
            return {line.partition(" ")[2] for line in files["classes.txt"].splitlines()}
    raise AssertionError(name)


@pytest.mark.parametrize("name", WRITERS)
def test_strange_class_names_survive(name: str, tmp_path: Path) -> None:
    boxes = [(text, (10.0 + at, 10.0, 50.0 + at, 50.0)) for at, text in enumerate(STRANGE)]
    files = write(name, tmp_path, [image("a.png", boxes=boxes)], STRANGE)
    assert names_of(name, files) == set(STRANGE)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("bad", ["two\nlines", "tab\there", "zero\0", " led", "", "a\x85b", "x" * 101])
def test_impossible_class_names_are_refused_before_anything_is_written(
    name: str, bad: str, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match="class names"):
        write(name, tmp_path, classes=("dog", bad))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", WRITERS)
def test_pictures_that_share_a_name_stay_apart(name: str, tmp_path: Path) -> None:
    paths = ["train/a.png", "val/a.png", "val/A.PNG", "x/a.jpg.png", "x/a_jpg.png", "x/ .b.png", "x/b.png"]
    splits: tuple[Split, ...] = ("train", "validation", "train", "test", "test", "train", "train")
    images = [
        image(path, split, [("dog", (1, 2, 30, 40))], seed)
        for seed, (path, split) in enumerate(zip(paths, splits, strict=True))
    ]
    write(name, tmp_path, images)
    found = [path for path in tmp_path.rglob("*") if path.suffix.lower() == ".png"]
    assert len({path.stem.casefold() for path in found}) == len(paths)
    assert {path.read_bytes() for path in found} == {one.read() for one in images}
    kept = {path.name for path in found if "-" not in path.name}
    assert kept == {"a.png", "a_jpg.png", "b.png"}


def test_names_do_not_depend_on_the_format(tmp_path: Path) -> None:
    images = [
        image(path, boxes=[("dog", (1, 2, 30, 40))]) for path in ("x/a.png", "y/a.png", "z/Ä\u2028.png")
    ]
    listings = set()
    for name in WRITERS:
        write(name, tmp_path / name, images)
        listings.add(frozenset(path.name for path in (tmp_path / name).rglob("*.png")))
    assert len(listings) == 1


def test_very_long_names_are_cut(tmp_path: Path) -> None:
    long = [image(f"{'ä' * 120}{number}.png", boxes=[("dog", (1, 2, 30, 40))]) for number in range(2)]
    write("labelme", tmp_path, long)
    first, second = sorted((path.name for path in tmp_path.rglob("*.png")), key=len)
    assert len(first.encode()) < 210
    assert second.startswith(first[:-4] + "-")


def test_a_picture_is_linked_where_that_is_possible(tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    source.write_bytes(SMALL[0].read())
    (tmp_path / "link.png").symlink_to(source)
    for file in (source, tmp_path / "link.png"):
        target = tmp_path / f"out-{file.stem}"
        write("coco", target, [replace(SMALL[0], source=file)])
        assert (target / "train/a.png").stat().st_ino == source.stat().st_ino
        assert not (target / "train/a.png").is_symlink()


def test_a_picture_is_copied_where_no_link_is_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    source = tmp_path / "a.png"
    source.write_bytes(SMALL[0].read())
    write("coco", tmp_path / "out", [replace(SMALL[0], source=source)])
    assert (tmp_path / "out/train/a.png").read_bytes() == source.read_bytes()


def turned(kind: str, orientation: int) -> bytes:
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:16] = (255, 0, 0)
    pixels[:, :16] = (0, 0, 255)
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, exif=exif)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_exif_orientation_is_baked_in(kind: str, orientation: int, tmp_path: Path) -> None:
    data = turned(kind, orientation)
    seen = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    source = tmp_path / "a.jpg"
    source.write_bytes(data)
    one = ExportedImage("a.jpg", seen.shape[1], seen.shape[0], (), "train", lambda: data, source)
    write("yolo", tmp_path / "out", [one])
    written = (tmp_path / "out/images/train/a.jpg").read_bytes()
    if orientation == 1:
        assert written == data
        return
    assert source.read_bytes() == data
    header = read_header(written)
    assert (header.format, header.orientation) == (kind.lower(), 1)
    pixels = np.asarray(Image.open(io.BytesIO(written)).convert("RGB"))
    assert pixels.shape == seen.shape
    assert np.abs(pixels.astype(int) - seen).mean() < 6


@pytest.mark.parametrize("data", [b"", b"no picture", png(80, 100)])
def test_a_picture_that_changed_meanwhile_stops_the_export(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"x/a\.png changed"):
        write("coco", tmp_path, [replace(SMALL[0], read=lambda: data)])


class TestWholeFolder:
    def test_appears_at_the_end(self, tmp_path: Path) -> None:
        target = tmp_path / "new" / "out"
        with whole_folder(target) as staged:
            (staged / "a").write_text("1")
            assert not target.exists()
        assert (target / "a").read_text() == "1"
        assert [path.name for path in target.parent.iterdir()] == ["out"]
        (tmp_path / "other").mkdir()
        assert target.stat().st_mode == (tmp_path / "other").stat().st_mode

    def test_takes_an_empty_folder(self, tmp_path: Path) -> None:
        with whole_folder(tmp_path / "out") as staged:
            (tmp_path / "out").mkdir()
            (staged / "a").write_text("1")
        assert (tmp_path / "out" / "a").exists()

    def test_leaves_nothing_after_an_error(self, tmp_path: Path) -> None:
        def fail() -> None:
            with whole_folder(tmp_path / "out") as staged:
                (staged / "a").write_text("1")
                raise ValueError("in the middle")

        with pytest.raises(ValueError, match="in the middle"):
            fail()
        assert not list(tmp_path.iterdir())

    def test_a_full_disk_is_an_error_of_ours(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="No space left"), whole_folder(tmp_path / "out"):
            raise OSError(28, "No space left on device")
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("kind", ["file", "full", "link"])
    def test_overwrites_nothing(self, kind: str, tmp_path: Path) -> None:
        target = tmp_path / "out"
        match kind:
            case "file":
                target.write_text("mine")
            case "full":
                target.mkdir()
                (target / "a").write_text("mine")
            case "link":
                target.symlink_to(tmp_path / "nowhere")
        with pytest.raises(OutputError, match="name a new folder"), whole_folder(target):
            pass
        assert [path.name for path in tmp_path.iterdir()] == ["out"]

    def test_says_where_it_cannot_write(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with (
            pytest.raises(OutputError, match="cannot be written to"),
            whole_folder(tmp_path / "file" / "out"),
        ):
            pass


spans = st.integers(2, 5000).flatmap(
    lambda length: st.tuples(st.floats(0, length - 1), st.floats(0, length), st.just(length))
)


@given(spans)
def test_one_based_corners_are_off_by_a_pixel_at_most(span: tuple[float, float, int]) -> None:
    low, high, length = span[0], min(span[2], span[0] + 1 + span[1]), span[2]
    first, last = one_based(low, high, length)
    assert 1 <= first < last <= length
    limit = 0.5 if high - low >= 2 else 1
    assert abs(first - 1 - low) <= limit + 1e-9
    assert abs(last - high) <= limit + 1e-9


@given(st.integers(0, 5000), st.integers(2, 5000))
def test_one_based_corners_of_whole_boxes_are_exact(low: int, size: int) -> None:
    assert one_based(low, low + size, 20_000) == (low + 1, low + size)


@given(st.floats(0, 4999), st.floats(1, 5000))
def test_whole_boxes_are_off_by_half_a_pixel(low: float, size: float) -> None:
    high = min(5000.0, low + size)
    left, top, width, height = whole_box(Edges(low, 0, high, 1))
    assert abs(left - low) <= 0.5
    assert abs(left + width - high) <= 0.5 + 1e-9
    assert 0 <= left < left + width <= 5000
    assert (top, height) == (0, 1)
