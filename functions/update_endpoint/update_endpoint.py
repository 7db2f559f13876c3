"""Runs that are being deployed, and endpoints: bring each endpoint to the model that is wanted."""

import functools
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.utilities.typing import LambdaContext
from nestbox.events import DatasetLook, RunLook
from nestbox.gateways.endpoint_alarms import EndpointAlarms
from nestbox.gateways.endpoints import Endpoints
from nestbox.gateways.queues import Queues
from nestbox.gateways.trainings import Trainings
from nestbox.handling import look_at_each
from nestbox.settings import UpdateEndpointSettings, read_settings
from nestbox.steps.update_endpoint import UpdateEndpoint

logger = Logger()
tracer = Tracer()
metrics = Metrics(namespace="Nestbox")


@functools.cache
def _step() -> UpdateEndpoint:
    settings = read_settings(UpdateEndpointSettings)
    sagemaker = boto3.client("sagemaker")
    told = [settings.alarm_topic_arn] if settings.alarm_topic_arn else []
    return UpdateEndpoint(
        settings,
        Endpoints(sagemaker),
        Trainings(sagemaker),
        EndpointAlarms(boto3.client("cloudwatch"), settings.max_latency_ms, told),
        Queues(boto3.client("sqs")),
    )


def _look(target: RunLook | DatasetLook) -> str:
    if isinstance(target, DatasetLook):
        return _step().look_at_dataset(target.dataset)
    return _step().look(target.run, follow=target.follow)


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Handle a batch of messages, each about a run or an endpoint."""
    return look_at_each(event, context, _look, logger, metrics)
