"""Pictures: from any file's bytes to 3-channel 8-bit pixels as a person sees them, and to JPEG."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dataprep_job.errors import PictureError
from dataprep_job.image_header import ImageHeader, read_header

Pixels = NDArray[np.uint8]
"""Height x width x 3, blue-green-red."""

MAX_FILE_BYTES = 128 << 20
MAX_PIXELS = 120_000_000
"""Above the largest phone cameras' everyday photos (108 MP); a decoded picture of this size takes 360 MB."""
MAX_EDGE = 32_000

_REDUCED = ((8, cv2.IMREAD_REDUCED_COLOR_8), (4, cv2.IMREAD_REDUCED_COLOR_4), (2, cv2.IMREAD_REDUCED_COLOR_2))


def check_header(data: bytes) -> ImageHeader:
    """Read a picture's header and refuse what must not be decoded.

    Raises:
        PictureError: no picture we read, cut off, or more pixels than any camera takes.
    """
    header = read_header(data)
    if header.width * header.height > MAX_PIXELS or max(header.width, header.height) > MAX_EDGE:
        raise PictureError(
            "image.too-large",
            f"The picture has {header.width} x {header.height} pixels; at most {MAX_PIXELS:,} are read.",
        )
    return header


def decode(data: bytes, header: ImageHeader, shorter_edge: int) -> Pixels:
    """Decode, reduce and turn a picture.

    Large JPEGs are decoded at 1/2, 1/4 or 1/8 where that is still at least `shorter_edge`: their cosine
    transform gives the smaller picture for less work than the whole one.

    Args:
        data: the file.
        header: as `check_header` read it.
        shorter_edge: what the shorter edge is reduced to, in pixels; smaller pictures stay as they are.

    Raises:
        PictureError: the bytes cannot be decoded.
    """
    flags = cv2.IMREAD_COLOR
    smaller = min(header.width, header.height)
    if header.format == "jpeg":
        flags = next((flag for factor, flag in _REDUCED if smaller >= factor * shorter_edge), flags)
    # We turn the picture ourselves, after reducing it: turning a small one costs less.
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise PictureError(
            "image.unreadable", f"The {header.format} cannot be decoded: {error.err}."
        ) from error
    if pixels is None:
        raise PictureError("image.unreadable", f"The {header.format} cannot be decoded.")
    if header.format == "tiff":  # OpenCV turns these in any case
        return _reduce(pixels, shorter_edge)
    return _turn(_reduce(pixels, shorter_edge), header.orientation)


def encode(pixels: Pixels, quality: int) -> bytes:
    """A JPEG without any metadata."""
    is_encoded, buffer = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not is_encoded:
        raise PictureError("image.unreadable", "The picture cannot be encoded as JPEG.")
    encoded: bytes = buffer.tobytes()
    return encoded


def mirror(pixels: Pixels) -> Pixels:
    """The picture mirrored left to right."""
    mirrored: Pixels = cv2.flip(pixels, 1)
    return mirrored


def _reduce(pixels: Pixels, shorter_edge: int) -> Pixels:
    height, width = pixels.shape[:2]
    smaller = min(height, width)
    if smaller <= shorter_edge:
        return pixels
    size = (
        (shorter_edge, max(1, round(height * shorter_edge / width)))
        if width <= height
        else (max(1, round(width * shorter_edge / height)), shorter_edge)
    )
    # Bilinear looks at four pixels and skips the rest: fine below a factor of two, all that JPEGs need.
    interpolation = cv2.INTER_LINEAR if smaller < 2 * shorter_edge else cv2.INTER_AREA
    reduced: Pixels = cv2.resize(pixels, size, interpolation=interpolation)
    return reduced


def _turn(pixels: Pixels, orientation: int) -> Pixels:
    turned: Any
    match orientation:
        case 2:
            turned = cv2.flip(pixels, 1)
        case 3:
            turned = cv2.rotate(pixels, cv2.ROTATE_180)
        case 4:
            turned = cv2.flip(pixels, 0)
        case 5:
            turned = cv2.transpose(pixels)
        case 6:
            turned = cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE)
        case 7:
            turned = cv2.rotate(cv2.transpose(pixels), cv2.ROTATE_180)
        case 8:
            turned = cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE)
        case _:
            return pixels
    return np.asarray(turned, dtype=np.uint8)
