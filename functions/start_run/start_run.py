"""Settle messages: look whether a dataset's uploads are to become a run, and start it."""

import functools
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.utilities.typing import LambdaContext
from nestbox.errors import BadEventError
from nestbox.events import DatasetLook, RunLook
from nestbox.gateways.artifacts import Artifacts
from nestbox.gateways.batch_jobs import BatchJobs
from nestbox.gateways.queues import Queues
from nestbox.gateways.uploads import Uploads
from nestbox.handling import look_at_each
from nestbox.settings import StartRunSettings, read_settings
from nestbox.steps.start_run import StartRun

logger = Logger()
tracer = Tracer()
metrics = Metrics()


@functools.cache
def _step() -> StartRun:
    settings = read_settings(StartRunSettings)
    s3 = boto3.client("s3")
    return StartRun(
        settings,
        Uploads(s3, settings.uploads_bucket),
        Artifacts(s3, settings.artifacts_bucket),
        BatchJobs(boto3.client("batch"), settings.batch_job_queue, settings.prepare_job_definition),
        Queues(boto3.client("sqs")),
    )


def _look(target: RunLook | DatasetLook) -> str:
    if isinstance(target, RunLook):
        raise BadEventError(f"settling looks at datasets, not at run {target.run}")
    return _step().audit(target.dataset) if target.audit else _step().look(target.dataset)


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Handle a batch of messages, each naming a dataset."""
    return look_at_each(event, context, _look, logger, metrics)
