"""Checkpoints that survive a spot interruption: one file, replaced whole."""

import hashlib
import json
import tempfile
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detector.hyperparameters import Hyperparameters, as_text
from detector.recordio_dataset import Sample
from detector.weights import Weights

_FILE = "detector-checkpoint.npz"
_STATE = "state"
_OPTIMIZER = "optimizer"
_GROUPS = ("trained", "averaged", "best")


@dataclass(frozen=True)
class Checkpoint:
    """Everything needed to go on after an epoch as if nothing had happened.

    state: JSON values of the training loop. optimizer: the optimiser's own bytes.
    """

    state: dict[str, Any]
    trained: Weights
    averaged: Weights
    best: Weights
    optimizer: bytes


def fingerprint(hyperparameters: Hyperparameters, samples: Sequence[Sample]) -> str:
    """Return a digest of all that must be the same for a checkpoint to be of use."""
    digest = hashlib.sha256(json.dumps(as_text(hyperparameters), sort_keys=True).encode())
    for sample in samples:
        digest.update(len(sample.payload).to_bytes(8, "little"))
        digest.update(sample.labels.tobytes())
    return digest.hexdigest()


class CheckpointFolder:
    """Reads and writes the checkpoint in a job's checkpoint folder. A folder of None keeps nothing."""

    def __init__(self, folder: Path | None, key: str, seconds_between: float = 30.0) -> None:
        """`key`: see `fingerprint`; a checkpoint with another one is of another job."""
        self._seconds_between = seconds_between
        self._folder = folder
        self._key = key
        self._written_at = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether there is a folder and the last checkpoint is old enough to be replaced."""
        return self._folder is not None and time.monotonic() - self._written_at >= self._seconds_between

    def write(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint, if there is a folder."""
        if self._folder is None:
            return
        state = json.dumps({"key": self._key, **checkpoint.state}).encode()
        arrays: dict[str, np.ndarray[Any, Any]] = {
            _STATE: np.frombuffer(state, np.uint8),
            _OPTIMIZER: np.frombuffer(checkpoint.optimizer, np.uint8),
        }
        for group in _GROUPS:
            arrays.update({f"{group}/{name}": value for name, value in getattr(checkpoint, group).items()})
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".writing-", delete=False) as file:
            np.savez(file, **arrays)
        Path(file.name).replace(self._folder / _FILE)
        self._written_at = time.monotonic()

    def read(self) -> Checkpoint | None:
        """Return this job's checkpoint; None if there is none, or only a damaged or another job's one."""
        if self._folder is None or not (self._folder / _FILE).is_file():
            return None
        try:
            with np.load(self._folder / _FILE, allow_pickle=False) as archive:
                arrays = dict(archive)
            state = json.loads(arrays[_STATE].tobytes())
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        if state.pop("key", None) != self._key:
            return None
        groups = {
            group: {n.removeprefix(f"{group}/"): v for n, v in arrays.items() if n.startswith(f"{group}/")}
            for group in _GROUPS
        }
        return Checkpoint(state=state, optimizer=arrays[_OPTIMIZER].tobytes(), **groups)
