"""Boxes drawn onto a picture, for people."""

import colorsys
import hashlib
import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from nestbox.api.boxes import Detection
from nestbox.api.picture import Picture

MAX_EDGE = 1600
"""Longer edge of the drawn picture in pixels; then it fits a Lambda answer (6 MiB, base64) at any content."""


def draw(picture: Picture, found: Sequence[Detection]) -> bytes:
    """A JPEG of the picture with a box, class and score for each detection, the best on top."""
    image = Image.open(io.BytesIO(picture.content)).convert("RGB")
    image.thumbnail((MAX_EDGE, MAX_EDGE), Image.Resampling.LANCZOS)
    scale = image.width / picture.width
    canvas = ImageDraw.Draw(image)
    line = max(2, round(max(image.size) / 240))
    font = ImageFont.load_default(size=max(12, round(max(image.size) / 45)))
    for detection in reversed(found):
        colour = class_colour(detection.class_name)
        box = detection.box
        corners = [value * scale for value in (box.xmin, box.ymin, box.xmax, box.ymax)]
        canvas.rectangle(corners, outline=colour, width=line)
        _label(canvas, font, corners, f"{detection.class_name} {detection.score:.0%}", colour, image.width)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90, subsampling=0)  # Thin coloured lines stay crisp.
    return out.getvalue()


def class_colour(name: str) -> tuple[int, int, int]:
    """A strong colour that a class always has, in every picture and run."""
    hue = hashlib.sha256(name.encode()).digest()[0] / 256
    red, green, blue = colorsys.hls_to_rgb(hue, 0.5, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def _label(
    canvas: ImageDraw.ImageDraw,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    corners: Sequence[float],
    text: str,
    colour: tuple[int, int, int],
    width: int,
) -> None:
    left, top, right, bottom = canvas.textbbox((0, 0), text, font=font)
    pad = 3
    wide, high = right - left + 2 * pad, bottom - top + 2 * pad
    x = max(0.0, min(corners[0], width - wide))
    # Above the box where there is room, else inside it.
    y = corners[1] - high if corners[1] >= high else corners[1]
    canvas.rectangle([x, y, x + wide, y + high], fill=colour)
    # Relative luminance as in WCAG, roughly: dark text on light colours.
    light = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 140
    canvas.text((x + pad - left, y + pad - top), text, fill="black" if light else "white", font=font)
