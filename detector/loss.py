"""SSD's loss: cross entropy on positives and the hardest negatives, smooth L1 on positives' offsets."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.batches import Batch
from detector.boxes import Corners, encode
from detector.mxnet_runtime import mx

_NEGATIVES_PER_POSITIVE = 3
# Smooth L1 turns linear at 1 / 9 (an offset of a hundredth of the anchor's side): beyond, it asks for the
# median of what is labelled rather than the mean, and small errors still count.
_STEEPNESS = 3.0
# An image without any box still teaches what is background.
_FEWEST_NEGATIVES = 8


@dataclass(frozen=True)
class Losses:
    """Both parts, each a one-element NDArray, divided by the number of positives in the batch."""

    cross_entropy: Any
    smooth_l1: Any


def hard_examples(
    class_logits: npt.NDArray[np.float32], classes: npt.NDArray[np.int32]
) -> npt.NDArray[np.int64]:
    """Return indices into batch x anchors of every positive and of each image's most mistaken negatives.

    class_logits: (batch, anchors, classes + 1), background first; classes: (batch, anchors) as in `Targets`.
    """
    highest = class_logits.max(axis=2)
    mistaken = np.log(np.exp(class_logits - highest[..., None]).sum(axis=2)) + highest - class_logits[:, :, 0]
    mistaken[classes != 0] = -1
    chosen = classes > 0
    anchors = classes.shape[1]
    for row, positives in enumerate(chosen.sum(axis=1)):
        count = min(anchors - 1, max(_NEGATIVES_PER_POSITIVE * int(positives), _FEWEST_NEGATIVES))
        chosen[row, np.argpartition(-mistaken[row], count)[:count]] = True
    chosen &= classes >= 0
    return np.nonzero(chosen.ravel())[0]


def ssd_losses(class_logits: Any, offsets: Any, batch: Batch, anchors: Corners) -> Losses:
    """Compute both losses of a batch; call while recording. Only the rows that matter are gathered."""
    with mx.autograd.pause():
        examples = hard_examples(class_logits.asnumpy(), batch.classes)
        wanted = mx.nd.array(batch.classes.ravel()[examples])
        rows = mx.nd.array(examples, dtype="int32")
        positives = mx.nd.array(batch.positives, dtype="int32")
        goals = mx.nd.array(encode(anchors[batch.positives % len(anchors)], batch.boxes))
    share = 1.0 / max(len(batch.positives), 1)
    chosen = mx.nd.take(class_logits.reshape((-1, class_logits.shape[2])), rows)
    likelihoods = mx.nd.pick(mx.nd.log_softmax(chosen), wanted)
    cross_entropy = -likelihoods.sum() * share
    if not len(batch.positives):
        return Losses(cross_entropy, mx.nd.sum(offsets) * 0)
    differences = mx.nd.take(offsets.reshape((-1, 4)), positives) - goals
    return Losses(cross_entropy, mx.nd.smooth_l1(differences, scalar=_STEEPNESS).sum() * share)
