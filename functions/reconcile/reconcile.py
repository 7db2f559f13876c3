"""Every minute: have everything unfinished looked at again, whatever became of its events."""

import functools

import boto3
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.parser import event_parser
from aws_lambda_powertools.utilities.parser.models import EventBridgeModel
from aws_lambda_powertools.utilities.typing import LambdaContext
from nestbox.gateways.queues import Queues
from nestbox.settings import ReconcileSettings, read_settings
from nestbox.steps.reconcile import Reconcile

logger = Logger()
tracer = Tracer()
metrics = Metrics(namespace="Nestbox")


@functools.cache
def _step() -> Reconcile:
    return Reconcile(read_settings(ReconcileSettings), Queues(boto3.client("sqs")))


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
@event_parser(model=EventBridgeModel)
def handler(event: EventBridgeModel, context: LambdaContext) -> dict[str, int]:  # noqa: ARG001
    """Handle the event of the schedule."""
    sent = _step().look()
    metrics.add_metric(name="UnfinishedRuns", unit=MetricUnit.Count, value=sent.runs)
    metrics.add_metric(name="OverdueDatasets", unit=MetricUnit.Count, value=sent.datasets)
    logger.info("reconciled", extra={"runs": sent.runs, "datasets": sent.datasets})
    return {"runs": sent.runs, "datasets": sent.datasets}
