"""The one place that imports MXNet, because what it reads at import decides how fast it runs.

Import `mx` from here, never `mxnet` directly.
"""

import os
import warnings
from typing import Any

import numpy as np

from detector.cores import available_cores


def plain_message(error: Exception) -> str:
    """Return what an MXNet error says, without the stack trace of its C++ code around it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line.removeprefix("MXNetError: ") for line in lines if line.startswith("MXNetError: ")]
    return (told or lines or [type(error).__name__])[-1]


def training_device() -> Any:
    """Return the context to train in: the first GPU that a build of MXNet for GPUs finds, else the CPU."""
    return mx.gpu(0) if mx.context.num_gpus() else mx.cpu()


# No engine threads: the loader works between two steps, and a second pool would only fight it for the cores.
os.environ.setdefault("MXNET_ENGINE_TYPE", "NaiveEngine")
# MXNet's own default is half of the cores: 52 images/s against 99 on two.
os.environ.setdefault("OMP_NUM_THREADS", str(available_cores()))
# After an operator its threads wait awake for the next one: about as long as there is between two operators,
# not so long that what other processes do between two steps has to share the cores with them.
os.environ.setdefault("GOMP_SPINCOUNT", "30000")
# MXNet 1.9.1 still names the alias that NumPy removed in 1.24.
np.bool = bool  # type: ignore[attr-defined]

with warnings.catch_warnings():
    # It touches much that NumPy and Python have deprecated since its last release.
    warnings.simplefilter("ignore", DeprecationWarning)
    import mxnet as mx

__all__ = ["mx", "plain_message", "training_device"]
