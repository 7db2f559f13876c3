"""`python -m detector evaluate` on a real model: what it prints, writes and refuses."""

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from detector.__main__ import main


def evaluate(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["evaluate", *map(str, arguments)])
    output = capsys.readouterr()
    return code, output.out, output.err


def validation(trained: Any) -> Path:
    return Path(trained.root) / "input/data/validation/validation.rec"


@pytest.fixture(scope="module")
def archive(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "best.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        file.add(trained.root / "model", arcname=".")
    return path


def test_it_gives_the_score_that_training_reported(
    trained: Any, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report.json"
    code, printed, progress = evaluate(
        capsys, "--model", archive, "--data", validation(trained), "--json", "--out", out
    )
    assert code == 0, progress
    assert "16 of 16 images" in progress
    report = json.loads(printed)
    assert report == json.loads(out.read_text())
    assert list(tmp_path.iterdir()) == [out]
    described = json.loads((trained.root / "model/detector.json").read_text())
    assert report["map"] == pytest.approx(described["validation_map"], abs=1e-3)
    assert [one["boxes"] for one in report["classes"]] == [8, 8]
    assert report["coco"]["ap50"] > 0.7
    for one in report["classes"]:
        assert 0 < one["operating"]["threshold"] < 1
        assert one["operating"]["f1"] > 0.7


def test_the_table_has_a_line_for_every_class_and_a_total(
    trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = tmp_path / "classes.json"
    names.write_text('["disc", "square", "never seen"]')
    code, printed, _ = evaluate(
        capsys, "--model", trained.root / "model", "--data", validation(trained), "--classes", names
    )
    assert code == 0
    lines = printed.splitlines()
    assert lines[0].split() == [
        *("class", "boxes", "found", "AP50", "11-point", "COCO", "AP", "threshold", "precision", "recall")
    ]
    assert [line.split()[0] for line in lines[1:5]] == ["disc", "square", "never", "all"]
    assert lines[1].split()[1] == "8"
    assert lines[3].split()[:5] == ["never", "seen", "*", "0", "0"]
    assert lines[-1].startswith("* nothing of this class to measure on")
    assert "mAP@0.5 0." in printed or "mAP@0.5 1." in printed


def test_the_model_names_its_own_classes(
    trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained.root / "model", tmp_path / "model")
    description = tmp_path / "model/detector.json"
    content = json.loads(description.read_text())
    description.write_text(json.dumps({**content, "classes": ["disc", "square"]}))
    _, printed, _ = evaluate(capsys, "--model", tmp_path / "model", "--data", validation(trained), "--json")
    assert [one["name"] for one in json.loads(printed)["classes"]] == ["disc", "square"]


def test_classes_that_the_model_does_not_know_score_nothing(
    trained: Any, layout: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = layout(tmp_path / "root", classes=3) / "input/data/validation/validation.rec"
    code, printed, said = evaluate(capsys, "--model", trained.root / "model", "--data", data, "--json")
    assert code == 0
    assert "the model knows 2 classes, the data has 3: the others score 0" in said
    assert json.loads(printed)["classes"][2]["ap"] == 0.0
    assert json.loads(printed)["classes"][2]["operating"]["basis"] == "all classes"


def test_what_cannot_be_scored_is_said_in_one_line(
    trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, data = trained.root / "model", validation(trained)
    text = tmp_path / "words.txt"
    text.write_text("no archive")
    (tmp_path / "one.json").write_text('["disc"]')
    (tmp_path / "empty").mkdir()
    for arguments, reason in (
        (("--model", tmp_path / "none", "--data", data), "none does not exist; a model is"),
        (("--model", text, "--data", data), "cannot be unpacked"),
        (("--model", tmp_path / "empty", "--data", data), "holds neither model.tar.gz nor detector.json"),
        (("--model", model, "--data", tmp_path), "is no file; --data takes one .rec file"),
        (("--model", model, "--data", text), "is no RecordIO file"),
        (("--model", model, "--data", data, "--classes", tmp_path / "one.json"), "names 1 classes, but"),
        (("--model", model, "--data", data, "--classes", text), "is no JSON"),
        (("--model", model, "--data", data, "--out", tmp_path / "no/report.json"), "cannot be written"),
    ):
        code, printed, said = evaluate(capsys, *arguments)
        assert (code, printed) == (2, "")
        assert said.splitlines()[-1].startswith("evaluate: ")
        assert reason in said.splitlines()[-1]


def test_a_model_is_exported_and_held_against_mxnet(
    trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bird.onnx"
    arguments = ("export", "--model", str(trained.root / "model"), "--to", "onnx", "--out", str(out))
    assert main((*arguments, "--check")) == 0
    said = capsys.readouterr().err
    assert f"{out}: " in said
    assert "ONNX Runtime differs from MXNet by" in said
    # What the training job has written is the same file.
    assert out.read_bytes() == (trained.root / "model" / "detector.onnx").read_bytes()
    assert main((*arguments[:-1], str(tmp_path / "no" / "bird.onnx"))) == 2
    assert "cannot be written" in capsys.readouterr().err
