"""Every minute: have everything unfinished looked at again, whatever became of its events."""

import functools
from dataclasses import asdict
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.parser import event_parser
from aws_lambda_powertools.utilities.parser.models import EventBridgeModel
from aws_lambda_powertools.utilities.typing import LambdaContext
from nestbox.gateways.announcing import Announcing
from nestbox.gateways.endpoints import Endpoints
from nestbox.gateways.queues import Queues
from nestbox.gateways.uploads import Uploads
from nestbox.settings import ReconcileSettings, read_settings
from nestbox.steps.announce import Announce
from nestbox.steps.overdue import OverdueRuns
from nestbox.steps.reconcile import Reconcile
from nestbox.steps.stopping import Work

logger = Logger()
tracer = Tracer()
metrics = Metrics()


@functools.cache
def _step() -> Reconcile:
    settings = read_settings(ReconcileSettings)
    batch, sagemaker, queues = boto3.client("batch"), boto3.client("sagemaker"), Queues(boto3.client("sqs"))
    work = Work.at_aws(batch, sagemaker, settings.prepare_job_queue, settings.evaluate_job_queue)
    overdue = OverdueRuns(settings, work, Endpoints(sagemaker), queues)
    announcing = Announcing(boto3.client("sns"), boto3.client("events"), settings.run_topic_arn)
    uploads = Uploads(boto3.client("s3"), settings.uploads_bucket)
    return Reconcile(settings, uploads, queues, overdue, Announce(announcing))


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
@event_parser(model=EventBridgeModel)
def handler(event: EventBridgeModel, context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001
    """Handle the event of the schedule."""
    done = _step().look()
    metrics.add_metric(name="UnfinishedRuns", unit=MetricUnit.Count, value=done.runs)
    metrics.add_metric(name="StuckRuns", unit=MetricUnit.Count, value=done.stuck)
    metrics.add_metric(name="OverdueDatasets", unit=MetricUnit.Count, value=done.datasets)
    metrics.add_metric(name="LateAnnouncements", unit=MetricUnit.Count, value=done.announced)
    metrics.add_metric(name="ReconcileTroubles", unit=MetricUnit.Count, value=len(done.troubles))
    for trouble in done.troubles:
        logger.error("left to the next pass", extra={"trouble": trouble})
    logger.info("reconciled", extra=asdict(done))
    return asdict(done)
