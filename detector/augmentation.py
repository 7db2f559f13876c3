"""Random views of training images: crop or expand, mirror, stretch and recolour; or four of them in a mosaic.

Geometry is one crop and resize, and colour is one matrix, so a view costs about as much as a plain resize.
Numbers come from Python's generator: NumPy's takes five times as long to start, and twice as long for one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
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
PICTURES_OF_A_MOSAIC = 4
# Where the pieces of a mosaic meet, across and down.
_MOSAIC_CENTRE = (0.35, 0.65)
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


def random_window(labels: Labels, random: Random, shape: tuple[float, float] = (1.0, 1.0)) -> Window:
    """Return a source window (left, top, width, height) relative to the image, perhaps reaching beyond it.

    `shape`: the width and height of what is to be seen through it, against a view that shows as much as the
    image does; smaller for a piece of a view.
    """
    across, down = shape
    if random.random() < _WHOLE_IMAGE_SHARE:
        return _around_the_image(across / down)
    low, high = np.log(_WINDOW_SCALE)
    sizes = areas(labels[:, 1:])
    for _ in range(_WINDOW_TRIES):
        scale = math.exp(random.uniform(low, high))
        stretch = math.exp(random.uniform(-0.5, 0.5) * math.log(_WINDOW_STRETCH))
        width, height = scale * stretch * across, scale / stretch * down
        left = random.uniform(min(0, 1 - width), max(0, 1 - width))
        top = random.uniform(min(0, 1 - height), max(0, 1 - height))
        if not len(labels):
            return left, top, width, height
        seen_across = np.minimum(labels[:, 3], left + width) - np.maximum(labels[:, 1], left)
        seen_down = np.minimum(labels[:, 4], top + height) - np.maximum(labels[:, 2], top)
        if (seen_across.clip(0) * seen_down.clip(0) > _ANCHORING_SHARE * sizes).any():
            return left, top, width, height
    return _around_the_image(across / down)


def _around_the_image(aspect: float) -> Window:
    """Return the smallest window of an aspect (width by height, in shares of the image) that shows all."""
    width, height = max(aspect, 1.0), max(1 / aspect, 1.0)
    return (1 - width) / 2, (1 - height) / 2, width, height


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
    return _random_piece(image, labels, (size, size), (1.0, 1.0), random)


def random_mosaic(
    pictures: Sequence[tuple[Image, Labels]], size: int, random: Random
) -> tuple[Image, Labels]:
    """Return pieces of random views of four pictures (image, labels), laid together to size x size pixels.

    Objects are as large as in a view or smaller, down to half. (Mosaics: YOLOv4, arXiv:2004.10934.)
    """
    across, down = (round(random.uniform(*_MOSAIC_CENTRE) * size) for _ in range(2))
    mosaic = np.empty((size, size, 3), np.uint8)
    seen = []
    corners = product(((0, down), (down, size)), ((0, across), (across, size)))
    for (image, labels), ((top, bottom), (left, right)) in zip(pictures, corners, strict=True):
        width, height = right - left, bottom - top
        shown = random.uniform(max(width, height), size)
        shape = width / shown, height / shown
        mosaic[top:bottom, left:right], inside = _random_piece(image, labels, (width, height), shape, random)
        inside[:, 1::2] = (inside[:, 1::2] * width + left) / size
        inside[:, 2::2] = (inside[:, 2::2] * height + top) / size
        seen.append(inside)
    return mosaic, np.concatenate(seen)


def _random_piece(
    image: Image, labels: Labels, size: tuple[int, int], shape: tuple[float, float], random: Random
) -> tuple[Image, Labels]:
    """Return what a random window of a shape shows in size (width, height) pixels, and the labels in it."""
    window = random_window(labels, random, shape)
    mirrored = random.random() < 0.5
    height, width = image.shape[:2]
    across = _snap(window[0], window[2], width, size[0])
    down = _snap(window[1], window[3], height, size[1])
    # An upright window needs no warp: a crop and a resize take a third of the time.
    view = cv2.resize(
        image[down.source, across.source],
        (across.target.stop - across.target.start, down.target.stop - down.target.start),
        interpolation=cv2.INTER_LINEAR,
    )
    if view.shape[1::-1] != size:
        above, before = down.target.start, across.target.start
        below, after = size[1] - down.target.stop, size[0] - across.target.stop
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
