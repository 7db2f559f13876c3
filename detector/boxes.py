"""Boxes and how they relate. The one convention: corners xmin, ymin, xmax, ymax relative to the image.

`Corners` is float32 of shape (n, 4); 0 is the left or top edge of the displayed image, 1 the right or bottom
one. `Labels` is float32 of shape (n, 5): a 0-based class id followed by its corners.
"""

import numpy as np
import numpy.typing as npt

Corners = npt.NDArray[np.float32]
Labels = npt.NDArray[np.float32]
Offsets = npt.NDArray[np.float32]

# SSD's variances: an offset of 1 means a tenth of the anchor's side for centres, e^0.2 for sides.
VARIANCES = np.array([0.1, 0.1, 0.2, 0.2], np.float32)

# Side ratios beyond e^4 come from a network that has just started; bounding them keeps exp() finite.
LOG_RATIO_LIMIT = 4.0
_SMALLEST_SIDE = 1e-4


def areas(boxes: Corners) -> npt.NDArray[np.float32]:
    """Return the area of each box, relative to the image's (n,)."""
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), np.float32)


def intersection_over_union(first: Corners, second: Corners) -> npt.NDArray[np.float32]:
    """Return the overlap, 0..1, of every box of `first` with every box of `second`: (first, second).

    >>> intersection_over_union(np.float32([[0, 0, 1, 1]]), np.float32([[0, 0, 0.5, 1]]))
    array([[0.5]], dtype=float32)
    """
    left, top, right, bottom = (first[:, k, None] for k in range(4))
    # Contiguous columns and work in place: this runs for every image against every anchor.
    xmin, ymin, xmax, ymax = np.ascontiguousarray(second.T)
    overlap = np.minimum(right, xmax)
    overlap -= np.maximum(left, xmin)
    np.maximum(overlap, 0, out=overlap)
    height = np.minimum(bottom, ymax)
    height -= np.maximum(top, ymin)
    np.maximum(height, 0, out=height)
    overlap *= height
    union = (right - left) * (bottom - top) + (xmax - xmin) * (ymax - ymin)
    union -= overlap
    np.maximum(union, np.finfo(np.float32).tiny, out=union)
    overlap /= union
    return overlap


def encode(anchors: Corners, boxes: Corners) -> Offsets:
    """Return the offsets (n, 4) that turn each anchor into the box of the same row."""
    anchor_sides = anchors[:, 2:] - anchors[:, :2]
    box_sides = np.maximum(boxes[:, 2:] - boxes[:, :2], _SMALLEST_SIDE)
    centres = (boxes[:, :2] + boxes[:, 2:] - anchors[:, :2] - anchors[:, 2:]) / 2
    offsets = np.concatenate([centres / anchor_sides, np.log(box_sides / anchor_sides)], axis=1)
    return np.asarray(offsets / VARIANCES, np.float32)


def decode(anchors: Corners, offsets: Offsets) -> Corners:
    """Return the boxes (n, 4) that offsets make of anchors, not clipped; the inverse of `encode`."""
    sides = anchors[:, 2:] - anchors[:, :2]
    scaled = offsets * VARIANCES
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2 + scaled[:, :2] * sides
    half = np.exp(np.clip(scaled[:, 2:], -LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)) * sides / 2
    return np.asarray(np.concatenate([centres - half, centres + half], axis=1), np.float32)


def mirror(labels: Labels) -> Labels:
    """Return a copy of the labels as they lie in the image flipped left to right."""
    mirrored = labels.copy()
    mirrored[:, [1, 3]] = 1 - labels[:, [3, 1]]
    return mirrored
