"""The containers of an endpoint: one `serve` process per production variant, checked and restarted."""

from __future__ import annotations

import random
import secrets
import threading
import time
from pathlib import Path
from typing import Any

from local.platform import Platform
from local.sagemaker.containers import ModelContainer
from local.sagemaker.resources import Record
from local.scope import Scope

# https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
_HEALTH_CHECK_SECONDS = 8 * 60
INVOCATION_SECONDS = 60.0
_STARTS_BEFORE_HEALTHY = 2
_RESTART_SECONDS = 1.0


class Container(ModelContainer):
    """One variant's container, which runs until it is stopped."""

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
        log = platform.logs.stream(
            scope.region,
            f"/aws/sagemaker/Endpoints/{endpoint_name}",
            f"{self.name}/i-{secrets.token_hex(9)[:17]}",
        )
        super().__init__(scope, platform, model, directory, log)
        self._stopping = threading.Event()
        self._starts = 0
        self._healthy = False

    def start(self) -> None:
        """Downloads and unpacks the model, and starts the process. Raises RoleError and TransferError."""
        self.prepare()
        threading.Thread(target=self._keep_running, daemon=True, name=f"local-serve-{self.name}").start()

    def wait_until_healthy(self, cancelled: threading.Event) -> str | None:
        """Waits for 200 from /ping. None when healthy, otherwise why it is not."""
        limit = self.variant.get("ContainerStartupHealthCheckTimeoutInSeconds", _HEALTH_CHECK_SECONDS)
        deadline = time.monotonic() + float(limit)
        while time.monotonic() < deadline and not cancelled.is_set():
            if self.ready():
                self._healthy = True
                return None
            process = self.process
            if self._starts >= _STARTS_BEFORE_HEALTHY and process is not None and not process.running:
                break
            time.sleep(0.05)
        return (
            f"The primary container for production variant {self.name} did not pass the ping health check. "
            "Please check CloudWatch logs for this endpoint."
        )

    def end(self) -> None:
        """Stops the process for good and removes the directory."""
        self._stopping.set()
        self.stop()
        self.close()

    def _keep_running(self) -> None:
        while not self._stopping.is_set():
            process = self.launch()
            self._starts += 1
            if self._stopping.is_set():
                self.stop()
            status = process.wait()
            if self._stopping.is_set():
                return
            self.log.write(f"the container ended with status {status}")
            if not self._healthy and self._starts >= _STARTS_BEFORE_HEALTHY:
                return
            self._stopping.wait(_RESTART_SECONDS)


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
        threads = [threading.Thread(target=container.end, daemon=True) for container in self.containers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
