"""Pure rules of transform jobs: names of outputs, manifests, records, mini-batches, settled parameters."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.errors import InputDataError
from local.sagemaker.containers import Answer
from local.sagemaker.transform_inputs import (
    InputObject,
    _batches,
    manifest_objects,
    output_uri,
    payloads,
    prefix_objects,
)
from local.sagemaker.transform_requests import Output, Parameters, Refusal, parameters_for

MAGIC = 0xCED7230A


@pytest.mark.parametrize(
    ("uri", "key", "output"),
    [
        ("s3://b/in/", "in/a.jpg", "s3://o/out/a.jpg.out"),
        ("s3://b/in", "in/more/a.jpg", "s3://o/out/more/a.jpg.out"),
        ("s3://b/in/a.csv", "in/a.csv", "s3://o/out/a.csv.out"),
        ("s3://b/in/a", "in/a-1.csv", "s3://o/out/a-1.csv.out"),
        ("s3://b", "a.csv", "s3://o/out/a.csv.out"),
    ],
)
@pytest.mark.parametrize("path", ["s3://o/out", "s3://o/out/"])
def test_outputs_are_named_after_what_lies_below_the_prefix(
    uri: str, key: str, output: str, path: str
) -> None:
    (source,) = prefix_objects(uri, [key])
    assert source.path == f"b/{key}"
    assert output_uri(path, source) == output


class TestManifests:
    def test_names_continue_the_prefix(self) -> None:
        content = json.dumps([{"prefix": "s3://b/some/pre"}, "fix/a.jpg", "b.jpg"]).encode()
        assert manifest_objects("s3://b/m", content) == [
            InputObject("b", "some/prefix/a.jpg", "fix/a.jpg"),
            InputObject("b", "some/preb.jpg", "b.jpg"),
        ]

    def test_a_prefix_alone_names_nothing(self) -> None:
        assert manifest_objects("s3://b/m", b'[{"prefix": "s3://b/p/"}]') == []

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"a.jpg\n", "is no JSON"),
            (b"\xff", "is no JSON"),
            (b"{}", "no list"),
            (b"[]", "no list"),
            (b'["a.jpg"]', "does not begin with"),
            (b'[{"prefix": "b/p"}, "a"]', "does not begin with"),
            (b'[{"prefix": "s3:///p"}, "a"]', "does not begin with"),
            (b'[{"prefix": 1}, "a"]', "does not begin with"),
            (b'[{"prefix": "s3://b/"}, "a", 7]', "entry 2 after the prefix is no key: 7"),
            (b'[{"prefix": "s3://b/"}, ""]', "entry 1 after the prefix is no key"),
        ],
    )
    def test_others_are_refused_with_what_is_wrong(self, content: bytes, message: str) -> None:
        with pytest.raises(InputDataError, match=message):
            manifest_objects("s3://b/m", content)


def framed(*records: tuple[bytes, ...]) -> bytes:
    """A RecordIO file; a record of several items lies in as many parts."""
    file = b""
    for record in records:
        for position, content in enumerate(record):
            part = 0 if len(record) == 1 else 1 if position == 0 else 3 if position == len(record) - 1 else 2
            file += struct.pack("<II", MAGIC, part << 29 | len(content)) + content + bytes(-len(content) % 4)
    return file


def bodies(folder: Path, content: bytes, split: str, strategy: str = "MultiRecord", **changes: Any) -> Any:
    file = folder / "object"
    file.write_bytes(content)
    return list(payloads(file, changes.get("compression", "None"), split, strategy, changes.get("limit", 64)))


class TestSplitting:
    def test_whole(self, tmp_path: Path) -> None:
        assert bodies(tmp_path, b"a\nb", "None", "SingleRecord") == [b"a\nb"]
        assert bodies(tmp_path, b"", "None") == [b""]

    def test_lines(self, tmp_path: Path) -> None:
        assert bodies(tmp_path, b"a\n\nbc", "Line", "SingleRecord") == [b"a\n", b"\n", b"bc"]
        assert bodies(tmp_path, b"a\n\nbc", "Line") == [b"a\n\nbc"]
        assert bodies(tmp_path, b"", "Line") == []

    def test_lines_fill_a_payload(self, tmp_path: Path) -> None:
        assert bodies(tmp_path, b"1\n22\n3\n", "Line", limit=5) == [b"1\n22\n", b"3\n"]

    def test_records_lose_their_frame_only_when_sent_alone(self, tmp_path: Path) -> None:
        first, second = framed((b"abcde",)), framed((b"",))
        assert bodies(tmp_path, first + second, "RecordIO", "SingleRecord") == [b"abcde", b""]
        assert bodies(tmp_path, first + second, "RecordIO") == [first + second]
        assert bodies(tmp_path, first + second, "RecordIO", limit=16) == [first, second]

    def test_a_record_in_parts_gets_back_the_magic_it_was_cut_at(self, tmp_path: Path) -> None:
        file = framed((b"abcd", b"", b"ef"))
        magic = struct.pack("<I", MAGIC)
        (content,) = bodies(tmp_path, file, "RecordIO", "SingleRecord")
        assert content == b"abcd" + magic + magic + b"ef"

    @pytest.mark.parametrize(
        "content",
        [
            b"no record io",
            framed((b"abcd",))[:-1],
            framed((b"abcd",))[:5],
            framed((b"abcd", b"e"))[:12],
            framed((b"abcd", b"e"))[12:],
            framed((b"a", b"b"))[:12] + framed((b"c",)),
        ],
    )
    def test_damaged_records_are_refused(self, tmp_path: Path, content: bytes) -> None:
        with pytest.raises(InputDataError, match="RecordIO"):
            bodies(tmp_path, content, "RecordIO")

    @pytest.mark.parametrize(
        ("content", "split"),
        [
            (b"123456", "None"),
            (b"12\n12345\n", "Line"),
            (framed((b"",)), "RecordIO"),
            (struct.pack("<II", MAGIC, (1 << 29) - 1), "RecordIO"),
        ],
    )
    @pytest.mark.parametrize("strategy", ["SingleRecord", "MultiRecord"])
    def test_what_exceeds_the_payload_is_refused(
        self, tmp_path: Path, content: bytes, split: str, strategy: str
    ) -> None:
        with pytest.raises(InputDataError, match="Too much data for max payload size"):
            bodies(tmp_path, content, split, strategy, limit=5)

    def test_gzip(self, tmp_path: Path) -> None:
        packed = gzip.compress(b"a\nb\n")
        assert bodies(tmp_path, packed, "Line", "SingleRecord", compression="Gzip") == [b"a\n", b"b\n"]
        for damaged in (b"plain", packed[:-9], packed[:12] + b"\xff" * 8):
            with pytest.raises(InputDataError, match="cannot be unpacked"):
                bodies(tmp_path, damaged, "None", compression="Gzip")

    def test_a_small_file_that_unpacks_to_much_is_refused_unread(self, tmp_path: Path) -> None:
        with pytest.raises(InputDataError, match="Too much data"):
            bodies(tmp_path, gzip.compress(bytes(1 << 20)), "None", compression="Gzip", limit=100)

    @given(st.lists(st.binary(min_size=1, max_size=5)), st.integers(5, 20))
    def test_batches_hold_everything_in_order_and_are_as_full_as_can_be(
        self, records: list[bytes], limit: int
    ) -> None:
        batches = list(_batches(records, limit))
        assert b"".join(batches) == b"".join(records)
        assert all(0 < len(batch) <= limit for batch in batches)
        # No two neighbours would have fitted into one.
        starts = [b"".join(batches[n + 1 :]) for n in range(len(batches) - 1)]
        lengths = {len(b"".join(records[n:])): len(records[n]) for n in range(len(records))}
        for batch, rest in zip(batches, starts, strict=False):
            assert len(batch) + lengths[len(rest)] > limit


class TestOutputs:
    def made(self, folder: Path, ending: bytes = b"") -> Output:
        return Output(InputObject("b", "k", "k"), folder / "0.out", ending)

    def test_answers_are_written_in_the_order_of_the_requests(self, tmp_path: Path) -> None:
        output = self.made(tmp_path, b"\n")
        output.add(2, b"c")
        output.add(0, b"a")
        assert not output.complete
        output.requests = 3
        assert not output.complete
        output.add(1, b"b")
        assert output.complete
        assert output.file.read_bytes() == b"a\nb\nc\n"

    def test_one_that_is_given_up_stays_so(self, tmp_path: Path) -> None:
        output = self.made(tmp_path)
        output.add(0, b"a")
        assert output.fail(Refusal("ClientError", "first"))
        assert not output.fail(Refusal("ClientError", "second"))
        output.add(1, b"b")
        output.requests = 2
        assert not output.complete
        assert output.refusal == Refusal("ClientError", "first")
        assert not output.file.exists()


class TestParameters:
    def answer(self, content: Any, status: int = 200) -> Answer:
        return Answer(status, "application/json", json.dumps(content).encode(), 1)

    def test_defaults(self) -> None:
        settled = parameters_for({}, None)
        assert settled == Parameters(1, "MultiRecord", 6)
        assert str(settled) == "MaxConcurrentTransforms=1, MaxPayloadInMB=6, BatchStrategy=MULTI_RECORD"

    def test_the_request_wins_over_the_container(self) -> None:
        offered = {"MaxConcurrentTransforms": 8, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 20}
        assert parameters_for({}, self.answer(offered)) == Parameters(8, "SingleRecord", 20)
        # 0 concurrent transforms means: ask the container.
        request = {"MaxConcurrentTransforms": 0, "BatchStrategy": "MultiRecord", "MaxPayloadInMB": 1}
        assert parameters_for(request, self.answer(offered)) == Parameters(8, "MultiRecord", 1)

    @pytest.mark.parametrize(
        "offered",
        [
            [],
            "text",
            None,
            {"MaxConcurrentTransforms": 10**9, "MaxPayloadInMB": 10**9, "BatchStrategy": "ALL"},
            {"MaxConcurrentTransforms": "8", "MaxPayloadInMB": True, "BatchStrategy": ["SINGLE_RECORD"]},
            {"MaxConcurrentTransforms": -1, "MaxPayloadInMB": 0.5},
        ],
    )
    def test_nonsense_counts_as_silence(self, offered: Any) -> None:
        assert parameters_for({}, self.answer(offered)) == Parameters()
        assert parameters_for({}, Answer(200, None, b"\xff{", 1)) == Parameters()

    def test_a_refusal_counts_as_silence(self) -> None:
        assert parameters_for({}, self.answer({"MaxPayloadInMB": 20}, 404)) == Parameters()
