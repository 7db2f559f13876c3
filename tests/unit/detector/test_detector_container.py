"""The container and what stands for it on this machine run the same commands on the same packages."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[3]
DETECTOR = REPOSITORY / "detector"
DOCKERFILE = (DETECTOR / "Dockerfile").read_text()
# Where it listens and where /opt/ml lies is all that differs.
PLACES = {"--root", "--host", "--port"}

ENTRIES: list[dict[str, Any]] = [
    entry
    for entry in tomllib.loads((REPOSITORY / "local" / "images.toml").read_text())["image"]
    if "detect" in entry["match"]
]


def without_places(command: list[str]) -> list[str]:
    places = {i + step for i, word in enumerate(command) if word in PLACES for step in (0, 1)}
    return [word for i, word in enumerate(command) if i not in places]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["match"])
@pytest.mark.parametrize("name", ["train", "serve"])
def test_the_containers_commands_are_those_of_this_machine(name: str, entry: dict[str, Any]) -> None:
    script = (DETECTOR / "container" / name).read_text()
    (line,) = re.findall(r"^exec python (.*)$", script, re.MULTILINE)
    assert without_places(shlex.split(line)) == without_places(entry[name])
    assert f"detector/container/{name}" in DOCKERFILE


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["match"])
def test_what_this_machine_sets_the_container_sets(entry: dict[str, Any]) -> None:
    variables = dict(
        re.findall(r"(\w+)=(\S+)", " ".join(re.findall(r"^ENV (.*)$", DOCKERFILE, re.MULTILINE)))
    )
    assert entry["environment"].items() <= variables.items()
    # The repository's root holds `detector`, as PYTHONPATH does in the image.
    assert entry["python_path"] == ["."]
    assert f"COPY detector {variables['PYTHONPATH']}/detector" in DOCKERFILE


def test_the_built_in_algorithms_image_is_ours_under_another_name() -> None:
    ours, built_in = ({key: value for key, value in e.items() if key != "match"} for e in ENTRIES)
    assert ours == built_in


def test_everything_that_is_copied_exists() -> None:
    for line in re.findall(r"^COPY (.*)$", DOCKERFILE, re.MULTILINE):
        *sources, _ = [word for word in line.split() if not word.startswith("--")]
        for source in sources:
            assert (REPOSITORY / source).exists(), source


def pins(name: str) -> dict[str, str]:
    text = (DETECTOR / name).read_text()
    return dict(re.findall(r"^([\w-]+)==(\S+)", text, re.MULTILINE))


def test_the_gpu_image_has_the_same_packages_and_another_build_of_mxnet() -> None:
    cpu, gpu = pins("requirements.txt"), pins("requirements-gpu.txt")
    assert gpu.pop("mxnet-cu112") == cpu["mxnet"]
    assert gpu.items() <= cpu.items()


def test_the_image_for_gpus_is_asked_for_and_marked_as_untried() -> None:
    assert DOCKERFILE.index("ARG ACCELERATOR=cpu") < DOCKERFILE.index("FROM ")
    assert set(re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, re.MULTILINE)) == {"cpu", "gpu"}
    assert re.search(r"^FROM \$\{ACCELERATOR\}$", DOCKERFILE, re.MULTILINE)
    assert "NOT RUN where this repository is tested" in DOCKERFILE
