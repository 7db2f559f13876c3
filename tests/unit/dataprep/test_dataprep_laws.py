"""Laws of a whole preparation, on small datasets in several formats with all kinds of mistakes in them.

No label is lost or counted twice without a word; nothing held out is trained on, whatever is uploaded later;
class ids never change their meaning; a box stays where it is on its picture.
"""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from dataprep_job.check import Examination, check, check_only
from dataprep_job.defect_kinds import KINDS
from dataprep_job.defects import Defect
from dataprep_job.held_out import HeldOutImage
from dataprep_job.inspection import Treatment, inspect
from dataprep_job.labels import Edges, Split
from dataprep_job.progress import say_nothing
from dataprep_job.recordio import label_boxes, mirrored_label
from dataprep_job.splitting import photo_of
from dataprep_job.survey import Earlier, survey

Files = dict[str, bytes]
Source = Callable[[Files], Any]

SIZE = WIDTH, HEIGHT = 40, 32


def examples(count: int) -> settings:
    return settings(
        max_examples=count, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )


FORMATS = ("voc", "coco", "yolo", "labelme", "createml", "csv", "lst", "ground-truth", "sagemaker", "cvat")


class Written(NamedTuple):
    """One box as it is written down: left, top, right and bottom in pixels."""

    name: str
    x0: float
    y0: float
    x1: float
    y1: float


@cache
def drawn(seed: int, orientation: int = 1, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """A picture; other seeds give other ones. `orientation` is that of its EXIF data."""
    coarse = np.random.default_rng(seed).integers(0, 255, (4, 5, 3), np.uint8)
    pixels = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    exif = Image.Exif()
    exif[0x0112] = orientation
    saved = io.BytesIO()
    Image.fromarray(pixels).save(saved, "JPEG", quality=90, exif=exif.tobytes())
    return saved.getvalue()


# One file a picture, or one for all; a list of pictures is given as (name without extension, boxes).


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def voc(name: str, boxes: Sequence[Written], size: tuple[int, int] = SIZE) -> bytes:
    objects = "".join(
        f"<object><name>{box.name}</name><bndbox><xmin>{box.x0 + (box.x0 < box.x1)}</xmin>"
        f"<ymin>{box.y0 + (box.y0 < box.y1)}</ymin><xmax>{box.x1}</xmax><ymax>{box.y1}</ymax></bndbox>"
        "</object>\n"
        for box in boxes
    )
    declared = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    return f"<annotation><filename>{name}.jpg</filename>{declared}\n{objects}</annotation>".encode()


def yolo_row(number: int, box: Written, size: tuple[int, int] = SIZE) -> str:
    edges = Edges(*box[1:]).relative(*size)
    centre = (edges.x0 + edges.x1) / 2, (edges.y0 + edges.y1) / 2
    return f"{number} {centre[0]!r} {centre[1]!r} {edges.x1 - edges.x0!r} {edges.y1 - edges.y0!r}\n"


def coco(
    pictures: Iterable[tuple[str, Sequence[Written]]], classes: Sequence[str], size: tuple[int, int]
) -> bytes:
    images, annotations = [], []
    for number, (name, boxes) in enumerate(pictures):
        images.append({"id": number, "file_name": f"{name}.jpg", "width": size[0], "height": size[1]})
        for box in boxes:
            bbox = [box.x0, box.y0, box.x1 - box.x0, box.y1 - box.y0]
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": number,
                    "category_id": classes.index(box.name),
                    "bbox": bbox,
                }
            )
    categories = [{"id": number, "name": name} for number, name in enumerate(classes)]
    return as_json({"images": images, "annotations": annotations, "categories": categories})


def written(form: str, pictures: Sequence[tuple[str, Sequence[Written]]]) -> Files:
    """The annotations of some pictures in one format."""
    classes = sorted({box.name for _, boxes in pictures for box in boxes}) or ["dog"]
    size = {"width": WIDTH, "height": HEIGHT, "depth": 3}
    files: Files = {}
    lines: list[str] = []
    for at, (name, boxes) in enumerate(pictures):
        corners = [
            {
                "class_id": classes.index(box.name),
                "left": box.x0,
                "top": box.y0,
                "width": box.x1 - box.x0,
                "height": box.y1 - box.y0,
            }
            for box in boxes
        ]
        if form == "voc":
            files[f"voc/{name}.xml"] = voc(name, boxes)
        elif form == "yolo":
            files[f"yolo/labels/{name}.txt"] = "".join(
                yolo_row(classes.index(box.name), box) for box in boxes
            ).encode()
        elif form == "labelme":
            shapes = [
                {"label": b.name, "points": [[b.x0, b.y0], [b.x1, b.y1]], "shape_type": "rectangle"}
                for b in boxes
            ]
            document = {"shapes": shapes, "imagePath": f"{name}.jpg"}
            files[f"labelme/{name}.json"] = as_json(document | {"imageWidth": WIDTH, "imageHeight": HEIGHT})
        elif form == "sagemaker":
            categories = [{"class_id": at, "name": name} for at, name in enumerate(classes)]
            document = {"file": f"{name}.jpg", "image_size": [size], "annotations": corners}
            files[f"sagemaker/{name}.json"] = as_json(document | {"categories": categories})
        elif form == "ground-truth":
            metadata = {"class-map": dict(enumerate(classes)), "type": "groundtruth/object-detection"}
            label = {"image_size": [size], "annotations": corners}
            row = {"source-ref": f"s3://b/{name}.jpg", "job": label, "job-metadata": metadata}
            lines.append(json.dumps(row))
        elif form == "lst":
            numbers = [
                f"{classes.index(box.name)}\t" + "\t".join(map(repr, Edges(*box[1:]).relative(WIDTH, HEIGHT)))
                for box in boxes
            ]
            lines.append("\t".join([str(at), "2", "5", *numbers, f"{name}.jpg"]))
        elif form == "csv":
            rows = [f"{name}.jpg,{WIDTH},{HEIGHT},{','.join(map(str, box))}" for box in boxes]
            lines += rows or [f"{name}.jpg,{WIDTH},{HEIGHT},,,,,"]
        elif form == "cvat":
            shapes_text = "".join(
                f'<box label="{b.name}" xtl="{b.x0}" ytl="{b.y0}" xbr="{b.x1}" ybr="{b.y1}"/>\n'
                for b in boxes
            )
            lines.append(f'<image name="{name}.jpg" width="{WIDTH}" height="{HEIGHT}">{shapes_text}</image>')
    text = "\n".join(lines)
    if form == "yolo":
        files["yolo/data.yaml"] = f"names: {classes}\n".encode()
    elif form == "ground-truth":
        files["ground-truth/output.manifest"] = text.encode()
    elif form == "lst":
        files |= {"lst/all.lst": text.encode(), "lst/classes.txt": "\n".join(classes).encode()}
    elif form == "csv":
        files["csv/labels.csv"] = f"filename,width,height,class,xmin,ymin,xmax,ymax\n{text}\n".encode()
    elif form == "cvat":
        files["cvat/annotations.xml"] = f"<annotations>{text}</annotations>".encode()
    elif form == "coco":
        files["coco/all.json"] = coco(pictures, classes, SIZE)
    elif form == "createml":
        files["createml/all.json"] = as_json(
            [
                {
                    "image": f"{name}.jpg",
                    "annotations": [
                        {
                            "label": box.name,
                            "coordinates": {
                                "x": (box.x0 + box.x1) / 2,
                                "y": (box.y0 + box.y1) / 2,
                                "width": box.x1 - box.x0,
                                "height": box.y1 - box.y0,
                            },
                        }
                        for box in boxes
                    ],
                }
                for name, boxes in pictures
            ]
        )
    return files


# No label is lost or doubled


@dataclass(frozen=True)
class Case:
    """One picture, its format, its boxes as (kind, position) and what is wrong with the picture itself."""

    form: str
    boxes: tuple[tuple[str, int], ...]
    fault: str


BOXES: dict[str, tuple[float, float, float, float]] = {
    "good": (2, 3, 12, 13),
    "sticks out": (-4, 3, 12, 13),
    "outside": (60, 3, 75, 13),
    "zero area": (5, 5, 5, 5),
}
CODES = {"sticks out": "box.clipped", "outside": "box.outside", "zero area": "box.zero-area"}
FAULTS = ("none", "none", "none", "missing", "cut off", "no picture", "twice")

cases = st.builds(
    Case,
    st.sampled_from(FORMATS),
    st.lists(st.tuples(st.sampled_from(list(BOXES)), st.integers(0, 5)), max_size=4, unique=True).map(tuple),
    st.sampled_from(FAULTS),
)


def boxes_of(case: Case) -> list[Written]:
    """Boxes of one kind lie some pixels apart; all but the good ones are only drawn on sound pictures."""
    made = []
    for kind, at in case.boxes:
        x0, y0, x1, y1 = BOXES[kind if case.fault == "none" else "good"]
        made.append(Written("cat" if at % 2 else "dog", x0, y0 + 3 * at, x1, y1 + 3 * at))
    return list(dict.fromkeys(made))


def dataset(several: Sequence[Case]) -> Files:
    files: Files = {}
    for form in FORMATS:
        pictures = [
            (f"p{number}", boxes_of(case)) for number, case in enumerate(several) if case.form == form
        ]
        if pictures:
            files |= written(form, pictures)
    for number, case in enumerate(several):
        folder = {"yolo": "yolo/images"}.get(case.form, case.form)
        path, data = f"{folder}/p{number}.jpg", drawn(number)
        if case.fault == "cut off":
            data = data[: len(data) // 2]
        elif case.fault == "no picture":
            data = b"not found"
        elif case.fault == "twice":
            # The same boxes in another format: nothing is doubled.
            files[f"more/{number}.json"] = coco([(f"p{number}", boxes_of(case))], ["cat", "dog"], SIZE)
        if case.fault != "missing":
            files[path] = data
    return files


def picture_of(defect: Defect) -> int | None:
    named = re.search(r"\bp(\d+)\b", f"{defect.place} {defect.message}")
    return int(named[1]) if named else None


@examples(60)
@given(st.lists(cases, min_size=1, max_size=6))
def test_no_label_is_lost_or_doubled(memory_source: Source, several: list[Case]) -> None:
    report = check(memory_source(dataset(several)))
    total = sum(len(boxes_of(case)) for case in several)
    single = sum(
        defect.count
        for defect in report.defects
        if KINDS[defect.code].cost == "box" or defect.code == "box.duplicate"
    )
    lost = {
        number
        for defect in report.defects
        if KINDS[defect.code].cost == "picture" and defect.code != "image.no-usable-box"
        for number in [picture_of(defect)]
    }
    in_lost = sum(len(boxes_of(several[number])) for number in lost if number is not None)
    assert total == report.boxes + single + in_lost
    faulty = {
        number for number, case in enumerate(several) if case.fault in ("missing", "cut off", "no picture")
    }
    # A picture without boxes is not opened, so nobody finds out that it is damaged.
    assert {number for number in faulty if boxes_of(several[number])} <= lost <= faulty
    wrong = Counter(
        CODES[kind] for case in several if case.fault == "none" for kind, _ in case.boxes if kind in CODES
    )
    found = Counter(defect.code for defect in report.defects for _ in range(defect.count))
    assert {code: found[code] for code in CODES.values()} == {code: wrong[code] for code in CODES.values()}


@examples(30)
@given(
    st.lists(cases.filter(lambda case: case.fault == "none"), min_size=1, max_size=3),
    st.lists(st.sampled_from(FORMATS), min_size=2, max_size=3, unique=True),
)
def test_several_formats_say_the_same_once(
    memory_source: Source, several: list[Case], forms: list[str]
) -> None:
    """Every picture is described in every format: the boxes count once, and one warning says so."""
    pictures = [(f"p{number}", boxes_of(case)) for number, case in enumerate(several)]
    files: Files = {f"{name}.jpg": drawn(number) for number, (name, _) in enumerate(pictures)}
    for form in forms:
        files |= written(form, pictures)
    pairs = files.items()
    alone = check(memory_source({at: data for at, data in pairs if forms[0] in at or at.endswith(".jpg")}))
    report = check(memory_source(files))
    assert report.boxes == alone.boxes
    codes = Counter(defect.code for defect in report.defects)
    assert codes["labels.repeated"] == sum(bool(case.boxes) for case in several)
    assert not codes["labels.conflict"]


# Nothing held out is trained on; class ids keep their meaning


class Used(NamedTuple):
    """What one check decided."""

    classes: list[str]
    splits: dict[str, Split]
    held_out: list[HeldOutImage]
    digests: list[bytes]


def examined(memory_source: Source, files: Files, earlier: Earlier) -> Used:
    found = survey(memory_source(files), earlier)
    examination = Examination(found, say_nothing, check_only(found))
    splits: dict[str, Split] = {}
    held, digests = [], []
    for photo, split in examination.photos():
        path = photo.plan.labels.image
        splits[path] = split
        digests.append(photo.digest)
        if split != "train":
            held.append(HeldOutImage(path, photo.plan.group, photo.digest, split))
    return Used(found.classes, splits, held, digests)


FOLDERS = ("", "train", "valid", "test", "more")
edits = st.tuples(
    st.sampled_from(("add", "add", "remove", "rename", "move", "copy", "augment", "relabel", "redraw")),
    st.integers(0, 30),
    st.sampled_from(FOLDERS),
    st.sampled_from(("dog", "cat", "cow", "yak")),
)


class Dataset:
    """A growing and changing dataset: pictures by path, each with a VOC file beside it."""

    def __init__(self) -> None:
        self.pictures: dict[str, tuple[int, str]] = {}
        self._made = 0

    def edit(self, what: str, which: int, folder: str, label: str) -> None:
        paths = sorted(self.pictures)
        path = paths[which % len(paths)] if paths else ""
        self._made += 1
        to = f"{folder}/" if folder else ""
        if what == "add" or not path:
            self.pictures[f"{to}n{self._made}.jpg"] = self._made, label
        elif what == "remove":
            del self.pictures[path]
        elif what == "rename":
            self.pictures[f"{path.rpartition('/')[0] or 'x'}/r{self._made}.jpg"] = self.pictures.pop(path)
        elif what == "move":
            self.pictures[to + path.rpartition("/")[2]] = self.pictures.pop(path)
        elif what == "copy":
            self.pictures[f"{to}c{self._made}.jpg"] = self.pictures[path]
        elif what == "augment":
            name = path.rpartition("/")[2].partition(".")[0]
            self.pictures[f"{to}{name}.rf.{self._made:032x}.jpg"] = self._made, label
        elif what == "relabel":
            self.pictures[path] = self.pictures[path][0], label
        else:
            self.pictures[path] = self._made, label

    def files(self) -> Files:
        files: Files = {}
        for path, (seed, label) in self.pictures.items():
            files[path] = drawn(seed)
            files[f"{path[:-4]}.xml"] = voc(path.rpartition("/")[2][:-4], [Written(label, 2, 3, 12, 13)])
        return files


# Of few pictures one is held out that would not be among many: it is drawn anew while many are added.
@example([""] * 3, [[("redraw", at, "", "dog") for at in range(3)] + [("add", 0, "", "dog")] * 12])
@examples(60)
@given(
    st.lists(st.sampled_from(FOLDERS), min_size=3, max_size=8),
    st.lists(st.lists(edits, min_size=1, max_size=4), max_size=4),
)
def test_nothing_held_out_is_ever_trained_on(
    memory_source: Source, folders: list[str], uploads: list[list[tuple[str, int, str, str]]]
) -> None:
    changing = Dataset()
    for folder in folders:
        changing.edit("add", 0, folder, "dog")
    before = examined(memory_source, changing.files(), Earlier())
    for upload in uploads:
        for edit in upload:
            changing.edit(*edit)
        now = examined(memory_source, changing.files(), Earlier(tuple(before.classes), iter(before.held_out)))
        held = {one.path for one in before.held_out}, {one.digest for one in before.held_out}
        trained = {path for path, split in now.splits.items() if split == "train"}
        assert not trained & held[0]
        of_path = dict(zip(now.splits, now.digests, strict=True))
        assert not {of_path[path] for path in trained} & held[1]
        assert len(set(now.digests)) == len(now.digests)
        assert now.classes[: len(before.classes)] == before.classes
        before = now


@examples(40)
@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(("x", "y", "x/z"))), min_size=3, max_size=8)
)
def test_copies_and_duplicates_are_in_one_split(
    memory_source: Source, several: list[tuple[str, str]]
) -> None:
    """Roboflow's copies of few photos, anywhere, and every picture is there twice under different names."""
    files: Files = {}
    for number, (photo, folder) in enumerate(several):
        bare = f"{folder}/{photo}_jpg.rf.{number:032x}"
        files[f"{bare}.jpg"] = drawn(number // 2)
        files[f"{bare}.xml"] = voc(bare.rpartition("/")[2], [Written("dog", 2, 3, 12, 13)])
    used = examined(memory_source, files, Earlier())
    for photo in "abcd":
        assert len({split for path, split in used.splits.items() if photo_of(path) == f"{photo}_jpg"}) <= 1
    assert len(set(used.digests)) == len(used.digests) == (len(several) + 1) // 2


# A box stays where it is on its picture


@examples(60)
@given(
    form=st.sampled_from(("voc", "coco", "coco, stored", "yolo")),
    orientation=st.integers(1, 8),
    corners=st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(24, 44)] * 2),
    edge=st.integers(8, 50),
)
def test_a_box_stays_where_it_is(
    memory_source: Source, form: str, orientation: int, corners: tuple[int, int, int, int], edge: int
) -> None:
    """Whatever the camera's rotation, the part outside and the size in which the picture is packed."""
    shown = (HEIGHT, WIDTH) if orientation >= 5 else (WIDTH, HEIGHT)
    box = Edges(*corners).clipped(shown[0] + 3, shown[1] + 3)
    size, drawn_box = shown, Written("dog", *box)
    if form == "coco, stored" and orientation >= 5:
        # The inverse of a turn: 6 and 8 undo each other, the others undo themselves.
        back = {6: 8, 8: 6}.get(orientation, orientation)
        size, drawn_box = (WIDTH, HEIGHT), Written("dog", *box.turned(back, *shown))
    files: Files = {"p.jpg": drawn(0, orientation)}
    if form == "voc":
        files["p.xml"] = voc("p", [drawn_box], size)
    elif form == "yolo":
        files |= {"p.txt": yolo_row(0, drawn_box, size).encode(), "data.yaml": b"names: [dog]\n"}
    else:
        files["all.json"] = coco([("p", [drawn_box])], ["dog"], size)
    found = survey(memory_source(files), Earlier())
    (plan,) = found.plan()
    photo = inspect(plan, files["p.jpg"], Treatment({"dog": 0}, edge, 90, True, frozenset()))
    assert (photo.width, photo.height) == shown
    expected = box.clipped(*shown).relative(*shown)
    ((_, packed),) = label_boxes(photo.label, 1, 1)
    assert packed == pytest.approx(expected, abs=1e-6)
    assert label_boxes(mirrored_label(photo.label), 1, 1)[0][1] == pytest.approx(
        expected.mirrored(), abs=1e-6
    )


@pytest.mark.parametrize("form", FORMATS)
def test_the_formats_of_these_laws_are_read_whole(memory_source: Source, form: str) -> None:
    boxes = [Written("dog", 2, 3, 12, 13), Written("cat", 20, 8, 33, 30)]
    files = written(form, [("p0", boxes), ("p1", boxes[:1]), ("p2", [])])
    report = check(memory_source(files | {f"p{number}.jpg": drawn(number) for number in range(3)}))
    assert report.formats == [form]
    assert report.classes == {"dog": 2, "cat": 1}
    expected = {"p0.jpg": boxes, "p1.jpg": boxes[:1]}
    for one in report.pictured:
        corners = [(box.edges.x0, box.edges.y0, box.edges.x1, box.edges.y1) for box in one.boxes]
        assert corners == [pytest.approx(box[1:]) for box in expected[one.path]]
