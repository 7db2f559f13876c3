"""SSD's loss: cross entropy on positives and the hardest negatives, smooth L1 on positives' offsets.

Or, in place of that choice of negatives, the focal loss: all anchors count, those that are easy hardly.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.batches import Batch
from detector.boxes import encode
from detector.mxnet_runtime import mx

_NEGATIVES_PER_POSITIVE = 3
# Smooth L1 turns linear at 1 / 9 (an offset of a hundredth of the anchor's side): beyond, it asks for the
# median of what is labelled rather than the mean, and small errors still count.
_STEEPNESS = 3.0
# An image without any box still teaches what is background.
_FEWEST_NEGATIVES = 8
# float32 holds e to the 88th.
_GREATEST_EXPONENT = 80.0
_FOCAL_GAMMA, _FOCAL_ALPHA = 2.0, 0.25


@dataclass(frozen=True)
class Losses:
    """Both parts, each a one-element NDArray, summed over the batch."""

    cross_entropy: Any
    smooth_l1: Any


def hard_examples(
    class_logits: npt.NDArray[np.float32], classes: npt.NDArray[np.int32]
) -> npt.NDArray[np.int64]:
    """Return indices into batch x anchors of every positive and of each image's most mistaken negatives.

    class_logits: (batch, anchors, classes + 1), background first; classes: (batch, anchors) as in `Targets`.
    """
    # The cross entropy of background is log(1 + odds), so the odds against it put anchors in the same order.
    differences = class_logits[:, :, 1:] - class_logits[:, :, :1]
    np.exp(np.minimum(differences, _GREATEST_EXPONENT, out=differences), out=differences)
    mistaken = differences @ np.ones(differences.shape[2], np.float32)
    mistaken[classes != 0] = -1
    chosen = classes > 0
    anchors = classes.shape[1]
    for row, positives in enumerate(chosen.sum(axis=1)):
        count = min(anchors - 1, max(_NEGATIVES_PER_POSITIVE * int(positives), _FEWEST_NEGATIVES))
        chosen[row, np.argpartition(-mistaken[row], count)[:count]] = True
    chosen &= classes >= 0
    return np.nonzero(chosen.ravel())[0]


def focal_loss(class_logits: Any, classes: npt.NDArray[np.int32]) -> Any:
    """Return the focal loss, summed over a batch (arXiv:1708.02002, over a softmax); call while recording.

    Shapes as of `hard_examples`. Anchors that no answer is asked of count nothing.
    """
    goals = mx.nd.array(classes.clip(0).ravel())
    weights = np.where(classes > 0, _FOCAL_ALPHA, 1 - _FOCAL_ALPHA) * (classes >= 0)
    likelihoods = mx.nd.pick(mx.nd.log_softmax(class_logits.reshape((-1, class_logits.shape[2]))), goals)
    easiness = (1 - mx.nd.exp(likelihoods)) ** _FOCAL_GAMMA
    return -(mx.nd.array(weights.ravel()) * easiness * likelihoods).sum()


def ssd_losses(class_logits: Any, offsets: Any, batch: Batch, *, focal: bool = False) -> Losses:
    """Compute both losses of a batch; call while recording. Only the rows that matter are gathered.

    `focal`: take `focal_loss` for the classes.
    """
    cross_entropy = (focal_loss if focal else _mined_cross_entropy)(class_logits, batch.classes)
    if not len(batch.positives):
        return Losses(cross_entropy, mx.nd.sum(offsets) * 0)
    with mx.autograd.pause():
        positives = mx.nd.array(batch.positives, dtype="int32")
        goals = mx.nd.array(encode(batch.anchors[batch.positives % len(batch.anchors)], batch.boxes))
    differences = mx.nd.take(offsets.reshape((-1, 4)), positives) - goals
    return Losses(cross_entropy, mx.nd.smooth_l1(differences, scalar=_STEEPNESS).sum())


def _mined_cross_entropy(class_logits: Any, classes: npt.NDArray[np.int32]) -> Any:
    with mx.autograd.pause():
        examples = hard_examples(class_logits.asnumpy(), classes)
        wanted = mx.nd.array(classes.ravel()[examples])
        rows = mx.nd.array(examples, dtype="int32")
    chosen = mx.nd.take(class_logits.reshape((-1, class_logits.shape[2])), rows)
    return -mx.nd.pick(mx.nd.log_softmax(chosen), wanted).sum()
