"""The containers of an endpoint: one `serve` process per production variant, checked, restarted, invoked."""

from __future__ import annotations

import logging
import random
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from local import roles
from local.endpoint import Credentials
from local.errors import TransferError
from local.objects import download_object, extract_archive, split_uri
from local.platform import Platform
from local.processes import ContainerProcess
from local.sagemaker.models import container_of
from local.sagemaker.resources import ROLE_SERVICE, Record
from local.scope import Scope
from local.scratch import process_environment

logger = logging.getLogger("local.sagemaker.serving")

# https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
_HEALTH_CHECK_SECONDS = 8 * 60
_PING_SECONDS = 2.0
_INVOCATION_SECONDS = 60.0
_STOP_SECONDS = 30.0
_STARTS_BEFORE_HEALTHY = 2
_RESTART_SECONDS = 1.0


@dataclass(frozen=True)
class Invocation:
    """What a container answered."""

    status: int
    content_type: str | None
    body: bytes
    microseconds: int


class Container:
    """One variant's container."""

    def __init__(
        self,
        scope: Scope,
        platform: Platform,
        endpoint_name: str,
        variant: Record,
        model: Record,
        directory: Path,
    ) -> None:
        self.variant = variant
        self.name = str(variant["VariantName"])
        self._scope = scope
        self._platform = platform
        self._definition = container_of(model)
        self._role = str(model["ExecutionRoleArn"])
        self._directory = directory
        self._image = platform.images.find(self._definition["Image"])
        self._log = platform.logs.stream(
            scope.region,
            f"/aws/sagemaker/Endpoints/{endpoint_name}",
            f"{self.name}/i-{secrets.token_hex(9)[:17]}",
        )
        self._stopping = threading.Event()
        self._credentials: Credentials | None = None
        self._process: ContainerProcess | None = None
        self._starts = 0
        self._healthy = False
        self._pool: urllib3.HTTPConnectionPool | None = None

    @property
    def image(self) -> str:
        """The image URI."""
        return str(self._definition["Image"])

    @property
    def log_stream_arn(self) -> str:
        """The ARN of the stream its output goes to."""
        return self._scope.arn("logs", f"log-group:{self._log.group}:log-stream:{self._log.name}")

    def start(self) -> None:
        """Downloads and unpacks the model, and starts the process. Raises RoleError and TransferError."""
        self._credentials = roles.assume(self._scope, self._role, ROLE_SERVICE, "SageMaker")
        model = self._directory / "model"
        model.mkdir(parents=True)
        if data := self._definition.get("ModelDataUrl"):
            archive = self._directory / "model.tar.gz"
            client = self._platform.endpoint.s3(self._scope.region, self._credentials)
            download_object(client, *split_uri(data), archive)
            extract_archive(archive, model)
            archive.unlink()
        threading.Thread(target=self._keep_running, daemon=True, name=f"local-serve-{self.name}").start()

    def wait_until_healthy(self, cancelled: threading.Event) -> str | None:
        """Waits for 200 from /ping. None when healthy, otherwise why it is not."""
        limit = self.variant.get("ContainerStartupHealthCheckTimeoutInSeconds", _HEALTH_CHECK_SECONDS)
        deadline = time.monotonic() + float(limit)
        while time.monotonic() < deadline and not cancelled.is_set():
            if self._ping():
                self._healthy = True
                return None
            process = self._process
            if self._starts >= _STARTS_BEFORE_HEALTHY and process is not None and not process.running:
                break
            time.sleep(0.05)
        return (
            f"The primary container for production variant {self.name} did not pass the ping health check. "
            "Please check CloudWatch logs for this endpoint."
        )

    def invoke(self, body: bytes, headers: Mapping[str, str]) -> Invocation:
        """POSTs to /invocations; raises TransferError when the container does not answer in a minute."""
        started = time.monotonic()
        if self._pool is None:
            raise TransferError("the container is not up")
        try:
            response = self._pool.request(
                "POST", "/invocations", body=body, headers=dict(headers), timeout=_INVOCATION_SECONDS
            )
        except urllib3.exceptions.HTTPError as error:
            raise TransferError(str(error)) from error
        microseconds = round((time.monotonic() - started) * 1_000_000)
        return Invocation(response.status, response.headers.get("Content-Type"), response.data, microseconds)

    def stop(self) -> None:
        """Ends the process as SageMaker does (SIGTERM, 30 s, SIGKILL) and removes the directory."""
        self._stopping.set()
        if self._process is not None:
            self._process.stop(_STOP_SECONDS)
            self._process.wait(_STOP_SECONDS + 5)
        if self._pool is not None:
            self._pool.close()
        if self._credentials is not None:
            roles.revoke(self._credentials)
        self._platform.scratch.remove(self._directory)

    def _keep_running(self) -> None:
        environment = process_environment(
            self._directory,
            self._platform.endpoint,
            self._scope.region,
            self._credentials,
            self._image.variables(),
            self._definition.get("Environment") or {},
        )
        while not self._stopping.is_set():
            # A port of its own for every start: another process may have taken the last one meanwhile.
            port = _free_port()
            self._pool = urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=16, retries=False)
            command = self._image.serve_command(self._directory, port)
            process = self._platform.processes.start(command, environment, self._directory, self._log.write)
            self._process = process
            self._starts += 1
            if self._stopping.is_set():
                process.stop(_STOP_SECONDS)
            status = process.wait()
            if self._stopping.is_set():
                return
            self._log.write(f"the container ended with status {status}")
            if not self._healthy and self._starts >= _STARTS_BEFORE_HEALTHY:
                return
            self._stopping.wait(_RESTART_SECONDS)

    def _ping(self) -> bool:
        if self._pool is None:
            return False
        try:
            response = self._pool.request("GET", "/ping", timeout=_PING_SECONDS)
        except urllib3.exceptions.HTTPError:
            return False
        return bool(response.status == 200)


class Fleet:
    """The containers of one endpoint configuration, serving one endpoint."""

    def __init__(self, config_name: str, containers: list[Container]) -> None:
        self.config_name = config_name
        self.containers = containers

    def choose(self, variant: str | None) -> Container | None:
        """A container by the variants' weights, or the one of a variant."""
        if variant is not None:
            return next((c for c in self.containers if c.name == variant), None)
        weights = [float(c.variant["InitialVariantWeight"]) for c in self.containers]
        if not any(weights):
            return None
        return random.choices(self.containers, weights)[0]

    def describe(self, status: str | None = None) -> list[dict[str, Any]]:
        """ProductionVariantSummary of every variant."""
        summaries = []
        for container in self.containers:
            variant = container.variant
            summary: dict[str, Any] = {
                "VariantName": container.name,
                "DeployedImages": [{"SpecifiedImage": container.image, "ResolvedImage": container.image}],
                "CurrentWeight": variant["InitialVariantWeight"],
                "DesiredWeight": variant["InitialVariantWeight"],
            }
            if "ServerlessConfig" in variant:
                summary["CurrentServerlessConfig"] = variant["ServerlessConfig"]
            else:
                summary["CurrentInstanceCount"] = variant["InitialInstanceCount"]
                summary["DesiredInstanceCount"] = variant["InitialInstanceCount"]
            if status:
                summary["VariantStatus"] = [{"Status": status}]
            summaries.append(summary)
        return summaries

    def stop(self) -> None:
        """Ends every container."""
        threads = [threading.Thread(target=container.stop, daemon=True) for container in self.containers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
