"""Packing again, with a previous result or dealt out to slices, gives the bytes of a full preparation."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dataprep_job import packing, survey
from dataprep_job.__main__ import main
from dataprep_job.check import open_all
from dataprep_job.file_source import FolderSource
from dataprep_job.kept_reading import READING
from dataprep_job.packed_index import INDEX
from dataprep_job.prepare import Order, prepare
from dataprep_job.progress import say_nothing
from dataprep_job.recordio import records, unpack_image
from dataprep_job.storage import FolderStorage
from dataprep_job.trained_before import TRAINED_BEFORE

Drawn = Callable[..., dict[str, bytes]]
RUN = "pets-20261124120000-0a1b"
NEXT = "pets-20261125120000-2c3d"


def write(root: Path, files: dict[str, bytes]) -> Path:
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


def run(source: Path, out: Path, previous: Path | None = None, **choices: Any) -> None:
    order = Order(
        RUN,
        "pets",
        FolderSource(source),
        FolderStorage(out),
        FolderStorage(previous) if previous else None,
        **{"judging": FolderStorage(out.parent / "judging"), **choices},
    )
    prepare(order, say_nothing)


def without_payloads(previous: Path) -> Path:
    """The same result, from which no payload and no reading can be taken over."""
    copy = previous.with_name(f"{previous.name}-without-payloads")
    shutil.copytree(previous, copy)
    with closing(sqlite3.connect(copy / INDEX)) as index, index:
        index.execute("UPDATE about SET value = '{}' WHERE key = 'treatment'")
    (copy / READING).unlink()
    return copy


def contents(out: Path) -> dict[str, Any]:
    """Everything that a preparation wrote, but for timings and the comparison with the previous one."""
    found: dict[str, Any] = {}
    for path in sorted(out.rglob("*")):
        name = str(path.relative_to(out))
        if path.is_dir() or name == "report.html":
            continue
        found[name] = path.read_bytes()
    for name in ("report.json", "summary.json"):
        found[name] = json.loads(found[name])
        found[name].pop("changes", None)
        found[name].pop("seconds", None)
    return found


def changes(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "report.json").read_text())["changes"]
    return {
        kind: found[kind] for kind in ("added", "removed", "replaced", "relabelled", "moved", "unchanged")
    }


def edit(root: Path, fresh: dict[str, bytes], seed: int) -> None:
    """Change a dataset in every way that people change one."""
    rng = random.Random(seed)
    pictures = sorted((root / "JPEGImages").glob("p*.jpg"))
    rng.shuffle(pictures)
    deleted, relabelled, replaced, damaged, copied, emptied, *_ = pictures
    label = {path: root / "Annotations" / f"{path.stem}.xml" for path in pictures}
    deleted.unlink()
    label[deleted].unlink()
    label[relabelled].write_bytes(label[relabelled].read_bytes().replace(b"<xmin>1<", b"<xmin>7<", 1))
    replaced.write_bytes(fresh["JPEGImages/p900.jpg"])
    damaged.write_bytes(damaged.read_bytes()[:200])
    (root / "JPEGImages/copy.jpg").write_bytes(copied.read_bytes())
    (root / "Annotations/copy.xml").write_bytes(label[copied].read_bytes())
    more = label[emptied].read_bytes().replace(b"</annotation>", b"")
    box = (
        b"<object><name>ant</name><bndbox><xmin>2</xmin><ymin>2</ymin><xmax>30</xmax><ymax>30</ymax></bndbox>"
    )
    label[emptied].write_bytes(more + box + b"</object></annotation>")
    write(root, {path: data for path, data in fresh.items() if "p900" not in path})


@pytest.mark.parametrize("checksums", [False, True])
def test_what_has_not_changed_is_copied_and_the_result_is_that_of_packing_all(
    drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checksums: bool
) -> None:
    monkeypatch.setattr(packing, "BLOCK", 8)
    dataset = write(tmp_path / "pets", drawn(60))
    run(dataset, tmp_path / "first")
    edit(dataset, drawn(5, start=900), seed=1)
    run(dataset, tmp_path / "full", without_payloads(tmp_path / "first"), checksums=checksums)
    run(dataset, tmp_path / "again", tmp_path / "first", checksums=checksums)
    assert contents(tmp_path / "again") == contents(tmp_path / "full")
    assert changes(tmp_path / "again") == {
        "added": 5,  # four, and the copy, which comes before its original
        "removed": 3,  # deleted, damaged, and that original
        "replaced": 1,
        "relabelled": 2,
        "moved": 0,
        "unchanged": 54,
    }


def test_nothing_is_opened_where_nothing_changed(
    drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = write(tmp_path / "pets", drawn(30))
    run(dataset, tmp_path / "first")
    reads: list[str] = []
    read = FolderSource.read
    monkeypatch.setattr(
        FolderSource, "read", lambda self, file: (reads.append(file.path), read(self, file))[1]
    )
    run(dataset, tmp_path / "again", tmp_path / "first")
    assert not [path for path in reads if path.endswith(".jpg")]
    assert contents(tmp_path / "again") == contents(tmp_path / "first")


@pytest.mark.parametrize("checksums", [False, True])
def test_what_was_read_is_taken_over_only_where_annotations_are_the_same(
    drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checksums: bool
) -> None:
    """Size and time of a file may be the same though its contents are not: whoever compares those sees it."""
    dataset = write(tmp_path / "pets", drawn(30))
    run(dataset, tmp_path / "first", checksums=checksums)
    readings = []
    read = survey._read
    monkeypatch.setattr(survey, "_read", lambda *arguments: (readings.append(1), read(*arguments))[1])
    run(dataset, tmp_path / "again", tmp_path / "first", checksums=checksums)
    assert not readings
    assert contents(tmp_path / "again") == contents(tmp_path / "first")
    label = next(path for path in (dataset / "Annotations").iterdir() if b"<xmin>1<" in path.read_bytes())
    times = label.stat()
    label.write_bytes(label.read_bytes().replace(b"<xmin>1<", b"<xmin>7<", 1))
    os.utime(label, ns=(times.st_atime_ns, times.st_mtime_ns))
    run(dataset, tmp_path / "hidden", tmp_path / "again", checksums=checksums)
    assert changes(tmp_path / "hidden")["relabelled"] == len(readings) == int(checksums)


def test_a_reading_whose_contents_were_compared_serves_those_who_trust_tags(
    drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = write(tmp_path / "pets", drawn(30))
    run(dataset, tmp_path / "first", checksums=True)
    for path in (dataset / "Annotations").iterdir():
        path.touch()
    monkeypatch.delattr(survey, "_read")
    run(dataset, tmp_path / "touched", tmp_path / "first", checksums=True)
    run(dataset, tmp_path / "quick", tmp_path / "touched")
    for out in ("touched", "quick"):
        assert {**contents(tmp_path / out), READING: b""} == {**contents(tmp_path / "first"), READING: b""}


def test_a_new_label_is_packed_before_the_old_picture_even_where_the_magic_cuts_it(
    drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A payload that holds RecordIO's magic lies in pieces."""
    from dataprep_job import inspection
    from dataprep_job.recordio import MAGIC

    encode = inspection.encode

    def with_magic(pixels: Any, quality: int) -> bytes:
        jpeg = encode(pixels, quality)
        return jpeg + b"\0" * (-len(jpeg) % 4) + MAGIC + b"tail"

    monkeypatch.setattr(inspection, "encode", with_magic)
    dataset = write(tmp_path / "pets", drawn(12))
    run(dataset, tmp_path / "first")
    for path in (dataset / "Annotations").iterdir():
        path.write_bytes(path.read_bytes().replace(b"<ymin>3<", b"<ymin>9<", 1))
    run(dataset, tmp_path / "again", tmp_path / "first")
    run(dataset, tmp_path / "full", without_payloads(tmp_path / "first"))
    assert contents(tmp_path / "again") == contents(tmp_path / "full")
    assert changes(tmp_path / "again")["relabelled"] == 12


@pytest.mark.parametrize("damage", ["missing", "garbage", "other treatment"])
def test_a_useless_index_costs_time_and_nothing_else(drawn: Drawn, tmp_path: Path, damage: str) -> None:
    dataset = write(tmp_path / "pets", drawn(20))
    run(dataset, tmp_path / "first", resize=32 if damage == "other treatment" else None)
    whole = without_payloads(tmp_path / "first")
    index = tmp_path / "first" / INDEX
    if damage == "missing":
        index.unlink()
    elif damage == "garbage":
        index.write_bytes(b"no database" * 100)
    run(dataset, tmp_path / "again", tmp_path / "first")
    run(dataset, tmp_path / "full", whole)
    assert contents(tmp_path / "again") == contents(tmp_path / "full")


def trained_before(out: Path) -> set[str]:
    return {json.loads(line)["key"] for line in (out / TRAINED_BEFORE).read_text().splitlines()}


def splits(out: Path) -> dict[str, list[str]]:
    listed = {split: out / f"lists/{split}.lst" for split in ("train", "validation")}
    return {
        split: sorted({line.split("\t")[-1] for line in path.read_text().splitlines()})
        for split, path in listed.items()
    }


def name_splits(dataset: Path, **named: list[str]) -> None:
    folder = dataset / "ImageSets/Main"
    folder.mkdir(parents=True, exist_ok=True)
    for name, keys in named.items():
        (folder / f"{name}.txt").write_text("\n".join(Path(key).stem for key in keys))


def test_what_was_ever_trained_on_is_remembered_when_it_is_held_out_or_gone(
    drawn: Drawn, tmp_path: Path
) -> None:
    dataset = write(tmp_path / "pets", drawn(20))
    run(dataset, tmp_path / "1")
    assert trained_before(tmp_path / "1") == set()
    before = splits(tmp_path / "1")
    moved, gone, *rest = before["train"]
    (dataset / gone).rename(tmp_path / "away.jpg")
    name_splits(dataset, train=rest, val=[*before["validation"], moved])
    run(dataset, tmp_path / "2", tmp_path / "1")
    assert moved in splits(tmp_path / "2")["validation"]
    assert trained_before(tmp_path / "2") == {moved, gone}
    # It comes back to judge: what the run before the last trained on is known still.
    (tmp_path / "away.jpg").rename(dataset / gone)
    name_splits(dataset, train=rest, val=[*before["validation"], moved, gone])
    run(dataset, tmp_path / "3", tmp_path / "2")
    assert gone in splits(tmp_path / "3")["validation"]
    assert trained_before(tmp_path / "3") == {moved, gone}
    # Trained on again, it is in the index, and needs no line.
    name_splits(dataset, train=[*rest, gone], val=[*before["validation"], moved])
    run(dataset, tmp_path / "4", tmp_path / "1")
    assert trained_before(tmp_path / "4") == {moved}


@pytest.mark.parametrize("damage", ["missing", "garbage"])
def test_without_an_index_only_what_was_held_out_before_is_above_suspicion(
    drawn: Drawn, tmp_path: Path, damage: str
) -> None:
    dataset = write(tmp_path / "pets", drawn(20))
    run(dataset, tmp_path / "1")
    index = tmp_path / "1" / INDEX
    index.unlink()
    if damage == "garbage":
        index.write_bytes(b"no database" * 100)
    held = splits(tmp_path / "1")["validation"]
    run(write(dataset, drawn(20, start=900)), tmp_path / "2", tmp_path / "1")
    new = set(splits(tmp_path / "2")["validation"]) - set(held)
    assert new
    assert trained_before(tmp_path / "2") == new


def test_held_out_pictures_are_written_as_they_were_packed(drawn: Drawn, tmp_path: Path) -> None:
    dataset = write(tmp_path / "pets", drawn(30))
    run(dataset, tmp_path / "out")
    packed = [
        jpeg
        for _, payload in records((tmp_path / "out/channels/validation/validation.rec").read_bytes())
        for _, _, jpeg in [unpack_image(payload)]
    ]
    lines = (tmp_path / "out/held_out.jsonl").read_text().splitlines()
    named = [json.loads(line)["picture"] for line in lines]
    assert [(tmp_path / "judging" / name).read_bytes() for name in named] == packed
    assert judged_by(tmp_path / "out") == (tmp_path / "judging", named)
    assert sorted(named) == sorted(path.name for path in (tmp_path / "judging").iterdir())


def judged_by(out: Path) -> tuple[Path, list[str]]:
    """What a manifest says: where the pictures are, and which."""
    first, *names = json.loads((out / "judging.manifest").read_bytes())
    return Path(first["prefix"]), names


def test_a_held_out_picture_is_written_once_for_all_runs(drawn: Drawn, tmp_path: Path) -> None:
    dataset = write(tmp_path / "pets", drawn(30))
    run(dataset, tmp_path / "1")
    judging, first = judged_by(tmp_path / "1")
    written = {name: (judging / name).stat().st_mtime_ns for name in first}
    lost, bytes_of_lost = first[0], (judging / first[0]).read_bytes()
    (judging / lost).unlink()
    write(dataset, drawn(20, start=900))
    changed = json.loads((tmp_path / "1/held_out.jsonl").read_text().splitlines()[1])
    (dataset / changed["key"]).write_bytes(drawn(1, start=77)["JPEGImages/p77.jpg"])
    run(dataset, tmp_path / "2", tmp_path / "1")
    _, second = judged_by(tmp_path / "2")
    assert len(second) == len(splits(tmp_path / "2")["validation"]) > len(first)
    assert changed["picture"] not in second
    assert (judging / lost).read_bytes() == bytes_of_lost
    for name in set(first) - {lost}:
        assert (judging / name).stat().st_mtime_ns == written[name]
    assert {path.name for path in judging.iterdir()} == {*first, *second}


def test_copies_of_a_held_out_picture_are_judged_as_one(drawn: Drawn, tmp_path: Path) -> None:
    dataset = write(tmp_path / "pets", drawn(10))
    (dataset / "JPEGImages/p8.jpg").write_bytes((dataset / "JPEGImages/p9.jpg").read_bytes())
    keys = [f"JPEGImages/p{number}.jpg" for number in range(10)]
    name_splits(dataset, train=keys[:8], val=keys[8:])
    run(dataset, tmp_path / "out")
    assert len(judged_by(tmp_path / "out")[1]) == 1


def test_another_size_is_another_picture(drawn: Drawn, tmp_path: Path) -> None:
    dataset = write(tmp_path / "pets", drawn(12))
    run(dataset, tmp_path / "1")
    run(dataset, tmp_path / "2", tmp_path / "1", resize=48)
    assert not set(judged_by(tmp_path / "1")[1]) & set(judged_by(tmp_path / "2")[1])


def test_where_the_data_names_a_test_split_only_that_one_judges(drawn: Drawn, tmp_path: Path) -> None:
    dataset = write(tmp_path / "pets", drawn(12))
    keys = sorted(str(path.relative_to(dataset)) for path in dataset.rglob("*.jpg"))
    name_splits(dataset, train=keys[:8], val=keys[8:10], test=keys[10:])
    run(dataset, tmp_path / "out")
    assert len(judged_by(tmp_path / "out")[1]) == 2
    lines = [json.loads(line) for line in (tmp_path / "out/held_out.jsonl").read_text().splitlines()]
    assert {line["split"]: line["picture"] is not None for line in lines} == {
        "test": True,
        "validation": False,
    }
    run(dataset, tmp_path / "packed", judging=None)
    assert not (tmp_path / "packed/judging.manifest").exists()
    assert not (tmp_path / "packed" / TRAINED_BEFORE).exists()


def job(command: str, source: Path, out: Path, *more: str) -> int:
    order = ["--run", RUN, "--dataset", "pets", "--source", str(source), "--output", str(out)]
    return main([command, *order, "--judging", str(out.parent / "judging"), *more])


@pytest.mark.parametrize("slices", [2, 5])
def test_slices_joined_are_the_bytes_of_one_job(
    drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slices: int
) -> None:
    monkeypatch.setattr(packing, "BLOCK", 8)
    dataset = write(tmp_path / "pets", drawn(70))
    run(dataset, tmp_path / "first")
    edit(dataset, drawn(5, start=900), seed=2)
    previous = ("--previous", str(tmp_path / "first"))
    assert job("prepare", dataset, tmp_path / "one", *previous) == 0
    many = tmp_path / "many"
    assert job("plan", dataset, many, *previous, "--slices", str(slices)) == 0
    for number in reversed(range(slices)):
        arguments = (*previous, "--slices", str(slices), "--index", str(number))
        assert job("slice", dataset, many, *arguments) == 0
        assert job("slice", dataset, many, *arguments) == 0
    assert job("merge", dataset, many, *previous, "--slices", str(slices)) == 0
    assert contents(many) == contents(tmp_path / "one")
    assert (many / "report.html").read_text() == (tmp_path / "one/report.html").read_text()
    assert changes(many) == changes(tmp_path / "one")
    assert not (many / "work").exists()
    (many / "work").mkdir()
    (many / "work/plan.sqlite").write_bytes(b"left by a merge that was killed after its last word")
    assert job("merge", dataset, many, *previous, "--slices", str(slices)) == 0
    assert not (many / "work").exists()


def test_a_large_dataset_is_reported_before_its_pictures_are_opened(
    drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataprep_job import prepare as module

    outcomes: list[tuple[str, int, bool]] = []
    publish = module.publish

    def spy(order: Order, report: Any, say: Any, note: str = "") -> None:
        publish(order, report, say, note)
        written = json.loads((tmp_path / "out/report.json").read_text())
        packed = (tmp_path / "out/channels/train/train.rec").exists()
        outcomes.append((written["outcome"], written["usable_images"], packed))

    monkeypatch.setattr(module, "MANY", 30)
    monkeypatch.setattr(module, "publish", spy)
    files = drawn(40)
    files["JPEGImages/p3.jpg"] = b"damaged"
    run(write(tmp_path / "pets", files), tmp_path / "out")
    assert outcomes == [("CHECKING", 40, False), ("READY", 39, False)]
    assert (tmp_path / "out/channels/train/train.rec").exists()


class FarSource(FolderSource):
    """A folder that is read as if it lay behind a network."""

    read_threads = 4


@pytest.mark.parametrize("held_bytes", [1 << 20, 0], ids=["all pictures fit", "they do not"])
def test_pictures_from_afar_are_all_checked_before_any_is_encoded_where_they_fit_into_memory(
    drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held_bytes: int
) -> None:
    from dataprep_job import inspection
    from dataprep_job import prepare as module

    events: list[str] = []
    encode = inspection.encode

    def spy(pixels: Any, quality: int) -> bytes:
        events.append("encoded")
        return encode(pixels, quality)

    monkeypatch.setattr(module, "HELD_BYTES", held_bytes)
    monkeypatch.setattr(inspection, "encode", spy)
    files = drawn(40) | {"nestbox.yaml": b"images: {resize: 48}"}
    files["JPEGImages/p3.jpg"] = files["JPEGImages/p4.jpg"][:-40]
    files["JPEGImages/p5.jpg"] = files["JPEGImages/p6.jpg"]
    dataset = write(tmp_path / "pets", files)
    run(dataset, tmp_path / "near")
    events.clear()
    judging = FolderStorage(tmp_path / "judging")
    order = Order(RUN, "pets", FarSource(dataset), FolderStorage(tmp_path / "far"), judging=judging)
    prepare(order, lambda line: events.append("reported") if "the report is published" in line else None)
    assert events.index("reported") == (0 if held_bytes else len(events) - 1)
    assert contents(tmp_path / "far") == contents(tmp_path / "near")


def test_a_slice_that_is_missing_is_named(drawn: Drawn, tmp_path: Path, capsys: Any) -> None:
    dataset = write(tmp_path / "pets", drawn(20))
    assert job("slice", dataset, tmp_path / "out", "--slices", "2", "--index", "0") == 1
    assert "There is no plan" in capsys.readouterr().err
    job("plan", dataset, tmp_path / "out", "--slices", "2")
    assert json.loads((tmp_path / "out/report.json").read_text())["outcome"] == "CHECKING"
    job("slice", dataset, tmp_path / "out", "--slices", "2", "--index", "0")
    assert job("merge", dataset, tmp_path / "out", "--slices", "2") == 1
    assert "Slice 1 of 2 is missing" in capsys.readouterr().err
    assert not (tmp_path / "out/summary.json").exists()


def test_a_killed_slice_leaves_nothing_and_is_done_again(
    drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataprep_job import slices

    dataset = write(tmp_path / "pets", drawn(20))
    job("plan", dataset, tmp_path / "out", "--slices", "2")

    def dies(*_: Any) -> Any:
        yield from ()
        raise KeyboardInterrupt

    monkeypatch.setattr(slices, "open_all", dies)
    with pytest.raises(KeyboardInterrupt):
        job("slice", dataset, tmp_path / "out", "--slices", "2", "--index", "0")
    monkeypatch.setattr(slices, "open_all", open_all)
    assert not list((tmp_path / "out/work").rglob("*.rec"))
    for number in (0, 1):
        assert job("slice", dataset, tmp_path / "out", "--slices", "2", "--index", str(number)) == 0
    assert job("merge", dataset, tmp_path / "out", "--slices", "2") == 0


def test_a_picture_that_was_held_out_returns_as_training_picture_and_stays_held_out(
    drawn: Drawn, tmp_path: Path
) -> None:
    """In slices its record lies among the training records."""
    dataset = write(tmp_path / "pets", drawn(40))
    run(dataset, tmp_path / "first")
    held = json.loads((tmp_path / "first/held_out.jsonl").read_text().splitlines()[0])["key"]
    picture, label = dataset / held, dataset / held.replace("JPEGImages", "Annotations").replace("jpg", "xml")
    for name in ("zz1", "zz2", "zz3"):
        (dataset / f"JPEGImages/{name}.jpg").write_bytes(picture.read_bytes())
        (dataset / f"Annotations/{name}.xml").write_bytes(label.read_bytes())
    picture.unlink()
    label.unlink()
    previous = ("--previous", str(tmp_path / "first"))
    job("prepare", dataset, tmp_path / "one", *previous)
    job("plan", dataset, tmp_path / "many", *previous, "--slices", "2")
    for number in ("0", "1"):
        job("slice", dataset, tmp_path / "many", *previous, "--slices", "2", "--index", number)
    job("merge", dataset, tmp_path / "many", *previous, "--slices", "2")
    assert contents(tmp_path / "many") == contents(tmp_path / "one")
    assert "JPEGImages/zz" in (tmp_path / "many/held_out.jsonl").read_text()
    assert "JPEGImages/zz" not in (tmp_path / "many/lists/train.lst").read_text()


def test_what_was_held_out_is_remembered_while_it_is_away(drawn: Drawn, tmp_path: Path) -> None:
    dataset = write(tmp_path / "pets", drawn(40))
    run(dataset, tmp_path / "1")
    held = json.loads((tmp_path / "1/held_out.jsonl").read_text().splitlines()[0])["key"]
    picture, label = dataset / held, dataset / held.replace("JPEGImages", "Annotations").replace("jpg", "xml")
    contents_of = {path: path.read_bytes() for path in (picture, label)}
    for path in contents_of:
        path.unlink()
    run(dataset, tmp_path / "2", tmp_path / "1")
    run(dataset, tmp_path / "3", tmp_path / "2")
    for number in (2, 3):
        assert held in (tmp_path / f"{number}/held_out_absent.jsonl").read_text()
        assert held not in (tmp_path / f"{number}/held_out.jsonl").read_text()
    for path, data in contents_of.items():
        # It comes back under a name that no rule would hold out by itself.
        for copy in range(3):
            path.with_name(f"back{copy}{path.suffix}").write_bytes(data)
    run(dataset, tmp_path / "4", tmp_path / "3")
    assert "JPEGImages/back" in (tmp_path / "4/held_out.jsonl").read_text()
    assert "JPEGImages/back" not in (tmp_path / "4/lists/train.lst").read_text()
    assert held not in (tmp_path / "4/held_out_absent.jsonl").read_text()


def test_in_s3_large_slices_are_copied_inside_s3_and_small_changes_are_spliced_in(
    s3: Any,
    drawn: Drawn,
    upload: Callable[..., None],
    snapshot: Callable[..., list[str]],
    artifact: Callable[[str, str], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from dataprep_job import storage

    monkeypatch.setattr(packing, "BLOCK", 8)
    monkeypatch.setattr(storage, "PART_BYTES", 64 << 10)
    monkeypatch.setattr(storage, "MIN_PART_BYTES", 16 << 10)
    monkeypatch.setattr(storage, "_MAX_COPY", 48 << 10)
    monkeypatch.setattr("moto.settings.S3_UPLOAD_PART_MIN_SIZE", 1, raising=False)
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1, raising=False)
    upload("pets", drawn(120))
    assert main(snapshot("pets", RUN)) == 0
    arguments = snapshot("pets", NEXT)[1:]
    assert main(["plan", *arguments, "--slices", "3"]) == 0
    for number in range(3):
        monkeypatch.setenv("AWS_BATCH_JOB_ARRAY_INDEX", str(number))
        assert main(["slice", *arguments, "--slices", "3"]) == 0
    assert main(["merge", *arguments, "--slices", "3"]) == 0
    third = "pets-20261126120000-4e5f"
    upload("pets", {path: data for path, data in drawn(1, start=7).items() if path.endswith("xml")})
    upload("pets", drawn(2, start=300))
    assert main(snapshot("pets", third, previous=NEXT)) == 0
    for name in ("channels/train/train.rec", "lists/train.lst", "lists/train.idx", INDEX):
        assert artifact(NEXT, name) == artifact(RUN, name)
    with pytest.raises(ClientError):
        artifact(NEXT, "work/plan.sqlite")
    labels = [unpack_image(payload)[0] for _, payload in records(artifact(third, "channels/train/train.rec"))]
    assert len(labels) == len(set(labels)) == json.loads(artifact(third, "summary.json"))["train_samples"]
