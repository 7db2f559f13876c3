"""The routes that change something: promote, roll back, pin, cancel, start a run."""

from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.utilities.typing import LambdaContext
from nestbox.api.application import new_application
from nestbox.api.operate_routes import operate_routes
from nestbox.api.settings import OperateApiSettings
from nestbox.gateways.queues import Queues
from nestbox.settings import read_settings
from nestbox.steps.operate import Operate

logger = Logger()
tracer = Tracer()


@cache
def _actions() -> Operate:
    return Operate(read_settings(OperateApiSettings), Queues(boto3.client("sqs")))


@cache
def application() -> APIGatewayRestResolver:
    """The event handler, made on the first call and kept while the function is warm."""
    return new_application([operate_routes(_actions)], read_settings(OperateApiSettings).cors_origin, logger)


@tracer.capture_lambda_handler(capture_response=False)
@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answers one call of API Gateway."""
    answer = application().resolve(event, context)
    caller = event["requestContext"]["authorizer"].get("token_id")
    logger.info("answered", path=event.get("path"), status=answer["statusCode"], token_id=caller)
    return answer
