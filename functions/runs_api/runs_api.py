"""The routes that read (datasets, runs, epochs, reports) and ``GET /openapi.json``."""

from functools import cache, partial
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from nestbox.api.application import new_application
from nestbox.api.openapi import document_routes
from nestbox.api.reports import report_links
from nestbox.api.runs_routes import runs_routes
from nestbox.api.settings import RunsApiSettings
from nestbox.settings import read_settings

logger = Logger()
tracer = Tracer()


@cache
def application() -> APIGatewayRestResolver:
    """The event handler, made on the first call and kept while the function is warm."""
    settings = read_settings(RunsApiSettings)
    s3 = boto3.client("s3", config=Config(signature_version="s3v4"))
    runs = runs_routes(partial(report_links, s3, settings.artifacts_bucket))
    return new_application([runs, document_routes()], settings.cors_origin, logger)


@tracer.capture_lambda_handler(capture_response=False)
@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answers one call of API Gateway."""
    answer = application().resolve(event, context)
    logger.info("answered", route=event.get("resource"), path=event.get("path"), status=answer["statusCode"])
    return answer
