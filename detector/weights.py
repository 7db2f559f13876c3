"""A network's weights as plain arrays: taking them, putting them back, and averaging them over training."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.mxnet_runtime import mx

Weights = dict[str, npt.NDArray[np.float32]]

_DECAY = 0.995
# Averaging after every second step halves its cost and, with the decay squared, changes nothing else.
_EVERY = 2
# MXNet's multi-tensor operators take at most 60 tensors.
_TENSORS_PER_CALL = 40


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


def all_finite(network: Any) -> bool:
    """Whether every parameter, running statistics included, is a number."""
    # MXNet's own operator for this takes three times as long.
    return all(
        bool(np.isfinite(parameter.data().asnumpy()).all()) for parameter in network.collect_params().values()
    )


class MovingAverage:
    """Keeps a network's parameters at the exponential moving average of those of one being trained."""

    def __init__(self, trained: Any, averaged: Any) -> None:
        """Both networks must have the same architecture; `averaged` starts as a copy."""
        source, target = trained.collect_params(), averaged.collect_params()
        pairs = [(target[name].data(), source[name].data()) for name in source]
        for mean, value in pairs:
            mean[:] = value
        self._groups = [pairs[i : i + _TENSORS_PER_CALL] for i in range(0, len(pairs), _TENSORS_PER_CALL)]

    def update(self, step: int) -> None:
        """Take in the weights after step `step`, counted from 1. The first steps count for more."""
        if step % _EVERY:
            return
        share = 1 - min(_DECAY, (1 + step) / (10 + step)) ** _EVERY
        for group in self._groups:
            # mean += share * (value - mean), spelt as a gradient step with decay because that one operator
            # takes many tensors at once: a call per tensor took 5 % of the training time.
            mx.nd.multi_sgd_update(
                *[tensor for pair in group for tensor in pair],
                lrs=[share] * len(group),
                wds=[1.0] * len(group),
                rescale_grad=-1.0,
                num_weights=len(group),
                out=[mean for mean, _ in group],
            )
