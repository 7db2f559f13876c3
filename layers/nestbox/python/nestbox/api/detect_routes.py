"""``POST /detect``: its parameters, their checks and their documentation.

What answers is passed in, so that the function which only publishes the OpenAPI document needs neither an
imaging library nor an endpoint.
"""

from collections.abc import Callable
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from aws_lambda_powertools.event_handler.router import APIGatewayRouter
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from nestbox.api.boxes import DEFAULT_MAX_BOXES, DEFAULT_THRESHOLD, Wanted
from nestbox.api.documented import error_answers
from nestbox.api.views import DetectView

Answer = Callable[[APIGatewayProxyEvent, str | None, Wanted], Response[Any]]
"""Answers a call about a dataset (None: the only one that serves)."""

Threshold = Annotated[
    float | None,
    Query(
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Boxes with a lower score are left out; by default those below their class's operating "
        f"threshold, measured when the model was judged ({DEFAULT_THRESHOLD} where it was not)",
    ),
]
MaxBoxes = Annotated[int, Query(ge=1, le=500, description="At most this many boxes, the best ones")]
Classes = Annotated[
    list[str] | None, Query(description="Only these classes: names, separated by commas or repeated")
]

_PICTURE = {"schema": {"type": "string", "format": "binary"}}
_DOCUMENTED: dict[str, Any] = {
    "tags": ["detect"],
    "responses": {
        200: {
            "description": "Boxes, best first; with Accept: image/jpeg the picture with the boxes drawn",
            "content": {"application/json": {"model": DetectView}, "image/jpeg": _PICTURE},
        },
        **error_answers(
            {
                400: "No picture, or a parameter that is not what it should be",
                401: "No valid token",
                403: "The token lacks the scope detect",
                404: "No such dataset",
                409: "The dataset serves no model yet; the hint says what to do",
                413: "The picture is too large",
                415: "The body is neither image/jpeg nor image/png",
                424: "The model failed on this picture",
                502: "The model's answer cannot be read",
                503: "The model does not answer now; try again after Retry-After seconds",
            }
        ),
    },
    "openapi_extensions": {
        "requestBody": {"required": True, "content": {"image/jpeg": _PICTURE, "image/png": _PICTURE}}
    },
}


def detect_routes(answer: Answer) -> APIGatewayRouter:
    """The routes of detection, answered by ``answer``."""
    router = APIGatewayRouter()  # type: ignore[no-untyped-call]

    # No return types: Powertools would hold the answer to them, and it may be a JPEG.

    @router.post("/detect/<dataset>", summary="Find the objects in a picture", **_DOCUMENTED)
    def detect_in_dataset(  # type: ignore[no-untyped-def]
        dataset: Annotated[str, Path(description="The dataset whose model looks")],
        threshold: Threshold = None,
        max_boxes: MaxBoxes = DEFAULT_MAX_BOXES,
        classes: Classes = None,
    ):
        return answer(router.current_event, dataset, _wanted(threshold, max_boxes, classes))

    @router.post("/detect", summary="The same, where only one dataset serves a model", **_DOCUMENTED)
    def detect_in_only_dataset(  # type: ignore[no-untyped-def]
        threshold: Threshold = None,
        max_boxes: MaxBoxes = DEFAULT_MAX_BOXES,
        classes: Classes = None,
    ):
        return answer(router.current_event, None, _wanted(threshold, max_boxes, classes))

    return router


def _wanted(threshold: float | None, max_boxes: int, classes: list[str] | None) -> Wanted:
    names = frozenset(name.strip() for text in classes or () for name in text.split(","))
    return Wanted(threshold, max_boxes, (names - {""}) or None)
