"""From a network's raw answers to the boxes that are worth showing."""

import numpy as np
import numpy.typing as npt

from detector.boxes import Corners, decode, intersection_over_union

# float32 (n, 6): class id, score 0..1, then corners; best score first.
Detections = npt.NDArray[np.float32]

MIN_SCORE = 0.01
_MOST_CANDIDATES = 400
# Boxes of different classes are moved this far apart, so that one pass of suppression serves all classes.
_CLASS_GAP = 2.0
# From this overlap on two boxes are two opinions on one object's edges.
_SAME_OBJECT = 0.65


def suppress(overlaps: npt.NDArray[np.float32], threshold: float) -> npt.NDArray[np.int64]:
    """Return the indices of the boxes (best first) that no better kept box overlaps by more than `threshold`.

    overlaps: (n, n), of every box with every box.
    """
    too_close = overlaps > threshold
    suppressed = np.zeros(len(overlaps), bool)
    kept = []
    for index in range(len(overlaps)):
        if not suppressed[index]:
            kept.append(index)
            suppressed |= too_close[index]
    return np.array(kept, np.int64)


def vote(
    boxes: Corners,
    scores: npt.NDArray[np.float32],
    overlaps: npt.NDArray[np.float32],
    kept: npt.NDArray[np.int64],
) -> Corners:
    """Return each kept box as the mean of all boxes about the same object, weighted by score and overlap.

    Neighbouring anchors guess an object's edges independently, so their mean lies nearer than the surest one
    alone ("box voting", Gidaris and Komodakis, arXiv:1505.01749).
    """
    agreeing = overlaps[kept]
    weights = np.where(agreeing >= _SAME_OBJECT, agreeing * scores, 0)
    # A box without area overlaps not even itself.
    weights[np.arange(len(kept)), kept] = scores[kept]
    return np.asarray(weights @ boxes / weights.sum(axis=1, keepdims=True), np.float32)


def select(
    class_logits: npt.NDArray[np.float32],
    offsets: npt.NDArray[np.float32],
    anchors: Corners,
    nms_threshold: float,
) -> Detections:
    """Turn one image's raw answers into detections.

    class_logits: (anchors, classes + 1), background first. offsets: (anchors, 4). Boxes suppress boxes of
    their own class, as in the SSD paper (arXiv:1512.02325): an anchor that is torn between two classes speaks
    for both. (MXNet's MultiBoxDetection lets it speak for the likeliest only, which cost 1 to 7 points of mAP
    on small datasets.)
    """
    exponentials = np.exp(class_logits - class_logits.max(axis=1, keepdims=True))
    likelihoods = exponentials[:, 1:] / exponentials.sum(axis=1, keepdims=True)
    anchor, class_id = np.nonzero(likelihoods > MIN_SCORE)
    scores = likelihoods[anchor, class_id]
    best = _best(scores)
    boxes = decode(anchors[anchor[best]], offsets[anchor[best]]).clip(0, 1)
    return _settle(class_id[best], scores[best], boxes, nms_threshold)


def select_decoded(
    scores: npt.NDArray[np.float32], boxes: npt.NDArray[np.float32], nms_threshold: float
) -> Detections:
    """Turn one image's decoded answers into detections, by the rules of `select`.

    scores: likelihoods (classes, anchors) without background's. boxes: corners (4, anchors).
    """
    class_id, anchor = np.divmod(np.flatnonzero(scores > MIN_SCORE), scores.shape[1])
    likelihoods = scores[class_id, anchor]
    best = _best(likelihoods)
    return _settle(
        class_id[best], likelihoods[best], np.ascontiguousarray(boxes[:, anchor[best]].T), nms_threshold
    )


def _best(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Return the indices of the highest scores, best first."""
    return np.argsort(-scores, kind="stable")[:_MOST_CANDIDATES]


def _settle(
    class_id: npt.NDArray[np.int64], scores: npt.NDArray[np.float32], boxes: Corners, nms_threshold: float
) -> Detections:
    """Let each object's candidates (best first) settle on one box."""
    classes = class_id.astype(np.float32)
    apart = boxes + _CLASS_GAP * classes[:, None]
    overlaps = intersection_over_union(apart, apart)
    kept = suppress(overlaps, nms_threshold)
    return np.concatenate(
        [classes[kept, None], scores[kept, None], vote(boxes, scores, overlaps, kept)],
        axis=1,
        dtype=np.float32,
    )
