"""``GET /openapi.json``: the document of the whole API, whichever function answers a route."""

import json
from functools import cache
from typing import Any, NoReturn

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response, content_types
from aws_lambda_powertools.event_handler.openapi.models import HTTPBearer, Server
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from nestbox.api.detect_routes import detect_routes
from nestbox.api.operate_routes import operate_routes
from nestbox.api.runs_routes import runs_routes

VERSION = "1"
"""The stage of the API is its version."""


def document_routes() -> APIGatewayRouter:
    """The route of the document; it needs no token."""
    router = APIGatewayRouter()  # type: ignore[no-untyped-call]
    document = cache(openapi_document)

    @router.get("/openapi.json", summary="This document", tags=["about"])
    def show_document() -> Response[str]:
        return Response(200, content_types.APPLICATION_JSON, document())

    return router


def openapi_document() -> str:
    """OpenAPI 3.1 as JSON; every route but the document's own is behind a token."""
    app = APIGatewayRestResolver(enable_validation=True)
    for router in (
        detect_routes(_elsewhere),
        runs_routes(_elsewhere),
        operate_routes(_elsewhere),
        document_routes(),
    ):
        app.include_router(router)
    document: dict[str, Any] = json.loads(
        app.get_openapi_json_schema(
            title="Nestbox",
            version=VERSION,
            description="Objects in pictures, found by models that grow with their data. One error shape.",
            servers=[Server(url=".")],
            security_schemes={"token": HTTPBearer(description="nestbox token create makes one")},
            security=[{"token": []}],
        )
    )
    for path in document["paths"].values():
        for operation in path.values():
            # Powertools' own 422: this API answers 400 in its own shape.
            operation["responses"].pop("422", None)
    for unused in ("HTTPValidationError", "ResponseValidationError", "ValidationError"):
        document["components"]["schemas"].pop(unused, None)
    document["paths"]["/openapi.json"]["get"]["security"] = []
    return json.dumps(document, ensure_ascii=False)


def _elsewhere(*_: Any) -> NoReturn:
    raise NotImplementedError("these routes are only documented here")
