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


def suppress(boxes: Corners, overlap: float) -> npt.NDArray[np.int64]:
    """Return the indices of the boxes (best first) that no better box overlaps by more than `overlap`."""
    too_close = intersection_over_union(boxes, boxes) > overlap
    suppressed = np.zeros(len(boxes), bool)
    kept = []
    for index in range(len(boxes)):
        if not suppressed[index]:
            kept.append(index)
            suppressed |= too_close[index]
    return np.array(kept, np.int64)


def select(
    class_logits: npt.NDArray[np.float32],
    offsets: npt.NDArray[np.float32],
    anchors: Corners,
    nms_threshold: float,
) -> Detections:
    """Turn one image's raw answers into detections.

    class_logits: (anchors, classes + 1), background first. offsets: (anchors, 4). Each anchor speaks for its
    likeliest class only, and boxes suppress boxes of their own class, as MultiBoxDetection does.
    """
    exponentials = np.exp(class_logits - class_logits.max(axis=1, keepdims=True))
    objects = exponentials[:, 1:]
    scores = objects.max(axis=1) / exponentials.sum(axis=1)
    candidates = np.nonzero(scores > MIN_SCORE)[0]
    if len(candidates) > _MOST_CANDIDATES:
        top = np.argpartition(-scores[candidates], _MOST_CANDIDATES)[:_MOST_CANDIDATES]
        candidates = np.sort(candidates[top])
    candidates = candidates[np.argsort(-scores[candidates], kind="stable")]
    classes = objects[candidates].argmax(axis=1).astype(np.float32)
    boxes = decode(anchors[candidates], offsets[candidates]).clip(0, 1)
    kept = suppress(boxes + _CLASS_GAP * classes[:, None], nms_threshold)
    return np.concatenate(
        [classes[kept, None], scores[candidates][kept, None], boxes[kept]], axis=1, dtype=np.float32
    )
