"""The server: one process with MiniStack and our plug-in, on 127.0.0.1 only, with IAM enforced.

A REST API of API Gateway answers below
    http://127.0.0.1:{port}/_aws/execute-api/{api id}/{stage}/{path}
(no special Host header, no DNS; `/restapis/{api id}/{stage}/_user_request_/{path}` is the same).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
import tempfile
from pathlib import Path

from local.endpoint import ROOT
from local.errors import ServerError
from local.images import Images
from local.ministack_version import check_version
from local.persistence.leftovers import end_leftovers
from local.persistence.objects import undo_torn_writes

# What outlives a server, in its state directory: rows, and MiniStack's own files.
STORE_FILE = "state.sqlite"
KEPT_DIRECTORIES = ("s3", "ministack")

ACCOUNT = "000000000000"
REGION = "us-east-1"

# All of the caller's environment that the server keeps. MiniStack hands its environment to every Lambda
# function, and variables such as AWS_ENDPOINT_URL or HTTP_PROXY would send them elsewhere.
_KEPT_VARIABLES = (
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "TZ",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "LOG_LEVEL",
)


def serve(port: int, state: Path, images_file: Path) -> None:
    """Serves until SIGTERM or SIGINT, then ends every job, endpoint and Lambda worker.

    Raises ServerError when the port is taken or MiniStack is of another version, ImagesError for a wrong
    images file.
    """
    check_version()
    check_port(port)
    state.mkdir(parents=True, exist_ok=True)
    images = Images.read(images_file)
    end_leftovers(state)
    _prepare_environment(port, state)
    undo_torn_writes(state / "s3")
    # MiniStack reads its configuration when it is imported.
    from local import plugin
    from local.persistence.keeper import open_store
    from local.platform import Platform

    platform = Platform.make(port, images, state, open_store(state / STORE_FILE, port))
    platform.scratch.clear()
    plugin.install(platform)
    try:
        asyncio.run(_serve(port))
    finally:
        platform.processes.kill_all()
        from ministack.core import lambda_runtime

        lambda_runtime.reset()
        platform.scratch.clear()
        # Lambda's unpacked code and layers.
        shutil.rmtree(state / "tmp", ignore_errors=True)


def check_port(port: int) -> None:
    """Raises ServerError when something listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ServerError(
                f"port {port} of 127.0.0.1 is taken ({error.strerror}): stop what listens there "
                "(`python -m local down` if it is this server), or choose another with --port"
            ) from error


def _prepare_environment(port: int, state: Path) -> None:
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    temporary = state / "tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    os.environ.clear()
    os.environ.update(kept)
    os.environ.update(
        AUTH="true",
        BIND_HOST="127.0.0.1",
        GATEWAY_PORT=str(port),
        MINISTACK_HOST="localhost",
        MINISTACK_REGION=REGION,
        MINISTACK_ACCOUNT_ID=ACCOUNT,
        AWS_ACCESS_KEY_ID=ROOT.access_key_id,
        AWS_SECRET_ACCESS_KEY=ROOT.secret_access_key,
        AWS_DEFAULT_REGION=REGION,
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}",
        AWS_EC2_METADATA_DISABLED="true",
        NO_PROXY="127.0.0.1,localhost",
        LAMBDA_EXECUTOR="local",
        SFTP_ENABLED="0",
        IOT_MTLS_ENABLED="0",
        # No Docker here: without this MiniStack looks for a daemon.
        DOCKER_HOST=f"unix://{state / 'no-docker.sock'}",
        S3_DATA_DIR=str(state / "s3"),
        S3_PERSIST="1",
        STATE_DIR=str(state / "ministack"),
        TMPDIR=str(temporary),
    )
    tempfile.tempdir = None


async def _serve(port: int) -> None:
    from hypercorn.asyncio import serve as hypercorn_serve
    from hypercorn.config import Config
    from ministack.app import app

    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 2
    config.loglevel = "WARNING"
    logging.getLogger("local").setLevel(logging.INFO)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with contextlib.suppress(asyncio.CancelledError):
        await hypercorn_serve(app, config, shutdown_trigger=stop.wait)
