"""The law of packing again: after any edits, everything is as in a full pack."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dataprep_job import check, packing, prepare, recalled
from dataprep_job.file_source import FolderSource
from dataprep_job.kept_reading import READING
from dataprep_job.packed_index import INDEX
from dataprep_job.progress import say_nothing
from dataprep_job.recordio import records, unpack_image
from dataprep_job.storage import FolderStorage

Box = tuple[str, float, float, float, float]
WIDTH, HEIGHT = 40, 32
TURNED = b"\xff\xe1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
"""An EXIF segment that says: orientation 6."""


@dataclass(frozen=True)
class Picture:
    seed: int
    boxes: tuple[Box, ...]
    is_turned: bool = False
    is_damaged: bool = False
    is_held_out: bool = False

    def jpeg(self) -> bytes:
        pixels = np.random.default_rng(self.seed).integers(0, 255, (4, 5, 3), np.uint8)
        pixels = cv2.resize(pixels, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        data: bytes = cv2.imencode(".jpg", pixels)[1].tobytes()
        if self.is_turned:
            data = data[:2] + TURNED + data[2:]
        return data[:90] if self.is_damaged else data


@dataclass
class Dataset:
    """Pictures by name, and how their labels are written."""

    form: str
    pictures: dict[str, Picture]
    yaml: dict[str, Any] = field(default_factory=dict)

    def files(self) -> dict[str, bytes]:
        found = {f"images/{name}.jpg": one.jpeg() for name, one in self.pictures.items()}
        classes = sorted({box[0] for one in self.pictures.values() for box in one.boxes}, reverse=True)
        labels = self._coco(classes) if self.form == "coco" else self._yolo(classes)
        settings_ = {"images": {"resize": 24}, **self.yaml}
        return found | labels | {"nestbox.yaml": json.dumps(settings_).encode()}

    def _coco(self, classes: list[str]) -> dict[str, bytes]:
        """Sizes are declared for every other picture."""
        names = list(self.pictures)
        images = [
            {"id": number, "file_name": f"{name}.jpg"}
            | ({"width": WIDTH, "height": HEIGHT} if self.pictures[name].seed % 2 else {})
            for number, name in enumerate(names)
        ]
        boxes = [
            {
                "image_id": number,
                "category_id": classes.index(label),
                "bbox": [x, y, w, h],
                "iscrowd": 0,
            }
            for number, name in enumerate(names)
            for label, x, y, w, h in self.pictures[name].boxes
        ]
        document = {
            "images": images,
            "annotations": [{"id": number, **box} for number, box in enumerate(boxes)],
            "categories": [{"id": number, "name": label} for number, label in enumerate(classes)],
        }
        return {"instances.json": json.dumps(document).encode()}

    def _yolo(self, classes: list[str]) -> dict[str, bytes]:
        """Shares of the picture, and lists that name the splits."""
        found = {
            f"labels/{name}.txt": "".join(
                f"{classes.index(label)} {(x + w / 2) / WIDTH} {(y + h / 2) / HEIGHT} "
                f"{w / WIDTH} {h / HEIGHT}\n"
                for label, x, y, w, h in one.boxes
            ).encode()
            for name, one in self.pictures.items()
        }
        for split, is_held_out in (("train", False), ("val", True)):
            listed = [name for name, one in self.pictures.items() if one.is_held_out == is_held_out]
            found[f"{split}.txt"] = "".join(f"images/{name}.jpg\n" for name in listed).encode()
        description = {"train": "train.txt", "val": "val.txt", "names": classes}
        return found | {"data.yaml": json.dumps(description).encode()}


def bring_up_to_date(root: Path, files: dict[str, bytes]) -> None:
    """Write what has changed, and nothing else."""
    for path in [path for path in root.rglob("*") if path.is_file()]:
        if str(path.relative_to(root)) not in files:
            path.unlink()
    for name, data in files.items():
        path = root / name
        if not path.exists() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


boxes = st.tuples(
    st.sampled_from(["cat", "dog"]),
    st.integers(0, 15).map(float),
    st.sampled_from([0.0, 2.5, 7.0, -1.0, -20.0]),
    st.sampled_from([4.0, 8.25, 24.0, 0.0]),
    st.sampled_from([5.0, 12.0]),
)
pictures = st.builds(
    Picture,
    st.integers(0, 1 << 20),
    st.lists(boxes, min_size=1, max_size=3).map(tuple),
    st.sampled_from([False, False, False, True]),
    is_held_out=st.booleans(),
)
sound = st.integers(0, 1 << 20).map(lambda seed: Picture(seed, (("cat", 3.0, 4.0, 9.0, 10.0),)))
datasets = st.builds(
    Dataset,
    st.sampled_from(["coco", "yolo"]),
    st.lists(sound | sound | pictures, min_size=12, max_size=20).map(
        lambda found: {f"p{number:02}": one for number, one in enumerate(found)}
    ),
)
EDITS = (
    *("replace", "relabel", "rename class", "add box", "delete", "add", "copy", "damage", "move"),
    *("touch", "ignore", "no flip", "other share", "other quality", "back under another name"),
)
edits = st.lists(st.tuples(st.sampled_from(EDITS), st.integers(0, 19), pictures), min_size=0, max_size=5)


def edited(before: Dataset, edit: str, number: int, fresh: Picture, root: Path) -> Dataset:
    found = dict(before.pictures)
    name = sorted(found)[number % len(found)]
    one = found[name]
    yaml: dict[str, Any] = dict(before.yaml)
    label, x, y, w, h = one.boxes[0]
    match edit:
        case "replace":
            found[name] = replace(one, seed=fresh.seed)
        case "relabel":
            found[name] = replace(one, boxes=((label, x + 1, y, w, h), *one.boxes[1:]))
        case "rename class":
            found[name] = replace(one, boxes=(("ant", x, y, w, h), *one.boxes[1:]))
        case "add box":
            found[name] = replace(one, boxes=(*one.boxes, fresh.boxes[0]))
        case "delete" if len(found) > 6:
            del found[name]
        case "add":
            found[f"n{number:02}"] = fresh
        case "copy":
            found[f"a{number:02}"] = one
        case "damage":
            found[name] = replace(one, is_damaged=True)
        case "move":
            found[name] = replace(one, is_held_out=not one.is_held_out)
        case "touch":
            (root / f"images/{name}.jpg").touch()
        case "ignore":
            yaml["classes"] = {"ignore": ["dog"], "rename": {"cat": "lynx"}}
        case "no flip":
            yaml["images"] = {"resize": 24, "flip": False}
        case "other share":
            yaml["split"] = {"validation": 0.4}
        case "other quality":
            yaml["images"] = {"resize": 24, "quality": 80}
        case "back under another name":
            found[f"z{name}"] = found.pop(name)
    return Dataset(before.form, found, yaml)


def pack(source: Path, out: Path, previous: Path | None = None, *, checksums: bool = False) -> None:
    earlier = FolderStorage(previous) if previous else None
    judging = FolderStorage(out.with_name("judging"))
    source_files, output = FolderSource(source), FolderStorage(out)
    order = prepare.Order("run", "pets", source_files, output, earlier, checksums, judging=judging)
    prepare.prepare(order, say_nothing)


def pictures_judged_on(out: Path) -> set[bytes]:
    """What the manifest names."""
    first, *names = json.loads((out / "judging.manifest").read_bytes())
    return {Path(first["prefix"], name).read_bytes() for name in names}


def packed_to_judge(out: Path) -> set[bytes]:
    """The pictures of the split that judges, as they are packed."""
    files = [out / f"channels/{split}/{split}.rec" for split in ("test", "validation")]
    file = next((file for file in files if file.exists()), None)
    payloads = () if file is None else (payload for _, payload in records(file.read_bytes()))
    return {unpack_image(payload)[2] for payload in payloads}


def contents(out: Path) -> dict[str, Any]:
    """Everything that was written, but for timings and the comparison with the previous preparation."""
    found: dict[str, Any] = {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != "report.html"
    }
    for name in ("report.json", "summary.json"):
        document = json.loads(found[name])
        found[name] = {key: value for key, value in document.items() if key not in ("changes", "seconds")}
    return found


@contextmanager
def small_numbers() -> Iterator[None]:
    """Blocks, batches and samples so small that these datasets have several of each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "BLOCK", 4)
        patch.setattr(recalled, "_TOGETHER", 5)
        patch.setattr(check, "PICTURED", 2)
        yield


SOUND = {f"p{number:02}": Picture(number, (("cat", 3.0, 4.0, 9.0, 10.0),)) for number in range(16)}

PAIRS = {
    name: replace(one, boxes=(("cat", 3.0, 4.0, 9.0, 10.0), ("cat", 4.0, 4.0, 9.0, 10.0)))
    for name, one in SOUND.items()
}
"""Moved by a pixel, the first box repeats the second, and is left out."""

EDGES = {name: replace(one, boxes=(("cat", 30.5, 4.0, 9.0, 10.0),)) for name, one in SOUND.items()}
"""Moved by a pixel, the box sticks out by half a pixel and is clipped."""
OTHER = Picture(0, (("dog", 1.0, 1.0, 8.0, 8.0),))


@given(datasets, edits, st.booleans())
@example(Dataset("coco", SOUND), [], False)
@example(Dataset("coco", SOUND), [("relabel", number, SOUND["p00"]) for number in range(16)], False)
@example(Dataset("coco", PAIRS), [("relabel", number, SOUND["p00"]) for number in (1, 5, 9, 12)], False)
@example(Dataset("coco", EDGES), [("relabel", number, SOUND["p00"]) for number in (1, 5, 9, 12)], False)
@example(Dataset("coco", SOUND), [("add box", number, OTHER) for number in (1, 5, 9, 12)], False)
@example(Dataset("yolo", SOUND), [("copy", 3, SOUND["p00"]), ("add box", 9, SOUND["p00"])], True)
@settings(max_examples=25, deadline=None, derandomize=True, database=None)
def test_packing_again_after_any_edits_gives_the_bytes_of_a_full_pack(
    dataset: Dataset, changes: list[tuple[str, int, Picture]], checksums: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder, small_numbers():
        root = Path(folder)
        bring_up_to_date(root / "pets", dataset.files())
        pack(root / "pets", root / "first", checksums=checksums)
        for edit, number, fresh in changes:
            dataset = edited(dataset, edit, number, fresh, root / "pets")
        bring_up_to_date(root / "pets", dataset.files())
        pack(root / "pets", root / "again", root / "first", checksums=checksums)
        # What was decided once holds in both; nothing else is taken over here.
        for name in (INDEX, READING):
            (root / "first" / name).unlink(missing_ok=True)
        (root / "first/trained_before.jsonl").unlink()
        (root / "again/trained_before.jsonl").unlink()
        pack(root / "pets", root / "full", root / "first", checksums=checksums)
        (root / "full/trained_before.jsonl").unlink()
        assert contents(root / "again") == contents(root / "full")
        if json.loads((root / "again/summary.json").read_bytes())["outcome"] == "READY":
            assert pictures_judged_on(root / "again") == packed_to_judge(root / "again")


def test_what_has_not_changed_is_neither_read_nor_recalled_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = Dataset("coco", SOUND)
    bring_up_to_date(tmp_path / "pets", dataset.files())
    with small_numbers():
        pack(tmp_path / "pets", tmp_path / "first")
        opened: list[str] = []
        one_by_one: list[str] = []
        recall, open_ = recalled.recall, FolderSource.open
        monkeypatch.setattr(
            recalled,
            "recall",
            lambda plan, *rest: (one_by_one.append(plan.file.path), recall(plan, *rest))[1],
        )
        monkeypatch.setattr(
            FolderSource, "open", lambda self, file: (opened.append(file.path), open_(self, file))[1]
        )
        monkeypatch.setattr(FolderSource, "read", FolderSource.open)
        pack(tmp_path / "pets", tmp_path / "again", tmp_path / "first")
    assert opened == []
    assert len(one_by_one) == 2  # those that the report shows
    assert contents(tmp_path / "again") == contents(tmp_path / "first")


@pytest.mark.parametrize("damage", ["missing", "garbage", "another key", "cut off"])
def test_a_kept_reading_that_cannot_be_used_costs_time_and_nothing_else(tmp_path: Path, damage: str) -> None:
    import sqlite3
    from contextlib import closing

    bring_up_to_date(tmp_path / "pets", Dataset("yolo", SOUND).files())
    pack(tmp_path / "pets", tmp_path / "first")
    kept = tmp_path / "first" / READING
    whole = kept.read_bytes()
    if damage == "missing":
        kept.unlink()
    elif damage == "garbage":
        kept.write_bytes(b"no database" * 1000)
    elif damage == "cut off":
        kept.write_bytes(whole[: len(whole) // 2])
    else:
        with closing(sqlite3.connect(kept)) as database, database:
            database.execute("UPDATE keys SET key = 'another'")
            database.execute("DELETE FROM records")
    pack(tmp_path / "pets", tmp_path / "again", tmp_path / "first")
    assert (tmp_path / "again" / READING).read_bytes() == whole
    without = {name: data for name, data in contents(tmp_path / "again").items() if name != READING}
    assert without == {name: data for name, data in contents(tmp_path / "first").items() if name != READING}
