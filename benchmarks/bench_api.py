"""What the `/detect` function adds to the model's answer.

The function's own handler answers API Gateway's events in this process, for a photo-like JPEG of 640 x 480
pixels; the endpoint is a stub that answers ten boxes at once, so that all the time measured is ours: reading
the event, checking the picture, cutting and writing the boxes, logs and metrics. The table of runs is moto's
and is read once, as in a warm function.
"""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import io
import json
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import boto3
from moto import mock_aws
from nestbox.tables import RunRow
from PIL import Image

WIDTH, HEIGHT = 640, 480
RUN = "birds-20261124224000-0a1b"
CALLS = 300
WARM_UP = 20
GOAL_MS = 10.0
GOAL_DECODES = 2.0
GOAL_DRAWN_MS = 50.0

_FUNCTION = Path(__file__).parents[1] / "functions" / "detect" / "detect.py"
_PREDICTION = json.dumps(
    {"prediction": [[0, 0.9 - i / 20, i / 20, 0.1, 0.3 + i / 20, 0.6] for i in range(10)]}
).encode()


def figures() -> Iterator[tuple[str, float, float, bool, str]]:
    """Median overhead of a call in milliseconds, and as a multiple of decoding its picture once."""
    picture = photo()
    with function() as handler:
        boxes, drawn = event(picture, "application/json"), event(picture, "image/jpeg")
        for call in (boxes, drawn):
            if (answer := handler(call))["statusCode"] != HTTPStatus.OK:
                raise RuntimeError(f"/detect answered {answer['statusCode']}: {answer['body']}")
        boxes_ms, drawn_ms, decode_ms = medians_ms(
            lambda: handler(boxes), lambda: handler(drawn), lambda: decode(picture)
        )
    size = f"JPEG of {WIDTH}x{HEIGHT}, {len(picture) / 1000:.0f} kB"
    yield (
        "detect overhead, ms",
        boxes_ms,
        GOAL_MS,
        False,
        f"median of {CALLS} calls, handler minus InvokeEndpoint, {size}",
    )
    yield (
        "detect overhead / decoding the picture",
        boxes_ms / decode_ms,
        GOAL_DECODES,
        False,
        f"the same against one full decode by Pillow ({decode_ms:.2f} ms), call by call in turn",
    )
    yield (
        "detect overhead with drawn boxes, ms",
        drawn_ms,
        GOAL_DRAWN_MS,
        False,
        "the same with Accept: image/jpeg (decode, draw, encode)",
    )


def photo() -> bytes:
    """A JPEG with the detail of a photo: large shapes, edges, grain."""
    source = random.Random(0)
    image = Image.frombytes("RGB", (32, 24), source.randbytes(32 * 24 * 3)).resize((WIDTH, HEIGHT))
    grain = Image.frombytes("RGB", (WIDTH, HEIGHT), source.randbytes(WIDTH * HEIGHT * 3))
    out = io.BytesIO()
    Image.blend(image, grain, 0.06).save(out, "JPEG", quality=90)
    return out.getvalue()


def decode(picture: bytes) -> None:
    """One full decode, as any check of a picture could do it."""
    Image.open(io.BytesIO(picture)).load()


class InstantRuntime:
    """A sagemaker-runtime whose model answers at once (its own microseconds count as ours)."""

    def invoke_endpoint(self, **_: Any) -> dict[str, Any]:
        """Ten boxes."""
        return {"Body": io.BytesIO(_PREDICTION), "InvokedProductionVariant": RUN}


@contextlib.contextmanager
def function() -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    """The handler of the function, with its environment, a table of runs and the instant model."""
    environment = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "CORS_ORIGIN": "*",
        "DATASETS_TABLE": "Datasets",
        "RUNS_TABLE": "Runs",
        "POWERTOOLS_TRACE_DISABLED": "true",
        "POWERTOOLS_SERVICE_NAME": "detect",
        "POWERTOOLS_METRICS_NAMESPACE": "Nestbox",
    }
    context = SimpleNamespace(
        function_name="detect",
        memory_limit_in_mb=1769,
        invoked_function_arn="arn:aws:lambda:eu-central-1:123456789012:function:detect",
        aws_request_id="52fdfc07-2182-154f-163f-5f0f9a621d72",
    )
    spec = importlib.util.spec_from_file_location("detect", _FUNCTION)
    if spec is None or spec.loader is None:
        raise ImportError(f"{_FUNCTION} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    with (
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),  # Log lines are made and written, as in Lambda, but not shown.
        patch.dict(os.environ, environment),
        mock_aws(),
    ):
        os.environ.pop("AWS_ENDPOINT_URL", None)
        store_run()
        spec.loader.exec_module(module)
        with patch.object(boto3, "client", lambda *_, **__: InstantRuntime()):
            yield lambda call: module.handler(call, context)


def store_run() -> None:
    """A table of runs with the one that answers."""
    RunRow.create_table(billing_mode="PAY_PER_REQUEST")
    at = "2026-11-24T22:40:00.000Z"
    RunRow(
        dataset="birds",
        run=RUN,
        state="SERVED",
        revision=1,
        history=[],
        created_at=at,
        updated_at=at,
        snapshot_version="0" * 64,
        snapshot_objects=1,
        classes=["wren"],
    ).save()


def event(picture: bytes, accept: str) -> dict[str, Any]:
    """What API Gateway hands to the function."""
    headers = {"Content-Type": "image/jpeg", "Accept": accept, "Host": "example.org"}
    return {
        "resource": "/detect/{dataset}",
        "path": "/detect/birds",
        "httpMethod": "POST",
        "headers": headers,
        "multiValueHeaders": {key: [value] for key, value in headers.items()},
        "queryStringParameters": {"threshold": "0.2"},
        "multiValueQueryStringParameters": {"threshold": ["0.2"]},
        "pathParameters": {"dataset": "birds"},
        "requestContext": {"requestId": "1", "stage": "v1", "authorizer": {"token_id": "1a2b3c4d"}},
        "body": base64.b64encode(picture).decode(),
        "isBase64Encoded": True,
    }


def medians_ms(*works: Callable[[], object]) -> list[float]:
    """Median milliseconds of each, after a warm-up; done in turn, so that all meet the same machine."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(WARM_UP + CALLS):
        for work, took in zip(works, times, strict=True):
            began = time.perf_counter()
            work()
            took.append((time.perf_counter() - began) * 1000)
    return [statistics.median(took[WARM_UP:]) for took in times]
