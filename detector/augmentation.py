"""Random views of training images: crop or expand, mirror, stretch and recolour.

Geometry is one crop and resize, and colour is one matrix, so a view costs about as much as a plain resize.
Numbers come from Python's generator: NumPy's takes five times as long to start, and twice as long for one.
"""

import math
from dataclasses import dataclass
from random import Random

import cv2
import numpy as np
import numpy.typing as npt

from detector.boxes import Labels, areas, mirror
from detector.images import MEAN_BGR, NORMALISE, Image

_WHOLE_IMAGE_SHARE = 0.2
# The source window's side against the image's: zoom in twofold, out to 1.6.
_WINDOW_SCALE = (0.5, 1.6)
_WINDOW_STRETCH = 1.5
_WINDOW_TRIES = 20
# At least one box must lie in the window by this share...
_ANCHORING_SHARE = 0.6
# ...and a box of which less than this is left is no longer asked for.
_VISIBLE_SHARE = 0.3
_BRIGHTNESS = 0.3
_CONTRAST = 0.3
_SATURATION = 0.4
_HUE = 0.15  # radians
_MID_GREY = 115.0

_LUMA = np.array([[0.114, 0.587, 0.299]] * 3)
_THIRD = np.full((3, 3), 1 / 3)
# Rotation about the grey axis, by Rodrigues' formula: its skew part.
_SKEW = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3)

Window = tuple[float, float, float, float]
_WHOLE: Window = (0.0, 0.0, 1.0, 1.0)


def random_window(labels: Labels, random: Random) -> Window:
    """Return a source window (left, top, width, height) relative to the image, perhaps reaching beyond it."""
    if random.random() < _WHOLE_IMAGE_SHARE:
        return _WHOLE
    low, high = np.log(_WINDOW_SCALE)
    sizes = areas(labels[:, 1:])
    for _ in range(_WINDOW_TRIES):
        scale = math.exp(random.uniform(low, high))
        stretch = math.exp(random.uniform(-0.5, 0.5) * math.log(_WINDOW_STRETCH))
        width, height = scale * stretch, scale / stretch
        left = random.uniform(min(0, 1 - width), max(0, 1 - width))
        top = random.uniform(min(0, 1 - height), max(0, 1 - height))
        if not len(labels):
            return left, top, width, height
        across = np.minimum(labels[:, 3], left + width) - np.maximum(labels[:, 1], left)
        down = np.minimum(labels[:, 4], top + height) - np.maximum(labels[:, 2], top)
        if (across.clip(0) * down.clip(0) > _ANCHORING_SHARE * sizes).any():
            return left, top, width, height
    return _WHOLE


def labels_in_window(labels: Labels, window: Window) -> Labels:
    """Return the labels as they lie in the window, cut at its edges, without those hardly visible."""
    left, top, width, height = window
    moved = labels.copy()
    moved[:, 1::2] = (labels[:, 1::2] - left) / width
    moved[:, 2::2] = (labels[:, 2::2] - top) / height
    cut = moved.copy()
    cut[:, 1:] = moved[:, 1:].clip(0, 1)
    kept: Labels = cut[areas(cut[:, 1:]) > _VISIBLE_SHARE * areas(moved[:, 1:])]
    return kept


def random_view(image: Image, labels: Labels, size: int, random: Random) -> tuple[Image, Labels]:
    """Return a random square view of size x size pixels and the labels that stay visible in it."""
    window = random_window(labels, random)
    mirrored = random.random() < 0.5
    height, width = image.shape[:2]
    across = _snap(window[0], window[2], width, size)
    down = _snap(window[1], window[3], height, size)
    # An upright window needs no warp: a crop and a resize take a third of the time.
    view = cv2.resize(
        image[down.source, across.source],
        (across.target.stop - across.target.start, down.target.stop - down.target.start),
        interpolation=cv2.INTER_LINEAR,
    )
    if view.shape[:2] != (size, size):
        above, before = down.target.start, across.target.start
        below, after = size - down.target.stop, size - across.target.stop
        view = cv2.copyMakeBorder(view, above, below, before, after, cv2.BORDER_CONSTANT, value=MEAN_BGR)
    seen = labels_in_window(labels, (across.start, down.start, across.length, down.length))
    if mirrored:
        return np.asarray(cv2.flip(view, 1), np.uint8), mirror(seen)
    return np.asarray(view, np.uint8), seen


@dataclass(frozen=True)
class _Snapped:
    """One axis of a window whose edges in the image, and the image's in the view, lie on whole pixels.

    source, target: pixels of the image and where in the view they go. start, length: the window that these
    are exactly, relative to the image.
    """

    source: slice
    target: slice
    start: float
    length: float


def _snap(start: float, length: float, pixels: int, size: int) -> _Snapped:
    """Return the window nearest to (start, length) that can be cropped from an axis of so many pixels."""
    low = min(max(round(start * pixels), 0), pixels - 1)
    high = min(max(round((start + length) * pixels), low + 1), pixels)
    zoom = size / (length * pixels)
    # Only a window that reaches beyond the image leaves a border.
    first = min(round(-start * pixels * zoom), size - 1) if start < 0 else 0
    last = max(round((1 - start) * pixels * zoom), first + 1) if start + length > 1 else size
    per_pixel = (high - low) / (last - first)
    return _Snapped(
        slice(low, high),
        slice(first, last),
        (low - first * per_pixel) / pixels,
        size * per_pixel / pixels,
    )


def random_colour(random: Random) -> npt.NDArray[np.float32]:
    """Return a (3, 4) matrix: random brightness, contrast, saturation and hue, then the normalisation."""
    brightness = 1 + random.uniform(-_BRIGHTNESS, _BRIGHTNESS)
    contrast = 1 + random.uniform(-_CONTRAST, _CONTRAST)
    saturation = 1 + random.uniform(-_SATURATION, _SATURATION)
    hue = random.uniform(-_HUE, _HUE)
    rotation = math.cos(hue) * np.eye(3) + (1 - math.cos(hue)) * _THIRD + math.sin(hue) * _SKEW
    mixed = (saturation * np.eye(3) + (1 - saturation) * _LUMA) @ rotation * (contrast * brightness)
    shift = np.full(3, (1 - contrast) * _MID_GREY * brightness)
    linear, offset = NORMALISE[:, :3], NORMALISE[:, 3]
    matrix = np.concatenate([linear @ mixed, (linear @ shift + offset)[:, None]], axis=1)
    return np.asarray(matrix, np.float32)
