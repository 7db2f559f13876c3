"""Lines of text files from anywhere: other encodings, byte order marks and line ends of any system."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from dataprep_job.defects import DefectLog, at_line

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def text_lines(data: bytes, file: str, log: DefectLog) -> Iterator[tuple[int, str]]:
    """Yield the line numbers (1-based) and stripped texts of all lines that are not blank.

    A line that is not UTF-8 becomes a defect and costs only itself. UTF-16 is read where its mark says so.
    """
    if data.startswith(_UTF16):
        data = data.decode("utf-16", errors="replace").encode()
    for number, raw in enumerate(data.removeprefix(codecs.BOM_UTF8).splitlines(), 1):
        try:
            line = raw.decode().strip()
        except UnicodeDecodeError as error:
            log.add(
                "text.not-utf8", at_line(file, number), f"Byte {error.start + 1} of the line is not UTF-8."
            )
            continue
        if "\0" in line:
            log.add(
                "text.not-utf8", at_line(file, number), "The line holds zero bytes: this is no text file."
            )
        elif line:
            yield number, line
