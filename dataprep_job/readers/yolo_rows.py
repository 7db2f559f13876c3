"""One line of a YOLO label file: class, then a box as shares of the picture.

`class cx cy width height`, centre and size; a sixth number is the confidence of a prediction. An odd count of
seven or more is an outline: class, then pairs x y (https://docs.ultralytics.com/datasets/segment/; turned
boxes with four corners are such outlines, https://docs.ultralytics.com/datasets/obb/).
"""

from __future__ import annotations

import codecs
from typing import NamedTuple

from dataprep_job.labels import Edges
from dataprep_job.readers.outlines import hull_of_points
from dataprep_job.readers.written_numbers import written_number

_LARGEST_SHARE = 2.0
_OUTLINE_RANGE = (-0.5, 1.5)
"""Closer than for boxes: of a pose without `kpt_shape`, whose visibility is 2, nobody makes an outline."""

_LOOKED_AT = 10
_LOOKED_AT_BYTES = 1 << 20
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class RowError(ValueError):
    """A line that is no usable box; `code` is the defect it amounts to."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Row(NamedTuple):
    """One line: the class as written (id or name), the edges as shares, and what is odd about it."""

    class_text: str
    edges: Edges
    is_outline: bool
    has_confidence: bool
    has_commas: bool


def read_row(line: str, pose_columns: int | None = None) -> Row:
    """Read one line.

    Args:
        line: not blank.
        pose_columns: how many columns a line has where the dataset is one of poses: a box, then key points.

    Raises:
        RowError: the line holds no usable box.
    """
    class_text, words = _parted(line)
    count = len(words) + 1
    is_outline = count >= 7 and count % 2 == 1 and count != pose_columns
    if count not in (5, 6, pose_columns) and not is_outline:
        raise RowError(
            "yolo.bad-line",
            f"The line has {count} columns; a box has 5: class, centre x, centre y, width, height.",
        )
    numbers = [_share(word) for word in words]
    edges = _around(numbers) if is_outline else _box(*numbers[:4])
    commas = any("," in word for word in words)
    return Row(class_text, edges, is_outline, count == 6 and count != pose_columns, commas)


def look_like_labels(data: bytes, pose_columns: int | None = None) -> bool:
    """Whether a file looks like YOLO labels: half of its first lines or more have the right columns."""
    head = data[:_LOOKED_AT_BYTES]
    text = head.decode("utf-16" if head.startswith(_UTF16) else "utf-8-sig", errors="replace")
    lines = [line for line in text.splitlines()[:_LOOKED_AT] if line.strip()]
    good = sum(_is_row(line, pose_columns) for line in lines)
    return good > 0 and 2 * good >= len(lines)


def _is_row(line: str, pose_columns: int | None) -> bool:
    class_text, words = _parted(line)
    count = len(words) + 1
    # A name in front of more numbers is more likely another format, such as KITTI's.
    is_outline = count >= 7 and count % 2 == 1 and _is_number(class_text)
    return (count in (5, 6, pose_columns) or is_outline) and all(map(_is_number, words))


def _parted(line: str) -> tuple[str, list[str]]:
    """The class and the words behind it; a class name may have several words, none of them a number."""
    words = line.split()
    at = 1
    if not words[0].isdigit() and not _is_number(words[0]):
        while at < len(words) and not _is_number(words[at]):
            at += 1
        if at == len(words) or len(words) - at < 4:
            at = 1
    return " ".join(words[:at]), words[at:]


def _is_number(word: str) -> bool:
    return written_number(word, is_share=True) is not None or word.lower() in ("nan", "inf", "-inf")


def _share(word: str) -> float:
    number = written_number(word, is_share=True)
    if number is None:
        raise RowError("box.not-a-number", f"{word[:40]!r} is no number.")
    return number


def _box(centre_x: float, centre_y: float, width: float, height: float) -> Edges:
    for name, value in (("centre x", centre_x), ("centre y", centre_y), ("width", width), ("height", height)):
        if abs(value) > _LARGEST_SHARE:
            message = f"The {name} is {value:g}: this is no share of the picture, which lies from 0 to 1."
            raise RowError("yolo.not-relative", message)
    if width < 0 or height < 0:
        raise RowError("yolo.negative-size", f"The box is {width:g} wide and {height:g} high.")
    return Edges(centre_x - width / 2, centre_y - height / 2, centre_x + width / 2, centre_y + height / 2)


def _around(numbers: list[float]) -> Edges:
    low, high = _OUTLINE_RANGE
    outside = next((number for number in numbers if not low <= number <= high), None)
    if outside is not None:
        message = (
            f"The outline has a coordinate {outside:g}: this is no share of the picture, from 0 to 1. "
            "(Key points need kpt_shape in data.yaml.)"
        )
        raise RowError("yolo.not-relative", message)
    edges = hull_of_points(zip(numbers[::2], numbers[1::2], strict=True))
    if edges is None:
        raise RowError("yolo.bad-line", "The outline has fewer than three points.")
    return edges
