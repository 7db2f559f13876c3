"""Runs in training: record their epochs, and make the model when training is done."""

import functools
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.utilities.typing import LambdaContext
from nestbox.events import DatasetLook, RunLook
from nestbox.gateways.job_logs import JobLogs
from nestbox.gateways.queues import Queues
from nestbox.gateways.trainings import Trainings
from nestbox.handling import look_at_each, run_named
from nestbox.settings import RecordRunSettings, read_settings
from nestbox.steps.record_run import RecordRun

logger = Logger()
tracer = Tracer()
metrics = Metrics()


@functools.cache
def _step() -> RecordRun:
    return RecordRun(
        read_settings(RecordRunSettings),
        Trainings(boto3.client("sagemaker")),
        JobLogs(boto3.client("logs")),
        Queues(boto3.client("sqs")),
    )


def _look(target: RunLook | DatasetLook) -> str:
    look = run_named(target)
    return _step().look(look.run, follow=look.follow)


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Handle a batch of messages, each about a run or its training job."""
    return look_at_each(event, context, _look, logger, metrics)
