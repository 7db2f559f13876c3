"""The `export` command: a model as one self-contained ONNX file, held against MXNet if that is asked for."""

import os
import sys
from pathlib import Path

import numpy as np

from detector.architecture import build_network
from detector.artefact import Artefact, read_channel
from detector.errors import DetectorError
from detector.inference import Detector
from detector.onnx_check import greatest_difference
from detector.weights import put_weights

EXIT_OK, EXIT_DIFFERENT, EXIT_CLIENT = 0, 1, 2

_CHECKED_INPUTS = 8


def run_export(model: Path, out: Path, *, check: bool) -> int:
    """Write a model as ONNX and return the exit code; what was written or what is wrong goes to stderr."""
    try:
        artefact = read_channel(model)
        network = artefact.to_onnx()
        _write(out, network)
        _say(f"{out}: {len(network):,} bytes")
        return _check(artefact, network) if check else EXIT_OK
    except DetectorError as error:
        _say(f"export: {error}")
        return EXIT_CLIENT


def _check(artefact: Artefact, network: bytes) -> int:
    """Compare what selection works on, every score and corner; noise wakes every anchor."""
    description = artefact.description
    plan = description.plan
    trained = build_network(description.base_network, description.num_classes, plan)
    put_weights(trained, artefact.weights)
    served = Detector(description, network)
    shape = (_CHECKED_INPUTS, 3, plan.image_size, plan.image_size)
    planes = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    difference, allowed = greatest_difference(trained, served, plan, planes)
    _say(f"ONNX Runtime differs from MXNet by {difference:.2g} at most; {allowed:.2g} is allowed")
    return EXIT_OK if difference <= allowed else EXIT_DIFFERENT


def _write(out: Path, content: bytes) -> None:
    temporary = out.with_name(f".{out.name}.{os.getpid()}.new")
    try:
        temporary.write_bytes(content)
        temporary.replace(out)
    except OSError as error:
        raise DetectorError(f"{out} cannot be written: {error.strerror}") from error


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
