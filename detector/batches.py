"""Batches of augmented training images and their targets: which images a step sees, and how."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple, Self, TypeVar

import numpy as np
import numpy.typing as npt

from detector.anchors import AnchorPlan
from detector.augmentation import PICTURES_OF_A_MOSAIC, random_colour, random_mosaic, random_view
from detector.boxes import Corners, Labels
from detector.image_memory import ImageMemory
from detector.images import fill_planes
from detector.input_sizes import InputSizes
from detector.targets import match
from detector.worker_processes import WorkerProcesses, shared_array

# The share of the epochs that see mosaics; the last see images as they are asked about.
_MOSAICS_END = 0.85

Number = TypeVar("Number", np.float32, np.int32)


@dataclass(frozen=True)
class Batch:
    """Images and what the network should answer.

    images: float32 (batch, 3, size, size), valid until the next batch is made. anchors: those of this size.
    classes: (batch, anchors), see `Targets`. positives: indices into batch x anchors. boxes: the box of each
    positive.
    """

    images: npt.NDArray[np.float32]
    anchors: Corners
    classes: npt.NDArray[np.int32]
    positives: npt.NDArray[np.int64]
    boxes: Corners


class View(NamedTuple):
    """A random view of a training image, or a mosaic of views of several.

    images: the index of each. seed: what decides the view. size: its side in pixels.
    """

    images: tuple[int, ...]
    seed: int
    size: int


@dataclass(frozen=True)
class Mosaics:
    """The share of views, 0..1, that are mosaics before epoch `end` (counted from 0); from there none is."""

    share: float = 0.0
    end: int = 0

    @classmethod
    def while_training(cls, share: float, epochs: int) -> Self:
        """Return mosaics of such a share in all but the last of so many epochs."""
        return cls(share, int(epochs * _MOSAICS_END))

    def at(self, epoch: int) -> float:
        """Return the share in an epoch."""
        return self.share if epoch < self.end else 0.0


_NO_MOSAICS = Mosaics()


class Views:
    """The views that the steps of any epoch show; the same epoch has the same ones, whatever came before."""

    def __init__(
        self, images: int, sizes: InputSizes, batch_size: int, seed: int, mosaics: Mosaics = _NO_MOSAICS
    ) -> None:
        """`images`: how many there are to train on."""
        self._images = images
        self.sizes = sizes
        self._mosaics = mosaics
        self._batch_size = batch_size
        self._seed = seed

    @property
    def steps_per_epoch(self) -> int:
        """Batches in which every image appears at least once."""
        return -(-self._images // self._batch_size)

    def epoch(self, number: int) -> Iterator[list[View]]:
        """Yield the views of each step; the last is filled up with further views of the first images."""
        size = self.sizes.at(number)
        random = np.random.default_rng((self._seed, number))
        order = np.resize(random.permutation(self._images), self.steps_per_epoch * self._batch_size)
        for start in range(0, len(order), self._batch_size):
            chosen = order[start : start + self._batch_size]
            seeds = random.integers(2**63, size=len(chosen))
            others = random.integers(self._images, size=(len(chosen), PICTURES_OF_A_MOSAIC - 1))
            mosaic = random.random(len(chosen)) < self._mosaics.at(number)
            yield [
                View((image, *beside) if several else (image,), view_seed, size)
                for image, beside, several, view_seed in zip(
                    chosen.tolist(), others.tolist(), mosaic.tolist(), seeds.tolist(), strict=True
                )
            ]


class _Positives(NamedTuple):
    """The anchors of a view that stand for a box, and the box of each."""

    anchors: npt.NDArray[np.int64]
    boxes: Corners


class BatchMaker:
    """Makes batches of views, always in the same memory. A context manager: it may have processes to end."""

    def __init__(
        self,
        images: ImageMemory,
        labels: Sequence[Labels],
        plan: AnchorPlan,
        sizes: InputSizes,
        most_views: int,
        overlaps: tuple[float, float],
        processes: int,
    ) -> None:
        """`most_views`: of a batch. `overlaps`: from which overlap an anchor is positive, and from which it
        is ignored. `processes`: how many to spread the work over; 0 makes views in the process that asks.
        """
        self._images = images
        self._labels = labels
        self._anchors = {size: plan.at(size).corners() for size in (sizes.first, sizes.final)}
        self._overlaps = overlaps
        self._planes = shared_array([most_views * 3 * sizes.final**2], np.float32)
        self._classes = shared_array([most_views * max(map(len, self._anchors.values()))], np.int32)
        self._workers = WorkerProcesses(self._fill, processes) if processes else None

    def make(self, views: Sequence[View]) -> Batch:
        """Make a batch of views, all of one size."""
        size = views[0].size
        anchors = self._anchors[size]
        tasks = list(enumerate(views))
        positives = self._workers.map(tasks) if self._workers else list(map(self._fill, tasks))
        return Batch(
            self._planes_of(len(views), size),
            anchors,
            self._classes_of(len(views), size).copy(),
            np.concatenate([found.anchors + row * len(anchors) for row, found in enumerate(positives)]),
            np.concatenate([found.boxes for found in positives]),
        )

    def _fill(self, task: tuple[int, View]) -> _Positives:
        """Make the view of a row."""
        row, view = task
        random = Random(view.seed)
        pictures = [(self._images[image], self._labels[image]) for image in view.images]
        if len(pictures) > 1:
            pixels, seen = random_mosaic(pictures, view.size, random)
        else:
            pixels, seen = random_view(*pictures[0], view.size, random)
        fill_planes(self._planes_of(row + 1, view.size)[row], pixels, random_colour(random))
        targets = match(self._anchors[view.size], seen, *self._overlaps)
        self._classes_of(row + 1, view.size)[row] = targets.classes
        return _Positives(targets.positives, targets.boxes)

    def _planes_of(self, views: int, size: int) -> npt.NDArray[np.float32]:
        return _shaped(self._planes, views, 3, size, size)

    def _classes_of(self, views: int, size: int) -> npt.NDArray[np.int32]:
        return _shaped(self._classes, views, len(self._anchors[size]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._workers:
            self._workers.close()


def _shaped(flat: npt.NDArray[Number], *shape: int) -> npt.NDArray[Number]:
    """Return the beginning of a flat array in a shape, not copied."""
    return flat[: math.prod(shape)].reshape(shape)
