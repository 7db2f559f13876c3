"""The CloudWatch alarms of a model that serves: they judge its first minutes, and tell people afterwards.

They look at one production variant, and the variant is named after the run. So what the model before it did,
or does while traffic moves, never counts: a rollback is not held up by the alarms of what it rolls back.
"""

from collections.abc import Sequence
from typing import Any

from nestbox.names import dataset_of_run, endpoint_name, variant_name

MAX_ERROR_RATE = 0.1
"""Share of the calls of a minute that the container answers with 5xx; what it refuses (4xx) is no error."""


def alarm_names(run: str) -> list[str]:
    """The alarms of a run's model."""
    return [f"nestbox-{run}-errors", f"nestbox-{run}-latency"]


def alarm_requests(run: str, max_latency_ms: int, actions: Sequence[str]) -> list[dict[str, Any]]:
    """The bodies of PutMetricAlarm. A minute without calls is a good minute."""
    errors, latency = alarm_names(run)
    dataset = dataset_of_run(run)
    shared = {
        "Namespace": "AWS/SageMaker",
        "Dimensions": [
            {"Name": "EndpointName", "Value": endpoint_name(dataset)},
            {"Name": "VariantName", "Value": variant_name(run)},
        ],
        "Statistic": "Average",
        "Period": 60,
        "EvaluationPeriods": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        "AlarmActions": list(actions),
    }
    return [
        {
            **shared,
            "AlarmName": errors,
            "AlarmDescription": f"The model of {run} fails on more than {MAX_ERROR_RATE:.0%} of its calls.",
            "MetricName": "Invocation5XXErrors",
            "Threshold": MAX_ERROR_RATE,
        },
        {
            **shared,
            "AlarmName": latency,
            "AlarmDescription": f"The model of {run} takes more than {max_latency_ms} ms for a picture.",
            "MetricName": "ModelLatency",
            # CloudWatch has it in microseconds.
            "Threshold": max_latency_ms * 1000.0,
        },
    ]
