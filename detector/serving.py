"""The `serve` command: SageMaker's hosting contract over HTTP.

`GET /ping` (200 once the model is warm, 503 before), `GET /execution-parameters` (for batch transform) and
`POST /invocations`, whose body is one JPEG or PNG image.
"""

import json
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from detector.cores import available_cores
from detector.errors import ArtefactError, ImageError
from detector.inference import Answer, Detector

MAX_BODY_MEGABYTES = 20
_MAX_BODY = MAX_BODY_MEGABYTES * 2**20
_CONTENT_TYPES = frozenset({"image/jpeg", "image/jpg", "image/png", "application/x-image"})
_ANNOTATION = "annotation=1"
# What more than this many boxes would add lies below any threshold people use.
_MOST_BOXES = 200
_DECIMALS = 6
_IDLE_SECONDS = 75
_LINGER_SECONDS = 2
_MOST_DISCARDED = 2**28
# SageMaker kills a container 30 seconds after SIGTERM.
_DRAIN_SECONDS = 20

EXIT_OK, EXIT_NO_MODEL = 0, 2


class _RequestError(Exception):
    """A request that is answered with an error status."""

    def __init__(self, status: HTTPStatus, code: str, message: str, hint: str) -> None:
        self.status = status
        self.body = {"error": {"code": code, "message": message, "hint": hint}}
        super().__init__(message)


def prediction(answer: Answer) -> dict[str, Any]:
    """Return the built-in algorithm's answer: class, score and relative corners, best first."""
    rows = answer.detections[:_MOST_BOXES].astype(np.float64)
    return {"prediction": rows.round(_DECIMALS).tolist()}


def annotation(answer: Answer) -> dict[str, Any]:
    """Return the form that `Accept: application/json;annotation=1` asks for: boxes in pixels."""
    rows = []
    for class_id, score, xmin, ymin, xmax, ymax in answer.detections[:_MOST_BOXES].tolist():
        left, top = round(xmin * answer.width), round(ymin * answer.height)
        rows.append(
            {
                "class_id": int(class_id),
                "score": round(score, _DECIMALS),
                "left": left,
                "top": top,
                "width": round(xmax * answer.width) - left,
                "height": round(ymax * answer.height) - top,
            }
        )
    return {"image_size": [{"width": answer.width, "height": answer.height, "depth": 3}], "annotations": rows}


class DetectionServer(ThreadingHTTPServer):
    """Listens at once and answers as soon as a detector is set."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int]) -> None:
        self.detector: Detector | None = None
        self._busy = 0
        self._idle = threading.Condition()
        super().__init__(address, _Handler)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Hold the server open while a request is being answered."""
        with self._idle:
            self._busy += 1
        try:
            yield
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    def drain(self, seconds: float) -> bool:
        """Wait until no request is being answered; return False if there still is one after `seconds`."""
        with self._idle:
            return self._idle.wait_for(lambda: self._busy == 0, seconds)


class _Handler(BaseHTTPRequestHandler):
    server: DetectionServer
    protocol_version = "HTTP/1.1"
    server_version = "nestbox-detector"
    sys_version = ""
    # Head and body leave in one packet, and none waits for the client's acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = _IDLE_SECONDS

    def setup(self) -> None:
        """Start with nothing left to read."""
        self._unread = 0
        super().setup()

    def finish(self) -> None:
        """Let a client still sending a refused body read the answer: closing at once would reset it."""
        if self._unread:
            with suppress(OSError):
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_WR)
                self.connection.settimeout(_LINGER_SECONDS)
                while self._unread > 0 and (chunk := self.rfile.read(min(self._unread, 2**16))):
                    self._unread -= len(chunk)
        super().finish()

    def handle_expect_100(self) -> bool:
        """Answer at once: the client holds its body back until then."""
        proceed = super().handle_expect_100()
        self.wfile.flush()
        return proceed

    def do_GET(self) -> None:
        """Answer /ping and /execution-parameters."""
        if self.path == "/ping":
            ready = self.server.detector is not None
            self._send(HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE, {"ready": ready})
        elif self.path == "/execution-parameters":
            self._send(
                HTTPStatus.OK,
                {
                    "MaxConcurrentTransforms": available_cores(),
                    "BatchStrategy": "SINGLE_RECORD",
                    "MaxPayloadInMB": MAX_BODY_MEGABYTES,
                },
            )
        else:
            self._refuse_path()

    def do_POST(self) -> None:
        """Answer /invocations."""
        if self.path != "/invocations":
            self._refuse_path()
            return
        started = time.perf_counter()
        with self.server.answering():
            try:
                answer = self._detect()
            except _RequestError as error:
                self._send(error.status, error.body)
            else:
                plain = _ANNOTATION not in self.headers.get("Accept", "").replace(" ", "")
                self._send(HTTPStatus.OK, prediction(answer) if plain else annotation(answer))
            self.wfile.flush()
        self._note(f"{1000 * (time.perf_counter() - started):.1f} ms")

    def _detect(self) -> Answer:
        payload = self._body()
        content_type = self.headers.get("Content-Type", "").split(";")[0].strip().lower()
        if content_type not in _CONTENT_TYPES:
            raise _RequestError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                f"content type {content_type or '(none)'} is not supported",
                "send one image as image/jpeg, image/png or application/x-image",
            )
        detector = self.server.detector
        if detector is None:
            raise _RequestError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "not-ready",
                "the model is still being loaded",
                "try again in a moment",
            )
        try:
            return detector.detect(payload)
        except ImageError as error:
            raise _RequestError(
                HTTPStatus.BAD_REQUEST,
                "unreadable-image",
                str(error),
                "send one whole JPEG or PNG image as body",
            ) from error

    def _body(self) -> bytes:
        """Read the whole body, so that the connection can serve the next request."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self.close_connection = True
            raise _RequestError(
                HTTPStatus.LENGTH_REQUIRED, "length-required", "the request has no Content-Length", "send one"
            )
        if int(length) > _MAX_BODY:
            self.close_connection = True
            self._unread = min(int(length), _MOST_DISCARDED)
            raise _RequestError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "too-large",
                f"the body has {length} bytes",
                f"send at most {_MAX_BODY} bytes; the detector shrinks images anyway",
            )
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True
            raise _RequestError(
                HTTPStatus.BAD_REQUEST,
                "cut-off",
                "the connection ended inside the body",
                "send the image again",
            )
        return body

    def _refuse_path(self) -> None:
        # What the body holds is unknown and unread, so the connection cannot be used again.
        self.close_connection = True
        self._send(
            HTTPStatus.NOT_FOUND,
            {
                "error": {
                    "code": "not-found",
                    "message": f"{self.command} {self.path} is not served",
                    "hint": "use GET /ping, GET /execution-parameters or POST /invocations",
                }
            },
        )

    def _send(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        body = json.dumps(content, separators=(",", ":")).encode()
        self._status = status
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _note(self, took: str) -> None:
        sys.stdout.write(f"{self.command} {self.path} {int(self._status)} {took}\n")
        sys.stdout.flush()

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Stay silent: /ping comes every few seconds, and /invocations writes its own line."""

    def log_error(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Write what http.server complains of, without its own time stamp."""
        sys.stderr.write(f"{format % args}\n")


def run_server(model: Path, host: str, port: int) -> int:
    """Serve the model in a folder until SIGTERM or SIGINT; return the process's exit code."""
    server = DetectionServer((host, port))
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    listener = threading.Thread(target=server.serve_forever, name="listener")
    listener.start()
    try:
        try:
            server.detector = Detector.load(model)
        except ArtefactError as error:
            sys.stderr.write(f"cannot serve: {error}\n")
            return EXIT_NO_MODEL
        sys.stdout.write(
            f"ready: {server.detector.description.base_network} on {host}:{server.server_port}\n"
        )
        sys.stdout.flush()
        stop.wait()
        return EXIT_OK
    finally:
        server.shutdown()
        listener.join()
        server.drain(_DRAIN_SECONDS)
        server.server_close()
