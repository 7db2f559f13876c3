"""Zip archives in a dataset: what they hold is found and read, and no archive can do harm."""

from __future__ import annotations

import contextlib
import io
import random
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataprep_job import archive_contents, zip_directory, zip_member
from dataprep_job.archive_source import ArchiveSource, open_archives
from dataprep_job.check import check
from dataprep_job.dataset_files import DatasetFiles, split_of_folders
from dataprep_job.defects import Defect, DefectLog
from dataprep_job.errors import FileGoneError, MemberDamagedError
from dataprep_job.file_source import FileSource, FolderSource, SourceFile, read_many
from dataprep_job.range_cache import LARGEST_AHEAD, RangeCache, RangeStream
from dataprep_job.zip_directory import ZipError, find_directory, members

Files = Mapping[str, bytes]
Opened = Callable[[Files], FileSource]

SMALL = {"images/a.jpg": b"picture a", "labels/a.txt": b"0 0.5 0.5 0.2 0.2\n" * 40}


def packed(files: Files, method: int = zipfile.ZIP_DEFLATED, **options: Any) -> bytes:
    """A zip archive as Python makes it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method, **options) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def entry(
    name: bytes,
    data: bytes = b"x",
    *,
    size: int | None = None,
    method: int = 0,
    flags: int = 0,
    offset: int = 0,
    disk: int = 0,
    attributes: int = 0,
    crc: int | None = None,
    extra: bytes = b"",
) -> bytes:
    """One entry of a list of contents, with whatever nonsense in it."""
    stated = len(data) if size is None else size
    check = zlib.crc32(data) if crc is None else crc
    fields = (b"PK\1\2", 20, 20, flags, method, 0, 0, check, len(data), stated, len(name), len(extra))
    return struct.pack("<4s6H3L5H2L", *fields, 0, disk, 0, attributes, offset) + name + extra


def by_hand(*entries: bytes, body: bytes = b"", disk: int = 0, count: int | None = None) -> bytes:
    """An archive of these entries; `body` stands in front of the list."""
    listed = b"".join(entries)
    number = len(entries) if count is None else count
    end = struct.pack("<4s4H2LH", b"PK\5\6", disk, disk, number, number, len(listed), len(body), 0)
    return body + listed + end


def local(name: bytes, data: bytes = b"x", method: int = 0, size: int | None = None) -> bytes:
    stated = len(data) if size is None else size
    head = (b"PK\3\4", 20, 0, method, 0, 0, zlib.crc32(data), len(data), stated, len(name), 0)
    return struct.pack("<4s5H3L2H", *head) + name + data


def deflated(data: bytes) -> bytes:
    packing = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packing.compress(data) + packing.flush()


def by_path(source: FileSource) -> dict[str, SourceFile]:
    return {file.path: file for file in source.files()}


def contents(source: FileSource) -> dict[str, bytes]:
    return {path: source.read(file) for path, file in by_path(source).items()}


def refused(source: FileSource) -> list[Defect]:
    return list(source.refused())


def codes(source: FileSource) -> list[str]:
    return [defect.code for defect in source.refused()]


@pytest.fixture
def opened(memory_source: Any) -> Opened:
    """A dataset in memory with its archives opened."""

    def make(files: Files) -> FileSource:
        return open_archives(memory_source(files))

    return make


def test_an_archive_looks_like_a_folder(opened: Opened) -> None:
    source = opened(
        {"b.zip": packed(SMALL), "a.txt": b"1", "b.zip-notes.txt": b"2", "c.ZIP": packed({"x": b"3"})}
    )
    assert [file.path for file in source.files()] == [
        *("a.txt", "b.zip-notes.txt", "b.zip/images/a.jpg", "b.zip/labels/a.txt", "c.ZIP/x"),
    ]
    assert contents(source)["b.zip/labels/a.txt"] == SMALL["labels/a.txt"]
    assert contents(source)["c.ZIP/x"] == b"3"
    assert codes(source) == []
    assert by_path(source)["b.zip/images/a.jpg"].size == 9


@pytest.mark.parametrize("where", ["{}", "upload/{}"])
def test_a_dataset_in_an_archive_is_the_same_dataset(voc: Files, opened: Opened, where: str) -> None:
    plain = check(opened(voc))
    zipped = check(opened({"voc.zip": packed({where.format(path): data for path, data in voc.items()})}))
    assert zipped.defects == plain.defects == []
    for name in ("images", "usable_images", "boxes", "classes", "splits", "formats"):
        assert getattr(zipped, name) == getattr(plain, name)
    assert plain.usable_images == 10


def test_pictures_and_annotations_may_lie_in_archives_of_their_own(voc: Files, opened: Opened) -> None:
    pictures = {path: data for path, data in voc.items() if path.endswith(".jpg")}
    others = {path: data for path, data in voc.items() if path not in pictures}
    report = check(opened({"pictures.zip": packed(pictures), "labels.zip": packed(others)}))
    assert (report.usable_images, report.errors) == (10, 0)


def test_a_damaged_picture_in_an_archive_costs_only_itself(voc: Files, opened: Opened) -> None:
    archive = packed(voc, zipfile.ZIP_STORED)
    at = archive.index(voc["JPEGImages/a3.jpg"]) + 100
    report = check(opened({"a.zip": archive[:at] + bytes([archive[at] ^ 1]) + archive[at + 1 :]}))
    assert report.usable_images == 9
    (defect,) = (defect for defect in report.defects if defect.severity == "error")
    assert (defect.code, defect.place.file) == ("archive.member-damaged", "a.zip/JPEGImages/a3.jpg")


def test_archives_named_for_splits() -> None:
    assert split_of_folders("train.zip/images/a.jpg") == "train"
    assert split_of_folders("data.zip/Valid/a.jpg") == "validation"


def test_a_dataset_without_archives_stays_as_it_is(memory_source: Any) -> None:
    source = memory_source({"a.zipper": b"", "zip/a.txt": b""})
    assert open_archives(source) is source


def test_members_are_streams_too(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    data = random.Random(1).randbytes(3000) + bytes(900_000) + b"end"
    for whole in (1 << 20, 100):
        monkeypatch.setattr(zip_member, "_WHOLE_BYTES", whole)
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            source = opened({"a.zip": packed({"big.json": data}, method), "b.txt": b"b"})
            with source.open(by_path(source)["a.zip/big.json"]) as stream:
                assert stream.read(7) == data[:7]
                assert stream.read() == data[7:]
                assert stream.read(1) == b""
            assert source.open(by_path(source)["b.txt"]).read() == b"b"


@given(st.binary(max_size=300), st.integers(0, 3000), st.integers(1, 700), st.booleans())
def test_a_stream_gives_what_was_packed(data: bytes, zeros: int, step: int, is_stored: bool) -> None:
    whole = data + bytes(zeros) + data
    archive = packed({"x": whole}, zipfile.ZIP_STORED if is_stored else zipfile.ZIP_DEFLATED)
    source = ArchiveSource(_Bytes(archive))
    found = source._contents.find("a.zip/x")
    assert found is not None
    stream = zip_member._MemberStream(_Bytes(archive), found)
    parts: list[bytes] = []
    while part := stream.read(step):
        parts.append(part)
    assert b"".join(parts) == whole


class _Bytes:
    """A dataset of one archive, `a.zip`."""

    read_threads = 1

    def __init__(self, archive: bytes) -> None:
        self.archive = archive

    def paths(self) -> list[str]:
        return [file.path for file in self.files()]

    def files(self) -> list[SourceFile]:
        return [SourceFile("a.zip", len(self.archive))]

    def refused(self) -> list[Defect]:
        return []

    def read(self, file: SourceFile) -> bytes:
        raise AssertionError("an archive is never read whole")

    open: Any = read

    def read_range(self, file: SourceFile, start: int, size: int) -> bytes:
        return self.archive[start : start + size]


def test_the_tag_changes_with_the_content_and_not_with_the_place(opened: Opened) -> None:
    one, other, changed = (
        by_path(opened({"a.zip": packed(files)}))["a.zip/x.jpg"]
        for files in ({"x.jpg": b"12"}, {"y": b"0" * 99, "x.jpg": b"12"}, {"x.jpg": b"13"})
    )
    assert one == other
    assert one.tag != changed.tag


def test_the_version_of_a_member_is_that_of_its_archive() -> None:
    class Versioned(_Bytes):
        def files(self) -> list[SourceFile]:
            return [SourceFile("a.zip", len(self.archive), "v7", "etag")]

        def read_range(self, file: SourceFile, start: int, size: int) -> bytes:
            assert (file.version, file.tag) == ("v7", "etag")
            return super().read_range(file, start, size)

    source = ArchiveSource(Versioned(packed(SMALL)))
    assert {file.version for file in source.files()} == {"v7"}
    assert contents(source)["a.zip/images/a.jpg"] == b"picture a"


def test_archives_of_other_makers(opened: Opened) -> None:
    prefixed = b"#!/bin/sh\nexit\n" + packed(SMALL)
    commented = io.BytesIO(packed(SMALL))
    with zipfile.ZipFile(commented, "a") as archive:
        archive.comment = b"PK\5\6 " * 20
    streamed = _Unseekable()
    with zipfile.ZipFile(streamed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in SMALL.items():
            archive.writestr(name, data)
    large = io.BytesIO()
    with zipfile.ZipFile(large, "w") as archive, archive.open("images/a.jpg", "w", force_zip64=True) as one:
        one.write(b"picture a")
    for data in (prefixed, commented.getvalue(), streamed.data, large.getvalue(), packed(SMALL) + b"\r\n"):
        source = opened({"a.zip": data})
        assert contents(source)["a.zip/images/a.jpg"] == b"picture a"
        assert codes(source) == []


class _Unseekable(io.RawIOBase):
    """Makes `zipfile` write sizes behind the data, as streaming writers do."""

    def __init__(self) -> None:
        self.data = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.data += bytes(data)
        return len(data)


def test_zip64(opened: Opened) -> None:
    body = local(b"a.jpg", b"abc")
    extra = struct.pack("<2H3Q", 1, 24, 3, 3, 0)
    fields = (b"PK\1\2", 45, 45, 0, 0, 0, 0, zlib.crc32(b"abc"), 2**32 - 1, 2**32 - 1, 5, len(extra))
    listed = struct.pack("<4s6H3L5H2L", *fields, 0, 0, 0, 0, 2**32 - 1) + b"a.jpg" + extra
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, len(listed), len(body))
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(body) + len(listed), 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 2**32 - 1, 2**32 - 1, 0)
    for front in (b"", b"front matter"):
        source = opened({"a.zip": front + body + listed + record + locator + end})
        assert contents(source) == {"a.zip/a.jpg": b"abc"}
    cut = opened({"a.zip": body + listed[:-24] + locator + end})
    assert codes(cut) == ["archive.damaged"]


def test_offsets_that_begin_again_beyond_4_gib(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apple's Archive Utility counts modulo 2^32 and writes no zip64."""
    names = [f"{number}.jpg".encode() for number in range(12)]
    body, starts = b"", []
    for name in names:
        starts.append(len(body))
        body += local(name, name * 20)
    monkeypatch.setattr(zip_directory, "_TURN", 256)
    entries = [entry(name, name * 20, offset=start % 256) for name, start in zip(names, starts, strict=True)]
    listed = b"".join(entries)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 12, 12, len(listed), len(body) % 256, 0)
    source = ArchiveSource(_Bytes(body + listed + end))
    assert contents(source) == {f"a.zip/{name.decode()}": name * 20 for name in names}
    assert codes(source) == []


@pytest.mark.parametrize(
    ("raw", "flags", "name"),
    [
        (b"d\x81ner.jpg", 0, "düner.jpg"),
        ("döner.jpg".encode(), 0, "döner.jpg"),
        ("döner.jpg".encode(), 1 << 11, "döner.jpg"),
        (b"d\x81ner.jpg", 1 << 11, "d\ufffdner.jpg"),
        (b"images\\a.jpg", 0, "images/a.jpg"),
        (b"./images//a/./b.jpg", 0, "images/a/b.jpg"),
        (b"{subject} {0}.jpg", 0, "{subject} {0}.jpg"),
    ],
)
def test_names(opened: Opened, raw: bytes, flags: int, name: str) -> None:
    archive = by_hand(entry(raw, flags=flags), body=local(raw))
    source = opened({"a.zip": archive})
    assert contents(source) == {f"a.zip/{name}": b"x"}
    assert codes(source) == []


def test_the_name_in_info_zips_unicode_field_counts(opened: Opened) -> None:
    name = "ā.jpg".encode()
    for raw, expected in ((b"?.jpg", "ā.jpg"), (b"!.jpg", "!.jpg")):
        extra = struct.pack("<2HBL", 0x7075, 5 + len(name), 1, zlib.crc32(b"?.jpg")) + name
        source = opened({"a.zip": by_hand(entry(raw, extra=extra), body=local(raw))})
        assert list(by_path(source)) == [f"a.zip/{expected}"]


@pytest.mark.parametrize(
    "name",
    [
        *(b"../x", b"a/../../x", b"/etc/passwd", b"..\\x", b"C:\\x", b"c:x", b"\\\\host\\share\\x", b"a/.."),
        *(b"a\0.jpg", b"a\nb.jpg", b"\x7f.jpg", b"../.hidden", b"n" * 1025),
    ],
)
def test_no_name_leads_out(opened: Opened, name: bytes) -> None:
    body = local(name)
    good = entry(b"good.jpg", offset=len(body))
    source = opened({"a.zip": by_hand(entry(name), good, body=body + local(b"good.jpg"))})
    assert contents(source) == {"a.zip/good.jpg": b"x"}
    (defect,) = refused(source)
    assert (defect.code, defect.place.file, defect.count) == ("path.outside", "a.zip", 1)
    assert len(defect.message) < 300
    assert "\n" not in defect.message


def test_many_unsafe_names_are_one_defect(opened: Opened) -> None:
    source = opened({"a.zip": packed({f"../{number}.jpg": b"x" for number in range(50)})})
    (defect,) = refused(source)
    assert (defect.code, defect.count) == ("path.outside", 50)
    assert "'../0.jpg'" in defect.message
    assert "45 more" in defect.message


@pytest.mark.parametrize("mode", [0o120777, 0o060644, 0o010644])
def test_links_and_devices_are_refused(opened: Opened, mode: int) -> None:
    archive = by_hand(entry(b"link.jpg", attributes=mode << 16), body=local(b"link.jpg"))
    assert codes(opened({"a.zip": archive})) == ["path.outside"]


def test_what_systems_leave_behind_and_folders_are_no_files(opened: Opened) -> None:
    left = {
        "__MACOSX/._a.jpg": b"1",
        "a/.DS_Store": b"1",
        "a/": b"",
        "b\\": b"",
        "Icon\r": b"",
        "a/x.txt": b"1",
    }
    source = opened({"a.zip": packed(left)})
    assert list(by_path(source)) == ["a.zip/a/x.txt"]
    assert codes(source) == []


@pytest.mark.parametrize("flags", [1, 1 << 6, 1 << 13])
def test_encrypted_members_cost_only_themselves(opened: Opened, flags: int) -> None:
    body = local(b"a.jpg")
    secret = [entry(b"%d.jpg" % number, flags=flags) for number in range(7)]
    source = opened({"a.zip": by_hand(entry(b"a.jpg"), *secret, body=body)})
    assert contents(source) == {"a.zip/a.jpg": b"x"}
    assert [(one.code, one.count) for one in refused(source)] == [("archive.encrypted", 7)]


@pytest.mark.parametrize("method", [1, 6, 9, 12, 14, 93, 99])
def test_unusual_compression(opened: Opened, method: int) -> None:
    body = local(b"a.jpg")
    odd = [entry(b"%d.jpg" % number, method=method) for number in range(4)]
    source = opened({"a.zip": by_hand(entry(b"a.jpg"), *odd, body=body)})
    assert contents(source) == {"a.zip/a.jpg": b"x"}
    assert [(one.code, one.count) for one in refused(source)] == [("archive.unsupported-method", 4)]


def test_archives_in_archives_are_not_opened(opened: Opened) -> None:
    inner = packed(SMALL)
    source = opened({"a.zip": packed({"in.zip": inner, "in.tar.gz": b"", "x.txt": b"1", "2.zip": b""})})
    assert list(by_path(source)) == ["a.zip/x.txt"]
    assert codes(source) == ["archive.nested"] * 3


@pytest.mark.parametrize(
    "name", ["a.tar", "a.tgz", "a.TAR.GZ", "a.7z", "a.rar", "a.z01", "a.zip.001", "coco.json.gz", "a.zipx"]
)
def test_other_archives_are_named(opened: Opened, name: str) -> None:
    source = opened({name: b"data", "x.txt": b"1"})
    assert list(by_path(source)) == ["x.txt"]
    (defect,) = refused(source)
    assert (defect.code, defect.place.file) == ("archive.unsupported", name)


def test_two_members_of_one_name(opened: Opened) -> None:
    first, last = local(b"a.txt", b"first"), local(b"a.txt", b"last")
    entries = (entry(b"a.txt", b"first"), entry(b".\\a.txt", b"last", offset=len(first)))
    source = opened({"a.zip": by_hand(*entries, body=first + last)})
    assert contents(source) == {"a.zip/a.txt": b"last"}
    assert codes(source) == ["archive.duplicate-member"]


def test_a_member_beside_a_file_of_its_path(opened: Opened) -> None:
    source = opened({"a.zip": packed({"x.txt": b"in", "y.txt": b"in"}), "a.zip/x.txt": b"beside"})
    assert contents(source) == {"a.zip/x.txt": b"beside", "a.zip/y.txt": b"in"}
    (defect,) = refused(source)
    assert (defect.code, defect.place.file) == ("archive.path-taken", "a.zip/x.txt")


def test_an_empty_archive_is_suspicious(opened: Opened) -> None:
    assert codes(opened({"a.zip": packed({})})) == ["archive.empty"]


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        (b"", "archive.damaged", "no zip"),
        (b"<html>Not found</html>", "archive.damaged", "no zip"),
        (b"Rar!\x1a\7\0", "archive.damaged", "no zip"),
        (packed(SMALL)[:-30], "archive.damaged", "cut off"),
        (packed(SMALL)[:100], "archive.damaged", "cut off"),
        (b"PK\7\x08" + packed(SMALL)[:100], "archive.spanned", "several parts"),
        (by_hand(entry(b"a.jpg"), disk=1), "archive.spanned", "several parts"),
        (by_hand(entry(b"a.jpg", disk=1), body=local(b"a.jpg")), "archive.spanned", "another part"),
    ],
    ids=["empty", "page", "rar", "no end", "no directory", "split", "of several disks", "entry elsewhere"],
)
def test_broken_archives(opened: Opened, data: bytes, code: str, said: str) -> None:
    source = opened({"a.zip": data, "b.zip": packed(SMALL)})
    assert list(by_path(source)) == ["b.zip/images/a.jpg", "b.zip/labels/a.txt"]
    (defect,) = refused(source)
    assert (defect.code, defect.place.file) == (code, "a.zip")
    assert said in defect.message


def test_the_end_of_an_inner_archive_is_not_that_of_a_cut_one(opened: Opened) -> None:
    whole = packed({"a.jpg": b"x", "in.zip": packed({"b.jpg": b"y"})}, zipfile.ZIP_STORED)
    cut = whole[: whole.index(b"PK\5\6") + 22]
    (defect,) = refused(opened({"a.zip": cut}))
    assert (defect.code, "cut off" in defect.message) == ("archive.damaged", True)


def test_files_before_damage_in_the_list_are_kept(opened: Opened) -> None:
    body = local(b"a.jpg")
    for broken in (b"garbage" * 9, entry(b"b.jpg")[:-3]):
        source = opened({"a.zip": by_hand(entry(b"a.jpg"), broken, body=body)})
        assert contents(source) == {"a.zip/a.jpg": b"x"}
        (defect,) = refused(source)
        assert (defect.code, "1 of 2 files" in defect.message) == ("archive.damaged", True)


def test_numbers_that_cannot_be_are_per_file_defects(opened: Opened) -> None:
    body = local(b"a.jpg")
    zip64 = struct.pack("<2HQ", 1, 8, 2**64 - 1)
    odd = (
        entry(b"1.jpg", offset=10**6),
        entry(b"2.jpg", b"x" * 5000),
        entry(b"3.jpg", size=99),
        entry(b"4.jpg", size=2**32 - 1, extra=zip64),
        entry(b"5.jpg", size=2**32 - 1, extra=zip64, method=8),
        entry(b"6.jpg", size=2**32 - 1),
    )
    source = opened({"a.zip": by_hand(entry(b"a.jpg"), *odd, body=body)})
    assert contents(source) == {"a.zip/a.jpg": b"x"}
    assert {one.code for one in refused(source)} == {"archive.member-damaged"}
    assert sum(one.count for one in refused(source)) == len(odd)


def damaged_members() -> dict[str, bytes]:
    """Archives whose list is fine, but whose only member `a.txt` is not what it says."""
    data = random.Random(3).randbytes(500)
    small = deflated(data)
    flipped = bytes([small[0] ^ 0xFF, *small[1:]])
    plain = {"method": 8, "crc": zlib.crc32(data)}
    return {
        "check sum": by_hand(entry(b"a.txt", b"abc", crc=1), body=local(b"a.txt", b"abc")),
        "no header": by_hand(entry(b"a.txt", b"abc"), body=bytes(50)),
        "garbled": by_hand(
            entry(b"a.txt", flipped, size=500, **plain), body=local(b"a.txt", flipped, 8, 500)
        ),
        "cut": by_hand(entry(b"a.txt", small[:300], size=500, **plain), body=local(b"a.txt", small[:300], 8)),
        "more": by_hand(entry(b"a.txt", small, size=400, **plain), body=local(b"a.txt", small, 8, 400)),
        "less": by_hand(entry(b"a.txt", small, size=600, **plain), body=local(b"a.txt", small, 8, 600)),
        "empty": by_hand(entry(b"a.txt", b"", size=5, method=8), body=local(b"a.txt", b"", 8, 5)),
    }


@pytest.mark.parametrize("kind", damaged_members())
@pytest.mark.parametrize("whole", [1 << 20, 1])
def test_a_damaged_member_costs_only_itself(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, kind: str, whole: int
) -> None:
    monkeypatch.setattr(zip_member, "_WHOLE_BYTES", whole)
    source = opened({"a.zip": damaged_members()[kind], "b.txt": b"b"})
    assert codes(source) == []
    files = by_path(source)
    with pytest.raises(MemberDamagedError, match=r"a\.zip/a\.txt"):
        source.read(files["a.zip/a.txt"])
    with pytest.raises(MemberDamagedError):
        source.open(files["a.zip/a.txt"])
    (_, error), (_, data) = read_many(source, source.files())
    assert isinstance(error, MemberDamagedError)
    assert data == b"b"
    log = DefectLog()
    dataset = DatasetFiles(source, log)
    assert dataset.read("a.zip/a.txt") is None
    assert dataset.open("a.zip/a.txt") is None
    assert list(dataset.lines("a.zip/a.txt")) == []
    assert [file.path for file, _ in dataset.read_many(dataset.unclaimed("txt"))] == ["b.txt"]
    assert {(one.code, one.place.file) for one in log.listed()} == {("archive.member-damaged", "a.zip/a.txt")}


def test_an_archive_that_is_gone_is_a_defect_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(packed(SMALL))
    source = open_archives(FolderSource(tmp_path))
    (tmp_path / "a.zip").unlink()
    assert all(isinstance(data, FileGoneError) for _, data in read_many(source, source.files()))


def test_an_archive_that_changes_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(packed(SMALL))
    source = open_archives(FolderSource(tmp_path))
    (tmp_path / "a.zip").write_bytes(packed({"longer/name": b"0" * 5000}, zipfile.ZIP_STORED))
    assert all(isinstance(data, FileGoneError) for _, data in read_many(source, source.files()))


def test_files_on_top_of_one_another_are_a_bomb(opened: Opened) -> None:
    """After David Fifield's bomb: every entry counts the same kernel."""
    kernel = deflated(bytes(100_000))
    body = local(b"0.txt", kernel, 8, 100_000)
    for step in (0, 1):
        entries = [
            entry(b"%d.txt" % number, kernel, size=100_000, method=8, offset=step * number)
            for number in range(9)
        ]
        source = opened({"a.zip": by_hand(*entries, body=body + bytes(9)), "b.txt": b"b"})
        assert contents(source) == {"b.txt": b"b"}
        assert codes(source) == ["archive.bomb"]


def test_an_archive_that_swells_beyond_measure(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = packed({f"{number}.txt": bytes(1_000_000) for number in range(5)})
    harmless = packed({"a.txt": bytes(1000)})
    assert codes(opened({"a.zip": bomb})) == []
    monkeypatch.setattr(archive_contents, "HARMLESS_BYTES", 4_000_000)
    source = opened({"a.zip": bomb, "b.zip": harmless})
    assert list(by_path(source)) == ["b.zip/a.txt"]
    assert codes(source) == ["archive.bomb"]


def test_many_small_bombs_are_one(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_contents, "HARMLESS_BYTES", 4_000_000)
    source = opened({f"{number}.zip": packed({"a.txt": bytes(1_000_000)}) for number in range(8)})
    assert codes(source) == ["archive.bomb"] * 4


def test_a_member_never_unpacks_to_more_than_it_says(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = deflated(bytes(50_000_000))
    archive = by_hand(entry(b"a.txt", bomb, size=1000, method=8), body=local(b"a.txt", bomb, 8, 1000))
    source = opened({"a.zip": archive})
    (file,) = source.files()
    for whole in (1 << 20, 1):
        monkeypatch.setattr(zip_member, "_WHOLE_BYTES", whole)
        tracemalloc.start()
        try:
            with pytest.raises(MemberDamagedError, match="more"):
                source.open(file)
            assert tracemalloc.get_traced_memory()[1] < 2_000_000
        finally:
            tracemalloc.stop()


def test_a_large_member_is_streamed_in_little_memory(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_member, "_WHOLE_BYTES", 1)
    source = opened({"a.zip": packed({"a.txt": bytes(30_000_000)})})
    (file,) = source.files()
    tracemalloc.start()
    try:
        with source.open(file) as stream:
            assert sum(len(part) for part in iter(lambda: stream.read(100_000), b"")) == 30_000_000
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


def test_too_many_members(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_contents, "MAX_MEMBERS", 3)
    source = opened({"1.zip": packed(SMALL), "2.zip": packed(SMALL), "3.zip": packed({"x": b""})})
    assert list(by_path(source)) == ["1.zip/images/a.jpg", "1.zip/labels/a.txt", "3.zip/x"]
    assert codes(source) == ["archive.too-large"]


def test_too_long_a_list(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_contents, "MAX_DIRECTORY_BYTES", 50)
    assert codes(opened({"a.zip": packed(SMALL)})) == ["archive.too-large"]


def test_the_list_is_read_in_little_memory() -> None:
    count = 20_000
    archive = by_hand(*(entry(b"pictures/%d.jpg" % number, b"") for number in range(count)), count=count)
    source = _Bytes(archive)
    tracemalloc.start()
    try:
        contents_ = archive_contents.ArchiveContents()
        # All lie at the same place, but hold nothing: one header is shared. It must not matter here.
        contents_._take_in(*_take(source))
        assert tracemalloc.get_traced_memory()[1] < 6_000_000
    finally:
        tracemalloc.stop()


def _take(source: _Bytes) -> Any:
    (file,) = source.files()

    def read(start: int, size: int) -> bytes:
        return source.read_range(file, start, size)

    directory = find_directory(read, file.size)
    return file, directory, members(read, directory)


def test_a_list_longer_than_a_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_directory, "_CHUNK", 100)
    monkeypatch.setattr(zip_directory, "_NONE_16", 20)
    archive = packed({f"folder/{number:03}.txt": str(number).encode() for number in range(20)})
    source = ArchiveSource(_Bytes(archive))
    assert len(contents(source)) == 20


def test_members_are_read_by_many_threads(tmp_path: Path) -> None:
    files = {f"{number}.bin": random.Random(number).randbytes(3000) * 3 for number in range(60)}
    (tmp_path / "a.zip").write_bytes(packed(files))
    source = open_archives(FolderSource(tmp_path))
    listed = by_path(source)
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda path: (path, source.read(listed[path])), list(listed) * 3)
    assert all(data == files[path.removeprefix("a.zip/")] for path, data in found)
    assert not [path for path in tmp_path.rglob("*") if path.name != "a.zip"]


@given(st.data())
def test_no_bytes_raise_anything_else(data: st.DataObject) -> None:
    base = bytearray(data.draw(st.sampled_from([packed(SMALL), packed({"a": b""}), by_hand(entry(b"a"))])))
    for _ in range(data.draw(st.integers(0, 6))):
        base[data.draw(st.integers(0, len(base) - 1))] = data.draw(st.sampled_from([0, 1, 80, 127, 255]))
    archive = bytes(base[: data.draw(st.integers(0, len(base)))] if data.draw(st.booleans()) else base)
    source = ArchiveSource(_Bytes(archive))
    for file in source.files():
        with contextlib.suppress(MemberDamagedError):
            assert len(source.read(file)) == file.size
    assert all(len(defect.message) < 2000 for defect in source.refused())


@given(
    st.dictionaries(st.text("abcäß/", min_size=1, max_size=8), st.binary(max_size=50), max_size=8),
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
    # Python takes the last such mark for the end of the directory, even one inside the comment.
    st.binary(max_size=20).filter(lambda comment: b"PK\5\6" not in comment),
)
def test_python_finds_the_same(files: dict[str, bytes], method: int, comment: bytes) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.comment = comment
    data = out.getvalue()
    directory = find_directory(lambda start, size: data[start : start + size], len(data))
    found = list(members(lambda start, size: data[start : start + size], directory))
    with zipfile.ZipFile(out) as archive:
        expected = [
            (one.filename, one.header_offset, one.compress_size, one.file_size, one.CRC)
            for one in archive.infolist()
        ]
    assert [(one.name, one.offset, one.compressed, one.size, one.crc) for one in found] == expected


def test_a_comment_that_looks_like_an_end_record_hides_no_file() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", b"a")
        archive.comment = b"PK\5\6"
    data = out.getvalue()
    directory = find_directory(lambda start, size: data[start : start + size], len(data))
    found = list(members(lambda start, size: data[start : start + size], directory))
    assert [one.name for one in found] == ["a.txt"]


def test_an_end_record_in_every_place_of_the_comment_ends_quickly() -> None:
    reads = 0
    data = b"PK\3\4" + b"PK\5\6\0\0" * 10_000

    def read(start: int, size: int) -> bytes:
        nonlocal reads
        reads += 1
        return data[start : start + size]

    with pytest.raises(ZipError):
        find_directory(read, len(data))
    assert reads < 200


class _Fetched:
    """A file far away; notes what is asked of it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.asked: list[tuple[int, int]] = []
        self.cache = RangeCache(self._fetch)
        self.file = SourceFile("f", len(data))

    def _fetch(self, file: SourceFile, start: int, stop: int) -> bytes:
        self.asked.append((start, stop))
        return self.data[start:stop]


def test_parts_in_order_are_read_ahead() -> None:
    far = _Fetched(random.Random(0).randbytes(20 << 20))
    for start in range(0, 20 << 20, 10_000):
        assert far.cache.read(far.file, start, 9_990) == far.data[start : start + 9_990]
    assert len(far.asked) < 12
    assert max(stop - start for start, stop in far.asked) == LARGEST_AHEAD


def test_parts_in_no_order_are_read_exactly() -> None:
    far = _Fetched(bytes(200 << 20))
    starts = [start * 200_000 for start in range(1000)]
    random.Random(1).shuffle(starts)
    for start in starts[:200]:
        far.cache.read(far.file, start, 100_000)
    assert sum(stop - start for start, stop in far.asked) == 200 * 100_000


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 900)), max_size=30))
def test_whatever_is_asked_is_what_is_there(parts: list[tuple[int, int]]) -> None:
    far = _Fetched(random.Random(0).randbytes(2500))
    for start, size in parts:
        assert far.cache.read(far.file, start, size) == far.data[start : start + size]
    assert sum(stop - start for start, stop in far.asked) <= 2500


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataprep_job.range_cache.KEPT_BYTES", 10_000)
    monkeypatch.setattr("dataprep_job.range_cache._MOST_WINDOWS", 20)
    far = _Fetched(bytes(100_000_000))
    for start in range(0, 90_000_000, 1_000_000):
        far.cache.read(far.file, start, 300)
    assert len(far.cache._windows) <= 20
    for start in range(0, 90_000_000, 1_000_000):
        far.cache.read(far.file, start + 500_000, 900)
    assert sum(window.size for window in far.cache._windows.values()) == far.cache._kept <= 10_000


def test_a_failed_part_is_asked_for_again() -> None:
    calls = 0

    def fetch(file: SourceFile, start: int, stop: int) -> bytes:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise FileGoneError("gone")
        return bytes(stop - start)

    cache = RangeCache(fetch)
    with pytest.raises(FileGoneError):
        cache.read(SourceFile("f", 10), 0, 10)
    assert cache.read(SourceFile("f", 10), 0, 10) == bytes(10)


def test_threads_share_what_is_on_its_way() -> None:
    far = _Fetched(random.Random(0).randbytes(3 << 20))
    parts = [(start, 1000) for start in range(0, 3 << 20, 1000)]
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda part: far.cache.read(far.file, *part), parts))
    assert b"".join(found) == far.data
    assert sum(stop - start for start, stop in far.asked) == len(far.data)


def test_a_stream_of_ranges() -> None:
    far = _Fetched(random.Random(0).randbytes(1 << 20))
    with io.BufferedReader(RangeStream(far.cache, far.file)) as stream:
        assert stream.read(10) == far.data[:10]
        assert stream.read() == far.data[10:]
