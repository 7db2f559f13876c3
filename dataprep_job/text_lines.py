"""Lines of text files from anywhere: other encodings, byte order marks and line ends of any system."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO

from dataprep_job.defects import DefectLog, at_line

MAX_LINE_BYTES = 16 << 20
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_CHUNK = 1 << 20


def text_lines(stream: BinaryIO, file: str, log: DefectLog) -> Iterator[tuple[int, str]]:
    """Yield the line numbers (1-based) and stripped texts of all lines that are not blank.

    A line that is not UTF-8, or longer than 16 MiB, becomes a defect and costs only itself. UTF-16 is read
    where its mark says so. Memory holds a chunk of the file at a time.
    """
    for number, line in whole_lines(stream, file, log):
        stripped = line.strip()
        if stripped:
            yield number, stripped


def whole_lines(stream: BinaryIO, file: str, log: DefectLog) -> Iterator[tuple[int, str]]:
    """Like `text_lines`, but blank lines come too, and blanks at the ends of a line stay."""
    for number, raw in enumerate(_raw_lines(stream), 1):
        if raw is None:
            log.add("text.not-utf8", at_line(file, number), "The line is too long: this is no text file.")
            continue
        try:
            line = raw.decode()
        except UnicodeDecodeError as error:
            log.add(
                "text.not-utf8", at_line(file, number), f"Byte {error.start + 1} of the line is not UTF-8."
            )
            continue
        if "\0" in line:
            log.add(
                "text.not-utf8", at_line(file, number), "The line holds zero bytes: this is no text file."
            )
        else:
            yield number, line


def _raw_lines(stream: BinaryIO) -> Iterator[bytes | None]:
    """Lines without their ends; None for one that is too long."""
    rest = b""
    is_too_long = False
    for chunk in _utf8_chunks(stream):
        # A line end of two characters may be cut in the middle; it is left for the next chunk.
        data = rest + chunk
        end = max(data.rfind(b"\n"), data.rfind(b"\r", 0, len(data) - 1)) + 1
        lines, rest = data[:end].splitlines(), data[end:]
        if lines and is_too_long:
            yield None
            is_too_long = False
            del lines[0]
        yield from lines
        if len(rest) > MAX_LINE_BYTES:
            is_too_long = True
            rest = b""
    if is_too_long:
        yield None
    else:
        yield from rest.splitlines()


def _utf8_chunks(stream: BinaryIO) -> Iterator[bytes]:
    first = stream.read(_CHUNK)
    if not first.startswith(_UTF16):
        yield first.removeprefix(codecs.BOM_UTF8)
        while chunk := stream.read(_CHUNK):
            yield chunk
        return
    decoder = codecs.getincrementaldecoder("utf-16")(errors="replace")
    yield decoder.decode(first).encode()
    while chunk := stream.read(_CHUNK):
        yield decoder.decode(chunk).encode()
