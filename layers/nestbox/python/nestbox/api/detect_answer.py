"""One call of ``POST /detect`` from its bytes to its answer."""

import base64
import binascii
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.event_handler import Response, content_types
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from nestbox.api.application import to_json
from nestbox.api.boxes import Wanted
from nestbox.api.detection import Detected, Detector
from nestbox.api.drawing import draw
from nestbox.api.errors import ModelAnswerError, ModelFailedError, ModelUnavailableError, NotAnImageError
from nestbox.api.picture import Picture, check_size, check_type, read_picture


class DetectAnswer:
    """Answers calls: checks the picture, asks the detector, writes JSON or the drawn picture."""

    def __init__(self, detector: Detector, logger: Logger, tracer: Tracer, metrics: Metrics) -> None:
        self._logger = logger
        self._metrics = metrics
        traced = tracer.capture_method(capture_response=False)
        self._read_picture = traced(read_picture)
        self._detect = traced(detector.detect)

    def __call__(self, event: APIGatewayProxyEvent, dataset: str | None, wanted: Wanted) -> Response[Any]:
        """The answer; raises the errors of ``nestbox.api.errors``."""
        check_type(event.headers.get("content-type"))
        picture = self._read_picture(_body(event))
        try:
            detected = self._detect(dataset, picture, wanted)
        except (ModelFailedError, ModelAnswerError, ModelUnavailableError):
            self._metrics.add_metric("ModelErrors", MetricUnit.Count, 1)
            raise
        self._logger.info(
            "detected",
            dataset=detected.dataset,
            run=detected.run,
            boxes=len(detected.found),
            width=picture.width,
            height=picture.height,
            model_ms=round(detected.model_milliseconds, 1),
            token_id=(event.get("requestContext") or {}).get("authorizer", {}).get("token_id"),
        )
        self._metrics.add_metric("Pictures", MetricUnit.Count, 1)
        self._metrics.add_metric("Boxes", MetricUnit.Count, len(detected.found))
        self._metrics.add_metric("ModelLatency", MetricUnit.Milliseconds, detected.model_milliseconds)
        if wants_picture(event.headers.get("accept")):
            return Response(200, "image/jpeg", draw(picture, detected.found))
        return Response(200, content_types.APPLICATION_JSON, to_json(_as_json(detected, picture)))


def wants_picture(accept: str | None) -> bool:
    """Whether an Accept header prefers a JPEG to JSON: the type with the higher q, then the earlier one."""
    best, best_q = "application/json", 0.0
    for part in (accept or "").lower().split(","):
        media_type, *parameters = (piece.strip() for piece in part.split(";"))
        if media_type in {"image/jpeg", "image/*", "application/json", "*/*"}:
            q = _quality(parameters)
            if q > best_q:
                best, best_q = media_type, q
    return best.startswith("image/")


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


def _body(event: APIGatewayProxyEvent) -> bytes:
    body = event.body or ""
    if not event.is_base64_encoded:
        # API Gateway hands pictures on as base64; a body that it took for text is none.
        return body.encode()
    check_size(len(body) * 3 // 4 - body[-2:].count("="))
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise NotAnImageError("The body did not arrive whole.", "Send it again.") from error


def _as_json(detected: Detected, picture: Picture) -> dict[str, Any]:
    return {
        "dataset": detected.dataset,
        "run": detected.run,
        "image": {"width": picture.width, "height": picture.height},
        "detections": [
            {
                "class": found.class_name,
                "score": found.score,
                "box": {
                    "xmin": found.box.xmin,
                    "ymin": found.box.ymin,
                    "xmax": found.box.xmax,
                    "ymax": found.box.ymax,
                },
            }
            for found in detected.found
        ],
        "model_latency_ms": round(detected.model_milliseconds, 1),
    }
