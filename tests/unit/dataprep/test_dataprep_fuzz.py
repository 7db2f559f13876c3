"""Every reader against damaged, mixed up and hostile files: none raises, hangs, or reads anything else."""

from __future__ import annotations

import contextlib
import functools
import json
import random
import re
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dataprep_job.annotation_formats import FORMAT_TITLES
from dataprep_job.catalogue import Catalogue
from dataprep_job.dataset_files import DatasetFiles
from dataprep_job.defects import DefectLog
from dataprep_job.file_source import FileSource, FolderSource
from dataprep_job.labels import LabelledImage
from dataprep_job.readers import READERS

Files = dict[str, bytes]
Mutation = Callable[[random.Random, bytes], bytes]

CASES = 40
"""Mixed up datasets a sample."""

SECONDS = 5.0
"""One case takes some milliseconds; this only tells hanging from working on a busy machine."""

MEMORY = 24 << 20
"""Samples are a few kilobytes; a mutation makes them a hundred or two of them."""

MESSAGE = 2000

PICTURES = {f"images/p{number}.jpg": b"\xff\xd8\xff\xe0" for number in (1, 2, 3)}


def beside(folder: str) -> Files:
    return {f"{folder}/p{number}.jpg": b"\xff\xd8\xff\xe0" for number in (1, 2, 3)}


def as_json(value: Any) -> bytes:
    return json.dumps(value, indent=1).encode()


VOC = b"""<annotation>
 <folder>images</folder><filename>p%d.jpg</filename>
 <size><width>100</width><height>80</height><depth>3</depth></size>
 <object><name>cat</name><difficult>0</difficult>
  <bndbox><xmin>11</xmin><ymin>21</ymin><xmax>60</xmax><ymax>70</ymax></bndbox></object>
 <object><name>dog</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object>
</annotation>
"""

COCO = {
    "info": {"year": 2026},
    "images": [{"id": n, "file_name": f"p{n}.jpg", "width": 100, "height": 80} for n in (1, 2, 3)],
    "categories": [{"id": 1, "name": "cat", "supercategory": "pet"}, {"id": 7, "name": "dog"}],
    "annotations": [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "bbox": [10, 20.5, "30.0", 40],
            "area": 1200,
            "iscrowd": 0,
        },
        {
            "id": 2,
            "image_id": 2,
            "category_id": 7,
            "bbox": [1, 2, 3, 4],
            "segmentation": [[1, 2, 4, 2, 4, 6]],
        },
        {
            "id": 3,
            "image_id": 2,
            "category_id": 7,
            "iscrowd": 1,
            "segmentation": {"counts": "aa", "size": [80, 100]},
        },
    ],
}

GROUND_TRUTH = b"".join(
    json.dumps(
        {
            "source-ref": f"s3://bucket/images/p{number}.jpg",
            "pets": {
                "image_size": [{"width": 100, "height": 80, "depth": 3}],
                "annotations": [{"class_id": 0, "left": 10, "top": 20, "width": 30, "height": 40}],
            },
            "pets-metadata": {
                "class-map": {"0": "cat"},
                "objects": [{"confidence": 0.9}],
                "type": "groundtruth/object-detection",
                "human-annotated": "yes",
                "creation-date": "2026-01-01T00:00:00",
                "job-name": "pets",
            },
        }
    ).encode()
    + b"\n"
    for number in (1, 2, 3)
)

CVAT_IMAGES = b"""<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
 <meta><task><name>t</name><labels><label><name>cat</name></label><label><name>dog</name></label></labels></task></meta>
 <image id="0" name="p1.jpg" width="100" height="80" subset="train">
  <box label="cat" occluded="0" xtl="10.5" ytl="20" xbr="40" ybr="60" z_order="0" source="manual"></box>
  <polygon label="dog" points="1,2;30,2;30,40" z_order="0"></polygon>
 </image>
 <image id="1" name="images/p2.jpg" width="100" height="80">
  <box label="dog" xtl="1" ytl="2" xbr="3" ybr="4" rotation="30"><attribute name="a">x</attribute></box>
 </image>
 <image id="2" name="p3.jpg" width="100" height="80"></image>
</annotations>
"""

CVAT_VIDEO = b"""<annotations><version>1.1</version>
 <meta><task><size>3</size><mode>interpolation</mode><labels><label><name>cat</name></label></labels>
  <original_size><width>100</width><height>80</height></original_size></task></meta>
 <track id="0" label="cat">
  <box frame="0" outside="0" keyframe="1" xtl="1" ytl="2" xbr="30" ybr="40"></box>
  <box frame="1" outside="1" keyframe="1" xtl="1" ytl="2" xbr="30" ybr="40"></box>
 </track>
</annotations>
"""

PERCENT = {"x": 10.0, "y": 20.0, "width": 30.0, "height": 40.0, "rotation": 0}

LABEL_STUDIO = [
    {
        "id": number,
        "data": {"image": f"/data/upload/3/1a2b3c4d-p{number}.jpg"},
        "file_upload": f"1a2b3c4d-p{number}.jpg",
        "annotations": [
            {
                "id": 1,
                "was_cancelled": False,
                "result": [
                    {
                        "type": "rectanglelabels",
                        "original_width": 100,
                        "original_height": 80,
                        "image_rotation": 0,
                        "value": {
                            **PERCENT,
                            "rectanglelabels": ["cat"],
                        },
                    }
                ],
            }
        ],
        "predictions": [],
        "drafts": [],
    }
    for number in (1, 2, 3)
]

LABEL_STUDIO_MIN = [
    {
        "image": f"/data/upload/3/1a2b3c4d-p{number}.jpg",
        "id": number,
        "label": [
            {
                **PERCENT,
                "rectanglelabels": ["dog"],
                "original_width": 100,
                "original_height": 80,
            }
        ],
        "annotator": 1,
        "annotation_id": 5,
    }
    for number in (1, 2, 3)
]


def labelme(number: int) -> bytes:
    return as_json(
        {
            "version": "5.4.1",
            "flags": {},
            "shapes": [
                {
                    "label": "cat",
                    "points": [[60.5, 70], [10, 20]],
                    "shape_type": "rectangle",
                    "group_id": None,
                },
                {"label": "dog", "points": [[1, 2], [30, 2], [30, 40]], "shape_type": "polygon", "flags": {}},
            ],
            "imagePath": f"..\\images\\p{number}.jpg",
            "imageData": None,
            "imageHeight": 80,
            "imageWidth": 100,
        }
    )


def sagemaker(number: int) -> bytes:
    return as_json(
        {
            "file": f"p{number}.jpg",
            "image_size": [{"width": 100, "height": 80, "depth": 3}],
            "annotations": [{"class_id": 0, "left": 10, "top": 20, "width": 30, "height": 40}],
            "categories": [{"class_id": 0, "name": "cat"}, {"class_id": 1, "name": "dog"}],
        }
    )


def createml(number: int) -> dict[str, Any]:
    coordinates = {"x": 50, "y": 40, "width": 20.5, "height": 10}
    return {"image": f"p{number}.jpg", "annotations": [{"label": "cat", "coordinates": coordinates}]}


OPEN_IMAGES_HEADER = (
    b"ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,"
    b"IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n"
)

SAMPLES: dict[str, tuple[str, Files]] = {
    "cub": (
        "cub",
        PICTURES
        | {
            "images.txt": b"1 p1.jpg\n2 p2.jpg\n3 p3.jpg\n",
            "bounding_boxes.txt": b"1 10.0 20.0 30.0 40.0\n2 1.0 2.0 3.0 4.0\n3 5.0 6.0 7.0 8.0\n",
            "image_class_labels.txt": b"1 1\n2 2\n3 1\n",
            "classes.txt": b"1 001.Cat\n2 002.Dog\n",
            "train_test_split.txt": b"1 1\n2 0\n3 1\n",
            "sizes.txt": b"1 100 80\n2 100 80\n3 100 80\n",
        },
    ),
    "coco": ("coco", PICTURES | {"annotations/instances_train.json": as_json(COCO)}),
    "voc": (
        "voc",
        PICTURES
        | {f"Annotations/p{number}.xml": VOC % number for number in (1, 2, 3)}
        | {"ImageSets/Main/train.txt": b"p1\np2\n", "ImageSets/Main/val.txt": b"p3\n"},
    ),
    "yolo": (
        "yolo",
        beside("images/train")
        | beside("images/val")
        | {
            "data.yaml": b"path: .\ntrain: images/train\nval: ../images/val\nnc: 2\n"
            b"names:\n  0: cat\n  1: dog\n",
            "labels/train/p1.txt": b"0 0.5 0.5 0.2 0.2\n1 0.1 0.1 0.1 0.1\n",
            "labels/train/p2.txt": b"1 0.5 0.5 0.2 0.2 0.9\n0 0.1 0.1 0.4 0.1 0.4 0.4\n",
            "labels/train/p3.txt": b"",
            "labels/val/p1.txt": b"0 0.5 0.5 1.000001 0.2\n",
            "classes.txt": b"cat\ndog\n",
        },
    ),
    "darknet": (
        "yolo",
        beside("data")
        | {
            "data/p1.txt": b"0 0.5 0.5 0.2 0.2\n",
            "data/p2.txt": b"1 0.5 0.5 0.2 0.2\n",
            "data/p3.txt": b"0 0,5 0,5 0,2 0,2\n",
            "obj.names": b"cat\ndog\n",
            "obj.data": b"classes = 2\ntrain = train.txt\nvalid = test.txt\nnames = obj.names\nbackup = b/\n",
            "train.txt": b"data/p1.jpg\ndata/p2.jpg\n",
            "test.txt": b"data/p3.jpg\n",
        },
    ),
    "ground-truth": ("ground-truth", PICTURES | {"output.manifest": GROUND_TRUTH}),
    "cvat": ("cvat", PICTURES | {"annotations.xml": CVAT_IMAGES}),
    "cvat-video": (
        "cvat",
        {f"images/frame_{number:06}.jpg": b"" for number in range(3)} | {"annotations.xml": CVAT_VIDEO},
    ),
    "label-studio": ("label-studio", PICTURES | {"export.json": as_json(LABEL_STUDIO)}),
    "label-studio-min": ("label-studio", PICTURES | {"export.json": as_json(LABEL_STUDIO_MIN)}),
    "labelme": ("labelme", PICTURES | {f"json/p{number}.json": labelme(number) for number in (1, 2, 3)}),
    "sagemaker": (
        "sagemaker",
        beside("train") | {f"train_annotation/p{number}.json": sagemaker(number) for number in (1, 2, 3)},
    ),
    "lst": (
        "lst",
        PICTURES
        | {
            "train.lst": b"0\t2\t5\t0\t0.1\t0.2\t0.5\t0.6\t1\t0\t0\t0.5\t0.5\timages/p1.jpg\n"
            b"1\t2\t5\t1\t0.1\t0.2\t0.5\t0.6\timages/p2.jpg\n",
            "val.lst": b"2\t4\t5\t100\t80\t0\t0.1\t0.2\t0.5\t0.6\timages/p3.jpg\n",
            "classes.txt": b"cat\ndog\n",
        },
    ),
    "openimages": (
        "openimages",
        PICTURES
        | {
            "train-annotations-bbox.csv": OPEN_IMAGES_HEADER
            + b"p1,xclick,/m/01yrx,1,0.1,0.5,0.2,0.6,0,0,0,0,0\n"
            + b'p2,xclick,/m/0bt9lr,,"0,1","0,5","0,2","0,6",0,0,0,0,0\n',
            "class-descriptions-boxable.csv": b"/m/01yrx,Cat\n/m/0bt9lr,Dog\n",
        },
    ),
    "tfod": (
        "csv",
        PICTURES
        | {
            "train_labels.csv": b"filename,width,height,class,xmin,ymin,xmax,ymax\n"
            b"p1.jpg,100,80,cat,10,20,40,60\np2.jpg,100,80,dog,1,2,30,40\np2.jpg,100,80,cat,5,6,30,40\n"
        },
    ),
    "retinanet": (
        "csv",
        PICTURES
        | {
            "annotations.csv": b"images/p1.jpg,10,20,40,60,cat\nimages/p2.jpg,1,2,30,40,dog\n"
            b"images/p3.jpg,,,,,\n",
            "classes.csv": b"cat,0\ndog,1\n",
        },
    ),
    "automl": (
        "csv",
        PICTURES
        | {
            "automl.csv": b"TRAIN,gs://bucket/images/p1.jpg,cat,0.1,0.2,,,0.5,0.6,,\n"
            b"TEST,gs://bucket/images/p2.jpg,dog,0.1,0.2,0.5,0.2,0.5,0.6,0.1,0.6\n"
        },
    ),
    "createml": ("createml", PICTURES | {"_annotations.createml.json": as_json([createml(1), createml(2)])}),
}

EXTENSIONS = ("json", "xml", "txt", "csv", "yaml", "manifest", "lst", "names", "jsonl", "jpg")

PATHS = (
    *(
        "../../outside.jpg",
        "/etc/passwd",
        "C:\\pictures\\p1.jpg",
        "..\\..\\p1.jpg",
        "%2e%2e/%2e%2e/p1.jpg",
        ".",
        "..",
    ),
    *(
        "s3://bucket/../../p1.jpg",
        "file:///etc/passwd",
        "images/p1.jpg/../../..",
        "",
        "p1.jpg\0.png",
        "//",
        "{0}",
    ),
    *(
        "{subject}",
        "%s%n",
        "p" * 5000 + ".jpg",
        "../" * 2000 + "p1.jpg",
        "p1.JPG",
        "\uff501.jpg",
        "p1.jpg?x=" + "y" * 3000,
    ),
)

NUMBERS = (
    *(
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "-1e308",
        "1e308",
        "9" * 5000,
        "-1",
        "0",
        "1e-400",
        "1_0",
        "0x10",
    ),
    *(
        "",
        '""',
        "true",
        "null",
        "[]",
        "{}",
        "١٢",
        "1,5",
        "2147483648",
        "9223372036854775808",
        "99999999",
        "1.5.2",
        "+5",
    ),
)

VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        10**30,
        1e308,
        float("nan"),
        float("inf"),
        "",
        "x",
        "1e5",
        "nan",
        "\0",
        "\ud800",
        "a\nb",
    ),
    *(
        [],
        {},
        [[]],
        [None],
        [[1, 2], 3],
        {"x": {}},
        {"": None},
        ["a"] * 300,
        {str(n): n for n in range(300)},
        "w" * 4000,
    ),
    *PATHS,
)

HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "nul": b"\0" * 3000,
    "not-utf8": b"\xff\xfe\xfd\x80" * 500,
    "arrays": b"[" * 60_000,
    "objects": b'{"images":' * 30_000,
    "annotations": b'{"images": [' + b"[" * 30_000 + b"]" * 30_000 + b"]}",
    "elements": b"<annotation>" + b"<object>" * 20_000,
    "wide": b"<annotations>" + b"<image/>" * 800 + b"</annotations>",
    "entities": b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d SYSTEM "file:///etc/passwd">]>'
    b"<annotation><filename>&c;&d;</filename></annotation>",
    "yaml-bomb": b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(b"%c: &%c [%s]\n" % (n + 1, n + 1, b",".join([b"*%c" % n] * 9)) for n in range(97, 106))
    + b"names: *j\n",
    "yaml-deep": b"names: " + b"[" * 350,
    "yaml-tag": b"names: !!python/object/apply:os.system ['true']\nnc: !!int 1e9\ntrain: !!binary aaaa\n",
    "yaml-odd": b"names: {0: [a], b: {}, ? [1] : x, 1.5: y, true: z, -1: q}\n"
    b"nc: .inf\npath: 2026-01-01\ntrain: [1, {}]\n",
    "one-line": b"0 " * 100_000,
    "one-field": b'"' + b"a" * 200_000,
    "quotes": b'"\n' * 600,
    "commas": b"," * 16_000,
    "tabs": b"1\t2\t5\t" + b"0\t" * 8000 + b"images/p1.jpg\n",
    "many-lines": b"0 0.5 0.5 0.1 0.1\n" * 400,
    "classes": b"".join(b"%d %d\n" % (n, n) for n in range(700)),
    "manifest": b'{"source-ref": "p1.jpg", "a": 1, "a-metadata": {"type": "groundtruth/object-detection"}}\n'
    b'{"source-ref": 5}\n[]\n"x"\n{}\n{"source-ref": "p1.jpg", "a": {"annotations": {}}, "a-metadata": []}\n',
    "duplicate-keys": b'{"images": [], "images": {}, "annotations": 5, '
    b'"categories": [{"id": []}], "annotations": [[]]}',
    "half-character": b'[{"image": "\\ud800.jpg", "annotations": [{"label": "\\udfff"}]}]',
}


def flip(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def cut(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def drop(rng: random.Random, data: bytes) -> bytes:
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.randint(1, 40) :]


def repeat(rng: random.Random, data: bytes) -> bytes:
    start = rng.randrange(len(data))
    part = data[start : start + rng.randint(1, 200)]
    return data[:start] + part * rng.randint(1, 20) + data[start:]


def insert(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    nasty = (
        *(
            b"\0",
            b"\xff\xfe",
            b"\xc3\x28",
            b"\xef\xbb\xbf",
            b"\r",
            b"\n",
            b"\xe2\x80\xa8",
            b'"',
            b"'",
            b"<",
            b"&x;",
        ),
        *(
            b"]]>",
            b"-->",
            b"<![CDATA[",
            b"\\u0000",
            b"\\ud800",
            b"[" * 3000,
            b'{"a":' * 3000,
            b"<b>" * 3000,
            b"\t",
        ),
    )
    return data[:at] + rng.choice(nasty) + data[at:]


def swap_lines(rng: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    rng.shuffle(lines)
    return b"".join(lines[: rng.randint(1, len(lines))])


def recode(rng: random.Random, data: bytes) -> bytes:
    encoding = rng.choice(("utf-16", "utf-16-be", "utf-32", "utf-8-sig", "cp037", "utf-7"))
    return data.decode("latin-1").encode(encoding, "replace")


def change_number(rng: random.Random, data: bytes) -> bytes:
    return _replace(rng, data, rb"-?\d+(\.\d+)?", rng.choice(NUMBERS))


def change_path(rng: random.Random, data: bytes) -> bytes:
    return _replace(rng, data, rb"[\w/.\\-]+\.jpg", rng.choice(PATHS))


def change_word(rng: random.Random, data: bytes) -> bytes:
    words = re.findall(rb"\w+", data) or [b""]
    return _replace(rng, data, rb"\w+", rng.choice([*words, b"", b"x" * 3000, b"\xff"]))


def change_json(rng: random.Random, data: bytes) -> bytes:
    """Swap values of a JSON file, or of lines of one, for others of any type."""
    try:
        if b"\n{" in data:
            lines = data.splitlines()
            at = rng.randrange(len(lines))
            lines[at] = json.dumps(_swapped(rng, json.loads(lines[at]))).encode()
            return b"\n".join(lines)
        return json.dumps(_swapped(rng, json.loads(data))).encode()
    except ValueError:
        return change_word(rng, data)


MUTATIONS: tuple[Mutation, ...] = (
    *(flip, cut, drop, repeat, insert, swap_lines, recode),
    # These reach deeper than noise does.
    *(change_number, change_path, change_word, change_json) * 2,
)


def _replace(rng: random.Random, data: bytes, pattern: bytes, new: str | bytes) -> bytes:
    found = list(re.finditer(pattern, data))
    for match in sorted(rng.sample(found, min(len(found), rng.randint(1, 3))), key=lambda one: -one.start()):
        raw = new.encode(errors="surrogatepass") if isinstance(new, str) else new
        data = data[: match.start()] + raw + data[match.end() :]
    return data


def _swapped(rng: random.Random, value: Any) -> Any:
    places: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        keys: Iterable[Any] = (
            one if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ()
        )
        places += [(one, key) for key in keys]
        waiting += [one[key] for key in keys]
    for _ in range(rng.randint(1, 3) if places else 0):
        container, key = rng.choice(places)
        with contextlib.suppress(KeyError, IndexError):
            match rng.randrange(4):
                case 0 if isinstance(container, dict):
                    del container[key]
                case 1 if isinstance(container, list):
                    container.append(container[key])
                case 2:
                    other, place = rng.choice(places)
                    copied = json.loads(json.dumps(other[place]))
                    container[key] = copied
                case _:
                    container[key] = rng.choice(VALUES)
    return value


def mutated(sample: Files, rng: random.Random) -> Files:
    """A copy of a dataset in which one to four things are wrong."""
    files = dict(sample)
    labels = [path for path in sample if not path.endswith(".jpg")]
    others = [
        data for _, other in SAMPLES.values() for path, data in other.items() if not path.endswith(".jpg")
    ]
    for _ in range(rng.randint(1, 4)):
        path = rng.choice(labels)
        data = files.get(path, b"")
        match rng.randrange(14):
            case 0:
                files.pop(rng.choice(list(files)))
            case 1:
                files[path.rpartition(".")[0] + "." + rng.choice(EXTENSIONS)] = files.pop(path, b"")
            case 2:
                files["copy/" + path] = data
            case 3:
                other = rng.choice(others)
                at, other_at = rng.randrange(len(data) + 1), rng.randrange(len(other) + 1)
                files[path] = data[:at] + other[other_at:]
            case 4:
                files[path] = rng.randbytes(rng.randint(0, 2000))
            case _:
                files[path] = rng.choice(MUTATIONS)(rng, data) if data else b"\n"
        if not files:
            files = dict(sample)
    return files


class _Kept:
    """Findings that are checked and kept as they are in earnest."""

    def __init__(self, files: DatasetFiles, catalogue: Catalogue) -> None:
        self._files = files
        self._catalogue = catalogue
        self.formats: set[str] = set()
        self.images: list[LabelledImage] = []

    def recognise(self, name: str) -> None:
        assert name in FORMAT_TITLES
        self.formats.add(name)

    def add(self, image: LabelledImage) -> None:
        assert self._files.is_picture(image.image)
        assert image.format in FORMAT_TITLES
        assert image.split in (None, "train", "validation", "test")
        assert self._files.has(image.place.file)
        for box in image.boxes:
            assert type(box.name) is str
            assert all(type(edge) in (int, float) for edge in box.edges)
            assert self._files.has(box.place.file)
        if image.declared_size is not None:
            assert all(type(length) is int and length >= 0 for length in image.declared_size)
        self._catalogue.add_record(image)
        self.images.append(image)

    def lose(self, image: str | None) -> None:
        assert image is None or self._files.is_picture(image)
        self._catalogue.lose(image)

    def order_classes(self, names: Iterable[str]) -> None:
        assert all(type(name) is str for name in names)


def examine(source: FileSource) -> tuple[_Kept, DefectLog]:
    """Let every reader read a dataset, and hold what they say to what a reader may say."""
    log = DefectLog()
    catalogue = Catalogue()
    files = DatasetFiles(source, log, catalogue)
    kept = _Kept(files, catalogue)
    for reader in READERS:
        reader.read(files, log, kept)
    files.report_unclaimed(frozenset())
    log.settle()
    for defect in log.listed():
        assert defect.message.strip()
        assert len(defect.message) < MESSAGE, f"{defect.code}: {defect.message[:200]}…"
        assert defect.place.where is None or len(defect.place.where) < MESSAGE, defect.code
        json.dumps(defect.to_dict(), ensure_ascii=False).encode()
    return kept, log


def hold(source: FileSource, what: str, files: Files) -> None:
    """One case, with a description that lets it be repeated where it fails."""
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    start = time.perf_counter()
    try:
        examine(source)
    except Exception as error:
        labels = {path: data[:3000] for path, data in files.items() if not path.endswith(".jpg")}
        raise AssertionError(f"{what}: {error!r}\n{labels!r}") from error
    seconds = time.perf_counter() - start
    peak = tracemalloc.get_traced_memory()[1] - before
    assert seconds < SECONDS, f"{what}: {seconds:.1f} s"
    assert peak < MEMORY, f"{what}: {peak >> 20} MiB"


@pytest.fixture
def measured() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def test_every_format_has_a_sample() -> None:
    assert {form for form, _ in SAMPLES.values()} == set(FORMAT_TITLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_are_sound(memory_source: Any, name: str) -> None:
    form, files = SAMPLES[name]
    kept, log = examine(memory_source(files))
    assert kept.formats == {form}
    assert kept.images
    assert not [defect for defect in log.listed() if defect.severity == "error"]


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize("name", SAMPLES)
def test_mixed_up_datasets(memory_source: Any, name: str) -> None:
    for number in range(CASES):
        files = mutated(SAMPLES[name][1], random.Random(f"{name} {number}"))
        hold(memory_source(files), f"{name} {number}", files)


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files(memory_source: Any, kind: str) -> None:
    """Every annotation file of every sample in turn; files of one extension and place only once."""
    seen: set[tuple[str, str]] = set()
    for name, (form, sample) in SAMPLES.items():
        for path in sample:
            key = form, path.translate(str.maketrans("", "", "0123456789"))
            if path.endswith(".jpg") or key in seen:
                continue
            seen.add(key)
            files = sample | {path: HOSTILE[kind]}
            hold(memory_source(files), f"{kind} for {path} of {name}", files)


_watched: list[str] | None = None


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _watched is not None and event == "open" and isinstance(arguments[0], str | bytes | Path):
        _watched.append(str(arguments[0] if not isinstance(arguments[0], bytes) else arguments[0].decode()))


@functools.cache
def _begin_to_watch() -> None:
    """Once: an audit hook cannot be taken out again."""
    sys.addaudithook(_watch)


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """The path of everything that is opened, also from C; Python's own modules are left out."""
    global _watched
    _begin_to_watch()
    _watched = []
    yield _watched
    _watched = None


@pytest.mark.parametrize("name", SAMPLES)
def test_only_files_of_the_dataset_are_opened(tmp_path: Path, opened: list[str], name: str) -> None:
    (tmp_path / "outside.jpg").write_bytes(b"")
    for number in range(6):
        folder = tmp_path / str(number) / "dataset"
        folder.mkdir(parents=True)
        sample = mutated(SAMPLES[name][1], random.Random(f"{name} on disk {number}"))
        files = {path: change_path(random.Random(number), data) for path, data in sample.items()}
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        assert len(opened) >= len(files)
        opened.clear()
        examine(FolderSource(folder))
        foreign = [
            path
            for path in opened
            if not path.endswith((".py", ".pyc")) and not Path(path).is_relative_to(folder)
        ]
        assert not foreign
