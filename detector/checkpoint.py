"""Checkpoints that survive a spot interruption, and a kill at any moment: one file, replaced whole.

SageMaker copies the folder to S3 while the job runs and back before it goes on. What is being written has
one fixed name, so that however often a job is killed there are two files at most, here and there.
"""

import hashlib
import json
import os
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detector.errors import ShortageError
from detector.hyperparameters import Hyperparameters, as_text
from detector.metrics_log import MetricsLog
from detector.recordio_dataset import Sample
from detector.weights import Weights

_FILE = "detector-checkpoint.npz"
_WRITING = f"{_FILE}.writing"
# Writing may take a twentieth of the time: after every epoch, unless epochs are as short as that.
_LEAST_PAUSE = 20
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

    def __init__(self, folder: Path | None, key: str, log: MetricsLog | None = None) -> None:
        """`key`: see `fingerprint`; a checkpoint with another one is of another job."""
        self._folder = folder
        self._key = key
        self._log = log if log is not None else MetricsLog()
        self._due_at = time.monotonic()
        if folder is not None:
            (folder / _WRITING).unlink(missing_ok=True)

    def is_due(self, *, last: bool) -> bool:
        """Whether there is a folder, and time for another checkpoint; the last epoch's is always due."""
        return self._folder is not None and (last or time.monotonic() >= self._due_at)

    def write(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint, if there is a folder.

        Raises ShortageError when the disk does not take it; the checkpoint before then stays.
        """
        if self._folder is None:
            return
        started = time.monotonic()
        state = json.dumps({"key": self._key, **checkpoint.state}).encode()
        arrays: dict[str, np.ndarray[Any, Any]] = {
            _STATE: np.frombuffer(state, np.uint8),
            _OPTIMIZER: np.frombuffer(checkpoint.optimizer, np.uint8),
        }
        for group in _GROUPS:
            arrays.update({f"{group}/{name}": value for name, value in getattr(checkpoint, group).items()})
        writing = self._folder / _WRITING
        try:
            with writing.open("wb") as file:
                np.savez(file, **arrays)
                file.flush()
                os.fsync(file.fileno())
            writing.replace(self._folder / _FILE)
            _sync_folder(self._folder)
        except OSError as error:
            writing.unlink(missing_ok=True)
            raise ShortageError(
                f"the checkpoint of {sum(value.nbytes for value in arrays.values()) / 1e6:.0f} MB cannot be "
                f"written ({error.strerror}); give the job a larger volume"
            ) from error
        ended = time.monotonic()
        self._due_at = ended + _LEAST_PAUSE * (ended - started)

    def read(self) -> Checkpoint | None:
        """Return this job's checkpoint; None, and a warning why, if there is only one of no use."""
        if self._folder is None or not (self._folder / _FILE).exists():
            return None
        try:
            with np.load(self._folder / _FILE, allow_pickle=False) as archive:
                arrays = dict(archive)
            state = json.loads(arrays[_STATE].tobytes())
            optimizer = arrays[_OPTIMIZER].tobytes()
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            self._log.warning(f"The checkpoint is damaged, so training starts anew: {error}")
            return None
        if state.pop("key", None) != self._key:
            self._log.warning("The checkpoint is of another job or other data, so training starts anew")
            return None
        groups = {
            group: {n.removeprefix(f"{group}/"): v for n, v in arrays.items() if n.startswith(f"{group}/")}
            for group in _GROUPS
        }
        return Checkpoint(state=state, optimizer=optimizer, **groups)


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
