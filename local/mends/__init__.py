"""What MiniStack 1.5.33 leaves out or does differently from AWS, mended one by one.

Each module mends one service, and each mend is a function with a test of its own. They replace functions
inside MiniStack, which is why the plug-in insists on its version.
"""

from __future__ import annotations

from local.mends import (
    alarms,
    api_gateway,
    dynamodb_tables,
    lambda_functions,
    log_search,
    policy_conditions,
    s3_events,
    s3_ranges,
    service_metrics,
    sqs_batching,
)


def install() -> None:
    """Puts every mend in place. Call once, before MiniStack serves."""
    for module in (
        alarms,
        api_gateway,
        dynamodb_tables,
        lambda_functions,
        log_search,
        policy_conditions,
        s3_events,
        s3_ranges,
        service_metrics,
        sqs_batching,
    ):
        module.install()
