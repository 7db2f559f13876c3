"""Runs that an operator wants to end: stop what goes on for them, and end them."""

import functools
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.utilities.typing import LambdaContext
from nestbox.events import DatasetLook, RunLook
from nestbox.gateways.queues import Queues
from nestbox.handling import look_at_each, run_named
from nestbox.settings import CancelRunSettings, read_settings
from nestbox.steps.cancel_run import CancelRun
from nestbox.steps.stopping import Work

logger = Logger()
tracer = Tracer()
metrics = Metrics()


@functools.cache
def _step() -> CancelRun:
    settings = read_settings(CancelRunSettings)
    batch, sagemaker = boto3.client("batch"), boto3.client("sagemaker")
    work = Work.at_aws(batch, sagemaker, settings.prepare_job_queue, settings.evaluate_job_queue)
    return CancelRun(settings, work, Queues(boto3.client("sqs")))


def _look(target: RunLook | DatasetLook) -> str:
    return _step().look(run_named(target).run)


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Handle a batch of messages, each naming a run."""
    return look_at_each(event, context, _look, logger, metrics)
