"""`python -m dataprep_job evaluate` on a real preparation, with answers as batch transform leaves them."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dataprep_job.__main__ import main

Files = dict[str, bytes]


def prepare(root: Path, run: str, files: Files) -> Path:
    """Prepare a dataset that lies in root/data; files are added to it first."""
    for path, data in files.items():
        (root / "data" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "data" / path).write_bytes(data)
    output = root / run
    order = ["prepare", "--run", run, "--dataset", "pets", "--source", str(root / "data")]
    assert main([*order, "--output", str(output)]) == 0
    return output


def held_out(preparation: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (preparation / "held_out.jsonl").read_text().splitlines()]


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
        path = folder / f"{picture['key']}.out"
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
            *("evaluate", "--run", "pets-2", "--dataset", "pets", "--source", str(root / "data")),
            *("--preparation", str(preparation), "--answers", str(answers)),
            *("--output", str(root / "evaluation"), *map(str, more)),
        ]
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
    assert result["note"] == "There is no champion to compare with."
    assert (result["split"], result["split_chose_the_epoch"]) == ("validation", True)
    assert result["pictures"] == len(held_out(prepared))
    assert result["worst"] == []


def test_a_worse_champion_is_shown_beside_the_candidate(tmp_path: Path, prepared: Path) -> None:
    classes = json.loads((prepared / "classes.json").read_text())
    champion = tmp_path / "champion-prep"
    champion.mkdir()
    # It was made when ids meant something else, and has been trained on nothing that is held out.
    (champion / "classes.json").write_text(json.dumps([*reversed(classes), "fish"]))
    (champion / "index.sqlite").write_bytes((prepared / "index.sqlite").read_bytes())

    def worse(number: int, rows: list[list[float]]) -> list[list[Any]]:
        # A fish that nobody judges by, a box that was taken back, and something that is no number.
        nonsense = [[2, 0.99], [-1, 0.99], [0, None], [7, 0.9]]
        return [*([*row, 0, 0, 1, 1] for row in nonsense), *half(number, rows)]

    write_answers(tmp_path / "old", prepared, list(reversed(classes)), worse)

    def nearly(number: int, rows: list[list[float]]) -> list[list[Any]]:
        return rows if number else [[0, 0.95, 0.9, 0.9, 1, 1]]

    write_answers(tmp_path / "new", prepared, classes, nearly)
    more = ("--champion-preparation", champion, "--champion-answers", tmp_path / "old")
    assert evaluate(tmp_path, tmp_path / "new", prepared, *more) == 0
    result = report(tmp_path)
    assert result["left_out"] == 0
    assert 0.3 < result["champion"]["map"] < 0.75
    assert result["candidate"]["map"] > 0.7
    difference = result["difference"]
    assert difference["difference"] == pytest.approx(result["candidate"]["map"] - result["champion"]["map"])
    assert difference["low"] < difference["difference"] < difference["high"]
    assert result["champion"]["unusable"] == 2 * result["pictures"]
    assert [one["name"] for one in result["champion"]["classes"]] == classes
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


def test_what_the_champion_was_trained_on_is_left_out_for_both(tmp_path: Path, prepared: Path) -> None:
    """By path where a picture was edited since, by content where it was renamed."""
    classes = json.loads((prepared / "classes.json").read_text())
    pictures = held_out(prepared)
    renamed, edited = pictures[0], pictures[1]
    held = {picture["key"] for picture in pictures}
    folder = tmp_path / "data"
    trained = next(path for path in folder.rglob("*.jpg") if str(path.relative_to(folder)) not in held)
    # The champion's dataset had the first picture under another name, and a former version of the second.
    other = tmp_path / "other"
    split = []
    for picture, key in ((renamed, "JPEGImages/former.jpg"), (edited, edited["key"])):
        data = (tmp_path / "data" / picture["key"]).read_bytes()
        if picture is edited:
            data = trained.read_bytes()
        name = Path(key).stem
        split.append(name)
        box = "<bndbox><xmin>1</xmin><ymin>3</ymin><xmax>40</xmax><ymax>50</ymax></bndbox>"
        xml = f"<annotation><object><name>dog</name>{box}</object></annotation>"
        for path, content in ((key, data), (f"Annotations/{name}.xml", xml.encode())):
            (other / "data" / path).parent.mkdir(parents=True, exist_ok=True)
            (other / "data" / path).write_bytes(content)
    spare = Path(pictures[3]["key"])
    (other / "data" / spare).write_bytes((tmp_path / "data" / spare).read_bytes())
    xml = (tmp_path / f"data/Annotations/{spare.stem}.xml").read_bytes()
    (other / f"data/Annotations/{spare.stem}.xml").write_bytes(xml)
    sets = other / "data/ImageSets/Main"
    sets.mkdir(parents=True)
    (sets / "train.txt").write_text("\n".join(split))
    (sets / "val.txt").write_text(spare.stem)
    champion = prepare(other, "pets-1", {})

    write_answers(tmp_path / "new", prepared, classes, perfect)
    known = json.loads((champion / "classes.json").read_text())
    write_answers(tmp_path / "old", prepared, [*known, *classes], half)
    more = ("--champion-preparation", champion, "--champion-answers", tmp_path / "old")
    assert evaluate(tmp_path, tmp_path / "new", prepared, *more) == 0
    result = report(tmp_path)
    assert (result["left_out"], result["pictures"]) == (2, len(pictures) - 2)
    assert result["candidate"]["pictures"] == result["champion"]["pictures"] == len(pictures) - 2
    page = (tmp_path / "evaluation/report.html").read_text()
    assert "2 pictures left out, as the champion was trained on them." in page


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (lambda path: path.unlink(), r"candidate has no answer for 1 of \d+ pictures \(JPEGImages/"),
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
    break_it(answers / f"{held_out(prepared)[0]['key']}.out")
    assert evaluate(tmp_path, answers, prepared) == 1
    assert re.search(reason, capsys.readouterr().err)
    assert not (tmp_path / "evaluation").exists()


def test_a_champion_needs_both_addresses(
    tmp_path: Path, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(tmp_path, tmp_path, prepared, "--champion-answers", tmp_path) == 1
    assert "A champion needs both" in capsys.readouterr().err


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
    classes = json.loads(artifact("pets-1", "classes.json"))
    for who, change in (("candidate", perfect), ("champion", half)):
        folder = write_answers(tmp_path / who, local, classes, change)
        for path in folder.rglob("*.out"):
            key = f"runs/pets-1/transform/{who}/{path.relative_to(folder)}"
            s3.put_object(Bucket="artifacts", Key=key, Body=path.read_bytes())
    run = "s3://artifacts/runs/pets-1"
    arguments = [
        *("evaluate", "--run", "pets-1", "--dataset", "pets", "--source", "s3://uploads/datasets/pets/"),
        *("--snapshot", f"{run}/snapshot.jsonl.gz", "--preparation", f"{run}/prep/"),
        *("--answers", f"{run}/transform/candidate/", "--champion-preparation", f"{run}/prep/"),
        *("--champion-answers", f"{run}/transform/champion/", "--output", f"{run}/evaluation/"),
    ]
    assert main(arguments) == 0
    written = s3.get_object(Bucket="artifacts", Key="runs/pets-1/evaluation/report.json")
    result = json.loads(written["Body"].read())
    assert result["candidate"]["map"] == 1.0
    assert 0 < result["champion"]["map"] < 1
    page = s3.get_object(Bucket="artifacts", Key="runs/pets-1/evaluation/report.html")
    assert page["ContentType"] == "text/html; charset=utf-8"
