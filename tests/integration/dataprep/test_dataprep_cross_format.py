"""One dataset in every format says the same, to us and to other people's libraries.

Second opinions: panlabel (a converter in Rust) and globox (in Python), both MIT; development only.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import globox
import numpy as np
import pytest
from PIL import Image

from cli.main import main
from dataprep_job.annotation_formats import FORMAT_TITLES
from dataprep_job.archive_source import open_archives
from dataprep_job.check import Examination
from dataprep_job.defects import Defect
from dataprep_job.export import WRITERS, ExportedBox, ExportedImage
from dataprep_job.file_source import FolderSource
from dataprep_job.labels import Edges, Split
from dataprep_job.progress import say_nothing
from dataprep_job.survey import Earlier, survey

EXACT = 1e-3
WHOLE_PIXELS = 0.51
TOLERANCES = {"voc": 1.0, "ground-truth": WHOLE_PIXELS, "sagemaker": WHOLE_PIXELS}
"""In pixels; the other formats hold fractions."""

CLASSES = ("dog", 'a "b", <c>/d & é', "no")
SIMPLE = {CLASSES[0]: "dog", CLASSES[1]: "cat", CLASSES[2]: "no"}
"""For libraries that cannot write strange names."""

Boxes = list[tuple[str, tuple[float, ...]]]
Labels = dict[tuple[int, int], Boxes]
"""Boxes by the picture's size: each picture of these tests has a size of its own, but not its name."""


def encoded(width: int, height: int, orientation: int = 1) -> bytes:
    """A picture that is seen in this size, with this orientation in its EXIF data."""
    stored = (width, height) if orientation >= 5 else (height, width)
    pixels = np.random.default_rng(width).integers(0, 255, (*stored, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", exif=exif)
    return out.getvalue()


def image(
    path: str,
    size: tuple[int, int],
    split: Split,
    boxes: Iterable[tuple[str, tuple[float, ...]]],
    turn: int = 1,
) -> ExportedImage:
    data = encoded(*size, turn)
    found = tuple(ExportedBox(name, Edges(*edges)) for name, edges in boxes)
    return ExportedImage(path, *size, found, split, lambda: data)


def dataset() -> list[ExportedImage]:
    """Names that are taken twice, turned pictures, and boxes with fractions, thin ones, at the borders."""
    dog, strange, no = CLASSES
    images: list[ExportedImage] = []
    for split, start in (("train", 0), ("validation", 30), ("test", 60)):
        images += [
            image(f"{split}/pic 1.jpg", (97 + start, 61), split, [(dog, (0, 0, 97 + start, 61))]),
            image(
                f"{split}/é ü.jpg",
                (211 + start, 140),
                split,
                [
                    (strange, (10.25, 20.5, 40.75, 60.125)),
                    (strange, (10.25, 20.5, 41.75, 60.125)),
                    (no, (100.333333, 50.666667, 211 + start, 140)),
                    (dog, (7, 9, 8, 139)),
                    (dog, (209.6 + start, 0, 210.9 + start, 1.2)),
                ],
            ),
            image(f"{split}/c.jpg", (64 + start, 120), split, [(no, (3, 4, 50, 60))], turn=6),
        ]
    return images


def whole_dataset() -> list[ExportedImage]:
    """Boxes that every format holds exactly; no test split, which CUB lacks."""
    return [
        image(
            f"p{number}.jpg",
            (80 + number, 60 + 2 * number),
            "validation" if number % 3 == 0 else "train",
            [(name, (5 * at + number, 4, 30 + 9 * at, 40 + number)) for at, name in enumerate(CLASSES)],
        )
        for number in range(6)
    ]


def write(name: str, folder: Path, images: Sequence[ExportedImage], base: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    writer = WRITERS[name](base)
    writer.begin(folder, list(dict.fromkeys(box.name for one in images for box in one.boxes)))
    for one in images:
        writer.add(one)
    writer.finish()
    return folder


class Found(NamedTuple):
    """What our readers see in a folder."""

    formats: list[str]
    labels: Labels
    splits: dict[tuple[int, int], Split]
    defects: list[Defect]


def ours(folder: Path) -> Found:
    """Read a folder with our readers, pictures opened, boxes checked."""
    surveyed = survey(open_archives(FolderSource(folder)), Earlier())
    examination = Examination(surveyed, say_nothing)
    labels: Labels = {}
    splits: dict[tuple[int, int], Split] = {}
    for photo, split in examination.photos():
        size = (photo.width, photo.height)
        labels[size] = [(surveyed.classes[box.class_id], tuple(box.edges)) for box in photo.boxes]
        splits[size] = split
    return Found(surveyed.formats, labels, splits, examination.report().defects)


def labels_of(images: Iterable[ExportedImage]) -> Labels:
    return {(one.width, one.height): [(box.name, tuple(box.edges)) for box in one.boxes] for one in images}


def assert_same(found: Labels, expected: Labels, tolerance: float) -> None:
    """The same pictures with the same boxes, in any order."""
    assert found.keys() == expected.keys()
    for size, boxes in expected.items():
        rest = list(found[size])
        for name, edges in boxes:
            distances = [
                max(abs(one - other) for one, other in zip(edges, there, strict=True))
                for label, there in rest
                if label == name
            ]
            assert min(distances, default=None) == pytest.approx(0, abs=tolerance), (size, name, edges, rest)
            best = min(
                (at for at, (label, _) in enumerate(rest) if label == name),
                key=lambda at: max(abs(one - other) for one, other in zip(edges, rest[at][1], strict=True)),
            )
            del rest[best]
        assert not rest, (size, rest)


# ---- our writers, our readers -------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMAT_TITLES)
def test_every_format_reads_back_the_same(name: str, tmp_path: Path) -> None:
    images = dataset()
    found = ours(write(name, tmp_path / "out", images))
    assert [str(defect.place) + ": " + defect.message for defect in found.defects] == []
    assert found.formats == [name]
    assert_same(found.labels, labels_of(images), TOLERANCES.get(name, EXACT))
    expected: dict[tuple[int, int], Split] = {
        # CUB tells training pictures from the others, and no more.
        (one.width, one.height): "validation" if name == "cub" and one.split == "test" else one.split
        for one in images
    }
    assert found.splits == expected


@pytest.mark.parametrize("name", ["ground-truth", "label-studio"])
def test_addresses_read_back_the_same(name: str, tmp_path: Path) -> None:
    images = dataset()
    found = ours(write(name, tmp_path / "out", images, "s3://some-bucket/some prefix"))
    assert_same(found.labels, labels_of(images), TOLERANCES.get(name, EXACT))


STRANGE_NAMES = (
    *(
        "a,b",
        'say "hi"',
        "<b>&amp;",
        "50%20off",
        "a+b",
        "it's",
        "1 1",
        "# 1",
        "-1",
        "a;b",
        "[x]",
        "{y}",
        "=1+1",
    ),
    *("why?", "a=b&c", "x.rf.0123456789abcdef0123", "a.jpg", "雪 Größe", "~", "null", "C:x", "a  b", "a.b.c"),
    "n" * 220,
)


@pytest.mark.parametrize("name", FORMAT_TITLES)
def test_strange_names_of_pictures_survive(name: str, tmp_path: Path) -> None:
    images = [
        image(
            f"in/{text}.jpg",
            (60 + number, 50),
            "train" if number % 2 else "validation",
            [("dog", (3, 4, 30 + number, 40))],
        )
        for number, text in enumerate(STRANGE_NAMES)
    ]
    found = ours(write(name, tmp_path, images))
    assert [str(defect.place) + ": " + defect.message for defect in found.defects] == []
    assert_same(found.labels, labels_of(images), EXACT)
    assert found.splits == {(one.width, one.height): one.split for one in images}


def test_voc_moves_no_edge_by_more_than_half_a_pixel_but_of_thin_boxes(tmp_path: Path) -> None:
    images = [
        image("a.jpg", (100, 80), "train", [("dog", (10.5, 3.49, 12.5, 70.51))]),
        image("b.jpg", (101, 80), "validation", [("dog", (0.4, 0.6, 100.6, 79.6))]),
    ]
    assert_same(ours(write("voc", tmp_path, images)).labels, labels_of(images), 0.5)


def test_a_dataset_tours_all_formats_through_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each format is exported from once and to once; boxes in whole pixels come home unchanged."""
    images = whole_dataset()
    first, *others = FORMAT_TITLES
    folder = write(first, tmp_path / first, images)
    for name in [*others, first]:
        out = tmp_path / f"{name}-toured"
        assert main(["export", str(folder), str(out), "--to", name, "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert (said["format"], said["usable_images"], said["boxes"]) == (name, 6, 18)
        folder = out
    found = ours(folder)
    assert_same(found.labels, labels_of(images), EXACT)
    assert found.splits == {(one.width, one.height): one.split for one in images}


# ---- the command --------------------------------------------------------------------------------


class TestCommand:
    def test_says_what_it_wrote(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        folder = write("voc", tmp_path / "in", whole_dataset())
        (folder / "JPEGImages" / "p9.jpg").write_bytes(encoded(50, 40))
        assert main(["export", str(folder), str(tmp_path / "out"), "--to", "coco"]) == 0
        said = capsys.readouterr().out
        assert "6 images with 18 boxes" in said
        assert "as COCO (train 4, validation 2)" in said
        assert "1 defect, 1 image left out: nestbox check" in said

    def test_links_pictures(self, tmp_path: Path) -> None:
        folder = write("voc", tmp_path / "in", whole_dataset())
        main(["export", str(folder), str(tmp_path / "out"), "--to", "labelme"])
        source = folder / "JPEGImages" / "p1.jpg"
        assert (tmp_path / "out" / "train" / "p1.jpg").stat().st_ino == source.stat().st_ino

    def test_takes_pictures_out_of_archives(self, tmp_path: Path) -> None:
        write("voc", tmp_path / "plain", whole_dataset())
        (tmp_path / "in").mkdir()
        shutil.make_archive(str(tmp_path / "in" / "all"), "zip", tmp_path / "plain")
        assert main(["export", str(tmp_path / "in"), str(tmp_path / "out"), "--to", "yolo"]) == 0
        assert_same(ours(tmp_path / "out").labels, labels_of(whole_dataset()), EXACT)

    @pytest.mark.parametrize("target", ["full", "in/out", "in"])
    def test_overwrites_nothing(
        self, target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = write("voc", tmp_path / "in", whole_dataset())
        write("coco", tmp_path / "full", whole_dataset())
        before = sorted(tmp_path.rglob("*"))
        assert main(["export", str(folder), str(tmp_path / target), "--to", "coco"]) == 2
        assert "new" in capsys.readouterr().err
        assert sorted(tmp_path.rglob("*")) == before

    def test_writes_nothing_where_nothing_can_be_used(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "a.jpg").write_bytes(encoded(50, 40))
        assert main(["export", str(tmp_path / "in"), str(tmp_path / "out"), "--to", "coco"]) == 2
        assert "nestbox check" in capsys.readouterr().err
        assert [path.name for path in tmp_path.iterdir()] == ["in"]

    @pytest.mark.parametrize(("name", "base"), [("coco", "s3://bucket"), ("ground-truth", "bucket")])
    def test_refuses_a_base_that_makes_no_sense(self, name: str, base: str, tmp_path: Path) -> None:
        arguments = ["export", str(tmp_path), str(tmp_path / "out"), "--to", name, "--base", base]
        assert main(arguments) == 64


# ---- other people's libraries -------------------------------------------------------------------


def opinion_dataset(whole: bool = False, names: dict[str, str] | None = None) -> list[ExportedImage]:
    """Training pictures only, which every library reads from one file; unique names."""
    shift = 0.0 if whole else 0.375
    return [
        image(
            f"pic {number}.jpg",
            (90 + number, 70 + 3 * number),
            "train",
            [
                (
                    (names or {}).get(name, name),
                    (5 * at + number + shift, 4, 30 + 9 * at, 40 + number + shift),
                )
                for at, name in enumerate(CLASSES)
            ],
        )
        for number in range(4)
    ]


def panlabel(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "panlabel", "convert", *map(str, arguments), "--allow-lossy"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def seen_by_panlabel(kind: str, path: Path, *options: str) -> Labels:
    """Read something with panlabel."""
    result = path.parent / f"{path.name}-seen.json"
    panlabel("-f", kind, "-i", path, "-t", "coco", "-o", result, *options)
    document = json.loads(result.read_text())
    names = {category["id"]: category["name"] for category in document["categories"]}
    sizes = {one["id"]: (one["width"], one["height"]) for one in document["images"]}
    labels: Labels = {size: [] for size in sizes.values()}
    for box in document["annotations"]:
        x, y, width, height = box["bbox"]
        labels[sizes[box["image_id"]]].append((names[box["category_id"]], (x, y, x + width, y + height)))
    return labels


def seen_by_globox(annotations: globox.AnnotationSet) -> Labels:
    return {
        one.image_size: [(str(box.label), tuple(box.ltrb)) for box in one.boxes]
        for one in annotations
        if one.image_size is not None
    }


def beside_pictures(path: Path) -> Path:
    """Move a file into the folder of pictures, where panlabel looks for them."""
    return path.rename(path.parent / "train" / path.name)


def without_extensions(folder: Path) -> Path:
    """Pictures under their Open Images id: globox takes it for the name of the file."""
    for path in folder.iterdir():
        path.rename(path.with_suffix(""))
    return folder


PANLABEL_READS: dict[str, Callable[[Path], Labels]] = {
    "coco": lambda out: seen_by_panlabel("coco", out / "annotations" / "instances_train.json"),
    "voc": lambda out: seen_by_panlabel("voc", out),
    "yolo": lambda out: seen_by_panlabel("yolo", out, "--split", "train"),
    "ground-truth": lambda out: seen_by_panlabel("sagemaker", out / "train" / "output.manifest"),
    "cvat": lambda out: seen_by_panlabel("cvat", out / "annotations.xml"),
    "label-studio": lambda out: seen_by_panlabel("label-studio", out / "tasks.json"),
    "labelme": lambda out: seen_by_panlabel("labelme", out / "train"),
    "openimages": lambda out: seen_by_panlabel(
        "openimages", beside_pictures(out / "train-annotations-bbox.csv")
    ),
    # What panlabel calls tfod has shares of the picture under these columns. TensorFlow's own example data
    # (datitran/raccoon_dataset, xml_to_csv.py) and Roboflow's export have pixels, as Udacity's table has.
    "csv": lambda out: seen_by_panlabel("udacity", out / "train" / "_annotations.csv"),
    "createml": lambda out: seen_by_panlabel("create-ml", out / "train" / "annotations.json"),
}

GLOBOX_READS: dict[str, Callable[[Path], globox.AnnotationSet]] = {
    "coco": lambda out: globox.AnnotationSet.from_coco(out / "annotations" / "instances_train.json"),
    "voc": lambda out: globox.AnnotationSet.from_pascal_voc(out / "Annotations"),
    "yolo": lambda out: globox.AnnotationSet.from_yolo_v5(
        out / "labels" / "train", image_folder=out / "images" / "train"
    ),
    "cvat": lambda out: globox.AnnotationSet.from_cvat(out / "annotations.xml"),
    "labelme": lambda out: globox.AnnotationSet.from_labelme(out / "train"),
    "openimages": lambda out: globox.AnnotationSet.from_openimage(
        out / "train-annotations-bbox.csv", image_folder=without_extensions(out / "train")
    ),
}


def one_pixel_on(labels: Labels) -> Labels:
    """How our Pascal VOC looks to readers that take its corners for edges.

    In the VOC challenge the top-left pixel is (1, 1) and both corners belong to the box, so that xmin - 1 is
    the left edge and xmax the right one (http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/; its
    evaluation counts xmax - xmin + 1 pixels, and detectron2 subtracts 1 from xmin and ymin only). panlabel
    and globox subtract nothing, which costs them a pixel on the left and upper side.
    """
    return {
        size: [(name, (x0 + 1, y0 + 1, x1, y1)) for name, (x0, y0, x1, y1) in boxes]
        for size, boxes in labels.items()
    }


@pytest.mark.parametrize("name", PANLABEL_READS)
def test_panlabel_reads_what_we_write(name: str, tmp_path: Path) -> None:
    images = opinion_dataset(whole=name == "voc")
    # panlabel wants a path or URL in `data.image`, not the query by which Label Studio serves local files.
    base = "s3://bucket/birds" if name == "label-studio" else ""
    found = PANLABEL_READS[name](write(name, tmp_path / "out", images, base))
    expected = one_pixel_on(labels_of(images)) if name == "voc" else labels_of(images)
    assert_same(found, expected, TOLERANCES.get(name, EXACT) if name != "voc" else EXACT)


@pytest.mark.parametrize("name", GLOBOX_READS)
def test_globox_reads_what_we_write(name: str, tmp_path: Path) -> None:
    images = opinion_dataset(whole=name == "voc")
    found = seen_by_globox(GLOBOX_READS[name](write(name, tmp_path / "out", images)))
    expected = one_pixel_on(labels_of(images)) if name == "voc" else labels_of(images)
    if name == "yolo":  # globox does not read data.yaml
        expected = {
            size: [(str(CLASSES.index(label)), edges) for label, edges in boxes]
            for size, boxes in expected.items()
        }
    assert_same(found, expected, EXACT)


def test_mxnet_reads_the_list_we_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "bool", bool, raising=False)  # mxnet 1.9.1 still asks numpy for it
    mx = pytest.importorskip("mxnet")
    images = opinion_dataset()
    write("lst", tmp_path, images)
    rows = mx.image.ImageDetIter(
        batch_size=1,
        data_shape=(3, 64, 64),
        path_imglist=str(tmp_path / "train.lst"),
        path_root=str(tmp_path),
    )
    for one, batch in zip(images, rows, strict=True):
        found = batch.label[0].asnumpy()[0]
        for box, (class_id, *edges) in zip(one.boxes, found, strict=True):
            assert CLASSES[int(class_id)] == box.name
            assert edges == pytest.approx(box.edges.relative(one.width, one.height), abs=1e-6)


def as_coco(tmp_path: Path, images: Sequence[ExportedImage]) -> tuple[Path, Path]:
    """What the libraries convert from: a COCO file and a folder of pictures. They copy no pictures."""
    folder = write("coco", tmp_path / "coco", images)
    return folder / "annotations" / "instances_train.json", folder / "train"


PANLABEL_WRITES: dict[str, tuple[str, str, str]] = {
    "coco": ("coco", "annotations.json", "images"),
    "voc": ("voc", "", "JPEGImages"),
    "yolo": ("yolo", "", "images"),
    "sagemaker": ("ground-truth", "output.manifest", ""),
    "cvat": ("cvat", "annotations.xml", "images"),
    "label-studio": ("label-studio", "tasks.json", "images"),
    "labelme": ("labelme", "", "images"),
    "openimages": ("openimages", "boxes.csv", "images"),
    "udacity": ("csv", "boxes.csv", "images"),
    "tfod": ("csv", "boxes.csv", "images"),
    "retinanet": ("csv", "boxes.csv", "images"),
    "automl-vision": ("csv", "boxes.csv", "images"),
    "create-ml": ("createml", "annotations.json", "images"),
}
"""By panlabel's name of the format: ours, the file (a folder where none), and where the pictures belong."""


@pytest.mark.parametrize("kind", PANLABEL_WRITES)
def test_we_read_what_panlabel_writes(kind: str, tmp_path: Path) -> None:
    name, file, place = PANLABEL_WRITES[kind]
    images = opinion_dataset()
    coco, pictures = as_coco(tmp_path, images)
    out = tmp_path / "out"
    if file:
        out.mkdir()
    panlabel("-f", "coco", "-i", coco, "-t", kind, "-o", out / file)
    shutil.copytree(pictures, out / place, dirs_exist_ok=True)
    found = ours(out)
    assert found.formats == [name]
    # Its YOLO has six digits.
    assert_same(found.labels, labels_of(images), EXACT)


GLOBOX_WRITES: dict[str, Callable[[globox.AnnotationSet, Path], Any]] = {
    "coco": lambda seen, out: seen.save_coco(out / "annotations.json"),
    "voc": lambda seen, out: seen.save_pascal_voc(out / "Annotations"),
    "yolo": lambda seen, out: seen.save_yolo_v5(out / "labels", label_to_id={"dog": 0, "cat": 1, "no": 2}),
    "cvat": lambda seen, out: seen.save_cvat(out / "annotations.xml"),
    "labelme": lambda seen, out: seen.save_labelme(out / "labels"),
    "openimages": lambda seen, out: seen.save_openimage(out / "boxes.csv"),
}


@pytest.mark.parametrize("name", GLOBOX_WRITES)
def test_we_read_what_globox_writes(name: str, tmp_path: Path) -> None:
    images = opinion_dataset(names=SIMPLE)  # globox refuses commas
    coco, pictures = as_coco(tmp_path, images)
    out = tmp_path / "out"
    out.mkdir()
    GLOBOX_WRITES[name](globox.AnnotationSet.from_coco(coco), out)
    if name == "yolo":
        (out / "classes.txt").write_text("dog\ncat\nno\n")
    shutil.copytree(pictures, out / "images")
    found = ours(out)
    assert found.formats == [name]
    assert_same(found.labels, labels_of(images), EXACT)


def test_whole_corners_that_count_from_0_are_told_by_a_box_at_the_edge(tmp_path: Path) -> None:
    """panlabel and globox write edges as corners. One 0 among them tells them from VOC's own."""
    images = opinion_dataset(whole=True)
    coco, pictures = as_coco(tmp_path, images)
    assert any(x0 == 0 for boxes in labels_of(images).values() for _, (x0, *_) in boxes)
    panlabel("-f", "coco", "-i", coco, "-t", "voc", "-o", tmp_path / "panlabel")
    (tmp_path / "globox").mkdir()
    globox.AnnotationSet.from_coco(coco).save_pascal_voc(tmp_path / "globox" / "Annotations")
    for out in (tmp_path / "panlabel", tmp_path / "globox"):
        shutil.copytree(pictures, out / "JPEGImages", dirs_exist_ok=True)
        assert_same(ours(out).labels, labels_of(images), EXACT)
