"""`python -m dataprep_job evaluate` on a real preparation, with answers as batch transform leaves them."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from nestbox.bucket_layout import judging_prefix
from nestbox.gateways.evaluation_reports import EvaluationReport

from dataprep_job.__main__ import main

Files = dict[str, bytes]


def prepare(root: Path, run: str, files: Files, previous: Path | str = "-") -> Path:
    """Prepare a dataset that lies in root/data; files are added to it first."""
    for path, data in files.items():
        (root / "data" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "data" / path).write_bytes(data)
    output = root / run
    order = ["prepare", "--run", run, "--dataset", "pets", "--source", str(root / "data")]
    order += ["--judging", str(root / "judging")]
    assert main([*order, "--output", str(output), "--previous", str(previous)]) == 0
    return output


def held_out(preparation: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (preparation / "held_out.jsonl").read_text().splitlines()]


def answer_name(picture: dict[str, Any]) -> str:
    """What batch transform calls the answer to a picture."""
    return f"{Path(picture['picture']).name}.out"


Change = Callable[[int, list[list[float]]], list[list[Any]]]


def write_answers(folder: Path, preparation: Path, classes: list[str], change: Change) -> Path:
    """A model that finds every box with score 0.9, but for what `change` does to the answers of a picture."""
    for number, picture in enumerate(held_out(preparation)):
        width, height = picture["width"], picture["height"]
        rows = [
            [
                classes.index(box["class"]),
                0.9,
                box["xmin"] / width,
                box["ymin"] / height,
                box["xmax"] / width,
                box["ymax"] / height,
            ]
            for box in picture["boxes"]
        ]
        path = folder / answer_name(picture)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"prediction": change(number, rows)}))
    return folder


def perfect(_number: int, rows: list[list[float]]) -> list[list[Any]]:
    return rows


def half(number: int, rows: list[list[float]]) -> list[list[Any]]:
    return rows if number % 2 else []


def evaluate(root: Path, answers: Path, preparation: Path, *more: object) -> int:
    return main(
        [
            *("evaluate", "--run", "pets-2", "--dataset", "pets"),
            *("--preparation", str(preparation), "--answers", str(answers)),
            *("--judging", str(root / "judging")),
            *("--output", str(root / "evaluation"), *map(str, more)),
        ]
    )


def against(preparation: object, answers: object) -> tuple[object, ...]:
    """The options that name the champion `pets-1`."""
    return (
        *("--champion-run", "pets-1"),
        *("--champion-preparation", preparation, "--champion-answers", answers),
    )


def report(root: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((root / "evaluation/report.json").read_text())
    return content


@pytest.fixture
def prepared(tmp_path: Path, drawn: Callable[..., Files]) -> Path:
    """The preparation of 40 pictures with cats and dogs, their sizes odd against the drawing's multiples."""
    return prepare(tmp_path, "pets-2", drawn(40))


def test_a_first_candidate_is_judged_alone(tmp_path: Path, prepared: Path) -> None:
    classes = json.loads((prepared / "classes.json").read_text())
    assert evaluate(tmp_path, write_answers(tmp_path / "a", prepared, classes, perfect), prepared) == 0
    result = report(tmp_path)
    assert result["candidate"]["map"] == 1.0
    assert result["candidate"]["coco"]["ap"] == pytest.approx(1.0)
    assert (result["champion"], result["difference"]) == (None, None)
    assert result["note"] == ""
    assert "There is no champion to compare with." in (tmp_path / "evaluation/report.html").read_text()
    assert (result["split"], result["split_chose_the_epoch"]) == ("validation", True)
    assert result["pictures"] == len(held_out(prepared))
    assert result["worst"] == []


def test_a_worse_champion_is_shown_beside_the_candidate(tmp_path: Path, prepared: Path) -> None:
    classes = json.loads((prepared / "classes.json").read_text())
    champion = tmp_path / "champion-prep"
    champion.mkdir()
    # It was made when ids meant something else.
    (champion / "classes.json").write_text(json.dumps([*reversed(classes), "fish"]))

    def worse(number: int, rows: list[list[float]]) -> list[list[Any]]:
        # A fish that nobody judges by, a box that was taken back, and something that is no number.
        nonsense = [[2, 0.99], [-1, 0.99], [0, None], [7, 0.9]]
        return [*([*row, 0, 0, 1, 1] for row in nonsense), *half(number, rows)]

    write_answers(tmp_path / "old", prepared, list(reversed(classes)), worse)

    def nearly(number: int, rows: list[list[float]]) -> list[list[Any]]:
        return rows if number else [[0, 0.95, 0.9, 0.9, 1, 1]]

    write_answers(tmp_path / "new", prepared, classes, nearly)
    assert evaluate(tmp_path, tmp_path / "new", prepared, *against(champion, tmp_path / "old")) == 0
    result = report(tmp_path)
    assert result["left_out"] == 0
    assert result["champion_run"] == "pets-1"
    assert result["note"] == ""
    assert 0.3 < result["champion"]["map"] < 0.75
    assert result["candidate"]["map"] > 0.7
    difference = result["difference"]
    assert difference["difference"] == pytest.approx(result["candidate"]["map"] - result["champion"]["map"])
    assert difference["low"] < difference["difference"] < difference["high"]
    assert result["champion"]["unusable"] == 2 * result["pictures"]
    assert [one["name"] for one in result["champion"]["classes"]] == classes
    scores = EvaluationReport.from_json((tmp_path / "evaluation/report.json").read_bytes()).scores
    assert (scores.candidate_map, scores.champion_map) == (
        result["candidate"]["map"],
        result["champion"]["map"],
    )
    assert [one.name for one in scores.classes] == classes
    assert scores.interval is not None
    first = held_out(prepared)[0]
    assert result["worst"][0]["key"] == first["key"]
    assert result["worst"][0]["candidate"] == {"missed": len(first["boxes"]), "wrong": 1}
    page = (tmp_path / "evaluation/report.html").read_text()
    assert "default-src 'none'" in page
    assert not re.search(r"<script|https?:", page)
    assert page.count('<figure class="curve">') == 2
    assert page.count("<image") == 3 * len(result["worst"])
    for title in ("Labels", "Candidate", "Champion"):
        assert f"<b>{title}</b>" in page


def test_what_earlier_runs_were_trained_on_is_left_out_for_both(
    tmp_path: Path, drawn: Callable[..., Files]
) -> None:
    """By path where a picture was edited since, by content where it was renamed."""
    champion = prepare(tmp_path, "pets-1", drawn(40))
    data = tmp_path / "data"
    held = [picture["key"] for picture in held_out(champion)]
    trained = sorted(set(map(str, (path.relative_to(data) for path in data.rglob("*.jpg")))) - set(held))
    # One picture that was trained on is renamed, another one is edited, and both are to judge from now on.
    renamed, edited = trained[:2]
    for folder, suffix in (("JPEGImages", "jpg"), ("Annotations", "xml")):
        (data / folder / f"{Path(renamed).stem}.{suffix}").rename(data / folder / f"other.{suffix}")
    (data / edited).write_bytes((data / edited).read_bytes() + b"edited")
    sets = data / "ImageSets/Main"
    sets.mkdir(parents=True)
    (sets / "train.txt").write_text("\n".join(Path(key).stem for key in trained[2:]))
    (sets / "val.txt").write_text("\n".join([*(Path(key).stem for key in held), "other", Path(edited).stem]))
    prepared = prepare(tmp_path, "pets-2", {}, champion)
    pictures = held_out(prepared)
    assert {"JPEGImages/other.jpg", edited} < {picture["key"] for picture in pictures}

    classes = json.loads((prepared / "classes.json").read_text())
    write_answers(tmp_path / "new", prepared, classes, perfect)
    write_answers(tmp_path / "old", prepared, classes, half)
    assert evaluate(tmp_path, tmp_path / "new", prepared, *against(champion, tmp_path / "old")) == 0
    result = report(tmp_path)
    assert (result["left_out"], result["pictures"]) == (2, len(pictures) - 2)
    assert result["candidate"]["pictures"] == result["champion"]["pictures"] == len(pictures) - 2
    page = (tmp_path / "evaluation/report.html").read_text()
    assert "2 pictures left out, as an earlier run trained on them." in page


def test_why_a_champion_is_not_compared_with_is_told(tmp_path: Path, prepared: Path) -> None:
    classes = json.loads((prepared / "classes.json").read_text())
    answers = write_answers(tmp_path / "a", prepared, classes, half)
    assert evaluate(tmp_path, answers, prepared, "--note", "The champion's model is <gone>.") == 0
    assert report(tmp_path)["note"] == "The champion's model is <gone>."
    page = (tmp_path / "evaluation/report.html").read_text()
    assert "The champion&#x27;s model is &lt;gone&gt;." in page
    assert page.count("<image") == 2 * len(report(tmp_path)["worst"]) > 0


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (
            lambda path: path.unlink(),
            r"candidate has no answer for 1 of \d+ pictures \([0-9a-f]{64}-512",
        ),
        (lambda path: path.write_text("{}"), "is no answer of a detector: KeyError"),
        (lambda path: path.write_text('{"prediction": [[0, 1]]}'), "rows of six numbers"),
        (lambda path: path.write_text("<html>"), "is no answer of a detector"),
    ],
)
def test_a_model_is_never_judged_on_part_of_its_answers(
    tmp_path: Path,
    prepared: Path,
    capsys: pytest.CaptureFixture[str],
    break_it: Callable[[Path], None],
    reason: str,
) -> None:
    classes = json.loads((prepared / "classes.json").read_text())
    answers = write_answers(tmp_path / "a", prepared, classes, perfect)
    break_it(answers / answer_name(held_out(prepared)[0]))
    assert evaluate(tmp_path, answers, prepared) == 1
    assert re.search(reason, capsys.readouterr().err)
    assert not (tmp_path / "evaluation").exists()


def test_a_champion_needs_its_run_and_both_addresses(
    tmp_path: Path, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(tmp_path, tmp_path, prepared, "--champion-answers", tmp_path) == 1
    assert "A champion needs --champion-run" in capsys.readouterr().err


def test_all_of_it_in_s3(
    s3: Any,
    upload: Callable[[str, Mapping[str, bytes]], None],
    snapshot: Callable[[str, str], list[str]],
    artifact: Callable[[str, str], bytes],
    drawn: Callable[..., Files],
    tmp_path: Path,
) -> None:
    upload("pets", drawn(20))
    assert main(snapshot("pets", "pets-1")) == 0
    local = tmp_path / "prep"
    local.mkdir()
    (local / "held_out.jsonl").write_bytes(artifact("pets-1", "held_out.jsonl"))
    for picture in held_out(local):
        stored = s3.get_object(Bucket="artifacts", Key=judging_prefix("pets") + picture["picture"])
        assert stored["ContentType"] == "image/jpeg"
    classes = json.loads(artifact("pets-1", "classes.json"))
    for who, change in (("candidate", perfect), ("champion", half)):
        folder = write_answers(tmp_path / who, local, classes, change)
        for path in folder.rglob("*.out"):
            key = f"runs/pets-1/transform/{who}/{path.relative_to(folder)}"
            s3.put_object(Bucket="artifacts", Key=key, Body=path.read_bytes())
    run = "s3://artifacts/runs/pets-1"
    arguments = [
        *("evaluate", "--run", "pets-1", "--dataset", "pets", "--preparation", f"{run}/prep/"),
        *("--answers", f"{run}/transform/candidate/", "--output", f"{run}/evaluation/"),
        *("--judging", f"s3://artifacts/{judging_prefix('pets')}"),
        *map(str, against(f"{run}/prep/", f"{run}/transform/champion/")),
    ]
    assert main(arguments) == 0
    written = s3.get_object(Bucket="artifacts", Key="runs/pets-1/evaluation/report.json")
    result = json.loads(written["Body"].read())
    assert result["candidate"]["map"] == 1.0
    assert 0 < result["champion"]["map"] < 1
    page = s3.get_object(Bucket="artifacts", Key="runs/pets-1/evaluation/report.html")
    assert page["ContentType"] == "text/html; charset=utf-8"
