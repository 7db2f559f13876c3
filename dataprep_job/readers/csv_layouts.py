"""What the columns of a CSV file mean, found out from its header or, where it has none, from its first rows.

With a header: Open Images (`ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,…`) and tables such as
those of TensorFlow's tutorials (`filename,width,height,class,xmin,ymin,xmax,ymax`), whose columns come in any
order and go by many names. Without: RetinaNet (`path,x1,y1,x2,y2,class`) and Google AutoML
(`SET,path,label,x1,y1,,,x2,y2,,`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dataprep_job.dataset_files import PICTURE_EXTENSIONS, extension, split_of_folders
from dataprep_job.labels import Split
from dataprep_job.readers.csv_rows import CsvRow, csv_rows
from dataprep_job.readers.written_numbers import written_number

LOOKED_AT = 20
"""How many lines show what a file is."""

_SEPARATORS = (",", ";", "\t")

_IMAGE = (
    *("filename", "filepath", "imagepath", "imagefile", "imagefilename", "imagename", "imgpath", "imgname"),
    *("path", "file", "image", "img", "imageid", "imgid", "imageuri", "uri", "url", "picture", "photo"),
)
_CLASS = (
    *("class", "classname", "label", "labelname", "category", "categoryname", "objectclass", "objectname"),
    *("object", "name", "classlabel", "classid", "labelid", "categoryid"),
)
_SPLIT = ("split", "set", "subset", "mluse", "usage", "partition", "datasplit")
_SIZES = (
    ("imagewidth", "imageheight"),
    ("imgwidth", "imgheight"),
    ("imagew", "imageh"),
    ("imgw", "imgh"),
    ("width", "height"),
)
_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("minx", "miny", "maxx", "maxy"),
    ("x1", "y1", "x2", "y2"),
    ("x0", "y0", "x1", "y1"),
    ("left", "top", "right", "bottom"),
    ("xtl", "ytl", "xbr", "ybr"),
)
_CORNER_AND_SIZE = (
    ("x", "y", "w", "h"),
    ("left", "top", "w", "h"),
    ("xmin", "ymin", "w", "h"),
    ("x", "y", "boxwidth", "boxheight"),
    ("left", "top", "boxwidth", "boxheight"),
    ("xmin", "ymin", "boxwidth", "boxheight"),
    ("x", "y", "width", "height"),
)
_SETS = frozenset({"TRAIN", "TRAINING", "VALIDATION", "VALIDATE", "VAL", "TEST", "UNASSIGNED", ""})
_AUTOML_COORDINATES = 8


class Columns(NamedTuple):
    """Positions of the columns of a box: x and y of two corners, or of four (some of them blank)."""

    xs: tuple[int, ...]
    ys: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of one file, by position from 0; None for what it lacks.

    Attributes:
        format: a key of `FORMAT_TITLES`.
        separator: between columns.
        header: the first row as it is; empty where the file begins with data.
        width: how many columns there are.
        box: None where `missing` says why.
        has_box_size: the second x and y are width and height of the box.
        size: width and height of the picture.
        are_shares: edges are shares of the picture; None: the numbers have to tell.
        missing: columns that a file of annotations needs and this one lacks.
    """

    format: str
    separator: str
    header: tuple[str, ...]
    width: int
    image: int | None
    label: int | None
    box: Columns | None
    has_box_size: bool = False
    size: tuple[int, int] | None = None
    split: int | None = None
    group_of: int | None = None
    are_shares: bool | None = None
    missing: tuple[str, ...] = ()


def layout_of(lines: Sequence[tuple[int, str]]) -> Layout | None:
    """What a file is whose first lines these are; None where it holds no boxes."""
    found: list[Layout] = []
    for separator in _SEPARATORS:
        rows = list(csv_rows(lines, separator))
        if not rows:
            return None
        by_header = None if rows[0].problem else _by_header(rows[0].fields, separator)
        layout = by_header or _retinanet(rows, separator) or _automl(rows, separator)
        if layout is not None:
            found.append(layout)
    return min(found, key=lambda layout: len(layout.missing), default=None)


def split_of_word(word: str) -> Split | None:
    """The split that a cell names."""
    return "validation" if word.lower() == "validate" else split_of_folders(f"{word}/")


def is_unassigned(word: str) -> bool:
    """Whether a cell says that the picture is in no split."""
    return word.upper() in ("", "UNASSIGNED")


def _by_header(fields: list[str], separator: str) -> Layout | None:
    columns: dict[str, int] = {}
    for at, written in enumerate(fields):
        columns.setdefault(_plain(written), at)
    is_open_images = {"imageid", "labelname"} <= {written.lower() for written in fields}
    image = _first(columns, _IMAGE)
    label = _first(columns, tuple(name for name in _CLASS if columns.get(name) != image))
    if image is None and "name" in columns and columns["name"] != label:
        image = columns["name"]
    box, has_box_size, absent = _box_columns(columns)
    if box is None and (not absent or image is None):
        return None
    # Boxes without pictures are tables of something else, unless their columns are named as only ours are.
    if image is None and (label is None or "xmin" not in columns):
        return None
    missing = tuple(absent)
    if image is None:
        missing = ("filename", *missing)
    if label is None:
        missing = ("class", *missing)
    return Layout(
        format="openimages" if is_open_images else "csv",
        separator=separator,
        header=tuple(fields),
        width=len(fields),
        image=image,
        label=label,
        box=box,
        has_box_size=has_box_size,
        size=_size_columns(columns, box),
        split=_first(columns, _SPLIT),
        group_of=columns.get("isgroupof") if is_open_images else None,
        are_shares=True if is_open_images else None,
        missing=missing,
    )


def _box_columns(columns: dict[str, int]) -> tuple[Columns | None, bool, list[str]]:
    """The columns of the box, whether the second pair is a size, and what is missing of an incomplete box."""
    plain = dict(columns)
    for name, at in columns.items():
        for prefix in ("bbox", "box"):
            if name.startswith(prefix) and len(name) > len(prefix):
                rest = name.removeprefix(prefix)
                plain.setdefault(f"box{rest}" if rest in ("width", "height") else rest, at)
                break
    for names in _CORNERS:
        if all(name in plain for name in names):
            x0, y0, x1, y1 = (plain[name] for name in names)
            return Columns((x0, x1), (y0, y1)), False, []
    for names in _CORNER_AND_SIZE:
        if all(name in plain for name in names):
            x0, y0, x1, y1 = (plain[name] for name in names)
            return Columns((x0, x1), (y0, y1)), True, []
    for names in _CORNERS[:3]:
        absent = [name for name in names if name not in plain]
        if len(absent) == 1:
            return None, False, absent
    return None, False, []


def _size_columns(columns: dict[str, int], box: Columns | None) -> tuple[int, int] | None:
    taken = () if box is None else (*box.xs, *box.ys)
    for width, height in _SIZES:
        if width in columns and height in columns and columns[width] not in taken:
            return columns[width], columns[height]
    return None


def _retinanet(rows: list[CsvRow], separator: str) -> Layout | None:
    if not _most(_is_retinanet(row.fields) for row in rows):
        return None
    return Layout("csv", separator, (), 6, image=0, label=5, box=Columns((1, 3), (2, 4)))


def _is_retinanet(fields: list[str]) -> bool:
    if len(fields) != 6 or not _is_picture_name(fields[0]):
        return False
    return not any(fields[1:]) or (all(map(_is_number, fields[1:5])) and bool(fields[5]))


def _automl(rows: list[CsvRow], separator: str) -> Layout | None:
    for first in (1, 0):
        if _most(_is_automl(row.fields, first) for row in rows):
            start = first + 2
            end = start + _AUTOML_COORDINATES
            return Layout(
                "csv",
                separator,
                (),
                end,
                image=first,
                label=first + 1,
                box=Columns(tuple(range(start, end, 2)), tuple(range(start + 1, end, 2))),
                split=0 if first else None,
                are_shares=True,
            )
    return None


def _is_automl(fields: list[str], first: int) -> bool:
    """Whether a row is AutoML's; `first`: where the path stands, behind the set (1) or without one (0)."""
    rest = fields[first + 2 :]
    if not _AUTOML_COORDINATES - 2 <= len(rest) <= _AUTOML_COORDINATES or not _is_picture_name(fields[first]):
        return False
    if first and fields[0].upper() not in _SETS:
        return False
    return all(not text or _is_number(text) for text in rest)


def _most(are_good: Iterable[bool]) -> bool:
    counted = list(are_good)
    return any(counted) and 2 * sum(counted) >= len(counted)


def _is_picture_name(text: str) -> bool:
    return extension(text.partition("?")[0]) in PICTURE_EXTENSIONS


def _is_number(text: str) -> bool:
    return text.lower() == "nan" or written_number(text, is_share=True) is not None


def _plain(name: str) -> str:
    """A column's name in small letters and digits only: `X_Min` and `x min` are one."""
    return "".join(filter(str.isalnum, name.lower()))


def _first(columns: dict[str, int], names: Sequence[str]) -> int | None:
    return next((columns[name] for name in names if name in columns), None)
