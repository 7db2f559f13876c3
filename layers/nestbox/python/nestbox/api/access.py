"""Which routes a token's scopes open, as the policy that API Gateway caches per token."""

from collections.abc import Iterable
from typing import Any

from aws_lambda_powertools.utilities.data_classes.api_gateway_authorizer_event import (
    APIGatewayAuthorizerResponse,
    APIGatewayAuthorizerTokenEvent,
)

from nestbox.api.tokens import Scope

ROUTES: dict[Scope, tuple[tuple[str, str], ...]] = {
    Scope.DETECT: (("POST", "/detect"), ("POST", "/detect/*")),
    Scope.READ: (("GET", "/datasets"), ("GET", "/datasets/*"), ("GET", "/runs"), ("GET", "/runs/*")),
    Scope.OPERATE: (("POST", "/datasets/*"), ("POST", "/runs/*")),
}
"""Method and path pattern. All routes of a scope are always named, never only the one that was called:
API Gateway keeps the policy and uses it for the token's next call, whatever its route."""


def policy(
    event: APIGatewayAuthorizerTokenEvent, token_id: str, name: str, scopes: Iterable[str]
) -> dict[str, Any]:
    """The authorizer's answer: allows every route of the scopes on the stage that was called.

    Functions find ``token_id``, ``token_name`` and ``scopes`` (separated by spaces) in
    ``requestContext.authorizer``.
    Scopes of a later release are passed over; a token that opens nothing is denied everything.
    """
    arn = event.parsed_arn
    answer = APIGatewayAuthorizerResponse(
        principal_id=token_id,
        context={"token_id": token_id, "token_name": name, "scopes": " ".join(sorted(scopes))},
        region=arn.region,
        aws_account_id=arn.aws_account_id,
        api_id=arn.api_id,
        stage=arn.stage,
        partition=arn.partition,
    )
    opened = [route for scope in Scope if scope in set(scopes) for route in ROUTES[scope]]
    for method, path in opened:
        answer.allow_route(method, path)
    if not opened:
        answer.deny_all_routes()
    return answer.asdict()
