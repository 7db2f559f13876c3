"""JSON files of any size, one entry at a time: what comes before a mistake in the file is not lost."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from json import JSONDecodeError, JSONDecoder
from typing import Any, BinaryIO

MAX_STRING = 128 << 20
"""Longest text that may stand as a member of its own, in characters: pictures are kept inside JSON."""

MAX_VALUE = 32 << 20
"""Longest array or object in characters; decoded it can take twenty times as much memory."""

_CHUNK = 256 << 10
_MARGIN = 16
"""A mistake that lies closer to the end of the text at hand can be a word or number cut in two."""

_BLANK = re.compile(r"[ \t\n\r]*")
_EMPTY = "There is no text"
_AFTER = frozenset(",]} \t\n\r")
_COMMA = re.compile(r"[ \t\n\r]*,[ \t\n\r]*")
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_scan_once: Callable[[str, int], tuple[Any, int]] = JSONDecoder().scan_once  # type: ignore[attr-defined]
"""What `raw_decode` calls: the C scanner."""


class JsonError(ValueError):
    """Not JSON from `line` (1-based) on, or a value larger or deeper than an annotation can be."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(slots=True)
class JsonEntry:
    """One entry of a JSON file.

    In a file that holds an object, every element of an array-valued member is an entry
    (`section` "images", `index` 0, …), and so is every other member (`index` None). An empty array is one
    entry with `index` None and value []. In a file that holds an array, every element is an entry of
    section None; any other file, and an empty object or array, is a single entry of section None and
    index None. A member that is there twice is yielded twice.
    """

    section: str | None
    index: int | None
    value: Any
    line: int

    @property
    def pointer(self) -> str:
        """The JSON pointer (RFC 6901) of the entry, such as `/annotations/12`."""
        parts = [part for part in (self.section, self.index) if part is not None]
        return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


@dataclass(slots=True)
class JsonRun:
    """Elements of one array that follow each other on one line, decoded together."""

    section: str | None
    first: int
    values: list[Any]
    line: int

    def entries(self) -> Iterator[JsonEntry]:
        """The same, one by one."""
        for index, value in enumerate(self.values, self.first):
            yield JsonEntry(self.section, index, value, self.line)


JsonPart = JsonEntry | JsonRun


def json_entries(stream: BinaryIO) -> Iterator[JsonEntry]:
    """Yield a file's entries in order, see `json_parts`."""
    return entries_of(json_parts(stream))


def entries_of(parts: Iterable[JsonPart]) -> Iterator[JsonEntry]:
    """The entries of parts of a file."""
    for part in parts:
        if isinstance(part, JsonEntry):
            yield part
        else:
            yield from part.entries()


def json_parts(stream: BinaryIO) -> Iterator[JsonPart]:
    """Yield a file's entries in order, many together where that is easy; memory does not grow with the file.

    NaN and Infinity are accepted as Python's json module does. UTF-8 (with or without a mark) and UTF-16 are
    read. Halves of surrogate pairs, which no text can hold, are replaced.

    Raises:
        JsonError: after every entry before the mistake has been yielded.
    """
    text = _Text(stream)
    match text.peek():
        case "{":
            yield from _members(text)
        case "[":
            yield from _elements(text, None)
        case "":
            raise text.error(_EMPTY)
        case _:
            line = text.line()
            yield JsonEntry(None, None, text.value(is_whole_file=True), line)
    text.finish()


def decoded_line(line: str) -> Any:
    """The value of one line of a JSON Lines file, with the rules of `json_entries`. Raises JsonError."""
    text = _Text(io.BytesIO())
    text.put(line)
    if not text.peek():
        raise text.error(_EMPTY)
    value = text.value(is_whole_file=True)
    text.finish()
    return value


def _members(text: _Text) -> Iterator[JsonPart]:
    line = text.line()
    text.at += 1
    if text.peek() == "}":
        text.at += 1
        yield JsonEntry(None, None, {}, line)
        return
    while True:
        if text.peek() != '"':
            raise text.error("Expecting property name enclosed in double quotes")
        section = text.value()
        text.expect(":")
        if text.peek() == "[":
            yield from _elements(text, section)
        else:
            line = text.line()
            yield JsonEntry(section, None, text.value(), line)
        if text.expect(",}") == "}":
            return


def _elements(text: _Text, section: str | None) -> Iterator[JsonPart]:
    line = text.line()
    text.at += 1
    if text.peek() == "]":
        text.at += 1
        yield JsonEntry(section, None, [], line)
        return
    index = 0
    may_have_runs = True
    while True:
        if may_have_runs:
            line = text.line()
            values, is_end = text.simple_run()
            may_have_runs = bool(values)
            if values:
                yield JsonRun(section, index, values, line)
                index += len(values)
            if is_end:
                text.at += 1
                return
        for value, line in text.simple_values():
            yield JsonEntry(section, index, value, line)
            index += 1
        line = text.line()
        yield JsonEntry(section, index, text.value(), line)
        index += 1
        if text.expect(",]") == "]":
            return
        text.peek()


class _Text:
    """The part of the file that is being decoded. What lies before `at` is done with."""

    def __init__(self, stream: BinaryIO) -> None:
        self.at = 0
        self._text = ""
        self._stream = stream
        self._decoder: codecs.IncrementalDecoder | None = None
        self._is_end = False
        self._not_text = ""
        self._line = 1
        self._counted = 0
        self._has_lines = False
        self._has_escapes = False

    def put(self, whole: str) -> None:
        """Decode this text instead of a stream's."""
        self._text = whole
        self._is_end = True

    def peek(self) -> str:
        """The next character that is not blank, without consuming it; empty at the end of the file."""
        while True:
            text, at = self._text, self.at
            # Most values are followed by no blank or by one.
            if (character := text[at : at + 1]) > " ":
                return character
            if text[at + 1 : at + 2] > " " and character == " ":
                self.at += 1
                return text[at + 1]
            matched = _BLANK.match(text, at)
            self.at = matched.end() if matched else at
            if self.at < len(text):
                return text[self.at]
            if self._is_end:
                return ""
            self._fill()

    def expect(self, characters: str) -> str:
        """Consume the next character, which must be one of these."""
        found = self.peek()
        if not found or found not in characters:
            wanted = " or ".join(repr(character) for character in characters)
            raise self.error(f"Expecting {wanted}")
        self.at += 1
        return found

    def finish(self) -> None:
        """Make sure that nothing but blanks is left."""
        if self.peek() or self._not_text:
            raise self.error("There is more after the end of the JSON value")

    def value(self, *, is_whole_file: bool = False) -> Any:
        """Decode and consume the value that begins at `at`.

        A number at the very end of a file that should go on may be the beginning of a longer one: it is a
        mistake.
        """
        while True:
            text, at = self._text, self.at
            try:
                value, end = _scan_once(text, at)
            except StopIteration as stop:
                position, message = stop.value, "Expecting value"
            except JSONDecodeError as error:
                position, message = error.pos, error.msg
            except RecursionError:
                raise self.error("A value is nested too deeply") from None
            except ValueError:
                raise self.error("A number has too many digits") from None
            else:
                is_number = isinstance(value, int | float) and not isinstance(value, bool)
                if is_number and self._is_end and not is_whole_file and text[end : end + 1] not in _AFTER:
                    raise self.error("Expecting ',' delimiter", end)
                if self._is_end or end < len(text) - _MARGIN or not is_number:
                    self.at = end
                    # Halves of characters can only come from escapes.
                    if text.find("\\u", at, end) != -1:
                        return _without_halves(value)
                    return value
                position, message = end, ""
            is_open = message.startswith("Unterminated string")
            if self._is_end or (position < len(text) - _MARGIN and not is_open):
                raise self.error(message, len(text) if is_open else position)
            if len(text) - at > (MAX_STRING if text[at] == '"' else MAX_VALUE):
                raise self.error("A value is too large")
            self._fill()

    def simple_run(self) -> tuple[list[Any], bool]:
        """Decode and consume objects with a comma behind all at once, while that is easy.

        Returns:
            The values, none where it is not easy: the text at hand has line ends (each value has its own
            line then), escapes, a mistake, or other values than objects. And whether the list ends here, at
            the bracket that closes it.
        """
        text, at = self._text, self.at
        end = text.rfind("},", at, max(at, len(text) - _MARGIN))
        if self._has_escapes or self._has_lines or end < 0:
            return [], False
        try:
            values, stop = _scan_once(f"[{text[at : end + 1]}]", 0)
        except (StopIteration, ValueError, RecursionError):
            return [], False
        # A bracket before our own one closes the list.
        is_end = stop < end + 3 - at
        if is_end:
            self.at = at + stop - 2
        else:
            comma = _COMMA.match(text, end + 1)
            if comma is None or comma.end() == len(text):
                return [], False
            self.at = comma.end()
        return values, is_end

    def simple_values(self) -> Iterator[tuple[Any, int]]:
        """Decode and consume values with a comma behind, and give their lines, while that is easy.

        This is the fast way through a list of a million elements. It stops at anything unusual: the end of
        the text at hand or of the list, a mistake, an escape.
        """
        if self._has_escapes:
            return
        text, at, line = self._text, self.at, self.line()
        while True:
            try:
                value, end = _scan_once(text, at)
            except (StopIteration, ValueError, RecursionError):
                return
            comma = _COMMA.match(text, end)
            if comma is None or (next_at := comma.end()) == len(text):
                return
            self.at = next_at
            yield value, line
            if self._has_lines:
                line += text.count("\n", at, next_at)
                self._line, self._counted = line, next_at
            at = next_at

    def line(self) -> int:
        """The line (1-based) of the character at `at`."""
        self._line += self._text.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._line

    def error(self, message: str, position: int | None = None) -> JsonError:
        """What is wrong at a position of the text at hand, by default at `at`."""
        position = self.at if position is None else position
        line = self._line + self._text.count("\n", self._counted, position)
        if self._is_end and position >= len(self._text.rstrip()):
            if self._not_text:
                message = self._not_text
            elif message != _EMPTY:
                message = "The file ends in the middle"
        return JsonError(message, line)

    def _fill(self) -> None:
        """Read on: at least as much as is waiting already, so that a long value is not decoded often."""
        self.line()
        waiting = self._text[self.at :]
        raw = self._read(max(_CHUNK, len(waiting)))
        if self._decoder is None:
            self._decoder = codecs.getincrementaldecoder(_encoding(raw))(errors="strict")
        try:
            decoded = self._decoder.decode(raw, self._is_end)
        except UnicodeDecodeError as error:
            self._is_end = True
            self._not_text = f"The text is not {error.encoding.upper()}"
            decoded = error.object[: error.start].decode(error.encoding)
        self._text = waiting + decoded
        self._has_lines = "\n" in self._text
        self._has_escapes = "\\u" in self._text
        self.at = self._counted = 0

    def _read(self, wanted: int) -> bytes:
        chunks: list[bytes] = []
        while wanted > 0:
            chunk = self._stream.read(wanted)
            if not chunk:
                self._is_end = True
                break
            chunks.append(chunk)
            wanted -= len(chunk)
        return b"".join(chunks)


def _encoding(start: bytes) -> str:
    """By the file's mark, or by the zero bytes that the first character of JSON leaves in UTF-16."""
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if len(start) > 1 and 0 in start[:2]:
        return "utf-16-le" if start[0] else "utf-16-be"
    return "utf-8-sig"


def _without_halves(value: Any) -> Any:
    """The value with U+FFFD for every half of a surrogate pair, which no file name or report can hold."""
    holder = [value]
    waiting: list[Any] = [holder]
    while waiting:
        container = waiting.pop()
        if isinstance(container, dict):
            if any(_HALF_CHARACTER.search(key) for key in container):
                mended = {_mended(key): inner for key, inner in container.items()}
                container.clear()
                container.update(mended)
            items: Any = list(container.items())
        else:
            items = enumerate(container)
        for key, inner in items:
            if isinstance(inner, str):
                if _HALF_CHARACTER.search(inner):
                    container[key] = _mended(inner)
            elif isinstance(inner, dict | list):
                waiting.append(inner)
    return holder[0]


def _mended(text: str) -> str:
    return _HALF_CHARACTER.sub("\ufffd", text)
