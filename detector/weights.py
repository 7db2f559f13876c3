"""A network's weights as plain arrays: taking them and putting them back."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.mxnet_runtime import mx

Weights = dict[str, npt.NDArray[np.float32]]


def take_weights(network: Any) -> Weights:
    """Return a copy of all parameters, running statistics included, by name."""
    return {name: parameter.data().asnumpy() for name, parameter in network.collect_params().items()}


def put_weights(network: Any, weights: Mapping[str, npt.NDArray[np.float32]]) -> None:
    """Set all parameters. Raises KeyError if one is missing and ValueError if one has another shape."""
    for name, parameter in network.collect_params().items():
        if weights[name].shape != parameter.shape:
            raise ValueError(f"{name} has shape {weights[name].shape}, the network needs {parameter.shape}")
        # From NDArray to NDArray: after a forward pass a weight may lie in oneDNN's own layout, into which no
        # plain copy can write.
        parameter.set_data(mx.nd.array(weights[name]))
