"""A picture as it came over HTTP: checked, measured, and made safe to hand to any model."""

import io
import struct
from dataclasses import dataclass

from PIL import ExifTags, Image, ImageOps

from nestbox.api.errors import NotAnImageError, TooLargeError, UnsupportedTypeError

MAX_BYTES = 4_500_000
"""Lambda takes events of 6 MiB, and base64 makes four bytes of three."""
MAX_PIXELS = 50_000_000
"""Decoded, a picture of this size takes 150 MB; phones make 12 to 48 million."""
STRAIGHTENED_EDGE = 1280
"""Longer edge, in pixels, of a picture that is turned here; more than any model looks at."""

TYPES = {"JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png"}
"""Pillow's format to media type. MPO is how Pillow names a JPEG with further pictures behind it."""
ACCEPTED_TYPES = frozenset(TYPES.values())

_TURNED = frozenset(range(2, 9))
_ON_ITS_SIDE = frozenset(range(5, 9))
# Pillow reports broken files through all of these (its own tests say so); none of them is a bug of ours.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error)


@dataclass(frozen=True)
class Picture:
    """A picture that can be decoded; width and height in pixels, as a person sees it (EXIF applied)."""

    content: bytes
    media_type: str
    width: int
    height: int


def check_type(content_type: str | None) -> None:
    """Raises UnsupportedTypeError unless the Content-Type header names a picture that models read."""
    media_type = (content_type or "").split(";")[0].strip().lower()
    if media_type not in ACCEPTED_TYPES:
        raise UnsupportedTypeError(
            f"The body's type is {media_type or 'not given'}.",
            "Send a JPEG or PNG with the header Content-Type: image/jpeg or image/png.",
        )


def check_size(size: int) -> None:
    """Raises TooLargeError for more bytes than the API takes."""
    if size > MAX_BYTES:
        raise TooLargeError(
            f"The picture has {size / 1e6:.1f} MB; the API takes {MAX_BYTES / 1e6:.1f} MB.",
            f"Shrink it: detection needs no more than {STRAIGHTENED_EDGE} pixels on the longer edge.",
        )


def read_picture(content: bytes) -> Picture:
    """The picture in these bytes, decoded once to be sure that it is one.

    What the bytes say counts, not the header. A picture that EXIF turns, or whose colours are CMYK, is
    handed on upright and in RGB: containers differ in whether they heed EXIF, and boxes must mean the same
    whichever serves. Raises NotAnImageError or TooLargeError.
    """
    check_size(len(content))
    try:
        image = Image.open(io.BytesIO(content), formats=("JPEG", "PNG"))
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise _too_many_pixels()
        media_type = TYPES[image.format or ""]
        orientation = _orientation(image)
        if orientation in _TURNED or image.mode == "CMYK":
            content, media_type = _straighten(image), "image/jpeg"
        else:
            _decode(image)
    except Image.DecompressionBombError as error:
        raise _too_many_pixels() from error
    except _BROKEN as error:
        raise NotAnImageError(
            "The body is no JPEG or PNG that can be decoded.",
            "Send the file's own bytes (curl --data-binary @photo.jpg), whole and not as base64 or a form.",
        ) from error
    if orientation in _ON_ITS_SIDE:
        width, height = height, width
    return Picture(content, media_type, width, height)


def _too_many_pixels() -> TooLargeError:
    return TooLargeError(
        f"The picture has more than {MAX_PIXELS // 1_000_000} million pixels.",
        f"Shrink it: detection needs no more than {STRAIGHTENED_EDGE} pixels on the longer edge.",
    )


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except (TypeError, *_BROKEN):
        return 1  # Damaged metadata around a good picture: viewers show it as it is stored.


def _decode(image: Image.Image) -> None:
    # An eighth of the size reads every byte of a JPEG, and finds the same damage, at a fraction of the work.
    image.draft("L", (image.width // 8, image.height // 8))
    image.load()


def _straighten(image: Image.Image) -> bytes:
    scale = STRAIGHTENED_EDGE / max(image.size)
    if scale < 1:
        image.draft("RGB", (int(image.width * scale), int(image.height * scale)))
    upright = ImageOps.exif_transpose(image).convert("RGB")
    upright.thumbnail((STRAIGHTENED_EDGE, STRAIGHTENED_EDGE), Image.Resampling.BILINEAR)
    out = io.BytesIO()
    upright.save(out, "JPEG", quality=95, exif=b"")
    return out.getvalue()
