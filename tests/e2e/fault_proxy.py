"""An HTTP proxy in front of an AWS that throttles, fails and delays calls, from a seed.

It stands where AWS_ENDPOINT_URL points. Some of so many calls meet with a fault, or the first call of each
operation does, which takes a bounded time. Faults are worded as the service words them: SDKs take them
for what they stand for. A failure may come before the call took effect, or after: the caller cannot tell.
"""

from __future__ import annotations

import json
import random
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import urllib3

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "content-length"}
THROTTLES = {
    "dynamodb": (400, "ProvisionedThroughputExceededException"),
    "sqs": (403, "RequestThrottled"),
    "batch": (429, "TooManyRequestsException"),
    "s3": (503, "SlowDown"),
    "lambda": (429, "TooManyRequestsException"),
}
FAILURES = {"dynamodb": "InternalServerError", "batch": "ServerException", "s3": "InternalError"}
QUERY_SERVICES = {"iam", "sts", "cloudformation", "monitoring", "sns"}


class Call(NamedTuple):
    """What is asked of which service."""

    service: str
    operation: str


class Fault(NamedTuple):
    """What happens to a call: `throttle`, `fail` (before it took effect), `lose` (after), `delay`."""

    kind: str
    seconds: float = 0.0


class FaultProxy:
    """Use it as a context; `url` is where it listens."""

    def __init__(
        self, target: str, seed: int, faults: Mapping[str, int], of_calls: int | None = None
    ) -> None:
        """`faults` says how many of every `of_calls` calls meet with which fault; the seed, which calls.

        Without `of_calls` the first call of each operation meets with one of them, drawn in these shares.
        """
        self._target = urllib3.connectionpool.connection_from_url(target, maxsize=32, retries=False)
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._slow: dict[Call, float] = {}
        self._closing = threading.Event()
        self._seed = seed
        self._faults = dict(faults)
        self._of_calls = of_calls
        self._seen: set[Call] = set()
        self._deck: list[str | None] = []
        self.faults: Counter[tuple[str, str, str]] = Counter()
        """How often each (service, operation, kind of fault) came."""
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Says nothing."""

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                try:
                    status, headers, answer = proxy._answer(
                        self.command, self.path, dict(self.headers.items()), body
                    )
                    self.send_response(status)
                    for name, value in headers.items():
                        if name.lower() not in HOP_BY_HOP:
                            self.send_header(name, value)
                    length = headers.get("Content-Length") if self.command == "HEAD" else None
                    self.send_header("Content-Length", length or str(len(answer)))
                    self.end_headers()
                    if self.command != "HEAD":
                        self.wfile.write(answer)
                except (urllib3.exceptions.HTTPError, OSError):
                    # Either side has gone: the caller sees its connection end, as without a proxy.
                    self.close_connection = True

        for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
            setattr(Handler, f"do_{method}", Handler.handle_any)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def running(self) -> Iterator[FaultProxy]:
        """Serves until the context is left."""
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._closing.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def delay_once(self, service: str, operation: str, seconds: float) -> None:
        """The next such call takes effect at once, and is answered this much later."""
        with self._lock:
            self._slow[Call(service, operation)] = seconds

    def _answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        call = called(method, path, headers, body)
        fault = self._draw(call)
        if fault is not None:
            self.faults[(*call, fault.kind)] += 1
            if fault.kind in ("lose", "delay"):
                answer = self._forward(method, path, headers, body)
                if fault.kind == "delay":
                    self._closing.wait(fault.seconds)
                    return answer
            return refusal(call, throttled=fault.kind == "throttle")
        return self._forward(method, path, headers, body)

    def _draw(self, call: Call) -> Fault | None:
        with self._lock:
            if call in self._slow:
                return Fault("delay", self._slow.pop(call))
            kinds = [kind for kind, count in self._faults.items() for _ in range(count)]
            if self._of_calls is None:
                if call in self._seen:
                    return None
                self._seen.add(call)
                # Of the operation alone, in whatever order they come.
                return Fault(random.Random(f"{self._seed} {call}").choice(kinds))
            if not self._deck:
                self._deck = [*kinds, *[None] * (self._of_calls - len(kinds))]
                self._random.shuffle(self._deck)
            drawn = self._deck.pop()
            return Fault(drawn) if drawn else None

    def _forward(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        # The Host header goes through as it came: it is part of what was signed.
        answer = self._target.request(
            method, path, body=body or None, headers=headers, decode_content=False, redirect=False
        )
        return answer.status, dict(answer.headers), answer.data


def called(method: str, path: str, headers: dict[str, str], body: bytes) -> Call:
    """The service that a request was signed for, and its operation (method and path where none is sent)."""
    lower = {name.lower(): value for name, value in headers.items()}
    scope = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", lower.get("authorization", ""))
    service = scope.group(1) if scope else ""
    if target := lower.get("x-amz-target"):
        return Call(service, target.rpartition(".")[2])
    parts = urlsplit(path)
    action = parse_qs(parts.query).get("Action")
    if not action and lower.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        action = parse_qs(body.decode()).get("Action")
    return Call(service, action[0] if action else f"{method} {parts.path}")


def refusal(call: Call, *, throttled: bool) -> tuple[int, dict[str, str], bytes]:
    """The service's own throttle, or its own internal error."""
    status, code = 500, FAILURES.get(call.service, "InternalFailure")
    if throttled:
        status, code = THROTTLES.get(call.service, (400, "ThrottlingException"))
    message = "Rate exceeded" if throttled else "An internal error occurred."
    if call.service == "s3" or call.service in QUERY_SERVICES:
        error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        if call.service in QUERY_SERVICES:
            error = f"<ErrorResponse>{error.replace('<Error>', '<Error><Type>Sender</Type>')}</ErrorResponse>"
        return status, {"Content-Type": "application/xml"}, error.encode()
    document = json.dumps({"__type": code, "message": message, "Message": message})
    return (
        status,
        {"Content-Type": "application/x-amz-json-1.1", "x-amzn-ErrorType": code},
        document.encode(),
    )
