"""From raw answers to detections."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.detections import select, suppress
from detector.mxnet_runtime import mx


def answers(seed: int, anchors: int = 60, classes: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    corners = random.uniform(0, 0.7, (anchors, 2))
    boxes = np.concatenate([corners, corners + random.uniform(0.1, 0.3, (anchors, 2))], axis=1)
    logits = random.normal(0, 2, (anchors, classes + 1))
    return (
        logits.astype(np.float32),
        random.normal(0, 0.5, (anchors, 4)).astype(np.float32),
        boxes.astype(np.float32),
    )


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32))
def test_agrees_with_multibox_detection(seed: int) -> None:
    logits, offsets, anchors = answers(seed)
    probabilities = mx.nd.softmax(mx.nd.array(logits[None])).transpose((0, 2, 1))
    theirs = mx.nd.contrib.MultiBoxDetection(
        probabilities,
        mx.nd.array(offsets.reshape(1, -1)),
        mx.nd.array(anchors[None]),
        nms_threshold=0.45,
        threshold=0.01,
    ).asnumpy()[0]
    theirs = theirs[theirs[:, 0] >= 0]
    ours = select(logits, offsets, anchors, 0.45)
    order = np.argsort(-theirs[:, 1], kind="stable")
    np.testing.assert_allclose(ours, theirs[order], atol=1e-4)


def test_detections_are_best_first_and_inside_the_image() -> None:
    found = select(*answers(1, anchors=900), 0.45)
    assert (np.diff(found[:, 1]) <= 0).all()
    assert ((found[:, 2:] >= 0) & (found[:, 2:] <= 1)).all()


def test_nothing_found_has_no_rows() -> None:
    logits = np.tile(np.float32([20, 0, 0]), (5, 1))
    assert select(
        logits, np.zeros((5, 4), np.float32), np.tile(np.float32([0, 0, 1, 1]), (5, 1)), 0.45
    ).shape == (0, 6)


def test_boxes_of_other_classes_are_not_suppressed() -> None:
    logits = np.float32([[0, 9, 0], [0, 0, 8], [0, 7, 0]])
    same_place = np.tile(np.float32([0.2, 0.2, 0.6, 0.6]), (3, 1))
    assert select(logits, np.zeros((3, 4), np.float32), same_place, 0.45)[:, 0].tolist() == [0, 1]


def test_suppression_is_by_kept_boxes_only() -> None:
    # The second is suppressed by the first, so it does not suppress the third.
    chain = np.float32([[0, 0, 10, 1], [3, 0, 13, 1], [6, 0, 16, 1]])
    assert suppress(chain, 0.45).tolist() == [0, 2]


def test_suppressing_nothing_keeps_nothing() -> None:
    assert suppress(np.zeros((0, 4), np.float32), 0.5).tolist() == []
