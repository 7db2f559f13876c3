"""Which pictures judge, what models' answers mean, and that the page is safe to open."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataprep_job.errors import SourceError
from dataprep_job.evaluate import Comparison, Model, judge
from dataprep_job.evaluation_page.page import evaluation_page
from dataprep_job.judged_pictures import judged_split, pictures_from_jsonl
from dataprep_job.predictions import parse_answer, read_predictions, translate_classes
from dataprep_job.progress import say_nothing
from dataprep_job.storage import FolderStorage

BOX = {"class": "cat", "xmin": 10, "ymin": 0, "xmax": 60, "ymax": 50}


def line(key: str = "a.jpg", **changes: Any) -> bytes:
    entry = {"key": key, "picture": key, "blake3": "00ff", "split": "validation"}
    entry |= {"width": 100, "height": 50, "boxes": [BOX]}
    return json.dumps(entry | changes).encode()


def test_the_test_split_judges_where_there_is_one() -> None:
    assert judged_split(pictures_from_jsonl([line(), line("b.jpg")])) == "validation"
    assert judged_split(pictures_from_jsonl([line(), line("b.jpg", split="test")])) == "test"


@pytest.mark.parametrize(
    "damaged",
    [
        b"{",
        b"[]",
        line(boxes=None),
        line(boxes=[{"class": "cat"}]),
        line(width=0),
        line(boxes=[BOX | {"xmax": "NaN"}]),
    ],
)
def test_a_damaged_list_is_refused_with_its_line(damaged: bytes) -> None:
    with pytest.raises(SourceError, match=r"Line 2 of held_out\.jsonl"):
        pictures_from_jsonl([line(), damaged])


def test_answers_aconfusions_of_six_numbers() -> None:
    rows = parse_answer(b'{"prediction": [[0, 0.5, 0, 0.1, 0.2, 1], [1, NaN, null, 0, 1, 1]]}', "a.out")
    assert rows.shape == (2, 6)
    assert np.isnan(rows[1, 1:3]).all()
    assert parse_answer(b'{"prediction": []}', "a.out").shape == (0, 6)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"prediction": {}}',
        b'{"prediction": [["cat", 1, 0, 0, 1, 1]]}',
        b'{"prediction": [[[], 1, 0, 0, 1, 1]]}',
        b'{"prediction": ' + b"[" * 100_000,
        b'{"prediction": [[1' + b"0" * 400 + b", 1, 0, 0, 1, 1]]}",
    ],
)
def test_anything_else_is_no_answer(data: bytes) -> None:
    with pytest.raises(SourceError, match=r"a\.out is no answer of a detector"):
        parse_answer(data, "a.out")


def test_classes_are_told_by_name(tmp_path: Path) -> None:
    answer = {"prediction": [[number, 0.5, 0, 0, 1, 1] for number in (0, 1, 2, 3, -1, 0.5, -2)]}
    (tmp_path / "a.jpg.out").write_text(json.dumps(answer))
    ids = translate_classes(["dog", "fish", "cat"], {"cat": 0, "dog": 1})
    (rows,) = read_predictions(FolderStorage(tmp_path), ["a.jpg"], ids, "champion", say_nothing)
    # Fish are not judged, -1 was taken back, and what no class of the model can be is no number.
    expected = [1, -1, 0, np.nan, -1, np.nan, np.nan]
    np.testing.assert_array_equal(rows[:, 0], expected)


@pytest.mark.parametrize("place", ["", "judging/pets/", "validation/"])
def test_answers_are_found_in_whatever_folder_batch_transform_put_them(tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / place / "a.jpg.out").write_text('{"prediction": [[0, 0.5, 0, 0, 1, 1]]}')
    (rows,) = read_predictions(FolderStorage(tmp_path), ["a.jpg"], [0], "champion", say_nothing)
    assert rows.tolist() == [[0, 0.5, 0, 0, 1, 1]]


def comparison(tmp_path: Path, classes: list[str], lines: list[bytes], answers: dict[str, Any]) -> Comparison:
    """One candidate; `champion` in tmp_path/old is added by those who want one."""
    for name in ("prep", "answers", "old"):
        (tmp_path / name).mkdir()
    (tmp_path / "prep/classes.json").write_text(json.dumps(classes))
    (tmp_path / "prep/held_out.jsonl").write_bytes(b"\n".join(lines))
    (tmp_path / "prep/trained_before.jsonl").touch()
    for key, rows in answers.items():
        (tmp_path / f"answers/{key}.out").write_text(json.dumps({"prediction": rows}))
    model = Model("pets-2", FolderStorage(tmp_path / "answers"), FolderStorage(tmp_path / "prep"), "prep/")
    pictures, output = FolderStorage(tmp_path / "judging"), FolderStorage(tmp_path / "evaluation")
    return Comparison("pets", model, None, pictures, "", output)


RIGHT = [0, 0.9, 0.1, 0, 0.6, 1]


def with_champion(order: Comparison, tmp_path: Path, trained: list[tuple[str, str]]) -> Comparison:
    """The candidate against a champion with the same answers; earlier runs have trained on some pictures."""
    lines = [json.dumps({"key": key, "blake3": digest}) + "\n" for key, digest in trained]
    (tmp_path / "prep/trained_before.jsonl").write_text("".join(lines))
    (tmp_path / "old/classes.json").write_text('["cat"]')
    champion = Model("pets-1", order.candidate.answers, FolderStorage(tmp_path / "old"), "old/")
    return replace(order, champion=champion)


def test_where_everything_was_trained_on_nobody_wins_against_nobody(tmp_path: Path) -> None:
    order = comparison(tmp_path, ["cat"], [line()], {"a.jpg": [RIGHT]})
    result = judge(with_champion(order, tmp_path, [("former.jpg", "00ff")]), say_nothing)
    assert (result.left_out, len(result.pictures), result.champion_run) == (0, 1, "pets-1")
    assert result.champion is not None
    assert "was trained on by an earlier run" in result.note
    page = evaluation_page(result, [])
    assert "was trained on by an earlier run" in page


def test_a_champion_of_fewer_classes_scores_nothing_for_those_it_lacks(tmp_path: Path) -> None:
    dog = BOX | {"class": "dog"}
    order = comparison(
        tmp_path,
        ["cat", "dog"],
        [line(), line("b.jpg", boxes=[dog], blake3="01")],
        {"a.jpg": [RIGHT], "b.jpg": [[1, *RIGHT[1:]]]},
    )
    result = judge(with_champion(order, tmp_path, []), say_nothing)
    assert result.candidate.summary.map == 1.0
    assert result.champion is not None
    assert [one.ap for one in result.champion.summary.classes] == [1.0, 0.0]
    # Both models gave the same answers, but the champion has no second class to mean by 1.
    assert result.champion.summary.unusable == 1


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("trained_before.jsonl", None, r"prep/ has no trained_before\.jsonl"),
        ("trained_before.jsonl", b"{}", r"Line 1 of trained_before\.jsonl is damaged"),
        ("held_out.jsonl", None, r"prep/ has no held_out\.jsonl"),
        ("held_out.jsonl", line(picture=None), "names no file of a.jpg to judge on"),
    ],
)
def test_without_what_the_preparation_must_say_nothing_is_judged(
    tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    order = comparison(tmp_path, ["cat"], [line()], {"a.jpg": [RIGHT]})
    if content is None:
        (tmp_path / "prep" / name).unlink()
    else:
        (tmp_path / "prep" / name).write_bytes(content)
    with pytest.raises(SourceError, match=reason):
        judge(order, say_nothing)


def test_pictures_without_boxes_cannot_judge(tmp_path: Path) -> None:
    order = comparison(tmp_path, ["cat"], [line(boxes=[])], {"a.jpg": [RIGHT]})
    with pytest.raises(SourceError, match="None of the 1 held-out pictures has a box"):
        judge(order, say_nothing)


def test_names_from_the_dataset_are_text_on_the_page(tmp_path: Path) -> None:
    nasty = '"><script>alert(1)</script>'
    classes = [nasty, *(f"class {number}" for number in range(30))]
    boxes = [BOX | {"class": nasty}, BOX | {"class": "class 3", "xmin": 70, "xmax": 90}]
    answers = [RIGHT, [7, 0.95, 0.7, 0, 0.9, 1]]
    order = comparison(tmp_path, classes, [line(boxes=boxes)], {"a.jpg": answers})
    result = judge(order, say_nothing)
    page = evaluation_page(result, [])
    assert "<script" not in page
    assert "&quot;&gt;&lt;script&gt;" in page
    # Too many classes for a matrix: the mistakes are listed.
    assert confusions(page) == [["class 3", "class 6", "1"]]


def confusions(page: str) -> list[list[str]]:
    """The rows of the list of confusions."""
    section = page.split('<section id="confusion">')[1].split("</section>")[0]
    body = section.split("<tbody>")[1].split("</tbody>")[0]
    rows = [row.split("</") for row in body.split("<tr>")[1:]]
    return [[cell.rpartition(">")[2] for cell in row[:3]] for row in rows]
