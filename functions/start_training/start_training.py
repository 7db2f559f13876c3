"""Runs in preparation: have their data prepared, then train on it."""

import functools
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.utilities.typing import LambdaContext
from nestbox.events import DatasetLook, RunLook
from nestbox.gateways.artifacts import Artifacts
from nestbox.gateways.batch_jobs import BatchJobs
from nestbox.gateways.job_logs import JobLogs
from nestbox.gateways.queues import Queues
from nestbox.gateways.trainings import Trainings
from nestbox.handling import look_at_each, run_named
from nestbox.settings import StartTrainingSettings, read_settings
from nestbox.steps.start_training import StartTraining

logger = Logger()
tracer = Tracer()
metrics = Metrics()


@functools.cache
def _step() -> StartTraining:
    settings = read_settings(StartTrainingSettings)
    return StartTraining(
        settings,
        Artifacts(boto3.client("s3"), settings.artifacts_bucket),
        BatchJobs(boto3.client("batch"), settings.batch_job_queue, settings.prepare_job_definition),
        JobLogs(boto3.client("logs")),
        Trainings(boto3.client("sagemaker")),
        Queues(boto3.client("sqs")),
    )


def _look(target: RunLook | DatasetLook) -> str:
    return _step().look(run_named(target).run)


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Handle a batch of messages, each about a run or its Batch job."""
    return look_at_each(event, context, _look, logger, metrics)
