"""Layers and functions within the limits of real Lambda."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

ROOT = Path(__file__).parents[3]
MAX_UNZIPPED = 250 * 1024 * 1024
# What Lambda's Python runtime brings beside the standard library.
RUNTIME_BRINGS = ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six.py", "urllib3")

pytestmark = pytest.mark.slow


def functions(template: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            yield name, resource["Properties"]


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_every_function_fits_with_its_layers(template: dict[str, Any], layers_for_lambda: Any) -> None:
    for name, function in functions(template):
        total = size(ROOT / function["CodeUri"]) + sum(map(size, layers_for_lambda.of(template, name)))
        assert total < MAX_UNZIPPED, f"{name}: {total / 2**20:.0f} MiB"


def test_compiled_modules_are_for_the_declared_runtime(
    template: dict[str, Any], layers_for_lambda: Any
) -> None:
    runtime = template["Parameters"]["PythonRuntime"]["Default"]
    tag = "cpython-" + runtime.removeprefix("python").replace(".", "")
    compiled = [
        path
        for layer in layers_for_lambda.paths.values()
        for path in layer.rglob("*.so")
        if "cpython-" in path.name
    ]
    assert compiled
    for path in compiled:
        assert f".{tag}-x86_64-linux-gnu.so" in path.name, path.name


def test_layers_hold_nothing_that_only_costs(layers_for_lambda: Any) -> None:
    for name, layer in layers_for_lambda.paths.items():
        folders = {path.name for path in (layer / "python").iterdir()}
        assert not folders & {*RUNTIME_BRINGS, "bin", "pip", "setuptools", "tests"}, name
        assert not list(layer.rglob("*.pyc")), name


@pytest.fixture(scope="session")
def runtime_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Lambda's runtime brings, and nothing else of the environment that runs the tests."""
    folder = tmp_path_factory.mktemp("runtime")
    site = Path(boto3.__file__).parents[1]
    for name in RUNTIME_BRINGS:
        (folder / name).symlink_to(site / name)
    return folder


def test_every_function_imports_with_its_layers_alone(
    template: dict[str, Any], layers_for_here: Any, runtime_modules: Path
) -> None:
    for name, function in functions(template):
        module = function["Handler"].split(".")[0]
        layers = [layer / "python" for layer in layers_for_here.of(template, name)]
        path = [str(ROOT / function["CodeUri"]), *map(str, layers), str(runtime_modules)]
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {path!r}; import {module}"],
            env={
                "PATH": os.environ["PATH"],
                "AWS_DEFAULT_REGION": "eu-central-1",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{name}: {done.stderr}"


def test_wheels_are_pinned_by_hash_and_by_no_index() -> None:
    for layer in ("dependencies", "imaging"):
        text = (ROOT / "layers" / layer / "requirements.txt").read_text(encoding="utf-8")
        pinned = re.findall(r"^[a-z0-9-]+==", text, re.MULTILINE)
        assert pinned
        assert text.count("--hash=sha256:") >= len(pinned)
        assert "://" not in text
