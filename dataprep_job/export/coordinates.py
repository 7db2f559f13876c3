"""Rounding of coordinates on their way into a file: as fine as it matters, and as the formats demand."""

from __future__ import annotations

import math

from dataprep_job.labels import Edges

_PIXEL_DIGITS = 4
_SHARE_DIGITS = 10
"""A ten-thousandth of a pixel even in pictures of 32,000 pixels."""


def pixels(value: float) -> int | float:
    """A coordinate in pixels to a ten-thousandth; whole ones without a fraction."""
    return _without_zeros(round(float(value), _PIXEL_DIGITS))


def share(value: float) -> int | float:
    """A coordinate from 0 to 1 (or a percentage) to ten digits; never in the notation with an exponent."""
    return _without_zeros(round(float(value), _SHARE_DIGITS))


def spelled(value: float) -> str:
    """A rounded number as text, without an exponent: not every tool reads `1e-05`."""
    return f"{value:.{_SHARE_DIGITS}f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def whole(value: float) -> int:
    """The nearest whole number, halves up: a box of at least one pixel then keeps at least one."""
    return math.floor(value + 0.5)


def whole_box(edges: Edges) -> tuple[int, int, int, int]:
    """Left, top, width and height of a box in whole pixels, at least one wide and high."""
    left, top = whole(edges.x0), whole(edges.y0)
    return left, top, max(1, whole(edges.x1) - left), max(1, whole(edges.y1) - top)


def one_based(low: float, high: float, length: int) -> tuple[int, int]:
    """The first and last pixel (counted from 1, both part of the box) between two edges.

    Corners that coincide mean one pixel to the letter of Pascal VOC, but nothing to most tools and to our
    reader. So a box gets two pixels at least: the neighbour that falsifies it less, by one pixel at most.

    Args:
        low: left or upper edge, 0-based.
        high: right or lower edge.
        length: of the picture, in the same direction.
    """
    first, last = whole(low) + 1, whole(high)
    if first < last or length < 2:
        return first, last
    last = first
    if last < length and (first == 1 or last + 1 - high <= low - (first - 2)):
        return first, last + 1
    return first - 1, last


def _without_zeros(value: float) -> int | float:
    return int(value) if value.is_integer() else value
