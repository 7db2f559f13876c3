"""Small pictures for reports. Boxes are drawn over them as SVG, which stays sharp and needs no pixels."""

from __future__ import annotations

import cv2

from dataprep_job.photo import Pixels, encode

LONGER_EDGE = 420
_QUALITY = 80


def thumbnail(pixels: Pixels) -> bytes:
    """A JPEG whose longer edge has at most `LONGER_EDGE` pixels."""
    height, width = pixels.shape[:2]
    scale = LONGER_EDGE / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return encode(pixels, _QUALITY)
