"""Anchors: the box shapes a detector looks for, where, and the rules that derive them from a dataset."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.boxes import Corners, Labels

Shapes = npt.NDArray[np.float64]

# The smallest class's median object should span this many pixels of the network's input.
_OBJECT_PIXELS = 20
# Where objects are large, a smaller input is learnt faster: on drawn birds of a third of the picture, a
# minute on two cores gave mAP .74 at 192 pixels, .79 at 160 and .84 at 128; 96 were too few.
_SIZES = (128, 352)
_SIZE_STEP = 32
# Below this many pixels objects need a level with cells of 8 pixels.
_FINE_OBJECT_PIXELS = 48
_SHAPES_PER_LEVEL = 3
# Training zooms objects about this much, so anchors are chosen for the zoomed shapes.
_ZOOM_JITTER = (0.6, 1.4)
_SHAPES_PER_CLASS = 1500
_MEDIAN_ROUNDS = 60

# SSD's default scales of the levels and one beyond, for inputs below 512 pixels and from there on.
_SSD_SCALES = (0.1, 0.2, 0.37, 0.54, 0.71, 0.88, 1.05)
_SSD_SCALES_LARGE = (0.07, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.0)
_SSD_LARGE = 512
_FEW_RATIOS = (1.0, 2.0, 0.5)
_MANY_RATIOS = (1.0, 2.0, 0.5, 3.0, 1 / 3)


@dataclass(frozen=True)
class Level:
    """A grid of anchors: cell side in input pixels, shapes (width, height) relative to the image."""

    stride: int
    shapes: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class AnchorPlan:
    """Everything about a detector's geometry: input side in pixels and its anchor levels, finest first."""

    image_size: int
    levels: tuple[Level, ...]

    def corners(self) -> Corners:
        """Return every anchor (n, 4) in the order of the network's answers: level, row, column, shape."""
        parts = []
        for level in self.levels:
            cells = -(-self.image_size // level.stride)
            centres = (np.arange(cells) + 0.5) / cells
            grid = np.stack(np.meshgrid(centres, centres), axis=-1)[:, :, None]
            half = np.array(level.shapes) / 2
            parts.append(np.concatenate([grid - half, grid + half], axis=-1).reshape(-1, 4))
        corners: Corners = np.concatenate(parts).astype(np.float32)
        return corners

    def at(self, image_size: int) -> "AnchorPlan":
        """Return the same plan for another input: shapes are relative, so only the grids change."""
        return AnchorPlan(image_size, self.levels)

    def shapes(self) -> Shapes:
        """Return all anchor shapes (n, 2), relative to the image."""
        shapes: Shapes = np.concatenate([np.array(level.shapes) for level in self.levels])
        return shapes

    def to_json(self) -> dict[str, Any]:
        """Return the plan as it is written into an artefact."""
        return {
            "image_size": self.image_size,
            "levels": [
                {"stride": level.stride, "shapes": [list(s) for s in level.shapes]} for level in self.levels
            ],
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "AnchorPlan":
        """Read what `to_json` wrote. Raises KeyError, TypeError or ValueError if it is something else."""
        levels = tuple(
            Level(int(level["stride"]), tuple((float(w), float(h)) for w, h in level["shapes"]))
            for level in content["levels"]
        )
        return cls(int(content["image_size"]), levels)


def derive_plan(labels: Sequence[Labels], image_size: int | None) -> AnchorPlan:
    """Derive input size, strides and anchors of the small network from the training labels.

    `image_size` overrides the derived input size, in pixels. Needs at least one box.
    """
    boxes = np.concatenate(labels).astype(np.float64)
    shapes = boxes[:, 3:] - boxes[:, 1:3]
    by_class = [shapes[boxes[:, 0] == class_id] for class_id in np.unique(boxes[:, 0])]
    # The class with the smallest objects decides.
    smallest = min(float(np.median(np.sqrt(one.prod(axis=1)))) for one in by_class)
    if image_size is None:
        wanted = round(_OBJECT_PIXELS / smallest / _SIZE_STEP) * _SIZE_STEP
        image_size = min(max(wanted, _SIZES[0]), _SIZES[1])
    strides = (8, 16, 32) if smallest * image_size < _FINE_OBJECT_PIXELS else (16, 32)

    random = np.random.default_rng(1)
    low, high = np.log(_ZOOM_JITTER)
    # As many shapes of each class, however rare it is.
    jittered = [
        one[random.integers(len(one), size=_SHAPES_PER_CLASS)]
        * np.exp(random.uniform(low, high, (_SHAPES_PER_CLASS, 1)))
        for one in by_class
    ]
    medians = _shape_medians(np.concatenate(jittered).clip(0.01, 1), _SHAPES_PER_LEVEL * len(strides), random)
    sides = np.sqrt(medians.prod(axis=1)) * image_size
    level_of = np.clip(np.round(np.log2(sides / (4 * strides[0]))), 0, len(strides) - 1)
    levels = []
    for number, stride in enumerate(strides):
        chosen = tuple((float(width), float(height)) for width, height in medians[level_of == number])
        if chosen:
            levels.append(Level(stride, chosen))
    return AnchorPlan(image_size, tuple(levels))


def ssd_plan(image_size: int, finest_stride: int) -> AnchorPlan:
    """Return SSD's own anchors: six levels, from 512 pixels on seven, cells doubling from `finest_stride`."""
    scales = _SSD_SCALES_LARGE if image_size >= _SSD_LARGE else _SSD_SCALES
    count = len(scales) - 1
    levels = []
    for number in range(count):
        own, between = scales[number], math.sqrt(scales[number] * scales[number + 1])
        ratios = _MANY_RATIOS if 0 < number < count - 2 else _FEW_RATIOS
        shapes = [(own, own), (between, between)]
        shapes += [(own * math.sqrt(ratio), own / math.sqrt(ratio)) for ratio in ratios[1:]]
        levels.append(Level(finest_stride * 2**number, tuple(shapes)))
    return AnchorPlan(image_size, tuple(levels))


def poorly_covered(plan: AnchorPlan, labels: Sequence[Labels]) -> float:
    """Return the share of boxes, 0..1, whose shape overlaps no anchor shape of the plan by half."""
    boxes = np.concatenate(labels).astype(np.float64)
    if not len(boxes):
        return 0.0
    best = _shape_overlap(boxes[:, 3:] - boxes[:, 1:3], plan.shapes()).max(axis=1)
    return float((best < 0.5).mean())


def _shape_overlap(first: Shapes, second: Shapes) -> npt.NDArray[np.float64]:
    """Return the intersection over union of shapes laid on one corner, (len(first), len(second))."""
    common = np.minimum(first[:, None], second[None]).prod(axis=2)
    return np.asarray(common / (first.prod(axis=1)[:, None] + second.prod(axis=1)[None] - common))


def _shape_medians(shapes: Shapes, count: int, random: np.random.Generator) -> Shapes:
    """Return `count` shapes that stand for all, smallest first: k-medians, with overlap as nearness."""
    quantiles = ((np.arange(count) + 0.5) / count * len(shapes)).astype(int)
    centres = shapes[np.argsort(shapes.prod(axis=1))][quantiles]
    for _ in range(_MEDIAN_ROUNDS):
        nearest = _shape_overlap(shapes, centres).argmax(axis=1)
        moved = np.stack(
            [
                np.median(shapes[nearest == number], axis=0)
                if (nearest == number).any()
                else shapes[random.integers(len(shapes))]
                for number in range(count)
            ]
        )
        if np.allclose(moved, centres):
            break
        centres = moved
    return np.asarray(centres[np.argsort(centres.prod(axis=1))])
