"""What the OpenAPI document says of several routes alike."""

from collections.abc import Mapping
from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Path

from nestbox.api.views import ErrorView

Run = Annotated[str, Path(description="Run id: DATASET-YYYYMMDDhhmmss-XXXX")]
Dataset = Annotated[str, Path(description="Name of the dataset")]


def error_answers(texts: Mapping[int, str]) -> dict[int, Any]:
    """The answers of one shape that a route gives instead of its own: what each status means."""
    return {
        status: {"description": text, "content": {"application/json": {"model": ErrorView}}}
        for status, text in texts.items()
    }
