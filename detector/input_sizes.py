"""How large a network sees its training images: small at first, where a step costs half, in full at the end.

Anchors are relative to the image, and views are zoomed at random anyway, so what is learnt on small inputs
holds on large ones ("progressive resizing", as in EfficientNetV2, arXiv:2104.00298). At equal cost it gained
1 to 2 points of mAP@0.5 on each of three datasets (docs/detector.md).
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST_SHARE = 2 / 3
"""The share of the epochs that see small inputs."""
_FIRST_SIZE = 2 / 3
_STEP = 32
"""Sides are multiples of the coarsest cell, so that the grids nest."""
_LEAST = 96


@dataclass(frozen=True)
class InputSizes:
    """The input's side in pixels: `first` until epoch `change` (counted from 0), `final` from then on."""

    first: int
    final: int
    change: int

    def at(self, epoch: int) -> int:
        """Return the side in an epoch."""
        return self.first if epoch < self.change else self.final


def first_size(final: int) -> int:
    """Return the side that images are seen at before they are seen at `final`."""
    return min(max(round(final * _FIRST_SIZE / _STEP) * _STEP, _LEAST), final)


def progressive(final: int, epochs: int) -> InputSizes:
    """Return sizes that grow to `final` for a training of so many epochs, of which the last always sees it.

    >>> progressive(288, 60), progressive(128, 60).first
    (InputSizes(first=192, final=288, change=40), 96)
    """
    return InputSizes(first_size(final), final, int(epochs * FIRST_SHARE))


def constant(final: int) -> InputSizes:
    """Return sizes that never change."""
    return InputSizes(final, final, 0)
