"""Replicas in processes of their own work out what one would have worked out of their shares."""

import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import cv2
import numpy as np
import pytest

from detector.anchors import derive_plan
from detector.architecture import build_network
from detector.batches import BatchMaker, Mosaics, View, Views
from detector.errors import LabelError
from detector.flat_weights import FlatWeights
from detector.image_memory import ImageMemory
from detector.input_sizes import InputSizes
from detector.mxnet_runtime import mx
from detector.recordio_dataset import Sample
from detector.replicas import Replicas, count_replicas, set_threads
from detector.weights import put_weights, take_weights

RANDOM = np.random.default_rng(0)
SAMPLES = [
    Sample(
        cv2.imencode(".png", RANDOM.integers(255, size=(80, 120, 3), dtype=np.uint8))[1].tobytes(),
        np.float32([[number % 2, 0.2, 0.1, 0.7, 0.5], [0, 0.5, 0.6, 0.9, 0.9]]),
        12,
        f"record {number}",
    )
    for number in range(8)
]
LABELS = [sample.labels for sample in SAMPLES]
PLAN = derive_plan(LABELS, 96)
SIZES = InputSizes(64, 96, 1)
VIEWS = Views(len(SAMPLES), SIZES, 6, 3, Mosaics(0.5, end=5))


# Kept, as a job keeps its own: a thread that ends may hold OpenCV's locks, which a fork then finds locked.
POOL = ThreadPoolExecutor(2)


def images() -> ImageMemory:
    return ImageMemory(SAMPLES, 96, POOL, 10**9)


def maker(stack: ExitStack, most_views: int, processes: int = 0) -> BatchMaker:
    made = BatchMaker(images(), LABELS, PLAN, SIZES, most_views, (0.5, 0.4), processes)
    return stack.enter_context(made)


def network(weights: dict[str, Any] | None = None) -> Any:
    made = build_network("nestbox-small", 2, PLAN, for_training=True)
    if weights is not None:
        put_weights(made, weights)
    return made


@pytest.mark.parametrize(
    ("batch_size", "cores", "replicas"),
    [(16, 2, 2), (16, 3, 1), (15, 2, 1), (32, 4, 4), (1, 1, 1), (16, 1, 1)],
)
def test_every_core_has_a_replica_if_all_get_eight_images(batch_size: int, cores: int, replicas: int) -> None:
    assert count_replicas(batch_size, cores) == replicas


@pytest.mark.parametrize("epoch", [0, 1])
def test_replicas_sum_what_one_works_out_of_each_share(epoch: int) -> None:
    start = take_weights(network())
    views = next(VIEWS.epoch(epoch))
    with ExitStack() as stack:
        alone = []
        for share in (views[:3], views[3:]):
            one = network(start)
            weights = FlatWeights(one)
            replicas = stack.enter_context(Replicas(one, weights, [maker(stack, 3)], focal=False))
            # Several threads sum in another order, and what lies next to zero may end on its other side.
            with ThreadPoolExecutor(1, initializer=set_threads, initargs=(1,)) as single:
                alone.append((single.submit(replicas.gradients, share).result(), weights))
        both = network(start)
        merged = FlatWeights(both, 2)
        several = stack.enter_context(Replicas(both, merged, [maker(stack, 3), maker(stack, 3)], focal=False))
        losses = several.gradients(views)
        for what in ("cross_entropy", "smooth_l1", "positives"):
            expected = sum(getattr(part, what) for part, _ in alone)
            assert getattr(losses, what) == expected, what
        assert losses.positives > 0
        for group, (values, gradients) in merged.groups().items():
            expected = sum(weights.groups()[group][1].asnumpy() for _, weights in alone)
            np.testing.assert_array_equal(gradients.asnumpy(), expected)
            # What is learnt from them is what the replicas compute with from then on.
            values -= 0.01 / losses.positives * gradients
        mean = sum(weights.statistics[0].asnumpy() for _, weights in alone) / 2
        for replica in range(2):
            np.testing.assert_allclose(merged.statistics[replica].asnumpy(), mean, rtol=1e-6)
        again = several.gradients(views)
        assert again.cross_entropy + again.smooth_l1 < losses.cross_entropy + losses.smooth_l1


def test_views_made_by_processes_are_those_made_here() -> None:
    views = next(VIEWS.epoch(1))
    with ExitStack() as stack:
        here, there = (maker(stack, 6, processes).make(views) for processes in (0, 2))
        for what in ("images", "anchors", "classes", "positives", "boxes"):
            np.testing.assert_array_equal(getattr(here, what), getattr(there, what))


def test_an_epoch_shows_every_image_and_is_the_same_again() -> None:
    epoch = list(VIEWS.epoch(4))
    assert list(VIEWS.epoch(4)) == epoch != list(VIEWS.epoch(5))
    assert [len(views) for views in epoch] == [6, 6]
    shown = [view.images[0] for views in epoch for view in views]
    assert sorted(shown[:8]) == list(range(8))
    assert {view.size for views in epoch for view in views} == {96}
    assert {view.size for views in VIEWS.epoch(0) for view in views} == {64}


def test_mosaics_are_of_any_images_until_they_end() -> None:
    def images_of_views(mosaics: Mosaics, epoch: int) -> list[tuple[int, ...]]:
        views = Views(100, SIZES, 50, 3, mosaics)
        return [view.images for batch in views.epoch(epoch) for view in batch]

    mixed = images_of_views(Mosaics(0.3, end=2), 1)
    assert {len(images) for images in mixed} == {1, 4}
    assert 15 <= sum(len(images) == 4 for images in mixed) <= 45
    assert {len(images) for images in images_of_views(Mosaics(0.3, end=2), 2)} == {1}
    beside = {image for images in images_of_views(Mosaics(1, end=2), 0) for image in images[1:]}
    assert min(beside) < 5
    assert max(beside) in range(95, 100)
    assert [Mosaics.while_training(0.3, epochs) for epochs in (20, 1)] == [Mosaics(0.3, 17), Mosaics(0.3, 0)]
    assert images_of_views(Mosaics(), 0) == images_of_views(Mosaics(0.3, end=0), 0)


def test_what_a_replica_cannot_read_is_told_here() -> None:
    class Unreadable(BatchMaker):
        def make(self, views: Any) -> Any:
            raise LabelError([f"record {view.images[0]}: cannot be decoded" for view in views])

    with ExitStack() as stack:
        makers = [Unreadable(images(), LABELS, PLAN, SIZES, 3, (0.5, 0.4), 0), maker(stack, 3)]
        trained = network()
        replicas = stack.enter_context(Replicas(trained, FlatWeights(trained, 2), makers, focal=False))
        with pytest.raises(LabelError, match="record 1: cannot be decoded"):
            replicas.gradients([View((number,), 0, 96) for number in range(1, 5)])
        assert signal.getsignal(signal.SIGTERM) != signal.SIG_IGN
    assert mx.nd.ones((2, 2)).sum().asscalar() == 4
