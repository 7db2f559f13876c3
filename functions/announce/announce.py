"""Runs that have ended: tell people and programs. What fails here, reconcile does later."""

import functools
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.data_classes import DynamoDBStreamEvent, event_source
from aws_lambda_powertools.utilities.typing import LambdaContext
from nestbox.errors import LostRaceError
from nestbox.gateways.announcing import Announcing
from nestbox.settings import AnnounceSettings, read_settings
from nestbox.steps.announce import Announce

logger = Logger()
tracer = Tracer()
metrics = Metrics()


@functools.cache
def _step() -> Announce:
    topic_arn = read_settings(AnnounceSettings).run_topic_arn
    return Announce(Announcing(boto3.client("sns"), boto3.client("events"), topic_arn))


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
@event_source(data_class=DynamoDBStreamEvent)
def handler(event: DynamoDBStreamEvent, context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001
    """Handle changes of the table of runs; each only says which run to look at."""
    told = 0
    for run in dict.fromkeys(record.dynamodb.keys["run"] for record in event.records if record.dynamodb):
        try:
            told += _step().look(run)
        except LostRaceError as race:
            logger.info("left to reconcile", extra={"run": run, "outcome": str(race)})
    metrics.add_metric(name="Announced", unit=MetricUnit.Count, value=told)
    logger.info("announced", extra={"announced": told})
    return {"announced": told}
