"""The layers as `sam build` makes them."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode.cfn_yaml import load as load_yaml

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Layers:
    """Layer directories (what Lambda unpacks at /opt), by logical id."""

    paths: dict[str, Path]

    def of(self, template: dict[str, Any], function: str) -> list[Path]:
        """The layers of a function: its own and those of Globals."""
        properties = template["Resources"][function]["Properties"]
        names = [*template["Globals"]["Function"]["Layers"], *properties.get("Layers", [])]
        return [self.paths[name["Ref"]] for name in names]


@pytest.fixture(scope="session")
def template() -> dict[str, Any]:
    """template.yaml; intrinsic functions stay as they are written."""
    data: dict[str, Any] = load_yaml(str(ROOT / "template.yaml"))
    return data


def build(template: dict[str, Any], where: Path, interpreter: str | None) -> Layers:
    """Runs the layers' Makefiles as `sam build` does: a copy of the source, ARTIFACTS_DIR set."""
    environment = {key: value for key, value in os.environ.items() if key != "NESTBOX_LAYER_PYTHON"}
    if interpreter is not None:
        environment["NESTBOX_LAYER_PYTHON"] = interpreter
    if (own_pip := ROOT / ".nestbox/uv/bin/python").exists():
        environment.setdefault("PIP", f"{own_pip} -m pip")  # python3 on the PATH may come without pip.
    paths = {}
    for name, resource in template["Resources"].items():
        if resource["Type"] != "AWS::Serverless::LayerVersion":
            continue
        source = ROOT / resource["Properties"]["ContentUri"]
        paths[name] = where / name / "layer"
        shutil.copytree(source, where / name / "source")
        done = subprocess.run(
            ["make", f"build-{name}"],
            cwd=where / name / "source",
            env={**environment, "ARTIFACTS_DIR": str(paths[name])},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    return Layers(paths)


@pytest.fixture(scope="session")
def layers_for_lambda(template: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Layers:
    """The layers for the runtime that the template declares."""
    return build(template, tmp_path_factory.mktemp("lambda"), None)


@pytest.fixture(scope="session")
def layers_for_here(template: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Layers:
    """The layers for the interpreter that runs the tests, as the local AWS gets them."""
    return build(template, tmp_path_factory.mktemp("here"), sys.executable)
