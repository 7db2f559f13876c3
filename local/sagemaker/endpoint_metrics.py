"""What SageMaker tells CloudWatch about invocations.

https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html#cloudwatch-metrics-endpoint-invocation
"""

from __future__ import annotations

import math

from local.metrics import Metric
from local.scope import Scope

_NAMESPACE = "AWS/SageMaker"
# So that thousands of latencies become a few hundred different values; it moves none by more than 0.5 %.
_LATENCY_DIGITS = 3


def invocation_metrics(
    scope: Scope, endpoint: str, variant: str, status: int, model: int | None, total: int
) -> dict[Metric, float]:
    """The values of one invocation.

    `status` is the container's, 0 when it gave none: InvokeEndpoint calls that a server error, and so do
    these metrics. `model` (None without an answer) and `total` are microseconds, as the two latencies are.
    """
    dimensions = (("EndpointName", endpoint), ("VariantName", variant))

    def metric(name: str, unit: str = "Count") -> Metric:
        return Metric(scope.region, _NAMESPACE, name, unit, dimensions)

    refused = 400 <= status < 500
    answered = 200 <= status < 300
    values = {
        metric("Invocations"): 1.0,
        metric("Invocation4XXErrors"): float(refused),
        metric("Invocation5XXErrors"): float(not refused and not answered),
        metric("InvocationModelErrors"): float(not answered),
    }
    if model is not None:
        values[metric("ModelLatency", "Microseconds")] = _rounded(model)
        values[metric("OverheadLatency", "Microseconds")] = _rounded(max(0, total - model))
    return values


def _rounded(microseconds: int) -> float:
    if microseconds <= 0:
        return 0.0
    return float(round(microseconds, _LATENCY_DIGITS - 1 - int(math.log10(microseconds))))
