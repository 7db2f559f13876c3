"""XML from strangers: line numbers, refusals, and documents made to exhaust us."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataprep_job import lined_xml
from dataprep_job.lined_xml import XmlError, XmlRefusedError, parse_xml


def test_elements_know_their_lines_and_texts() -> None:
    root = parse_xml(b"<a>\n <b x='1'> one\n</b>\n <b>two &amp; three</b><c/>\n</a>")
    assert [(child.tag, child.line, child.text) for child in root.children] == [
        ("b", 2, "one"),
        ("b", 4, "two & three"),
        ("c", 4, ""),
    ]
    assert root.children[0].attributes == {"x": "1"}
    assert root.text_of("b") == "one"
    assert root.text_of("d") is None
    assert root.first("d") is None


def test_deep_nesting_and_long_texts_are_read() -> None:
    assert parse_xml(b"<a>" * 50_000 + b"</a>" * 50_000).tag == "a"
    assert parse_xml(b"<a>" + b"\n" * 1_000_000 + b"x</a>").text == "x"


def test_utf16_is_read() -> None:
    assert parse_xml('<?xml version="1.0" encoding="utf-16"?><a>ä</a>'.encode("utf-16")).text == "ä"


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", 1),
        (b"<a>\n</b>", 2),
        (b"<a/><a/>", 1),
        (b'<?xml version="1.0" encoding="nonsense"?><a/>', 1),
        (b"<a>&#0;</a>", 1),
        (b"<a>&unknown;</a>", 1),
        (b"\n<a>\xed\xa0\x80</a>", 2),
    ],
)
def test_what_is_not_well_formed_names_its_line(data: bytes, line: int) -> None:
    with pytest.raises(XmlError) as caught:
        parse_xml(data)
    assert caught.value.line == line


def test_too_many_elements_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lined_xml, "MAX_ELEMENTS", 10)
    with pytest.raises(XmlError, match="more than 10 elements"):
        parse_xml(b"<a>" + b"<b/>" * 10 + b"</a>")


def test_a_dtd_is_refused() -> None:
    with pytest.raises(XmlRefusedError):
        parse_xml(b"<!DOCTYPE a><a/>")


@given(st.one_of(st.binary(max_size=80), st.text("<>/ab=\"'&;! \n", max_size=60).map(str.encode)))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(XmlError):
        parse_xml(data)
