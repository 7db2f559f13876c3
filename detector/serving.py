"""The `serve` command: the model behind HTTP until SIGTERM."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from detector.errors import ArtefactError
from detector.inference import Detector
from detector.invocations import Application

EXIT_OK, EXIT_NO_MODEL = 0, 2

_IDLE_SECONDS = 75
# SageMaker kills a container 30 seconds after SIGTERM.
_DRAIN_SECONDS = 20
_SECONDS_BETWEEN_LINES = 60
_BACKLOG = 1024


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: they end the process by the signal instead of exit code 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing."""
        yield


def run_server(model: Path, host: str, port: int) -> int:
    """Serve the model in a folder until SIGTERM or SIGINT; return the process's exit code."""
    return asyncio.run(_serve(model, host, port))


async def _serve(model: Path, host: str, port: int) -> int:
    application = Application(_say)
    config = uvicorn.Config(
        application,
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    server = _Server(config)
    loop = asyncio.get_running_loop()

    def stop() -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    listener = socket.create_server((host, port), backlog=_BACKLOG)
    # Connections inherit it. asyncio sets it only where a socket was made naming its protocol; without it, an
    # answer's second packet waits 40 ms for the client to acknowledge the first.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    telling = asyncio.create_task(_tell(application))
    code = EXIT_OK
    try:
        detector = await loop.run_in_executor(None, Detector.load, model)
        application.detector = detector
        _say(f"ready: {detector.description.base_network} on {host}:{listener.getsockname()[1]}")
    except ArtefactError as error:
        sys.stderr.write(f"cannot serve: {error}\n")
        code = EXIT_NO_MODEL
        stop()
    await serving
    telling.cancel()
    application.close()
    return code


async def _tell(application: Application) -> None:
    """Write the latest percentiles every minute in which there were requests."""
    told = 0
    while True:
        await asyncio.sleep(_SECONDS_BETWEEN_LINES)
        if application.latency.requests > told:
            told = application.latency.requests
            _say(application.latency.line())


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
