"""A model's container: its files, its `serve` process, and the requests it answers."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import urllib3

from local import roles
from local.endpoint import Credentials
from local.errors import TransferError
from local.log_streams import LogStream
from local.objects import download_object, extract_archive, split_uri
from local.platform import Platform
from local.processes import ContainerProcess
from local.sagemaker.models import container_of
from local.sagemaker.resources import ROLE_SERVICE, Record
from local.scope import Scope
from local.scratch import process_environment

# https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
PING_SECONDS = 2.0
STOP_SECONDS = 30.0


@dataclass(frozen=True)
class Answer:
    """What a container answered."""

    status: int
    content_type: str | None
    body: bytes
    microseconds: int

    @property
    def ok(self) -> bool:
        """Whether it is an answer and no refusal."""
        return 200 <= self.status < 300


class ModelContainer:
    """One container of a model. `prepare`, then `launch` as often as a process is wanted, then `close`."""

    def __init__(
        self,
        scope: Scope,
        platform: Platform,
        model: Record,
        directory: Path,
        log: LogStream,
        environment: Mapping[str, str] | None = None,
        connections: int = 16,
    ) -> None:
        self.log = log
        self._scope = scope
        self._platform = platform
        self._definition = container_of(model)
        self._role = str(model["ExecutionRoleArn"])
        self._directory = directory
        self._environment = dict(environment or {})
        self._connections = connections
        self._image = platform.images.find(self._definition["Image"])
        self._credentials: Credentials | None = None
        self._pool: urllib3.HTTPConnectionPool | None = None
        self.process: ContainerProcess | None = None

    @property
    def image(self) -> str:
        """The image URI."""
        return str(self._definition["Image"])

    @property
    def log_stream_arn(self) -> str:
        """The ARN of the stream its output goes to."""
        return self._scope.arn("logs", f"log-group:{self.log.group}:log-stream:{self.log.name}")

    def prepare(self) -> Credentials:
        """Takes the model's role, downloads and unpacks the model; the session that the container gets.

        Raises RoleError and TransferError.
        """
        self._credentials = roles.assume(self._scope, self._role, ROLE_SERVICE, "SageMaker")
        model = self._directory / "model"
        model.mkdir(parents=True)
        if data := self._definition.get("ModelDataUrl"):
            archive = self._directory / "model.tar.gz"
            client = self._platform.endpoint.s3(self._scope.region, self._credentials)
            download_object(client, *split_uri(data), archive)
            extract_archive(archive, model)
            archive.unlink()
        return self._credentials

    def launch(self) -> ContainerProcess:
        """Starts the process, on a port of its own: another may have taken the last one meanwhile."""
        environment = process_environment(
            self._directory,
            self._platform.endpoint,
            self._scope.region,
            self._credentials,
            self._image.variables(),
            self._definition.get("Environment") or {},
            self._environment,
        )
        port = _free_port()
        command = self._image.serve_command(self._directory, port)
        self._pool = urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=self._connections, retries=False)
        self.process = self._platform.processes.start(command, environment, self._directory, self.log.write)
        return self.process

    def ready(self) -> bool:
        """Whether /ping answers with 200."""
        try:
            return self.get("/ping").status == 200
        except TransferError:
            return False

    def get(self, path: str) -> Answer:
        """Asks for a path; raises TransferError when there is no answer in the two seconds of a ping."""
        return self._request("GET", path, PING_SECONDS)

    def invoke(self, body: bytes, headers: Mapping[str, str], seconds: float) -> Answer:
        """POSTs to /invocations; raises TransferError when the container does not answer in `seconds`."""
        return self._request("POST", "/invocations", seconds, body, headers)

    def stop(self) -> None:
        """Tells the process to end as SageMaker does (SIGTERM, 30 s, SIGKILL); returns at once."""
        if self.process is not None:
            self.process.stop(STOP_SECONDS)

    def close(self) -> None:
        """Waits for the process to end once told to, and removes everything that was made for it."""
        if self.process is not None:
            self.process.wait(STOP_SECONDS + 5)
        if self._pool is not None:
            self._pool.close()
        if self._credentials is not None:
            roles.revoke(self._credentials)
        self._platform.scratch.remove(self._directory)

    def _request(
        self,
        method: str,
        path: str,
        seconds: float,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        started = time.monotonic()
        if self._pool is None:
            raise TransferError("the container is not up")
        try:
            response = self._pool.request(
                method, path, body=body, headers=dict(headers or {}), timeout=seconds
            )
        except urllib3.exceptions.HTTPError as error:
            raise TransferError(str(error)) from error
        microseconds = round((time.monotonic() - started) * 1_000_000)
        return Answer(response.status, response.headers.get("Content-Type"), response.data, microseconds)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
