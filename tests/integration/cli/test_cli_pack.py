"""`nestbox pack`: a better im2rec, which a notebook's user can adopt alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.main import main
from dataprep_job.recordio import records, unpack_image


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "birds"
    assert main(["sample", str(folder), "--images", "12", "--seed", "3"]) == 0
    return folder


def files(folder: Path) -> dict[str, bytes]:
    """All files but the report, which says what has changed, and the summary, which holds timings."""
    return {
        path.name: path.read_bytes()
        for path in sorted(folder.iterdir())
        if not path.name.startswith(("report.", "summary."))
    }


def test_the_result_lies_flat_in_one_folder(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pack", str(sample), str(tmp_path / "out"), "--resize", "64"]) == 0
    assert "packed" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("train.rec", "train.lst", "train.idx", "validation.rec", "validation.lst", "validation.idx"),
        *(
            "annotations.sqlite",
            "classes.json",
            "held_out.jsonl",
            "held_out_absent.jsonl",
            "index.sqlite",
            "report.html",
            "report.json",
            "summary.json",
        ),
    }


def test_options_say_what_is_packed(sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "pack",
        str(sample),
        str(tmp_path / "out"),
        "--resize",
        "48",
        "--no-flip",
        "--jobs",
        "1",
        "--json",
    ]
    assert main(arguments) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["image_size"] == 48
    assert summary["train_samples"] == summary["train_images"]
    labels = [unpack_image(payload)[1] for _, payload in records((tmp_path / "out/train.rec").read_bytes())]
    assert len(labels) == summary["train_images"]


@pytest.mark.parametrize("careful", [[], ["--careful"]])
def test_packing_again_gives_the_same_files(sample: Path, tmp_path: Path, careful: list[str]) -> None:
    options = ["--resize", "64", *careful]
    assert main(["pack", str(sample), str(tmp_path / "one"), *options]) == 0
    again = ["pack", str(sample), str(tmp_path / "two"), *options, "--previous", str(tmp_path / "one")]
    assert main(again) == 0
    assert files(tmp_path / "one") == files(tmp_path / "two")
    changes = json.loads((tmp_path / "two/report.json").read_text())["changes"]
    assert changes["unchanged"] == 12


def test_a_result_is_never_overwritten(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    assert main(["pack", str(sample), str(tmp_path)]) == 64
    assert "--previous" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_nothing_to_train_from_is_said_and_leaves_no_records(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.txt").write_text("hello")
    assert main(["pack", str(tmp_path / "in"), str(tmp_path / "out")]) == 2
    assert "No annotations were recognised" in capsys.readouterr().out
    assert not list((tmp_path / "out").glob("*.rec"))
