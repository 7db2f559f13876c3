"""A network's parameters in a few long arrays, so that one operator moves them all.

An operator for each of some sixty parameters took a fifth of the time of a step on small images. The arrays
may lie in memory that forked processes share.
"""

import math
from typing import Any

import numpy as np

from detector.mxnet_runtime import mx
from detector.weights import Weights, put_weights
from detector.worker_processes import shared_array

# Parameters begin on cache lines, as oneDNN's kernels like it.
_FLOATS_PER_LINE = 16
DECAYED, UNDECAYED = 0, 1
"""What weight decay applies to, and what it does not."""
_STATISTICS = ("running_mean", "running_var")
_DECAY = 0.995
# Averaging after every second step halves its cost and, with the decay squared, changes nothing else.
_EVERY = 2


class FlatWeights:
    """All parameters of a network, and a gradient and running statistics for each replica of it.

    values: (all weights,), first those that weight decay applies to, then others that are trained, then
    frozen ones. gradients: (replicas, trained weights). statistics: (replicas, running means and variances).
    """

    def __init__(self, network: Any, replicas: int = 1) -> None:
        """Lay out the network's parameters, and bind the network to replica 0."""
        parameters = network.collect_params()
        statistics = [name for name in parameters if name.endswith(_STATISTICS)]
        frozen = [n for n, p in parameters.items() if p.grad_req == "null" and n not in statistics]
        trained = [name for name, parameter in parameters.items() if parameter.grad_req != "null"]
        decayed = [name for name in trained if parameters[name].wd_mult]
        undecayed = [name for name in trained if not parameters[name].wd_mult]
        self._places: dict[str, tuple[int, tuple[int, ...]]] = {}
        self._statistics = tuple(statistics)
        middle = self._place(parameters, decayed, 0)
        end = self._place(parameters, undecayed, middle)
        self._bounds = {DECAYED: (0, middle), UNDECAYED: (middle, end)}
        self.values = _memory(self._place(parameters, frozen, end))
        self.gradients = _memory(replicas, end)
        # MXNet has no arrays of size 0, as a network without normalisation would need.
        self.statistics = _memory(replicas, max(_FLOATS_PER_LINE, self._place(parameters, statistics, 0)))
        self._fill(self.values, self.statistics[0], network)
        self._give_all(self.statistics[:1])
        self.bind(network, 0)

    def _place(self, parameters: Any, names: list[str], start: int) -> int:
        for name in names:
            shape = parameters[name].shape
            self._places[name] = (start, shape)
            start += -(-math.prod(shape) // _FLOATS_PER_LINE) * _FLOATS_PER_LINE
        return start

    def _view(self, values: Any, statistics: Any, name: str) -> Any:
        """Return a parameter in arrays like `values` and `statistics[0]`."""
        flat = statistics if name in self._statistics else values
        start, shape = self._places[name]
        return flat[start : start + math.prod(shape)].reshape(shape)

    def _fill(self, values: Any, statistics: Any, network: Any) -> None:
        for name, parameter in network.collect_params().items():
            self._view(values, statistics, name)[:] = parameter.data()

    def bind(self, network: Any, replica: int) -> None:
        """Let a network's parameters be these, and their gradients and statistics those of a replica.

        It can only be trained from then on: for inference MXNet lays weights out anew in their own memory.
        """
        gradients, statistics = self.gradients[replica], self.statistics[replica]
        for name, parameter in network.collect_params().items():
            # Gluon has no way to give a parameter its memory; MXNet 1.9 is the last of its kind.
            parameter._data = [self._view(self.values, statistics, name)]
            if parameter.grad_req != "null":
                parameter._grad = [self._view(gradients, statistics, name)]
                mx.autograd.mark_variables(parameter._data, parameter._grad, parameter.grad_req)

    def groups(self) -> dict[int, tuple[Any, Any]]:
        """Return (values, the first replica's gradients) of what is trained, by `DECAYED` and `UNDECAYED`."""
        gradients = self.gradients[0]
        return {
            group: (self.values[start:end], gradients[start:end])
            for group, (start, end) in self._bounds.items()
            if end > start
        }

    def merge(self) -> None:
        """Sum the replicas' gradients into the first one's, and give all of them their mean statistics."""
        if len(self.gradients) == 1:
            return
        total = self.gradients[0]
        for replica in range(1, len(self.gradients)):
            total += self.gradients[replica]
        self._give_all(self.statistics.mean(axis=0, keepdims=True))

    def put(self, network: Any, weights: Weights) -> None:
        """Set all parameters, for all replicas, by the names of the network that is bound to replica 0."""
        put_weights(network, weights)
        self._give_all(self.statistics[:1])

    def _give_all(self, statistics: Any) -> None:
        self.statistics[:] = statistics.broadcast_like(self.statistics)

    def all_finite(self) -> bool:
        """Whether every parameter, running statistics included, is a number."""
        return all(bool(np.isfinite(array.asnumpy()).all()) for array in (self.values, self.statistics))

    def copy_into(self, network: Any, values: Any, statistics: Any) -> None:
        """Set the parameters of a network that is not bound from arrays like `values` and `statistics[0]`."""
        for name, parameter in network.collect_params().items():
            parameter.set_data(self._view(values, statistics, name))

    def copy_from(self, network: Any) -> tuple[Any, Any]:
        """Return arrays like `values` and `statistics[0]` of a network's parameters."""
        values, statistics = self.values.zeros_like(), self.statistics[0].zeros_like()
        self._fill(values, statistics, network)
        return values, statistics


class MovingAverage:
    """The exponential moving average of the weights of a network that is being trained."""

    def __init__(self, weights: FlatWeights) -> None:
        """It starts as a copy."""
        self._weights = weights
        self._means = [weights.values.copy(), weights.statistics[0].copy()]

    def update(self, step: int) -> None:
        """Take in the weights after step `step`, counted from 1. The first steps count for more."""
        if step % _EVERY:
            return
        share = 1 - min(_DECAY, (1 + step) / (10 + step)) ** _EVERY
        for mean, value in zip(self._means, (self._weights.values, self._weights.statistics[0]), strict=True):
            # mean += share * (value - mean), spelt as a gradient step with decay, which is one operator.
            mx.nd.sgd_update(mean, value, lr=share, wd=1.0, rescale_grad=-1.0, out=mean)

    def put(self, network: Any) -> None:
        """Set a network's parameters to the average."""
        self._weights.copy_into(network, *self._means)

    def take(self, network: Any) -> None:
        """Go on from a network's parameters."""
        self._means = list(self._weights.copy_from(network))


def _memory(*shape: int) -> Any:
    """Return zeros: an NDArray, which forks share if it lies in main memory."""
    if mx.current_context() == mx.cpu():
        return mx.nd.from_numpy(shared_array(shape, np.float32))
    return mx.nd.zeros(shape)
