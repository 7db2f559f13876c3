"""What a picture's own structure says before anything is decoded: format, size, orientation, is it whole.

Decoders allocate what a header claims, and JPEG decoders paint the missing part grey without a word, so both
are found out here. Sources: ITU T.81 and JEITA CP-3451 (JPEG, EXIF), W3C PNG, Google's WebP
container specification, Microsoft's bitmap headers, Adobe TIFF 6.0.
"""

from __future__ import annotations

import struct
from typing import Literal, NamedTuple

from dataprep_job.errors import PictureError

Format = Literal["jpeg", "png", "webp", "bmp", "tiff"]

_PNG = b"\x89PNG\r\n\x1a\n"
_ORIENTATION_TAG = 0x0112
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_SIZE_TOLERANCE = 1


class ImageHeader(NamedTuple):
    """Size as stored in the file, and the EXIF orientation (1 to 8) that turns it into what a person sees."""

    format: Format
    width: int
    height: int
    orientation: int = 1

    @property
    def displayed(self) -> tuple[int, int]:
        """Width and height as a person sees the picture."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)

    def is_shown_with(self, size: tuple[int, int]) -> bool:
        """Whether a size that an annotation declares is that of the picture as a person sees it."""
        return _are_alike(size, self.displayed)

    def is_stored_with(self, size: tuple[int, int]) -> bool:
        """Whether a size that an annotation declares is that of the picture as it is stored."""
        return _are_alike(size, (self.width, self.height))


def _are_alike(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return all(abs(a - b) <= _SIZE_TOLERANCE for a, b in zip(one, other, strict=True))


def read_header(data: bytes) -> ImageHeader:
    """Read the header of a picture.

    Raises:
        PictureError: `image.unsupported`, `image.unreadable` or `image.truncated`.
    """
    try:
        header = _read(data)
    except (struct.error, IndexError) as error:
        raise PictureError("image.truncated", "The file ends inside its own header.") from error
    if header.width < 1 or header.height < 1:
        raise PictureError("image.unreadable", f"The header claims {header.width} x {header.height} pixels.")
    return header


def _read(data: bytes) -> ImageHeader:
    if not data:
        raise PictureError("image.truncated", "The file is empty.")
    if data.startswith(b"\xff\xd8"):
        return _read_jpeg(data)
    if data.startswith(_PNG):
        return _read_png(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _read_webp(data)
    if data.startswith(b"BM"):
        return _read_bmp(data)
    if data.startswith((b"II*\0", b"MM\0*")):
        return _read_tiff(data)
    raise PictureError("image.unsupported", f"The file is {_guess(data)}, not JPEG, PNG, WebP, BMP or TIFF.")


def _guess(data: bytes) -> str:
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "a GIF"
    if data[4:8] == b"ftyp":
        return f"a {data[8:12].decode('ascii', 'replace').strip().upper()} file"
    if data.lstrip()[:1] in (b"<", b"{"):
        return "a text"
    if data.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer"
    return "of an unknown kind"


def _read_jpeg(data: bytes) -> ImageHeader:
    width = height = 0
    orientation = 1
    at = 2
    while True:
        if data[at] != 0xFF:
            raise PictureError("image.unreadable", "The JPEG's segments do not follow each other.")
        while data[at] == 0xFF:
            at += 1
        marker = data[at]
        at += 1
        if marker in _STANDALONE:
            continue
        if marker == 0xD9:
            raise PictureError("image.truncated", "The JPEG ends before its picture begins.")
        (length,) = struct.unpack_from(">H", data, at)
        if marker in _START_OF_FRAME:
            height, width = struct.unpack_from(">HH", data, at + 3)
        elif marker == 0xE1 and data[at + 2 : at + 8] == b"Exif\0\0":
            orientation = _exif_orientation(data[at + 8 : at + length])
        elif marker == 0xDA:
            break
        at += max(length, 2)
    if not width:
        raise PictureError("image.unreadable", "The JPEG does not say its size.")
    # Inside a scan 0xFF is always followed by a zero, so this can only be the end marker.
    if data.rfind(b"\xff\xd9", at) < 0:
        raise PictureError(
            "image.truncated", "The JPEG has no end: the lower part of the picture is missing."
        )
    return ImageHeader("jpeg", width, height, orientation)


def _read_png(data: bytes) -> ImageHeader:
    width, height = struct.unpack_from(">II", data, 16)
    orientation = 1
    at = len(_PNG)
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data):
            raise PictureError(
                "image.truncated", "The PNG ends in the middle: part of the picture is missing."
            )
        if kind == b"eXIf":
            orientation = _exif_orientation(data[at + 8 : at + 8 + length])
        elif kind == b"IEND":
            return ImageHeader("png", width, height, orientation)
        at += 12 + length


def _read_webp(data: bytes) -> ImageHeader:
    (size,) = struct.unpack_from("<I", data, 4)
    if size + 8 > len(data):
        raise PictureError("image.truncated", "The WebP ends in the middle: part of the picture is missing.")
    width = height = 0
    orientation = 1
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        body = at + 8
        if kind == b"VP8X":
            width = 1 + int.from_bytes(data[body + 4 : body + 7], "little")
            height = 1 + int.from_bytes(data[body + 7 : body + 10], "little")
        elif kind == b"VP8 " and not width:
            width, height = (value & 0x3FFF for value in struct.unpack_from("<HH", data, body + 6))
        elif kind == b"VP8L" and not width:
            (bits,) = struct.unpack_from("<I", data, body + 1)
            width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        elif kind == b"ANIM":
            raise PictureError("image.unsupported", "The WebP is an animation.")
        elif kind == b"EXIF":
            exif = data[body : body + length]
            orientation = _exif_orientation(exif.removeprefix(b"Exif\0\0"))
        at = body + length + (length & 1)
    return ImageHeader("webp", width, height, orientation)


def _read_bmp(data: bytes) -> ImageHeader:
    (header_size,) = struct.unpack_from("<I", data, 14)
    if header_size == 12:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return ImageHeader("bmp", width, abs(height))


def _read_tiff(data: bytes) -> ImageHeader:
    values = _first_directory(data)
    return ImageHeader(
        "tiff", values.get(0x0100, 0), values.get(0x0101, 0), _valid(values.get(_ORIENTATION_TAG, 1))
    )


def _exif_orientation(exif: bytes) -> int:
    """1 where the block is damaged: a picture is not lost for its metadata."""
    if not exif.startswith((b"II*\0", b"MM\0*")):
        return 1
    try:
        return _valid(_first_directory(exif).get(_ORIENTATION_TAG, 1))
    except struct.error:
        return 1


def _valid(orientation: int) -> int:
    return orientation if 1 <= orientation <= 8 else 1


def _first_directory(data: bytes) -> dict[int, int]:
    """The short and long values of a TIFF structure's first directory, by tag."""
    order = "<" if data.startswith(b"II") else ">"
    (offset,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, offset)
    values: dict[int, int] = {}
    for entry in range(offset + 2, offset + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack_from(f"{order}HHI", data, entry)
        if number == 1 and kind == 3:
            (values[tag],) = struct.unpack_from(f"{order}H", data, entry + 8)
        elif number == 1 and kind == 4:
            (values[tag],) = struct.unpack_from(f"{order}I", data, entry + 8)
    return values
