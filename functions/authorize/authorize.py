"""API Gateway asks whether a token may come in, and which routes it opens."""

from typing import Any

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.data_classes.api_gateway_authorizer_event import (
    APIGatewayAuthorizerTokenEvent,
)
from aws_lambda_powertools.utilities.typing import LambdaContext
from nestbox.api.access import policy
from nestbox.api.errors import RefusedTokenError
from nestbox.api.tokens import bearer, verify

logger = Logger()
tracer = Tracer()


class UnauthorizedError(Exception):
    """API Gateway answers 401 exactly when the authorizer fails with the text ``Unauthorized``."""


@tracer.capture_lambda_handler(capture_response=False, capture_error=False)
@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001
    """The policy of a good token; fails for any other."""
    call = APIGatewayAuthorizerTokenEvent(event)
    try:
        token = verify(bearer(call.authorization_token))
    except RefusedTokenError as error:
        logger.warning("refused", reason=str(error), route=call.method_arn)
        raise UnauthorizedError("Unauthorized") from None
    logger.info("admitted", token_id=token.token_id, token_name=token.name, route=call.method_arn)
    return policy(call, token.token_id, token.name, token.scopes)
