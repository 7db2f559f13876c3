"""SageMaker's hosting contract as an ASGI application.

`GET /ping` (200 once the model is warm, 503 before), `GET /execution-parameters` (for batch transform),
`GET /metrics` (Prometheus) and `POST /invocations`, whose body is one JPEG or PNG image.
"""

import asyncio
import json
import time
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from detector.answers import annotation, prediction
from detector.cores import available_cores
from detector.errors import ImageError
from detector.inference import Detector
from detector.latency import Latency

MAX_BODY_MEGABYTES = 20
_MAX_BODY = MAX_BODY_MEGABYTES * 2**20
_CONTENT_TYPES = frozenset({b"image/jpeg", b"image/jpg", b"image/png", b"application/x-image"})
_ANNOTATION = b"annotation=1"
# Beyond this many requests at work or waiting, the caller had better ask another instance.
_MOST_UNDER_WAY = 128
_BODY_SECONDS = 60
# A client that still sends a refused body may do so for this long and this much: closing at once would reset
# the connection before it has read the answer.
_LINGER_SECONDS = 2
_MOST_DISCARDED = 2**28

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class _RequestError(Exception):
    """A request that is answered with an error status; `unread` if its body was not taken."""

    def __init__(
        self, status: HTTPStatus, code: str, message: str, hint: str, *, unread: bool = False
    ) -> None:
        self.status = status
        self.body = {"error": {"code": code, "message": message, "hint": hint}}
        self.unread = unread
        super().__init__(message)


class _DisconnectedError(Exception):
    """The client is gone, so nobody is left to answer."""


class Application:
    """Answers as soon as a detector is set. One event loop speaks HTTP, one thread per core detects."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self.detector: Detector | None = None
        self.latency = Latency()
        self._log = log
        self._under_way = 0
        self._pool = ThreadPoolExecutor(available_cores(), thread_name_prefix="detect")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3)."""
        route = (scope["method"], scope["path"])
        if route == ("POST", "/invocations"):
            await self._invocation(scope, receive, send)
        elif route == ("GET", "/ping"):
            ready = self.detector is not None
            await _send_json(
                send, HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE, {"ready": ready}
            )
        elif route == ("GET", "/execution-parameters"):
            await _send_json(
                send,
                HTTPStatus.OK,
                {
                    "MaxConcurrentTransforms": available_cores(),
                    "BatchStrategy": "SINGLE_RECORD",
                    "MaxPayloadInMB": MAX_BODY_MEGABYTES,
                },
            )
        elif route == ("GET", "/metrics"):
            await _send(send, HTTPStatus.OK, self.latency.exposition().encode(), b"text/plain; version=0.0.4")
        else:
            await _refuse(receive, send, _not_found(*route))

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    async def _invocation(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        status = HTTPStatus.OK
        self._under_way += 1
        try:
            body = await self._answer(dict(scope["headers"]), receive)
        except _RequestError as error:
            status = error.status
            await _refuse(receive, send, error)
        except _DisconnectedError:
            self._log("POST /invocations: the client left before its image was here")
            return
        else:
            await _send(send, status, body)
        finally:
            self._under_way -= 1
        seconds = time.perf_counter() - started
        self.latency.note(status, seconds)
        self._log(f"POST /invocations {int(status)} {1000 * seconds:.1f} ms")

    async def _answer(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        detector = self.detector
        if detector is None or self._under_way > _MOST_UNDER_WAY:
            raise _RequestError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                *(
                    ("not-ready", "the model is still being loaded", "try again in a moment")
                    if detector is None
                    else ("busy", f"{_MOST_UNDER_WAY} requests are waiting", "try again in a moment")
                ),
                unread=True,
            )
        if int(headers.get(b"content-length", b"0")) > _MAX_BODY:
            raise _too_large()
        content_type = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
        if content_type not in _CONTENT_TYPES:
            raise _RequestError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                f"content type {content_type.decode('latin-1') or '(none)'} is not supported",
                "send one image as image/jpeg, image/png or application/x-image",
                unread=True,
            )
        payload = await _read_body(receive)
        form = annotation if _ANNOTATION in headers.get(b"accept", b"").replace(b" ", b"") else prediction

        def work() -> bytes:
            return _json(form(detector.detect(payload)))

        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except ImageError as error:
            raise _RequestError(
                HTTPStatus.BAD_REQUEST,
                "unreadable-image",
                str(error),
                "send one whole JPEG or PNG image as body",
            ) from error
        except Exception as error:
            self._log(traceback.format_exc())
            raise _RequestError(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                "internal",
                f"the detector failed ({type(error).__name__})",
                "the log says more; report it with the image",
            ) from error


async def _read_body(receive: Receive) -> bytes:
    """Read a body, announced or chunked. Raises _RequestError when it is too large or does not come."""
    parts: list[bytes] = []
    length = 0
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for part in _parts(receive):
                length += len(part)
                if length > _MAX_BODY:
                    raise _too_large()
                parts.append(part)
    except TimeoutError:
        raise _RequestError(
            HTTPStatus.REQUEST_TIMEOUT,
            "too-slow",
            f"the body was not whole after {_BODY_SECONDS} seconds",
            "send the image again, or a smaller one",
            unread=True,
        ) from None
    return b"".join(parts)


async def _parts(receive: Receive) -> Any:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _DisconnectedError
        yield message.get("body", b"")
        more = message.get("more_body", False)


def _too_large() -> _RequestError:
    return _RequestError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "too-large",
        f"the body has more than {_MAX_BODY} bytes",
        "send a smaller image; the detector shrinks it anyway",
        unread=True,
    )


def _not_found(method: str, path: str) -> _RequestError:
    return _RequestError(
        HTTPStatus.NOT_FOUND,
        "not-found",
        f"{method} {path} is not served",
        "use GET /ping, GET /execution-parameters, GET /metrics or POST /invocations",
        unread=True,
    )


async def _refuse(receive: Receive, send: Send, error: _RequestError) -> None:
    """Send an error; what is left of the body is thrown away, so that the client reads the answer."""
    body = _json(error.body)
    if not error.unread:
        await _send(send, error.status, body)
        return
    await _start(send, error.status, body, b"application/json", (b"connection", b"close"))
    await send({"type": "http.response.body", "body": body, "more_body": True})
    with suppress(_DisconnectedError, TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            discarded = 0
            async for part in _parts(receive):
                discarded += len(part)
                if discarded > _MOST_DISCARDED:
                    break
    await send({"type": "http.response.body"})


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


async def _send_json(send: Send, status: HTTPStatus, content: dict[str, Any]) -> None:
    await _send(send, status, _json(content))


async def _send(send: Send, status: HTTPStatus, body: bytes, kind: bytes = b"application/json") -> None:
    await _start(send, status, body, kind)
    await send({"type": "http.response.body", "body": body})


async def _start(
    send: Send, status: HTTPStatus, body: bytes, kind: bytes, *more: tuple[bytes, bytes]
) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
