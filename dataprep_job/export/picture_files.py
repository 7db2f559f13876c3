"""Where exported pictures lie: flat folders, names that nobody shares, pixels upright."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import unicodedata
from pathlib import Path
from posixpath import basename

import cv2

from dataprep_job.dataset_files import PICTURE_EXTENSIONS, extension, stem
from dataprep_job.errors import OutputError, PictureError
from dataprep_job.export.exported_image import ExportedImage
from dataprep_job.image_header import ImageHeader
from dataprep_job.photo import check_header, decode, encode

_QUALITY = 95
_LONGEST_STEM = 200
"""Bytes; file systems take 255 with the extension, and annotations have longer extensions than pictures."""


class PictureFiles:
    """Copies pictures into the exported folder and remembers their names.

    Most formats pair picture and annotation by the name before the extension, or name the picture without
    its folder. So this stem is unique in the whole export, in upper and lower case alike (other systems do
    not tell `A.jpg` from `a.jpg`). The names lie in SQLite's own temporary file: memory stays flat.
    """

    def __init__(self, folder: Path) -> None:
        """`folder`: the root of the export."""
        self._folder = folder
        self._names = sqlite3.connect("", isolation_level=None)
        self._names.execute("PRAGMA synchronous = OFF")
        self._names.execute("CREATE TABLE taken (stem TEXT PRIMARY KEY) WITHOUT ROWID")
        self._names.execute("BEGIN")

    def close(self) -> None:
        """Give the space of the names back."""
        self._names.close()

    def name(self, image: ExportedImage) -> str:
        """The picture's name in the export: its own one, made unique where it is taken already.

        Ask once a picture: the name is taken then.
        """
        own = _safe_stem(stem(image.path))
        ending = basename(image.path).rpartition(".")[2]
        mark = hashlib.sha256(image.path.encode(errors="surrogatepass")).hexdigest()
        for name in (own, *(f"{own}-{mark[:length]}" for length in (8, 16, 64))):
            if self._take(name):
                return f"{name}.{ending}"
        raise OutputError(f"{image.path} is exported twice.")

    def put(self, image: ExportedImage, folder: str, name: str) -> None:
        """Link or copy a picture into a folder of the export (`train/images`).

        Tools disagree on whether they honour an EXIF orientation, so pixels that need turning are turned and
        encoded again, only those.

        Raises:
            OutputError: the picture is not what was checked.
        """
        data = image.read()
        try:
            header = check_header(data)
            if header.displayed != (image.width, image.height):
                raise PictureError("image.size-mismatch", "Its size is another one.")
            upright = None if header.orientation == 1 else _upright(data, header)
        except PictureError as error:
            raise OutputError(f"{image.path} changed while it was exported: {error}") from error
        place = self._folder / folder
        place.mkdir(parents=True, exist_ok=True)
        if upright is not None:
            (place / name).write_bytes(upright)
        elif image.source is None or not _link(image.source, place / name):
            (place / name).write_bytes(data)

    def _take(self, name: str) -> bool:
        key = unicodedata.normalize("NFC", name).casefold()
        return self._names.execute("INSERT OR IGNORE INTO taken VALUES (?)", (key,)).rowcount == 1


def _safe_stem(name: str) -> str:
    """The name as it is, but for what lists, XML and other systems cannot hold."""
    safe = "".join(
        "_" if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") or letter in "/\\" else letter
        for letter in name
    )
    if extension(safe) in PICTURE_EXTENSIONS:
        # `a.jpg.png`: a list that names `a.jpg` without the extension would mean another picture.
        safe = "_".join(safe.rsplit(".", 1))
    while len(safe.encode()) > _LONGEST_STEM:
        safe = safe[: -(len(safe.encode()) - _LONGEST_STEM + 3) // 4 or -1]
    # Lists are stripped when read, and files that begin with a dot are hidden.
    return safe.strip().lstrip(".").strip() or "picture"


def _link(source: Path, target: Path) -> bool:
    """A second name for the same file; false where the file systems do not allow it."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        return False
    return True


def _upright(data: bytes, header: ImageHeader) -> bytes:
    """The picture turned as a person sees it, in its own format."""
    pixels = decode(data, header, min(header.width, header.height))
    if header.format == "jpeg":
        return encode(pixels, _QUALITY)
    options = [cv2.IMWRITE_WEBP_QUALITY, _QUALITY] if header.format == "webp" else []
    is_encoded, buffer = cv2.imencode(f".{header.format}", pixels, options)
    if not is_encoded:
        raise PictureError("image.unreadable", f"It cannot be encoded as {header.format}.")
    encoded: bytes = buffer.tobytes()
    return encoded
