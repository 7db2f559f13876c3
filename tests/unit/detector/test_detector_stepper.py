"""What a step does to weights beside what the optimiser makes of their gradients."""

from typing import Any

import numpy as np
import pytest

from detector.anchors import derive_plan
from detector.architecture import build_network
from detector.hyperparameters import SMALL_NETWORK, parse
from detector.metrics_log import MetricsLog
from detector.replicas import BatchLosses, Replicas
from detector.training import Stepper
from detector.weights import take_weights

REQUIRED = {"num_classes": "2", "num_training_samples": "8", "base_network": SMALL_NETWORK}


@pytest.mark.parametrize("decay", ["0.5", "0"])
def test_weights_decay_at_the_learning_rate_and_nothing_else_does(
    decay: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unmoved(replicas: Any, _: object) -> BatchLosses:
        replicas._weights.gradients[:] = 0
        return BatchLosses(1.0, 1.0, 1)

    monkeypatch.setattr(Replicas, "gradients", unmoved)
    plan = derive_plan([np.float32([[0, 0.2, 0.2, 0.6, 0.6]])], 96)
    network = build_network(SMALL_NETWORK, 2, plan, for_training=True)
    before = take_weights(network)
    # One maker: no processes. What it would make is not asked for.
    maker: Any = None
    settings = parse({**REQUIRED, "nestbox_weight_decay": decay})
    with Stepper(network, settings, [maker], MetricsLog()) as stepper:
        stepper.step([], 0.01)
        stepper.step([], 0.02)
    shrunk = (1 - 0.01 * float(decay)) * (1 - 0.02 * float(decay))
    for name, value in take_weights(network).items():
        expected = before[name] * (shrunk if name.endswith("weight") else 1)
        np.testing.assert_allclose(value, expected, rtol=1e-6, err_msg=name)
