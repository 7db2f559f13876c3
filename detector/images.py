"""Decoding images into the frame in which a person sees them, and preparing them for a network.

Images are uint8 arrays of shape (height, width, 3) in OpenCV's order blue, green, red.
"""

import struct
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from detector.errors import ImageError

Image = npt.NDArray[np.uint8]
Payload = bytes | memoryview

# Images are spread over our own threads; OpenCV's pool underneath them costs more than it gives.
cv2.setNumThreads(1)

# No camera makes more; a file that claims more is a decompression bomb.
_MOST_PIXELS = 2**28

# ImageNet's mean colour; one scale for all channels, so that a first layer needs no knowledge of the channel.
MEAN_RGB = np.array([123.7, 116.3, 103.5], np.float32)
INPUT_SCALE = np.float32(58.0)
# OpenCV colour transform (3, 4): BGR 0..255 -> normalised RGB.
NORMALISE = np.concatenate([np.eye(3)[::-1] / INPUT_SCALE, -MEAN_RGB[:, None] / INPUT_SCALE], axis=1).astype(
    np.float32
)
MEAN_BGR = tuple(round(float(value)) for value in MEAN_RGB[::-1])

# Augmentation zooms in twofold; more pixels than that are never looked at.
_USEFUL_ZOOM = 2

_REDUCED = ((8, cv2.IMREAD_REDUCED_COLOR_8), (4, cv2.IMREAD_REDUCED_COLOR_4), (2, cv2.IMREAD_REDUCED_COLOR_2))
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True)
class Decoded:
    """An image ready for a network and the size it is displayed at before any shrinking, in pixels."""

    pixels: Image
    width: int
    height: int


def stored_size(payload: Payload) -> tuple[int, int] | None:
    """Return (width, height) in pixels from a JPEG's or PNG's header, without decoding; None if not found.

    EXIF orientation is not applied: sides may be swapped against what is displayed.
    """
    data = memoryview(payload)
    if bytes(data[:8]) == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return int(width), int(height)
    if bytes(data[:2]) != b"\xff\xd8":
        return None
    position = 2
    while position + 9 <= len(data):
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
        elif marker in _JPEG_FRAMES:
            height, width = struct.unpack(">HH", data[position + 5 : position + 9])
            return int(width), int(height)
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return None


def decode(payload: Payload, network_size: int) -> Decoded:
    """Decode JPEG or PNG bytes, EXIF orientation applied, no larger than `network_size` pixels can use.

    Training, evaluation and serving all come through here, so that a photo is scaled the same way in each.
    Raises ImageError when the bytes are no image.
    """
    stored = stored_size(payload)
    if stored is None:
        raise ImageError("these bytes are no JPEG or PNG image")
    if stored[0] * stored[1] > _MOST_PIXELS:
        raise ImageError(f"the image claims {stored[0]} x {stored[1]} pixels, too many to read")
    useful = _USEFUL_ZOOM * network_size
    # JPEG decodes at 1/2, 1/4 and 1/8 size for a fraction of the time.
    flags = next((flag for factor, flag in _REDUCED if min(stored) >= factor * useful), cv2.IMREAD_COLOR)
    try:
        pixels = cv2.imdecode(np.frombuffer(payload, np.uint8), flags)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError(error.err) from error
        raise ImageError(f"the image is damaged: {error.err}") from error
    if pixels is None:
        raise ImageError("the image is damaged and cannot be decoded; save it anew")
    height, width = pixels.shape[:2]
    turned = (stored[0] > stored[1]) != (width > height) and stored[0] != stored[1]
    displayed = stored[::-1] if turned else stored
    shrink = useful / min(width, height)
    if shrink < 1:
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return Decoded(pixels, *displayed)


def to_square(image: Image, size: int) -> Image:
    """Return the whole image squeezed into size x size pixels, which is how a network sees it."""
    return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)


def fill_planes(
    planes: npt.NDArray[np.float32], square: Image, colour: npt.NDArray[np.float32] = NORMALISE
) -> None:
    """Write a square image into network input (3, size, size) through a (3, 4) colour matrix."""
    cv2.split(cv2.transform(square.astype(np.float32), colour), list(planes))
