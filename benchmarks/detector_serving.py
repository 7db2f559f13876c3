"""Serving against the bare forward pass and against MXNet, in turns inside one run."""

from __future__ import annotations

import ctypes
import http.client
import os
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from detector.architecture import build_network
from detector.artefact import Artefact
from detector.cores import available_cores
from detector.detections import Detections, select, select_decoded
from detector.images import decode, fill_planes, to_square
from detector.inference import Detector
from detector.mxnet_runtime import mx
from detector.weights import put_weights

_REPOSITORY = Path(__file__).parents[1]
_CLIENTS = 8

Planes = np.ndarray[Any, np.dtype[np.float32]]


def planes_of(photo: bytes, size: int) -> Planes:
    """Return a photo as network input (1, 3, size, size), as the detector makes it."""
    planes = np.empty((1, 3, size, size), np.float32)
    fill_planes(planes[0], to_square(decode(photo, size).pixels, size))
    return planes


def against_mxnet(artefact: Artefact, photos: Sequence[bytes], rounds: int) -> tuple[float, float]:
    """Return how many times as fast as MXNet hybridised one image is, and the greatest difference of a box.

    From network input to final boxes. MXNet works with the number of threads that it is fastest with.
    """
    description = artefact.description
    plan = description.plan
    network = build_network(description.base_network, description.num_classes, plan)
    put_weights(network, artefact.weights)
    detector = Detector(description, artefact.to_onnx())
    anchors = plan.corners()
    inputs = [planes_of(photo, plan.image_size) for photo in photos]

    def with_mxnet(planes: Planes) -> Detections:
        class_logits, offsets = network(mx.nd.array(planes))
        return select(class_logits.asnumpy()[0], offsets.asnumpy()[0], anchors, description.nms_threshold)

    def with_ours(planes: Planes) -> Detections:
        scores, boxes = detector.forward(planes)
        return select_decoded(scores[0], boxes[0], description.nms_threshold)

    threads = ctypes.CDLL("libgomp.so.1").omp_set_num_threads
    speeds = []
    for count in range(1, available_cores() + 1):
        threads(count)
        speeds.append(statistics.median(_seconds(with_mxnet, planes) for planes in inputs * 2))
    threads(1 + speeds.index(min(speeds)))
    theirs, ours, differences = [], [], []
    for number in range(rounds):
        planes = inputs[number % len(inputs)]
        theirs.append(_seconds(with_mxnet, planes))
        ours.append(_seconds(with_ours, planes))
    for planes in inputs:
        one, other = with_mxnet(planes), with_ours(planes)
        differences.append(float(np.abs(one - other).max()) if one.shape == other.shape else np.inf)
    threads(available_cores())
    return statistics.median(theirs) / statistics.median(ours), max(differences)


def latency(root: Path, detector: Detector, photos: Sequence[bytes], requests: int) -> tuple[float, float]:
    """Return the median ms of a request by one client, and by how much it exceeds that of a forward pass."""
    inputs = [planes_of(photo, detector.description.plan.image_size) for photo in photos]
    forward, served = [], []
    with serving(root) as (port, _):
        client = http.client.HTTPConnection("127.0.0.1", port)

        def ask(photo: bytes) -> None:
            client.request("POST", "/invocations", photo, {"Content-Type": "image/jpeg"})
            client.getresponse().read()

        for number in range(requests):
            which = number % len(photos)
            forward.append(_seconds(detector.forward, inputs[which]))
            served.append(_seconds(ask, photos[which]))
        client.close()
    total = 1000 * statistics.median(served)
    return total, total - 1000 * statistics.median(forward)


def throughput(root: Path, detector: Detector, photos: Sequence[bytes], each: int, rounds: int) -> float:
    """Return the images/s that eight clients get over those of forward passes on all cores.

    each: requests of a client in a round.
    """
    inputs = [planes_of(photo, detector.description.plan.image_size) for photo in photos]
    ratios = []
    with serving(root) as (port, _):
        for _ in range(rounds):
            bare = _rate(
                available_cores(), each * _CLIENTS // available_cores(), _forwarder(detector, inputs)
            )
            ratios.append(_rate(_CLIENTS, each, _client(port, photos)) / bare)
    return statistics.median(ratios)


def cold_start(root: Path, photo: bytes, starts: int = 3) -> float:
    """Return the median seconds from starting the process to its first answer."""
    seconds = []
    for _ in range(starts):
        with serving(root) as (port, started):
            client = http.client.HTTPConnection("127.0.0.1", port)
            client.request("POST", "/invocations", photo, {"Content-Type": "image/jpeg"})
            client.getresponse().read()
            seconds.append(time.perf_counter() - started)
            client.close()
    return statistics.median(seconds)


@contextmanager
def serving(root: Path) -> Iterator[tuple[int, float]]:
    """Serve the model under `root`; give the port, and when the process was started."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "detector", "serve", "--root", str(root), "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(_REPOSITORY)},
    )
    assert process.stdout is not None
    output = process.stdout
    try:
        found = next(filter(None, (re.match(r"ready: .*:(\d+)$", line) for line in output)), None)
        if found is None:
            raise RuntimeError("the server ended before it was ready")
        # A log that nobody reads would fill its pipe and stop the server.
        threading.Thread(target=lambda: output.read(), daemon=True).start()
        yield int(found[1]), started
    finally:
        process.terminate()
        process.wait()


def _seconds(call: Callable[[Any], object], argument: Any) -> float:
    started = time.perf_counter()
    call(argument)
    return time.perf_counter() - started


def _rate(workers: int, each: int, worker: Callable[[int], None]) -> float:
    """Return calls a second of `workers` threads, each of which makes `each` calls."""
    threads = [threading.Thread(target=worker, args=(each,)) for _ in range(workers)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return workers * each / (time.perf_counter() - started)


def _forwarder(detector: Detector, inputs: Sequence[Planes]) -> Callable[[int], None]:
    def work(calls: int) -> None:
        for number in range(calls):
            detector.forward(inputs[number % len(inputs)])

    return work


def _client(port: int, photos: Sequence[bytes]) -> Callable[[int], None]:
    """A client that costs the machine little: ready requests, and answers that are only counted."""
    head = "POST /invocations HTTP/1.1\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n"
    requests = [head.format(len(photo)).encode() + photo for photo in photos]

    def work(calls: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            for number in range(calls):
                connection.sendall(requests[number % len(requests)])
                _read_answer(connection)

    return work


def _read_answer(connection: socket.socket) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(2**16)
    head, _, body = received.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"the server answered {head[:40]!r}")
    length = int(re.search(rb"content-length: (\d+)", head)[1])  # type: ignore[index]
    while len(body) < length:
        body += connection.recv(2**16)
