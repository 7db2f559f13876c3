"""XML from strangers: line numbers, refusals, and documents made to exhaust us."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Collection, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataprep_job import lined_xml
from dataprep_job.lined_xml import Element, XmlError, XmlRefusedError, XmlStream


def stream(data: bytes, opened: Collection[str] = (), chunk: int = 1 << 16) -> XmlStream:
    return XmlStream((data[at : at + chunk] for at in range(0, len(data), chunk)), opened)


def children(data: bytes, opened: Collection[str] = (), chunk: int = 1 << 16) -> list[Element]:
    return [element for _, element in stream(data, opened, chunk)]


def test_elements_know_their_lines_and_texts() -> None:
    data = b"<a>\n <b x='1'> one\n</b>\n <b>two &amp; three<d/></b><c/>\n</a>"
    assert [(child.tag, child.line, child.text) for child in children(data)] == [
        ("b", 2, "one"),
        ("b", 4, "two & three"),
        ("c", 4, ""),
    ]
    one, two, _ = children(data)
    assert one.attributes == {"x": "1"}
    assert two.text_of("d") == ""
    assert two.text_of("e") is None
    assert two.first("e") is None


def test_the_root_is_known_before_its_children() -> None:
    def pieces() -> Iterator[bytes]:
        yield b"<a x='1'"
        yield b">\n"
        raise AssertionError("read too far")

    root = XmlStream(pieces()).root()
    assert (root.tag, root.line, root.attributes) == ("a", 1, {"x": "1"})


def test_children_of_an_opened_element_come_one_by_one_with_their_parent() -> None:
    data = b"<a><t n='1'><b/><b/></t><c><b/></c><t n='2'><b><d/></b></t><t n='3'/></a>"
    found = [
        (parent.tag, parent.attributes.get("n"), element.tag, len(element.children))
        for parent, element in stream(data, opened={"t"})
    ]
    assert found == [
        ("t", "1", "b", 0),
        ("t", "1", "b", 0),
        ("a", None, "c", 1),
        ("t", "2", "b", 1),
    ]


def test_what_was_handed_out_is_forgotten() -> None:
    xml = stream(b"<a>" + b"<b><c/></b>" * 1000 + b"<last/></a>", chunk=64)
    gc.collect()
    for _, element in xml:
        if element.tag == "last":
            assert sum(isinstance(one, Element) for one in gc.get_objects()) < 50
    assert xml.root().children == []


@given(st.integers(1, 12))
def test_the_size_of_the_pieces_changes_nothing(chunk: int) -> None:
    data = "<a>\n<b x='ä'>öü&lt;</b>\n<t><c/>\n<d>\ntext</d></t></a>".encode()
    assert list(stream(data, {"t"}, chunk)) == list(stream(data, {"t"}))


def test_deep_nesting_and_long_texts_are_read() -> None:
    assert len(children(b"<a>" + b"<b>" * 90 + b"</b>" * 90 + b"</a>")) == 1
    assert children(b"<a><b>" + b"\n" * 1_000_000 + b"x</b></a>")[0].text == "x"


def test_utf16_is_read() -> None:
    data = '<?xml version="1.0" encoding="utf-16"?><a><b>ä</b></a>'.encode("utf-16")
    assert children(data)[0].text == "ä"
    assert children(data, chunk=3)[0].text == "ä"


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", 1),
        (b"<a>\n</b>", 2),
        (b"<a/><a/>", 1),
        (b"<a/>\nx", 2),
        (b"<a>\n<b/>", 2),
        (b'<?xml version="1.0" encoding="nonsense"?><a/>', 1),
        (b"<a>&#0;</a>", 1),
        (b"<a>&unknown;</a>", 1),
        (b"\n<a>\xed\xa0\x80</a>", 2),
    ],
)
def test_what_is_not_well_formed_names_its_line(data: bytes, line: int) -> None:
    with pytest.raises(XmlError) as caught:
        children(data)
    assert caught.value.line == line


def test_what_stands_before_a_mistake_is_handed_out_first() -> None:
    elements = iter(stream(b"<a><b/>\n<c/><d>\n</e></a>"))
    assert [next(elements)[1].tag, next(elements)[1].tag] == ["b", "c"]
    with pytest.raises(XmlError) as caught:
        next(elements)
    assert caught.value.line == 3


@pytest.mark.parametrize(
    ("limit", "value", "data"),
    [
        ("MAX_ELEMENTS", 10, b"<a><b>" + b"<c/>" * 10 + b"</b></a>"),
        ("MAX_CHARACTERS", 10, b"<a><b>" + b"text<c/>" * 10 + b"</b></a>"),
        ("MAX_CHARACTERS", 10, b"<a><b c='more than ten'/></a>"),
        ("MAX_ATTRIBUTES", 1, b"<a><b c='' d=''/></a>"),
        ("MAX_DEPTH", 3, b"<a><b><c><d/></c></b></a>"),
        ("MAX_TOKEN_BYTES", 100, b"<a><b c='" + b"x" * 200 + b"'/></a>"),
        ("MAX_TOKEN_BYTES", 100, b"<!--" + b"x" * 200 + b"--><a/>"),
    ],
)
def test_limits_hold(monkeypatch: pytest.MonkeyPatch, limit: str, value: int, data: bytes) -> None:
    monkeypatch.setattr(lined_xml, limit, value)
    with pytest.raises(XmlError):
        children(data, chunk=10)


def test_limits_hold_for_one_entry_not_for_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lined_xml, "MAX_ELEMENTS", 4)
    monkeypatch.setattr(lined_xml, "MAX_CHARACTERS", 10)
    monkeypatch.setattr(lined_xml, "MAX_TOKEN_BYTES", 100)
    assert len(children(b"<a>" + b"<b><c>text</c></b>\n" * 100 + b"</a>")) == 100
    assert len(children(b"<a><t>" + b"<b><c>text</c></b>\n" * 100 + b"</t></a>", {"t"})) == 100


@pytest.mark.parametrize("data", [b"<!DOCTYPE a><a/>", b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'])
def test_a_dtd_is_refused(data: bytes) -> None:
    with pytest.raises(XmlRefusedError):
        stream(data).root()
    with pytest.raises(XmlRefusedError):
        children(data)


@given(st.one_of(st.binary(max_size=80), st.text("<>/ab=\"'&;! \n", max_size=60).map(str.encode)))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(XmlError):
        children(data)
