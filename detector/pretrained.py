"""Starting a built-in base network from ImageNet weights, as MXNet's model zoo publishes them.

The image brings none; whoever has `resnet-50-0000.params` or `vgg16-0000.params` puts it into channel
`model`.
"""

from pathlib import Path
from typing import Any

import numpy as np

from detector.artefact import DESCRIPTION_FILE
from detector.errors import ArtefactError
from detector.images import INPUT_SCALE
from detector.mxnet_runtime import mx
from detector.weights import Weights

# The zoo's networks were trained on RGB with the mean taken off but not scaled; ours see it divided.
_FIRST_CONVOLUTION = "conv1_1_weight"
_INPUT_NORM = "bn_data_running_"


def find_pretrained(channel: Path | None) -> Path | None:
    """Return the weight file in a `model` channel; None if it has none, or a whole model of this detector."""
    if channel is None or any(channel.rglob(DESCRIPTION_FILE)):
        return None
    return next(iter(sorted(channel.rglob("*.params"))), None)


def read_pretrained(path: Path, fresh: Weights) -> Weights:
    """Return `fresh` with every base layer that the file has by the same name and shape.

    Raises ArtefactError when the file cannot be read or has no layer of this network.
    """
    try:
        content = mx.nd.load(str(path))
    except mx.MXNetError as error:
        raise ArtefactError(f"{path.name} is no MXNet weight file: {str(error).splitlines()[0]}") from error
    if not isinstance(content, dict):
        raise ArtefactError(f"{path.name} has weights without names")
    found = {name.split(":", 1)[-1].replace("_moving_", "_running_"): v for name, v in content.items()}
    weights = dict(fresh)
    for name, value in fresh.items():
        if name in found and found[name].shape == value.shape:
            weights[name] = _rescaled(name, found[name])
    if all(weights[name] is value for name, value in fresh.items()):
        raise ArtefactError(f"{path.name} has no layer of this base network")
    return weights


def _rescaled(name: str, tensor: Any) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return a tensor for inputs divided by our scale: the first layer makes up for it exactly."""
    value: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = tensor.asnumpy()
    if name == _FIRST_CONVOLUTION:
        return value * INPUT_SCALE
    if name.startswith(_INPUT_NORM):
        return value / (INPUT_SCALE if name.endswith("mean") else INPUT_SCALE**2)
    return value
