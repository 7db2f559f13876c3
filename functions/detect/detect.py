"""``POST /detect/{dataset}`` and ``POST /detect``: a picture in, boxes out."""

from functools import cache, partial
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from nestbox.api.application import new_application
from nestbox.api.detect_answer import DetectAnswer
from nestbox.api.detect_routes import detect_routes
from nestbox.api.detection import Detector
from nestbox.api.model_endpoint import ATTEMPTS, CONNECT_SECONDS, READ_SECONDS, invoke
from nestbox.api.settings import DetectSettings
from nestbox.settings import read_settings

logger = Logger()
tracer = Tracer()
metrics = Metrics()


@cache
def application() -> APIGatewayRestResolver:
    """The event handler, made on the first call and kept while the function is warm."""
    runtime = boto3.client(
        "sagemaker-runtime",
        config=Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        ),
    )
    answer = DetectAnswer(Detector(partial(invoke, runtime)), logger, tracer, metrics)
    return new_application([detect_routes(answer)], read_settings(DetectSettings).cors_origin, logger)


@tracer.capture_lambda_handler(capture_response=False)
@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST)
@metrics.log_metrics(capture_cold_start_metric=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answers one call of API Gateway."""
    metrics.add_metric("Calls", MetricUnit.Count, 1)
    return application().resolve(event, context)
