"""The neutral record that every reader turns its format into, and the geometry of boxes.

Frame: pixels of the picture as a person sees it (EXIF orientation applied), x to the right, y down, 0-based
and continuous: the left edge of the first pixel is 0, the right edge of the last one is the width.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from dataprep_job.defects import Place

Split = Literal["train", "validation", "test"]


_LARGEST_EDGE = 1e9


class Edges(NamedTuple):
    """Left, top, right and bottom of a box, in pixels or relative to the picture (0..1)."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def area(self) -> float:
        """Area in the square of the unit; 0 where the box is turned inside out."""
        return max(0.0, self.x1 - self.x0) * max(0.0, self.y1 - self.y0)

    def is_finite(self) -> bool:
        """Whether every edge can be computed with: no NaN, no infinity, nothing astronomical."""
        return all(math.isfinite(edge) and abs(edge) < _LARGEST_EDGE for edge in self)

    def ordered(self) -> Edges:
        """The same rectangle with x0 <= x1 and y0 <= y1."""
        return Edges(
            min(self.x0, self.x1), min(self.y0, self.y1), max(self.x0, self.x1), max(self.y0, self.y1)
        )

    def clipped(self, width: float, height: float) -> Edges:
        """The part inside a picture of this size."""
        return Edges(
            min(max(self.x0, 0.0), width),
            min(max(self.y0, 0.0), height),
            min(max(self.x1, 0.0), width),
            min(max(self.y1, 0.0), height),
        )

    def overshoot(self, width: float, height: float) -> float:
        """How far the box sticks out of a picture of this size, at its worst edge; 0 or less: not at all."""
        return max(-self.x0, -self.y0, self.x1 - width, self.y1 - height)

    def relative(self, width: float, height: float) -> Edges:
        """From pixels to 0..1."""
        return Edges(self.x0 / width, self.y0 / height, self.x1 / width, self.y1 / height)

    def absolute(self, width: float, height: float) -> Edges:
        """From 0..1 to pixels."""
        return Edges(self.x0 * width, self.y0 * height, self.x1 * width, self.y1 * height)

    def mirrored(self, width: float = 1.0) -> Edges:
        """The box in the picture mirrored left to right; its own inverse."""
        return Edges(width - self.x1, self.y0, width - self.x0, self.y1)

    def turned(self, orientation: int, width: float, height: float) -> Edges:
        """From the frame of the stored picture (`width` x `height`) to the frame a person sees.

        Args:
            orientation: EXIF orientation, 1 to 8.
            width: of the stored picture.
            height: of the stored picture.
        """
        x0, y0, x1, y1 = self
        match orientation:
            case 2:
                return Edges(width - x1, y0, width - x0, y1)
            case 3:
                return Edges(width - x1, height - y1, width - x0, height - y0)
            case 4:
                return Edges(x0, height - y1, x1, height - y0)
            case 5:
                return Edges(y0, x0, y1, x1)
            case 6:
                return Edges(height - y1, x0, height - y0, x1)
            case 7:
                return Edges(height - y1, width - x1, height - y0, width - x0)
            case 8:
                return Edges(y0, width - x1, y1, width - x0)
            case _:
                return self


class Box(NamedTuple):
    """One labelled object, and where that was said."""

    name: str
    edges: Edges
    place: Place


class LabelledImage(NamedTuple):
    """What one annotation says about one picture.

    Attributes:
        image: path of the picture in the dataset.
        boxes: in pixels of the displayed frame (of the stored frame where `declared_size` shows that the
            annotator saw the picture unturned; the inspection finds out and turns them).
        declared_size: width and height that the annotation claims, None where it does not say.
        split: the split that the data itself names.
        place: where the annotation is.
        format: name of the annotation format, a key of `FORMAT_TITLES`.
        is_relative: edges are shares of the displayed picture (0..1), whatever size is declared.
    """

    image: str
    boxes: tuple[Box, ...]
    declared_size: tuple[int, int] | None
    split: Split | None
    place: Place
    format: str
    is_relative: bool = False
