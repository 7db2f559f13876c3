"""JSON files of any size: every entry before a mistake is kept, and nothing depends on where chunks end."""

from __future__ import annotations

import io
import json
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataprep_job import json_stream
from dataprep_job.json_stream import (
    JsonEntry,
    JsonError,
    JsonRun,
    decoded_line,
    entries_of,
    json_entries,
    json_parts,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def read(data: bytes) -> list[JsonEntry]:
    return list(json_entries(io.BytesIO(data)))


def read_until_mistake(data: bytes) -> tuple[list[JsonEntry], JsonError | None]:
    entries: list[JsonEntry] = []
    try:
        entries.extend(json_entries(io.BytesIO(data)))
    except JsonError as error:
        return entries, error
    return entries, None


def whole(entries: list[JsonEntry]) -> Any:
    """The value of a file, put together from its entries."""
    if len(entries) == 1 and entries[0].section is None and entries[0].index is None:
        return entries[0].value
    if entries[0].section is None:
        return [entry.value for entry in entries]
    found: dict[str, Any] = {}
    for entry in entries:
        assert entry.section is not None
        if entry.index is None:
            found[entry.section] = entry.value
        else:
            found.setdefault(entry.section, []).append(entry.value)
            assert entry.index == len(found[entry.section]) - 1
    return found


def test_the_elements_of_arrays_and_the_other_members_are_entries() -> None:
    data = b'{"info": {"a": [1, 2]},\n"images": [{"id": 1},\n{"id": 2}], "none": [], "n": -1.5e3}'
    assert read(data) == [
        JsonEntry("info", None, {"a": [1, 2]}, 1),
        JsonEntry("images", 0, {"id": 1}, 2),
        JsonEntry("images", 1, {"id": 2}, 3),
        JsonEntry("none", None, [], 3),
        JsonEntry("n", None, -1500.0, 3),
    ]


def test_a_list_at_the_top_has_no_section() -> None:
    assert read(b' [1,\n "two"] \n') == [JsonEntry(None, 0, 1, 1), JsonEntry(None, 1, "two", 2)]


@pytest.mark.parametrize("data", [b"[]", b"{}", b'"x"', b"12", b"null", b" [ ] "])
def test_a_single_value_is_a_single_entry(data: bytes) -> None:
    assert read(data) == [JsonEntry(None, None, json.loads(data), 1)]


def test_pointers_are_json_pointers() -> None:
    assert JsonEntry("annotations", 12, None, 1).pointer == "/annotations/12"
    assert JsonEntry("a/b~c", None, None, 1).pointer == "/a~1b~0c"
    assert JsonEntry(None, 3, None, 1).pointer == "/3"
    assert JsonEntry(None, None, None, 1).pointer == ""


@settings(max_examples=50)
@given(VALUES, st.sampled_from([None, 1, "\t"]), st.booleans(), st.integers(1, 40))
def test_entries_put_together_are_the_file_wherever_chunks_end(
    value: Any, indent: int | str | None, is_ascii: bool, chunk: int
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=is_ascii)
    data = text.encode("utf-8", errors="surrogatepass")
    with mock.patch.object(json_stream, "_CHUNK", chunk):
        assert whole(read(data)) == json.loads(text)


@settings(max_examples=50)
@given(st.lists(VALUES, min_size=1, max_size=5), st.integers(1, 40), st.data())
def test_what_stands_before_a_cut_is_kept(values: list[Any], chunk: int, data: st.DataObject) -> None:
    text = json.dumps({"images": values}, indent=1)
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    with mock.patch.object(json_stream, "_CHUNK", chunk):
        entries, error = read_until_mistake(cut.encode())
    assert error is not None
    assert 1 <= error.line <= cut.count("\n") + 1
    complete = [entry.value for entry in entries]
    assert complete in (values[: len(complete)], [[]])


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail_otherwise(data: bytes) -> None:
    read_until_mistake(data)


@given(st.text('[]{}",:0123456789.eE+-truefalsnN\\ud\n ', max_size=60), st.integers(1, 30))
def test_it_accepts_what_json_accepts(text: str, chunk: int) -> None:
    try:
        expected = [json.loads(text)]
    except ValueError:
        expected = []
    with mock.patch.object(json_stream, "_CHUNK", chunk):
        _, error = read_until_mistake(text.encode())
    assert (error is None) == bool(expected)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_other_encodings_are_read(encoding: str) -> None:
    assert read('["äöü", "日本", "😀"]'.encode(encoding)) == read('["äöü", "日本", "😀"]'.encode())


def test_not_a_number_and_infinity_are_read_as_python_does() -> None:
    values = [entry.value for entry in read(b"[NaN, Infinity, -Infinity]")]
    assert str(values) == "[nan, inf, -inf]"


def test_of_repeated_keys_the_last_one_counts() -> None:
    assert read(b'[{"id": 1, "id": 2}]')[0].value == {"id": 2}


def test_halves_of_surrogate_pairs_are_replaced() -> None:
    data = rb'[{"a\udc00": ["x\ud83d"], "b": "\ud83d\ude00"}, "\udfff", "\u00e4"]'
    values = [entry.value for entry in read(data)]
    assert values == [{"a\ufffd": ["x\ufffd"], "b": "😀"}, "\ufffd", "ä"]


@pytest.mark.parametrize(
    ("data", "kept", "line", "message"),
    [
        (b"", 0, 1, "There is no text"),
        (b"\n\n", 0, 3, "There is no text"),
        (b'{"a": [1,\n2', 1, 2, "The file ends in the middle"),
        (b'{"width": 64', 0, 1, "The file ends in the middle"),
        (b'{"a": [1,\n2,\n', 2, 3, "The file ends in the middle"),
        (b'{"a": [{"b": "un\\', 0, 1, "The file ends in the middle"),
        (b"[1,\n2,\n]", 2, 3, "Expecting value"),
        (b"[1,\n2 3]", 2, 2, "Expecting ',' or ']'"),
        (b'{"a": 1,\n b: 2}', 1, 2, "Expecting property name enclosed in double quotes"),
        (b'{"a": 1}\n{"a": 2}', 1, 2, "There is more after the end of the JSON value"),
        (b'["a",\n"\xff"]', 1, 2, "The text is not UTF-8"),
        (b'["a",\n"b"]\n\xff', 2, 3, "The text is not UTF-8"),
        (b'["a\nb"]', 0, 1, "Invalid control character at"),
        (b"[1, " + b"9" * 5000 + b"]", 1, 1, "A number has too many digits"),
        (b"[1,\n" + b"[" * 100_000, 1, 2, "A value is nested too deeply"),
        (b'{"a":' * 100_000, 0, 1, "A value is nested too deeply"),
    ],
)
def test_mistakes_name_their_line(data: bytes, kept: int, line: int, message: str) -> None:
    entries, error = read_until_mistake(data)
    assert error is not None
    assert (len(entries), error.line, str(error)) == (kept, line, message)


def test_a_mistake_is_named_without_reading_the_rest() -> None:
    stream = io.BytesIO(b"[1, oops" + b" " * (4 << 20))
    with pytest.raises(JsonError, match="Expecting value"):
        list(json_entries(stream))
    assert stream.tell() <= json_stream._CHUNK


def test_values_have_a_bounded_size() -> None:
    with mock.patch.object(json_stream, "MAX_VALUE", 1 << 20):
        entries, error = read_until_mistake(b'[1, {"a": "' + b"x" * (4 << 20) + b'"}]')
        assert error is not None
        assert (len(entries), str(error)) == (1, "A value is too large")
        assert read(b'{"imageData": "' + b"x" * (4 << 20) + b'"}')[0].section == "imageData"


def test_a_long_value_is_not_decoded_once_for_every_chunk() -> None:
    data = b'["' + b"x" * 200_000 + b'", 1]'
    scans = mock.Mock(side_effect=json_stream._scan_once)
    with (
        mock.patch.object(json_stream, "_CHUNK", 100),
        mock.patch.object(json_stream, "_scan_once", scans),
    ):
        assert len(read(data)) == 2
    assert scans.call_count < 40


def test_streams_may_give_less_than_is_asked_for() -> None:
    class Dripping(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(3, size or 3))

    assert len(list(json_entries(Dripping(b'{"a": [1, 2, 3], "b": "c"}')))) == 4


def test_one_line_is_decoded_with_the_same_rules() -> None:
    assert decoded_line(' {"a": NaN, "b": "\\ud800"} ')["b"] == "\ufffd"
    for text in ("", "{", "{} {}", "[" * 100_000, "9" * 5000):
        with pytest.raises(JsonError):
            decoded_line(text)


@pytest.mark.parametrize("ending", [",\n", ", ", ","], ids=["lines", "one line", "no blanks"])
def test_long_lists_come_whole_however_the_text_is_cut(ending: str) -> None:
    lists = {
        name: [{"n": n, "text": "}, {" * (n % 40), "inner": [{"a": n}, {"b": [n]}]} for n in range(count)]
        for name, count in (("first", 6000), ("one", 1), ("last", 2500))
    }
    texts = {name: ending.join(json.dumps(value) for value in values) for name, values in lists.items()}
    data = "{" + ending.join(f'"{name}": [{text}]' for name, text in texts.items()) + "}"
    assert len(data) > 4 * (256 << 10)
    parts = list(json_parts(io.BytesIO(data.encode())))
    assert any(isinstance(part, JsonRun) for part in parts) == (ending != ",\n")
    found: dict[str | None, list[Any]] = {}
    for entry in entries_of(parts):
        assert entry.index == len(found.setdefault(entry.section, []))
        found[entry.section].append(entry.value)
    assert found == lists
