"""Drawn datasets, laid out as SageMaker lays them out, and the detector's own commands as processes."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

# Beside other work on the same cores, threads that wait busily for each other take many times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# No test asks the internet for ImageNet's weights.
os.environ["MXNET_GLUON_REPO"] = "http://127.0.0.1:9"

from detector.mxnet_runtime import mx

REPOSITORY = Path(__file__).parents[3]
CLASSES = 2


def draw_image(random: np.random.Generator, class_id: int) -> tuple[bytes, list[float]]:
    """A noisy JPEG with one disc (class 0), square (class 1) or red cross (class 2), and its label row."""
    image = random.integers(90, 150, (96, 128, 3), dtype=np.uint8)
    radius = int(random.integers(14, 24))
    x, y = int(random.integers(radius, 128 - radius)), int(random.integers(radius, 96 - radius))
    if class_id == 0:
        cv2.circle(image, (x, y), radius, (250, 250, 250), -1)
    elif class_id == 1:
        cv2.rectangle(image, (x - radius, y - radius), (x + radius, y + radius), (10, 10, 10), -1)
    else:
        cv2.line(image, (x - radius, y - radius), (x + radius, y + radius), (0, 0, 255), 6)
        cv2.line(image, (x - radius, y + radius), (x + radius, y - radius), (0, 0, 255), 6)
    box = [(x - radius) / 128, (y - radius) / 96, (x + radius) / 128, (y + radius) / 96]
    return cv2.imencode(".jpg", image)[1].tobytes(), [class_id, *box]


def write_records(path: Path, count: int, seed: int, classes: int = CLASSES) -> None:
    """Pack drawn images with MXNet's own writer."""
    random = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = mx.recordio.MXRecordIO(str(path), "w")
    for number in range(count):
        image, row = draw_image(random, number % classes)
        header = mx.recordio.IRHeader(0, np.float32([2, 5, *row]), number, 0)
        with warnings.catch_warnings():
            # MXNet's writer still calls ndarray.tostring.
            warnings.simplefilter("ignore", DeprecationWarning)
            writer.write(mx.recordio.pack(header, image))
    writer.close()


def lay_out(
    root: Path, classes: int = CLASSES, images: tuple[int, int] = (48, 16), **hyperparameters: str
) -> Path:
    """Make a training job's /opt/ml under `root`; hyperparameters add to or replace a small job's."""
    write_records(root / "input/data/train/train.rec", images[0], 1, classes)
    write_records(root / "input/data/validation/validation.rec", images[1], 2, classes)
    given = {
        "base_network": "nestbox-small",
        "num_classes": str(classes),
        "num_training_samples": str(images[0]),
        "image_shape": "96",
        "epochs": "20",
        **hyperparameters,
    }
    config = root / "input/config"
    config.mkdir(parents=True)
    (config / "hyperparameters.json").write_text(json.dumps(given))
    return root


@dataclass
class Command:
    """A running `python -m detector ...` and what it has written so far."""

    process: subprocess.Popen[bytes]
    output: Path

    def text(self) -> str:
        """Everything written until now."""
        return self.output.read_text()

    def wait_for(self, condition: Callable[[str], bool], seconds: float = 90) -> str:
        """Wait until what was written meets a condition; fail when the process ends or time is over."""
        deadline = time.monotonic() + seconds
        while not condition(self.text()):
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.text()}"
            assert time.monotonic() < deadline, f"not within {seconds} s: {self.text()}"
            time.sleep(0.02)
        return self.text()

    def end(self, sent: signal.Signals | None = None, seconds: float = 120) -> int:
        """Send a signal if one is given, and return the exit code."""
        if sent is not None:
            self.process.send_signal(sent)
        return self.process.wait(seconds)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Command]]:
    """Start detector commands, with at most `memory` bytes; whatever still runs at the end is killed."""
    commands: list[Command] = []

    def run(*arguments: str, memory: int | None = None) -> Command:
        limit = [] if memory is None else ["prlimit", f"--as={memory}"]
        output = tmp_path_factory.mktemp("output") / "log"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [*limit, sys.executable, "-m", "detector", *arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            )
        commands.append(Command(process, output))
        return commands[-1]

    yield run
    for command in commands:
        if command.process.poll() is None:
            command.process.kill()
            command.process.wait()


@dataclass
class Trained:
    """A finished training job: its /opt/ml and its log."""

    root: Path
    log: str


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """One real training of a few seconds that every test may look at."""
    root = lay_out(tmp_path_factory.mktemp("opt-ml"))
    done = subprocess.run(
        [sys.executable, "-m", "detector", "train", "--root", str(root)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Trained(root, done.stdout)


@pytest.fixture
def layout() -> Iterator[Callable[..., Path]]:
    """Make /opt/ml for a job; a job run in this process leaves SIGTERM as it was."""
    before = signal.getsignal(signal.SIGTERM)
    yield lay_out
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def draw() -> Callable[..., tuple[bytes, list[float]]]:
    """Draw one image as in the training data."""
    return draw_image
