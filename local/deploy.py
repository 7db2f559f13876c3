"""`python -m local.deploy`: the AWS on this machine, with Nestbox built and deployed on it."""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cli.output import duration
from local.background import Connection, up
from local.commands import DEFAULT_PORT, DEFAULT_STATE
from local.errors import LocalError
from local.images import DEFAULT_IMAGES, REPOSITORY

SAM = REPOSITORY / ".nestbox" / "env" / "sam" / "bin" / "sam"
BUILD_LOCK = REPOSITORY / ".nestbox" / "build.lock"
CONFIG = "local"
STACK = "nestbox"
OUTPUT_LINES = 60


class DeployError(LocalError):
    """`sam build` or `sam deploy` failed."""


class Steps:
    """Tells, step by step, what is being done and how long it took."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """One step; its line is completed when it ends well."""
        began = time.monotonic()
        interactive = sys.stdout.isatty()
        if interactive:
            print(f"  {what} …", end="", flush=True)
        try:
            yield
        except BaseException:
            print(f"\r✗ {what} " if interactive else f"✗ {what}", flush=True)
            raise
        took = duration(time.monotonic() - began)
        print(f"\r✓ {what} ({took})" if interactive else f"✓ {what} ({took})", flush=True)

    @property
    def total(self) -> str:
        """How long everything has taken so far."""
        return duration(time.monotonic() - self._began)


def enter(connection: Connection) -> None:
    """Point every AWS client of this process, and of those it starts, at the AWS on this machine."""
    for variable in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN"):
        os.environ.pop(variable, None)
    os.environ.update(
        AWS_ENDPOINT_URL=connection.endpoint_url,
        AWS_REGION=connection.region,
        AWS_DEFAULT_REGION=connection.region,
        AWS_ACCESS_KEY_ID=connection.access_key_id,
        AWS_SECRET_ACCESS_KEY=connection.secret_access_key,
    )


def deploy(
    steps: Steps, port: int = DEFAULT_PORT, state: Path = DEFAULT_STATE, *, fresh: bool = False
) -> Connection:
    """Start the AWS on this machine (or use the one that runs), build, deploy.

    `fresh` forgets what the last one kept. Raises LocalError.
    """
    with steps.step(
        "AWS on this machine: S3, EventBridge, SQS, Lambda, Batch, SageMaker, DynamoDB, API Gateway"
    ):
        connection = up(port, state, DEFAULT_IMAGES, fresh=fresh)
    enter(connection)
    with _alone():
        # Functions are packaged as they are; bytecode that a test left behind would make each a new version.
        for bytecode in (REPOSITORY / "functions").glob("*/__pycache__"):
            shutil.rmtree(bytecode)
        with steps.step("sam build: functions and layers"):
            _sam("build", "--config-env", CONFIG)
        with steps.step(f"sam deploy: stack {STACK}"):
            _sam("deploy", "--config-env", CONFIG, "--parameter-overrides", *_parameters())
    return connection


@contextmanager
def _alone() -> Iterator[None]:
    """One at a time: two builds of one checkout take each other's cache and output away."""
    BUILD_LOCK.parent.mkdir(exist_ok=True)
    with BUILD_LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sam(*arguments: str) -> None:
    if not SAM.exists():
        raise DeployError(f"{SAM.relative_to(REPOSITORY)} is missing: run `make setup` first")
    environment = os.environ | {
        "NESTBOX_LAYER_PYTHON": sys.executable,
        "SAM_CLI_TELEMETRY": "0",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    done = subprocess.run(  # noqa: S603
        [str(SAM), *arguments],
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        end = "\n".join(done.stdout.splitlines()[-OUTPUT_LINES:])
        raise DeployError(f"`sam {' '.join(arguments[:3])}` failed:\n{end}")


def _parameters() -> list[str]:
    """The parameters of samconfig.toml and the commit, so that runs say which code made them."""
    settings = tomllib.loads((REPOSITORY / "samconfig.toml").read_text(encoding="utf-8"))
    parameters: list[str] = list(settings[CONFIG]["deploy"]["parameters"]["parameter_overrides"])
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"],  # noqa: S607
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if described.returncode == 0:
        parameters.append(f"CodeVersion={described.stdout.strip()}")
    return parameters


def main(arguments: Sequence[str] | None = None) -> int:
    """Deploy, and say how to go on."""
    parser = argparse.ArgumentParser(prog="python -m local.deploy", description=__doc__)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="default: %(default)s")
    parser.add_argument(
        "--state", type=Path, default=DEFAULT_STATE, help="its directory (default: %(default)s)"
    )
    parser.add_argument("--fresh", action="store_true", help="forget what the last one kept")
    options = parser.parse_args(arguments)
    steps = Steps()
    try:
        connection = deploy(steps, options.port, options.state.resolve(), fresh=options.fresh)
    except LocalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    from cli.stack import find_stack

    stack = find_stack(argparse.Namespace(stack=STACK, local=False, region=None, profile=None))
    print(
        f"""
Nestbox is up after {steps.total}.
  AWS on this machine   {connection.endpoint_url}
  API                   {stack.api_url}
  uploads bucket        {stack.uploads_bucket}

next:
  export NESTBOX_LOCAL=1 PATH="$PWD/.venv/bin:$PATH"
  nestbox sample birds                          # or bring your own images and annotations
  nestbox push birds birds --watch
  nestbox token create me --scope detect --save
  nestbox detect PICTURE --dataset birds --out out/

stop: make stop (make local goes on from there; make local FRESH=1 starts afresh)"""
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
