"""One local AWS with the stack on it, for all end-to-end tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
from deployed_stack import ROOT, System, free_port


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Built, deployed and kept up by what `make local` runs, on a port and in a directory of its own."""
    state = tmp_path_factory.mktemp("local-aws")
    port = free_port()
    deployed = System(f"http://127.0.0.1:{port}", state)
    try:
        _run(deployed, "local.deploy", "--port", str(port), "--state", str(state))
        stack = deployed.client("cloudformation").describe_stacks(StackName="nestbox")["Stacks"][0]
        deployed.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        yield deployed
    finally:
        if keep := os.environ.get("NESTBOX_E2E_LOG"):
            shutil.copy(state / "server.log", keep)
        _run(deployed, "local", "down", "--state", str(state))


def _run(deployed: System, module: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=deployed.environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        log = deployed.state / "server.log"
        tail = log.read_text()[-4000:] if log.exists() else ""
        pytest.fail(f"{module} failed:\n{done.stdout}\n{done.stderr}\n{tail}")
