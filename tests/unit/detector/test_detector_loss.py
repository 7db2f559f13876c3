"""The loss against its definition in plain arrays."""

import numpy as np

from detector.batches import Batch
from detector.boxes import encode
from detector.loss import focal_loss, hard_examples, ssd_losses
from detector.mxnet_runtime import mx


def test_positives_and_the_most_mistaken_negatives_are_chosen() -> None:
    logits = np.zeros((1, 40, 2), np.float32)
    logits[0, :, 0] = np.arange(40)  # the later, the surer of background
    classes = np.zeros((1, 40), np.int32)
    classes[0, [30, 39]] = 1
    classes[0, 0] = -1
    # Eight negatives at least: those least sure of background, the ignored one left out.
    assert hard_examples(logits, classes).tolist() == [*range(1, 9), 30, 39]


def test_a_network_that_is_far_off_is_ranked_as_well() -> None:
    logits = np.zeros((1, 12, 3), np.float32)
    logits[0, :, 1] = np.linspace(-300, 300, 12)
    logits[0, :, 2] = -1e4
    logits[0, 2, 2] = 1e4
    assert hard_examples(logits, np.zeros((1, 12), np.int32)).tolist() == [2, *range(5, 12)]


NO_IMAGES = np.zeros((1, 3, 1, 1), np.float32)


def test_three_negatives_for_each_positive() -> None:
    classes = np.zeros((2, 40), np.int32)
    classes[0, :5] = 1
    chosen = hard_examples(np.random.default_rng(0).normal(size=(2, 40, 3)).astype(np.float32), classes)
    assert (chosen < 40).sum() == 20
    assert (chosen >= 40).sum() == 8


def test_losses_equal_their_definition() -> None:
    random = np.random.default_rng(1)
    anchors = np.float32([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1], [0, 0.5, 0.5, 1]])
    logits, offsets = random.normal(size=(1, 3, 3)), random.normal(size=(1, 3, 4))
    box = np.float32([[0.1, 0.1, 0.6, 0.6]])
    batch = Batch(NO_IMAGES, anchors, np.array([[2, 0, -1]], np.int32), np.array([0]), box)
    losses = ssd_losses(mx.nd.array(logits), mx.nd.array(offsets), batch)
    likelihood = np.exp(logits[0]) / np.exp(logits[0]).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        losses.cross_entropy.asscalar(), -np.log(likelihood[0, 2]) - np.log(likelihood[1, 0]), rtol=1e-5
    )
    difference = np.abs(offsets[0, 0] - encode(anchors[:1], box)[0])
    expected = np.where(difference < 1 / 9, 9 * difference**2 / 2, difference - 1 / 18).sum()
    np.testing.assert_allclose(losses.smooth_l1.asscalar(), expected, rtol=1e-5)


def test_a_batch_without_boxes_teaches_background_only() -> None:
    offsets = mx.nd.ones((1, 20, 4))
    offsets.attach_grad()
    anchors = np.tile(np.float32([0, 0, 1, 1]), (20, 1))
    batch = Batch(NO_IMAGES, anchors, np.zeros((1, 20), np.int32), np.zeros(0, np.int64), anchors[:0])
    with mx.autograd.record():
        losses = ssd_losses(mx.nd.zeros((1, 20, 2)), offsets, batch)
        total = losses.cross_entropy + losses.smooth_l1
    total.backward()
    np.testing.assert_allclose(losses.cross_entropy.asscalar(), 8 * np.log(2), rtol=1e-5)
    assert losses.smooth_l1.asscalar() == 0
    assert not offsets.grad.asnumpy().any()


def test_focal_loss_equals_its_definition() -> None:
    logits = np.random.default_rng(2).normal(size=(2, 4, 3))
    classes = np.array([[2, 0, -1, 0], [0, 1, 0, -1]], np.int32)
    expected = 0.0
    for row, anchor in np.argwhere(classes >= 0):
        likelihoods = np.exp(logits[row, anchor]) / np.exp(logits[row, anchor]).sum()
        likelihood = likelihoods[classes[row, anchor]]
        weight = 0.25 if classes[row, anchor] else 0.75
        expected -= weight * (1 - likelihood) ** 2 * np.log(likelihood)
    np.testing.assert_allclose(focal_loss(mx.nd.array(logits), classes).asscalar(), expected, rtol=1e-5)


def test_the_focal_loss_takes_the_place_of_mining() -> None:
    logits = mx.nd.array(np.random.default_rng(3).normal(size=(1, 3, 3)))
    classes, positives = np.array([[2, 1, 0]], np.int32), np.array([0, 1])
    anchors = np.float32([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1], [0, 0.5, 0.5, 1]])
    batch = Batch(NO_IMAGES, anchors, classes, positives, anchors[:2])
    losses = ssd_losses(logits, mx.nd.zeros((1, 3, 4)), batch, focal=True)
    assert losses.cross_entropy.asscalar() == focal_loss(logits, classes).asscalar()
    assert losses.smooth_l1.asscalar() == 0
