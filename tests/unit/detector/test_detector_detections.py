"""From raw answers to detections."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.boxes import decode, intersection_over_union
from detector.detections import select, suppress, vote
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


def multibox_detection(scores: np.ndarray, offsets: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """What MXNet's operator finds of one class: rows of score and corners, best first."""
    found = mx.nd.contrib.MultiBoxDetection(
        mx.nd.array(np.stack([1 - scores, scores])[None]),
        mx.nd.array(offsets.reshape(1, -1)),
        mx.nd.array(anchors[None]),
        nms_threshold=0.45,
        threshold=0.01,
    ).asnumpy()[0]
    found = found[found[:, 0] >= 0]
    return found[np.argsort(-found[:, 1], kind="stable")][:, 1:]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32))
def test_keeps_what_multibox_detection_keeps_of_each_class_alone(seed: int) -> None:
    logits, offsets, anchors = answers(seed)
    likelihoods = mx.nd.softmax(mx.nd.array(logits)).asnumpy()
    ours = select(logits, offsets, anchors, 0.45)
    boxes = decode(anchors, offsets).clip(0, 1)
    for class_id in range(3):
        scores = likelihoods[:, class_id + 1]
        # The operator leaves out what the background outweighs; one against all others has no such rule.
        theirs = multibox_detection(np.minimum(scores, 1), offsets, anchors)
        theirs = theirs[theirs[:, 0] >= 0.5]
        mine = ours[ours[:, 0] == class_id][:, 1:]
        mine = mine[mine[:, 0] >= 0.5]
        np.testing.assert_allclose(mine[:, 0], theirs[:, 0], atol=1e-5)
        for (score, *voted), (_, *plain) in zip(mine.tolist(), theirs.tolist(), strict=True):
            agreeing = intersection_over_union(np.float32([plain]), boxes)[0]
            chosen = (agreeing >= 0.65) & (scores > 0.01)
            weights = (agreeing * scores)[chosen]
            mean = (weights[:, None] * boxes[chosen]).sum(axis=0) / weights.sum()
            np.testing.assert_allclose(voted, mean, atol=1e-4, err_msg=str(score))


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
    found = select(logits, np.zeros((3, 4), np.float32), same_place, 0.45)
    assert found[:, 0].tolist() == [0, 1]


def test_an_anchor_in_doubt_speaks_for_both_classes() -> None:
    found = select(np.float32([[0, 2, 1.9]]), np.zeros((1, 4), np.float32), np.float32([[0, 0, 1, 1]]), 0.45)
    assert found[:, 0].tolist() == [0, 1]
    assert found[0, 1] > found[1, 1] > 0.4


def test_suppression_is_by_kept_boxes_only() -> None:
    # The second is suppressed by the first, so it does not suppress the third.
    chain = np.float32([[0, 0, 10, 1], [3, 0, 13, 1], [6, 0, 16, 1]])
    assert suppress(intersection_over_union(chain, chain), 0.45).tolist() == [0, 2]


def test_suppressing_nothing_keeps_nothing() -> None:
    assert suppress(np.zeros((0, 0), np.float32), 0.5).tolist() == []


def test_boxes_of_one_object_vote_on_its_edges_by_score_and_overlap() -> None:
    boxes = np.float32([[0, 0, 10, 10], [0, 0, 8, 10], [0, 0, 2, 10]])
    overlaps = intersection_over_union(boxes, boxes)
    voted = vote(boxes, np.float32([0.8, 0.5, 0.9]), overlaps, np.array([0]))
    # The second overlaps the first by 0.8 and counts 0.8 x 0.5; the third by 0.2 and does not count.
    np.testing.assert_allclose(voted, [[0, 0, (0.8 * 10 + 0.4 * 8) / 1.2, 10]], rtol=1e-6)


def test_a_box_without_area_stands_for_itself() -> None:
    flat = np.float32([[0.5, 0, 0.5, 1]])
    overlaps = intersection_over_union(flat, flat)
    np.testing.assert_array_equal(vote(flat, np.float32([0.7]), overlaps, np.array([0])), flat)
