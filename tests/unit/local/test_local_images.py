"""images.toml: which command stands for which image."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from local.errors import ImagePullError, ImagesError
from local.images import DEFAULT_IMAGES, Images


def read(tmp_path: Path, text: str) -> Images:
    file = tmp_path / "images.toml"
    file.write_text(text)
    return Images.read(file, tmp_path)


def test_commands_are_filled_in(tmp_path: Path) -> None:
    images = read(
        tmp_path,
        f'[[image]]\nmatch = "*/thing:*"\npython = "{sys.executable}"\npython_path = [".", "lib"]\n'
        'run = ["-m", "thing"]\ntrain = ["-m", "thing", "train", "--root", "{root}"]\n'
        'serve = ["-m", "thing", "--root={root}", "{port}"]\nenvironment = { A = "b" }\n',
    )
    image = images.find("registry/thing:1")
    assert image.batch_command(["prepare", "--x"]) == [sys.executable, "-m", "thing", "prepare", "--x"]
    root = Path("/opt/ml")
    assert image.train_command(root) == [sys.executable, "-m", "thing", "train", "--root", "/opt/ml"]
    assert image.serve_command(root, 8080) == [sys.executable, "-m", "thing", "--root=/opt/ml", "8080"]
    assert image.variables() == {"A": "b", "PYTHONPATH": f"{tmp_path}:{tmp_path / 'lib'}"}


def test_the_first_match_wins(tmp_path: Path) -> None:
    text = "".join(
        f'[[image]]\nmatch = "{match}"\npython = "{sys.executable}"\nrun = ["{name}"]\n'
        for match, name in (("*special*", "special"), ("*", "any"))
    )
    images = read(tmp_path, text)
    assert images.find("a/special:1").run == ("special",)
    assert images.find("a/other:1").run == ("any",)


def test_an_unknown_image_cannot_be_pulled(tmp_path: Path) -> None:
    images = read(tmp_path, f'[[image]]\nmatch = "a"\npython = "{sys.executable}"\n')
    with pytest.raises(ImagePullError, match=r"CannotPullContainerError.*registry/b:1.*images\.toml"):
        images.find("registry/b:1")


def test_an_environment_that_is_not_made_yet_is_named(tmp_path: Path) -> None:
    images = read(tmp_path, '[[image]]\nmatch = "a"\npython = "env/bin/python"\n')
    with pytest.raises(ImagePullError, match="make setup"):
        images.find("a")


def test_an_image_without_the_part_asked_for(tmp_path: Path) -> None:
    images = read(tmp_path, f'[[image]]\nmatch = "a"\npython = "{sys.executable}"\nrun = []\n')
    with pytest.raises(ImagePullError, match="has no `serve`"):
        images.find("a").serve_command(tmp_path, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no"),
        ("image = 3", "has no"),
        ("[[image]]\nmatch = 'a'", "`python` must be a string"),
        ("[[image]]\nmatch = 'a'\npython = 'p'\nrum = []", "unknown keys rum"),
        ("[[image]]\nmatch = 'a'\npython = 'p'\nrun = 'x'", "`run` must be a list of strings"),
        ("[[image]]\nmatch = 'a'\npython = 'p'\nenvironment = {A = 1}", "`environment` must be a table"),
        ("[[image", "cannot read"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ImagesError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("uri", "match"),
    [
        ("000000000000.dkr.ecr.us-east-1.amazonaws.com/nestbox-dataprep:abc", "*nestbox-dataprep*"),
        ("000000000000.dkr.ecr.us-east-1.amazonaws.com/nestbox-detector:abc", "*nestbox-detector*"),
        ("811284229777.dkr.ecr.us-east-1.amazonaws.com/object-detection:1", "*/object-detection:1"),
    ],
)
def test_the_projects_own_images_are_known(uri: str, match: str) -> None:
    images = Images.read(DEFAULT_IMAGES)
    found = [entry for entry in images._entries if entry.match == match]
    assert found
    from fnmatch import fnmatchcase

    assert fnmatchcase(uri, match)
