"""Runs that have a model: have it scored beside the champion, and decide whether it replaces that one."""

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
from nestbox.gateways.transforms import Transforms
from nestbox.handling import look_at_each, run_named
from nestbox.settings import JudgeSettings, read_settings
from nestbox.steps.judge import Judge

logger = Logger()
tracer = Tracer()
metrics = Metrics()


@functools.cache
def _step() -> Judge:
    settings = read_settings(JudgeSettings)
    return Judge(
        settings,
        Artifacts(boto3.client("s3"), settings.artifacts_bucket),
        Transforms(boto3.client("sagemaker")),
        BatchJobs(boto3.client("batch"), settings.batch_job_queue, settings.evaluate_job_definition),
        JobLogs(boto3.client("logs")),
        Queues(boto3.client("sqs")),
    )


def _look(target: RunLook | DatasetLook) -> str:
    return _step().look(run_named(target).run)


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Handle a batch of messages, each about a run or a job that judges it."""
    return look_at_each(event, context, _look, logger, metrics)
