"""The event handler that the API's functions share: one JSON shape, one error shape, CORS."""

import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import (
    APIGatewayRestResolver,
    CORSConfig,
    Response,
    content_types,
)
from aws_lambda_powertools.event_handler.exceptions import NotFoundError as NoSuchRouteError
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from nestbox.api.errors import ApiError
from nestbox.errors import ActionRefusedError, BadNameError, NoSuchDatasetError, NoSuchRunError

_UNKNOWN = (BadNameError, NoSuchDatasetError, NoSuchRunError)


def to_json(value: Any) -> str:
    """Compact JSON of what routes answer; what is None is left out."""
    return json.dumps(_known(value), separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def new_application(
    routers: Iterable[APIGatewayRouter], cors_origin: str, logger: Logger
) -> APIGatewayRestResolver:
    """An event handler for these routes that answers every failure in the API's one error shape."""
    app = APIGatewayRestResolver(
        cors=CORSConfig(allow_origin=cors_origin, allow_headers=["Authorization", "Content-Type", "Accept"]),
        enable_validation=True,
        serializer=to_json,
    )
    for router in routers:
        app.include_router(router)

    def failure(
        status: HTTPStatus, code: str, message: str, hint: str, retry_after: int | None = None
    ) -> Response[str]:
        logger.info("refused", status=status.value, code=code, why=message)
        return Response(
            status_code=status.value,
            content_type=content_types.APPLICATION_JSON,
            body=to_json({"error": {"code": code, "message": message, "hint": hint}}),
            headers={} if retry_after is None else {"Retry-After": str(retry_after)},
        )

    @app.exception_handler(ApiError)  # type: ignore[untyped-decorator]
    def refused(error: ApiError) -> Response[Any]:
        return failure(error.status, error.code, error.message, error.hint, error.retry_after)

    @app.exception_handler(list(_UNKNOWN))  # type: ignore[untyped-decorator]
    def unknown(error: Exception) -> Response[Any]:
        return failure(
            HTTPStatus.NOT_FOUND, "not_found", f"{error}.", "GET /datasets and GET /runs list what there is."
        )

    @app.exception_handler(ActionRefusedError)  # type: ignore[untyped-decorator]
    def impossible(error: ActionRefusedError) -> Response[Any]:
        return failure(HTTPStatus.CONFLICT, error.code, error.message, error.hint)

    @app.exception_handler(RequestValidationError)  # type: ignore[untyped-decorator]
    def invalid(error: RequestValidationError) -> Response[Any]:
        first = error.errors()[0]
        where = first["loc"][-1] if len(first["loc"]) == 2 else first["loc"][1]
        return failure(
            HTTPStatus.BAD_REQUEST,
            "bad_parameter",
            f"{where}: {first['msg']}.",
            "GET /openapi.json says what a call must look like.",
        )

    @app.not_found
    def nowhere(_: NoSuchRouteError) -> Response[Any]:
        return failure(
            HTTPStatus.NOT_FOUND,
            "no_such_route",
            "There is no such route or method.",
            "GET /openapi.json lists them.",
        )

    @app.exception_handler(Exception)  # type: ignore[untyped-decorator]
    def broken(_: Exception) -> Response[Any]:
        logger.exception("a route failed")
        request = app.current_event.request_context.request_id
        return failure(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "internal_error",
            "The call failed inside Nestbox.",
            f"Try again; if it stays, give the operator the request id {request}.",
        )

    return app


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _known(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_known(item) for item in value]
    return value
