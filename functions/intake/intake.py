"""Uploads and deletions in the uploads bucket: note them, and arm one settle message per dataset."""

import functools
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from nestbox.events import uploads_in
from nestbox.gateways.queues import Queues
from nestbox.handling import answer_each
from nestbox.settings import IntakeSettings, read_settings
from nestbox.steps.intake import Intake

logger = Logger()
tracer = Tracer()
metrics = Metrics()


@functools.cache
def _step() -> Intake:
    return Intake(read_settings(IntakeSettings), Queues(boto3.client("sqs")))


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Handle a batch of messages, each an S3 event."""
    batch = _step().batch()
    outcomes: set[str] = set()

    def note(body: str) -> None:
        uploads = uploads_in(body)
        outcomes.update(batch.note(upload) for upload in uploads)
        metrics.add_metric(name="Uploads", unit=MetricUnit.Count, value=len(uploads))

    answer = answer_each(event, context, note, logger)
    for stray in batch.finish():
        logger.warning(stray.message, extra={"code": stray.code, "folder": stray.folder, "hint": stray.hint})
    if batch.stray_objects:
        metrics.add_metric(name="RejectedUploads", unit=MetricUnit.Count, value=batch.stray_objects)
    logger.info(
        "uploads noted", extra={"messages": len(event.get("Records", [])), "outcomes": sorted(outcomes)}
    )
    return answer
