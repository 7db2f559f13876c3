"""The detector: how much of the compute the training loop keeps, and what serving adds to a forward pass.

Every comparison is made in turns inside one run, so that other work on the machine meets both sides alike.
"""

from __future__ import annotations

import http.client
import io
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from detector.architecture import build_network, plan_for
from detector.artefact import Artefact, graph_of, write_artefact
from detector.batches import Batch, BatchLoader
from detector.checkpoint import CheckpointFolder
from detector.cores import available_cores
from detector.description import Description
from detector.evaluation import Evaluator
from detector.hyperparameters import parse
from detector.image_memory import ImageMemory
from detector.images import decode, fill_planes, to_square
from detector.inference import Detector
from detector.metrics_log import MetricsLog
from detector.recordio_dataset import Sample
from detector.training import Stepper, Training
from detector.weights import take_weights

_REPOSITORY = Path(__file__).parents[1]
_SIZE = 192
_TRAIN, _VALIDATION = 96, 24
# Many short rounds and their median: what else the machine does then spoils some rounds, not the figure.
_ROUNDS = 12
_REQUESTS = 150
_PURE_STEPS = 6

Row = tuple[str, float, float, bool, str]


def figures() -> Iterator[Row]:
    """Yield (name, value, goal, higher is better, explanation)."""
    kept, evaluating = _training()
    yield (
        "training loop / pure compute",
        kept,
        0.80,
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
    latency, added = _serving()
    yield (
        "serving latency",
        latency,
        15.0,
        False,
        "ms, POST /invocations with a 500 x 375 JPEG, one client, the least disturbed tenth of the requests",
    )
    yield (
        "serving latency beyond the network",
        added,
        6.0,
        False,
        "ms, that latency less a forward pass measured so: HTTP, decoding, selecting, JSON",
    )


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


def _training() -> tuple[float, float]:
    """Return what share of pure compute the loop keeps, and what share of an epoch its evaluation takes."""
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
    anchors = plan.corners()
    with ThreadPoolExecutor(available_cores()) as pool:
        images = ImageMemory(train, _SIZE, pool, 2**30)
        squares = ImageMemory(validation, _SIZE, pool, 2**30, lambda image: to_square(image, _SIZE))
        batch_size = settings.mini_batch_size
        loader = BatchLoader(images, labels, anchors, _SIZE, batch_size, (0.5, 0.4), 0, pool)
        evaluator = Evaluator(
            squares, [sample.labels for sample in validation], anchors, _SIZE, 0.45, 0.5, pool
        )
        networks = tuple(build_network(settings.base_network, 2, plan) for _ in range(3))
        stepper = Stepper(networks[2], anchors, settings)
        fixed = [replace(batch, images=batch.images.copy()) for batch in loader.epoch(0)][:_PURE_STEPS]
        for batch in fixed:
            stepper.step(batch, 1e-4)
        kept, evaluating = [], []
        for _ in range(_ROUNDS):
            pure = _pure_rate(stepper, fixed)
            stream = io.StringIO()
            training = Training(
                settings,
                (networks[0], networks[1]),
                anchors,
                loader,
                evaluator,
                MetricsLog(stream=stream),
                CheckpointFolder(None, ""),
                lambda: False,
            )
            training.run()
            pure = (pure + _pure_rate(stepper, fixed)) / 2
            rates = [float(r) for r in re.findall(r"train throughput=(\S+) records", stream.getvalue())]
            kept.append(statistics.mean(rates) / pure)
            started = time.perf_counter()
            evaluator.evaluate(networks[1], lambda: False)
            scoring = time.perf_counter() - started
            evaluating.append(scoring / (scoring + _TRAIN / statistics.mean(rates)))
    return statistics.median(kept), statistics.median(evaluating)


def _pure_rate(stepper: Stepper, batches: list[Batch]) -> float:
    started = time.perf_counter()
    for batch in batches:
        stepper.step(batch, 1e-4)
    return sum(len(batch.images) for batch in batches) / (time.perf_counter() - started)


def _serving() -> tuple[float, float]:
    """Return the latency in ms over HTTP, and by how much it exceeds a forward pass."""
    random = np.random.default_rng(1)
    photos = [bytes(_photo(random, number).payload) for number in range(20)]
    plan = plan_for("nestbox-small", [_photo(random, number).labels for number in range(20)], _SIZE)
    network = build_network("nestbox-small", 2, plan)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        description = Description("nestbox-small", 2, plan, 0.45, 0.5, 0, 0)
        write_artefact(root / "model", Artefact(description, graph_of(network), take_weights(network)))
        detector = Detector.load(root / "model")
        planes = np.empty((1, 3, _SIZE, _SIZE), np.float32)
        fill_planes(planes[0], to_square(decode(photos[0], _SIZE).pixels, _SIZE))
        forward, served = [], []
        with _server(root) as port:
            client = http.client.HTTPConnection("127.0.0.1", port)
            for number in range(_REQUESTS):
                started = time.perf_counter()
                detector.forward(planes)
                forward.append(time.perf_counter() - started)
                started = time.perf_counter()
                client.request("POST", "/invocations", photos[number % 20], {"Content-Type": "image/jpeg"})
                client.getresponse().read()
                served.append(time.perf_counter() - started)
            client.close()
    # The first decile: a busy machine delays most requests by its own time slices.
    latency, network = (1000 * statistics.quantiles(times, n=10)[0] for times in (served, forward))
    return latency, latency - network


@contextmanager
def _server(root: Path) -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-m", "detector", "serve", "--root", str(root), "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(_REPOSITORY)},
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            found = re.match(r"ready: .*:(\d+)$", line)
            if found:
                yield int(found[1])
                return
        raise RuntimeError("the server ended before it was ready")
    finally:
        process.terminate()
        process.communicate()
