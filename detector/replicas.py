"""The gradients of a batch, worked out by all cores.

A small network keeps the threads of an operator waiting for each other, and what lies between operators is
done by one thread. So where a batch is large enough, each core has a replica of the network, which makes its
own share of the views and works out their gradients by itself; they meet once a step. Batch normalisation
goes by the statistics of a share then, as it does on several GPUs.
"""

import ctypes
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

from detector.anchors import AnchorPlan
from detector.batches import BatchMaker, View
from detector.boxes import Labels
from detector.cores import available_cores
from detector.flat_weights import FlatWeights
from detector.image_memory import ImageMemory
from detector.input_sizes import InputSizes
from detector.loss import ssd_losses
from detector.mxnet_runtime import mx
from detector.worker_processes import WorkerProcesses, shares

# With fewer images the statistics of batch normalisation get too noisy.
_LEAST_SHARE = 8


def count_replicas(batch_size: int, cores: int) -> int:
    """Return how many replicas to train with: one for each core if all get enough of a batch, else one."""
    return cores if mx.context.num_gpus() == 0 and batch_size // cores >= _LEAST_SHARE else 1


def batch_makers(
    images: ImageMemory,
    labels: Sequence[Labels],
    plan: AnchorPlan,
    sizes: InputSizes,
    batch_size: int,
    overlaps: tuple[float, float],
) -> list[BatchMaker]:
    """Return what makes the batches of each replica to train with; see `BatchMaker`."""
    cores = available_cores()
    count = count_replicas(batch_size, cores)
    share = -(-batch_size // count)
    # A single replica computes with all cores, so its views are made by as many processes between two steps.
    processes = cores if count == 1 else 0
    return [BatchMaker(images, labels, plan, sizes, share, overlaps, processes) for _ in range(count)]


def set_threads(count: int) -> None:
    """Let operators that this thread runs from now on use so many threads."""
    mx.base._LIB.MXSetNumOMPThreads(ctypes.c_int(count))


@dataclass(frozen=True)
class BatchLosses:
    """Both losses of a batch, summed over its positive anchors, and how many these are."""

    cross_entropy: float
    smooth_l1: float
    positives: int


class Replicas:
    """Replicas of a network, in processes of their own if there are several. A context manager."""

    def __init__(
        self, network: Any, weights: FlatWeights, makers: Sequence[BatchMaker], *, focal: bool
    ) -> None:
        """`makers`: of each replica, as many as `weights` is laid out for. `focal`: see `ssd_losses`."""
        self._network = network
        self._weights = weights
        self._makers = makers
        self._focal = focal
        self._thread: ThreadPoolExecutor | None = None
        several = len(makers) > 1
        self._workers = WorkerProcesses(self._in_a_process, len(makers)) if several else None

    def gradients(self, views: Sequence[View]) -> BatchLosses:
        """Work out the gradients of the summed losses of a batch; they lie in `weights.groups()` then."""
        if self._workers is None:
            return self._learn(0, views)
        parts = self._workers.map(list(enumerate(shares(views, len(self._makers)))))
        self._weights.merge()
        return BatchLosses(
            sum(part.cross_entropy for part in parts),
            sum(part.smooth_l1 for part in parts),
            sum(part.positives for part in parts),
        )

    def _in_a_process(self, task: tuple[int, Sequence[View]]) -> BatchLosses:
        replica, views = task
        if self._thread is None:
            # A fork has none of its parent's threads and would wait for them for ever, as operators are kept
            # along with the threads that they are spread over. They are kept for each thread, so a new one
            # begins anew.
            self._thread = ThreadPoolExecutor(1, initializer=set_threads, initargs=(1,))
            self._thread.submit(self._weights.bind, self._network, replica).result()
        return self._thread.submit(self._learn, replica, views).result()

    def _learn(self, replica: int, views: Sequence[View]) -> BatchLosses:
        batch = self._makers[replica].make(views)
        images = mx.nd.from_numpy(batch.images[:]).as_in_context(mx.current_context())
        with mx.autograd.record():
            class_logits, offsets = self._network(images)
            losses = ssd_losses(class_logits, offsets, batch, focal=self._focal)
            total = losses.cross_entropy + losses.smooth_l1
        total.backward()
        return BatchLosses(
            float(losses.cross_entropy.asscalar()), float(losses.smooth_l1.asscalar()), len(batch.positives)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._workers:
            self._workers.close()
