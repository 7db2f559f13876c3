"""Which anchors an image's boxes are to be learned by."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detector.boxes import Corners, Labels, intersection_over_union

BACKGROUND = 0
IGNORED = -1


@dataclass(frozen=True)
class Targets:
    """What the network should say of one image.

    classes: (anchors,) 0 background, class id + 1, or -1 where no answer is asked for.
    positives: indices of the anchors that stand for a box. boxes: the box of each of them.
    """

    classes: npt.NDArray[np.int32]
    positives: npt.NDArray[np.int64]
    boxes: Corners


def match(anchors: Corners, labels: Labels, positive_overlap: float, ignored_overlap: float) -> Targets:
    """Give every box its best anchor, and every anchor that overlaps a box by `positive_overlap` that box.

    Anchors between `ignored_overlap` and `positive_overlap` are neither. This is MultiBoxTarget's rule, with
    such a zone between.
    """
    classes = np.zeros(len(anchors), np.int32)
    if not len(labels):
        return Targets(classes, np.zeros(0, np.int64), np.zeros((0, 4), np.float32))
    overlaps = intersection_over_union(labels[:, 1:], anchors)
    best = overlaps.max(axis=0)
    positive = best >= positive_overlap
    classes[(best >= ignored_overlap) & ~positive] = IGNORED
    owner = np.zeros(len(anchors), np.int64)
    owner[positive] = overlaps[:, positive].argmax(axis=0)
    # Where two boxes want the same anchor, the one that overlaps it more comes last and keeps it.
    for box in np.argsort(overlaps.max(axis=1)):
        anchor = overlaps[box].argmax()
        positive[anchor] = True
        owner[anchor] = box
    positives = np.nonzero(positive)[0]
    matched = labels[owner[positives]]
    classes[positives] = matched[:, 0].astype(np.int32) + 1
    return Targets(classes, positives, matched[:, 1:])
