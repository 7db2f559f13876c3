"""The detector: how much of the compute the training loop keeps, and what serving adds to a forward pass.

Every comparison is made in turns inside one run, so that other work on the machine meets both sides alike.
"""

from __future__ import annotations

import io
import re
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks.detector_serving import against_mxnet, cold_start, latency, throughput
from detector.architecture import build_network, plan_for
from detector.artefact import Artefact, graph_of, write_artefact
from detector.batches import Batch, BatchMaker, Mosaics, View, Views
from detector.checkpoint import CheckpointFolder
from detector.cores import available_cores
from detector.description import Description
from detector.evaluation import Evaluator
from detector.hyperparameters import parse
from detector.image_memory import ImageMemory
from detector.images import to_square
from detector.inference import Detector
from detector.input_sizes import constant
from detector.metrics_log import MetricsLog
from detector.recordio_dataset import Sample
from detector.replicas import batch_makers
from detector.training import Stepper, Training
from detector.weights import Weights, put_weights, take_weights

_REPOSITORY = Path(__file__).parents[1]
_SIZE = 192
_TRAIN, _VALIDATION = 96, 24
# Many short rounds and their median: what else the machine does then spoils some rounds, not the figure.
_ROUNDS = 12
_REQUESTS = 150
_PURE_STEPS = 6
# What a network says that has learnt nothing takes longer to select from than what any model in use says.
_SERVED_EPOCHS = 30

Row = tuple[str, float, float, bool, str]


def figures() -> Iterator[Row]:
    """Yield (name, value, goal, higher is better, explanation)."""
    kept, evaluating, artefact = _training()
    yield (
        "training loop / pure compute",
        kept,
        0.85,
        True,
        f"images/s of whole epochs, evaluation aside, over those of steps on fixed batches; {_SIZE} px",
    )
    yield (
        "evaluation / epoch",
        evaluating,
        0.15,
        False,
        f"share of an epoch spent on scoring {_VALIDATION} held-out images after {_TRAIN} training images",
    )
    yield from _serving(artefact)


def _photo(random: np.random.Generator, number: int) -> Sample:
    """Draw a noisy photo with two discs or squares."""
    image = cv2.resize(random.integers(60, 200, (38, 50, 3), dtype=np.uint8), (500, 375))
    rows = []
    for _ in range(2):
        radius = int(random.integers(30, 60))
        x, y = int(random.integers(radius, 500 - radius)), int(random.integers(radius, 375 - radius))
        if number % 2:
            cv2.circle(image, (x, y), radius, (250, 250, 250), -1)
        else:
            cv2.rectangle(image, (x - radius, y - radius), (x + radius, y + radius), (10, 10, 10), -1)
        corners = ((x - radius) / 500, (y - radius) / 375, (x + radius) / 500, (y + radius) / 375)
        rows.append([number % 2, *corners])
    payload = cv2.imencode(".jpg", image)[1].tobytes()
    return Sample(payload, np.array(rows, np.float32), 12, f"photo {number}")


def _training() -> tuple[float, float, Artefact]:
    """Return the share of pure compute that the loop keeps, evaluation's share of an epoch, and the model."""
    random = np.random.default_rng(0)
    train = [_photo(random, number) for number in range(_TRAIN)]
    validation = [_photo(random, number) for number in range(_VALIDATION)]
    labels = [sample.labels for sample in train]
    settings = parse(
        {
            "base_network": "nestbox-small",
            "num_classes": "2",
            "num_training_samples": str(_TRAIN),
            "epochs": "1",
        }
    )
    plan = plan_for(settings.base_network, labels, _SIZE)
    with ThreadPoolExecutor(available_cores()) as pool, ExitStack() as stack:
        images = ImageMemory(train, _SIZE, pool, 2**30)
        squares = ImageMemory(validation, _SIZE, pool, 2**30, lambda image: to_square(image, _SIZE))
        batch_size = settings.mini_batch_size
        views = Views(
            _TRAIN, constant(_SIZE), batch_size, 0, Mosaics(settings.nestbox_mosaic, _SERVED_EPOCHS)
        )
        makers = batch_makers(images, labels, plan, constant(_SIZE), batch_size, (0.5, 0.4))
        for maker in makers:
            stack.enter_context(maker)
        log = MetricsLog(stream=io.StringIO())
        evaluator = Evaluator(squares, [sample.labels for sample in validation], plan, 0.45, 0.5, pool)
        networks = tuple(
            build_network(settings.base_network, 2, plan, for_training=training)
            for training in (True, False, True)
        )
        looping = stack.enter_context(Stepper(networks[0], settings, makers, log))
        pure_stepper = stack.enter_context(Stepper(networks[2], settings, [_Kept(m) for m in makers], log))
        fixed = next(views.epoch(0))
        pure_stepper.step(fixed, 1e-4)
        kept, evaluating = [], []

        def trained(epochs: int, log: io.StringIO) -> Weights:
            training = Training(
                replace(settings, epochs=epochs),
                looping,
                networks[1],
                views,
                {_SIZE: evaluator},
                MetricsLog(stream=log),
                CheckpointFolder(None, ""),
                lambda: False,
            )
            return training.run().weights

        for _ in range(_ROUNDS):
            pure = _pure_rate(pure_stepper, fixed)
            stream = io.StringIO()
            trained(1, stream)
            pure = (pure + _pure_rate(pure_stepper, fixed)) / 2
            rates = [float(r) for r in re.findall(r"train throughput=(\S+) records", stream.getvalue())]
            kept.append(statistics.mean(rates) / pure)
            started = time.perf_counter()
            evaluator.evaluate(networks[1], lambda: False)
            scoring = time.perf_counter() - started
            evaluating.append(scoring / (scoring + _TRAIN / statistics.mean(rates)))
        weights = trained(_SERVED_EPOCHS, io.StringIO())
        put_weights(networks[1], weights)
        description = Description(settings.base_network, 2, plan, 0.45, 0.5, _TRAIN, _SERVED_EPOCHS - 1)
        artefact = Artefact(description, graph_of(networks[1]), weights)
    return statistics.median(kept), statistics.median(evaluating), artefact


class _Kept(BatchMaker):
    """Makes a batch once and gives it again from then on, whatever is asked for."""

    def __init__(self, maker: BatchMaker) -> None:
        self._maker = maker
        self._batch: Batch | None = None

    def make(self, views: Sequence[View]) -> Batch:
        if self._batch is None:
            batch = self._maker.make(views)
            self._batch = replace(batch, images=batch.images.copy())
        return self._batch


def _pure_rate(stepper: Stepper, views: list[View]) -> float:
    started = time.perf_counter()
    for _ in range(_PURE_STEPS):
        stepper.step(views, 1e-4)
    return _PURE_STEPS * len(views) / (time.perf_counter() - started)


def _serving(small: Artefact) -> Iterator[Row]:
    random = np.random.default_rng(1)
    photos = [bytes(_photo(random, number).payload) for number in range(20)]
    faster, difference = against_mxnet(small, photos, _REQUESTS)
    yield (
        "one image / MXNet hybridised",
        faster,
        2.0,
        True,
        "times as fast, from network input to final boxes, nestbox-small; MXNet on its best thread count",
    )
    yield (
        "greatest difference of a box",
        difference,
        1e-4,
        False,
        "scores and relative corners, against MXNet's",
    )
    with tempfile.TemporaryDirectory() as folder:
        roots = {name: Path(folder) / name for name in ("nestbox-small", "resnet-50")}
        write_artefact(roots["nestbox-small"] / "model", small)
        detector = Detector.load(roots["nestbox-small"] / "model")
        total, added = latency(roots["nestbox-small"], detector, photos, _REQUESTS)
        yield (
            "serving latency",
            total,
            15.0,
            False,
            "ms, p50, POST /invocations with a 500 x 375 JPEG, one client",
        )
        yield (
            "serving latency beyond the network",
            added,
            3.0,
            False,
            "ms, that p50 less a forward pass's: HTTP, decoding the JPEG, selecting, JSON",
        )
        yield (
            "cold start",
            cold_start(roots["nestbox-small"], photos[0]),
            3.0,
            False,
            "s, process to first answer",
        )
        what = (
            "images/s of 8 clients over those of forward passes on all cores, which the clients need as well"
        )
        ratio = throughput(roots["nestbox-small"], detector, photos, 25, _ROUNDS)
        yield "8 clients / bare forward, nestbox-small", ratio, 0.9, True, what
        write_artefact(roots["resnet-50"] / "model", _untrained("resnet-50"))
        detector = Detector.load(roots["resnet-50"] / "model")
        ratio = throughput(roots["resnet-50"], detector, photos, 2, 5)
        yield "8 clients / bare forward, resnet-50", ratio, 0.9, True, what


def _untrained(base_network: str) -> Artefact:
    plan = plan_for(base_network, [], None)
    network = build_network(base_network, 2, plan)
    return Artefact(
        Description(base_network, 2, plan, 0.45, 0.5, 0, 0), graph_of(network), take_weights(network)
    )
