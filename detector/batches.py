"""Batches of augmented training images and their targets, filled by all cores between two steps."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple, Self, TypeVar

import numpy as np
import numpy.typing as npt

from detector.anchors import AnchorPlan
from detector.augmentation import random_colour, random_view
from detector.boxes import Corners, Labels
from detector.image_memory import ImageMemory
from detector.images import fill_planes
from detector.input_sizes import InputSizes
from detector.targets import match
from detector.worker_processes import WorkerProcesses, shared_array

Number = TypeVar("Number", np.float32, np.int32)


@dataclass(frozen=True)
class Batch:
    """Images and what the network should answer.

    images: float32 (batch, 3, size, size), valid until the next batch is asked for. anchors: those of this
    size. classes: (batch, anchors), see `Targets`. positives: indices into batch x anchors. boxes: the box of
    each positive.
    """

    images: npt.NDArray[np.float32]
    anchors: Corners
    classes: npt.NDArray[np.int32]
    positives: npt.NDArray[np.int64]
    boxes: Corners


class _View(NamedTuple):
    """One view to make: its row in the batch, the image and the seed, and the side in pixels."""

    row: int
    image: int
    seed: int
    size: int


class _Positives(NamedTuple):
    """The anchors of a view that stand for a box, and the box of each."""

    anchors: npt.NDArray[np.int64]
    boxes: Corners


class BatchLoader:
    """Makes the batches of any epoch; the same epoch is the same batches, whatever was asked for before.

    A context manager, as it has processes to end.
    """

    def __init__(
        self,
        images: ImageMemory,
        labels: Sequence[Labels],
        plan: AnchorPlan,
        sizes: InputSizes,
        batch_size: int,
        overlaps: tuple[float, float],
        seed: int,
        processes: int,
    ) -> None:
        """`overlaps`: from which overlap an anchor is positive, and from which it is ignored."""
        self._images = images
        self._labels = labels
        self.sizes = sizes
        self._anchors = {size: plan.at(size).corners() for size in (sizes.first, sizes.final)}
        self._batch_size = batch_size
        self._overlaps = overlaps
        self._seed = seed
        self._planes = shared_array([batch_size * 3 * sizes.final**2], np.float32)
        self._classes = shared_array([batch_size * max(map(len, self._anchors.values()))], np.int32)
        self._workers = WorkerProcesses(self._fill, processes)

    @property
    def steps_per_epoch(self) -> int:
        """Batches in which every image appears at least once."""
        return -(-len(self._images) // self._batch_size)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield an epoch's batches; the last is filled up with further views of the first images."""
        size = self.sizes.at(number)
        anchors = self._anchors[size]
        random = np.random.default_rng((self._seed, number))
        order = np.resize(random.permutation(len(self._images)), self.steps_per_epoch * self._batch_size)
        for start in range(0, len(order), self._batch_size):
            chosen = order[start : start + self._batch_size]
            seeds = random.integers(2**63, size=len(chosen))
            views = map(_View, range(len(chosen)), chosen.tolist(), seeds.tolist(), [size] * len(chosen))
            positives = self._workers.map(list(views))
            yield Batch(
                self._planes_of(size),
                anchors,
                self._classes_of(size).copy(),
                np.concatenate([found.anchors + row * len(anchors) for row, found in enumerate(positives)]),
                np.concatenate([found.boxes for found in positives]),
            )

    def _fill(self, view: _View) -> _Positives:
        """Make a view, in one of the processes."""
        random = Random(view.seed)
        image, labels = self._images[view.image], self._labels[view.image]
        pixels, seen = random_view(image, labels, view.size, random)
        fill_planes(self._planes_of(view.size)[view.row], pixels, random_colour(random))
        targets = match(self._anchors[view.size], seen, *self._overlaps)
        self._classes_of(view.size)[view.row] = targets.classes
        return _Positives(targets.positives, targets.boxes)

    def _planes_of(self, size: int) -> npt.NDArray[np.float32]:
        return _shaped(self._planes, self._batch_size, 3, size, size)

    def _classes_of(self, size: int) -> npt.NDArray[np.int32]:
        return _shaped(self._classes, self._batch_size, len(self._anchors[size]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._workers.close()


def _shaped(flat: npt.NDArray[Number], *shape: int) -> npt.NDArray[Number]:
    """Return the beginning of a flat array in a shape, not copied."""
    return flat[: math.prod(shape)].reshape(shape)
