"""Batches of augmented training images and their targets, filled by threads between two steps."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detector.anchors import AnchorPlan
from detector.augmentation import random_colour, random_view
from detector.boxes import Corners, Labels
from detector.image_memory import ImageMemory
from detector.images import fill_planes
from detector.input_sizes import InputSizes
from detector.targets import Targets, match


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


class BatchLoader:
    """Makes the batches of any epoch; the same epoch is the same batches, whatever was asked for before."""

    def __init__(
        self,
        images: ImageMemory,
        labels: Sequence[Labels],
        plan: AnchorPlan,
        sizes: InputSizes,
        batch_size: int,
        overlaps: tuple[float, float],
        seed: int,
        pool: ThreadPoolExecutor,
    ) -> None:
        """`overlaps`: from which overlap an anchor is positive, and from which it is ignored."""
        self._images = images
        self._labels = labels
        self.sizes = sizes
        self._anchors = {size: plan.at(size).corners() for size in (sizes.first, sizes.final)}
        self._batch_size = batch_size
        self._overlaps = overlaps
        self._seed = seed
        self._pool = pool
        self._planes = np.empty((batch_size, 3, sizes.final, sizes.final), np.float32)

    @property
    def steps_per_epoch(self) -> int:
        """Batches in which every image appears at least once."""
        return -(-len(self._images) // self._batch_size)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield an epoch's batches; the last is filled up with further views of the first images."""
        size = self.sizes.at(number)
        anchors = self._anchors[size]
        if self._planes.shape[-1] != size:
            self._planes = np.empty((self._batch_size, 3, size, size), np.float32)
        random = np.random.default_rng((self._seed, number))
        order = np.resize(random.permutation(len(self._images)), self.steps_per_epoch * self._batch_size)
        for start in range(0, len(order), self._batch_size):
            chosen = order[start : start + self._batch_size]
            seeds = random.integers(2**63, size=len(chosen))
            targets = list(
                self._pool.map(
                    lambda row, index, seed: self._fill(row, index, seed, size, anchors),
                    range(len(chosen)),
                    chosen.tolist(),
                    seeds.tolist(),
                )
            )
            count = len(anchors)
            yield Batch(
                self._planes,
                anchors,
                np.stack([target.classes for target in targets]),
                np.concatenate([target.positives + row * count for row, target in enumerate(targets)]),
                np.concatenate([target.boxes for target in targets]),
            )

    def _fill(self, row: int, index: int, seed: int, size: int, anchors: Corners) -> Targets:
        random = np.random.default_rng(seed)
        view, labels = random_view(self._images[index], self._labels[index], size, random)
        fill_planes(self._planes[row], view, random_colour(random))
        return match(anchors, labels, *self._overlaps)
