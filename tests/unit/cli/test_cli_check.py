"""`nestbox check` as people read it: the verdict first, defects of a kind together, the costliest first."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from cli.check import examine, show
from cli.main import main
from cli.output import console
from dataprep_job.check import CheckReport
from dataprep_job.defects import Defect, Place

IMAGES = 25
XML = (
    "<annotation><size><width>32</width><height>24</height></size><object><name>Jay</name><bndbox>"
    "<xmin>4</xmin><ymin>4</ymin><xmax>20</xmax><ymax>20</ymax></bndbox></object></annotation>"
)


@pytest.fixture(scope="module")
def birds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labelled") / "birds"
    (folder / "train").mkdir(parents=True)
    (folder / "val").mkdir()
    for number in range(IMAGES):
        path = folder / ("val" if number % 5 == 0 else "train") / f"{number}.xml"
        path.write_text(XML)
        picture = Image.new("RGB", (32, 24), (number, 2 * number, 3 * number))
        picture.save(path.with_suffix(".png"))
    return folder


@pytest.fixture(scope="module")
def clean(birds: Path) -> CheckReport:
    return examine(birds, quiet=True)


def told(report: CheckReport, capsys: pytest.CaptureFixture[str]) -> list[str]:
    capsys.readouterr()
    show(console(), Path("birds"), report)
    return capsys.readouterr().out.splitlines()


def defects(code: str, count: int) -> list[Defect]:
    return [Defect(code, Place("a.xml", f"line {number}"), f"Message {number}.") for number in range(count)]


def test_a_clean_dataset_needs_two_lines_and_a_table(
    clean: CheckReport, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = told(clean, capsys)
    assert lines[0] == "birds: clean, nothing is wrong"
    assert lines[1].startswith("  25 images, all usable, ")
    assert lines[1].endswith("; Pascal VOC")
    assert lines[2].split() == ["class", "boxes", "train", "validation"]
    assert lines[-1].split()[0] == "images"


def test_defects_of_a_kind_are_told_once_with_the_first_places(
    clean: CheckReport, capsys: pytest.CaptureFixture[str]
) -> None:
    some = [*defects("box.zero-area", 203), *defects("image.truncated", 1), *defects("box.clipped", 5)]
    report = replace(clean, defects=some, errors=204, warnings=5, usable_images=24)
    lines = told(report, capsys)
    assert lines[0] == "birds: usable, with 204 errors and 5 warnings to look at; the costliest come first"
    assert "24 usable (1 left out for mistakes)" in lines[1]
    assert [line for line in lines if line.startswith(("error", "warning"))] == [
        "error Picture is cut off image.truncated",
        "error Box without area 203 times box.zero-area",
        "warning Box sticks out of the picture 5 times box.clipped",
    ]
    at = lines.index("error Box without area 203 times box.zero-area")
    assert lines[at + 1] == "  Draw the box again, or remove it."
    assert lines[at + 2] == "  • a.xml, line 0: Message 0."
    assert lines[at + 6] == "  • a.xml, line 4: Message 4."
    assert lines[at + 7] == "  and 198 more: --html or --json lists them"
    assert "more:" not in lines[-1]


def test_a_defect_that_stands_for_many_counts_for_many(
    clean: CheckReport, capsys: pytest.CaptureFixture[str]
) -> None:
    many = [Defect("image.unlabelled", Place("images/"), "No annotation speaks of 9 of them.", 9)]
    lines = told(replace(clean, images=34, defects=many, warnings=1), capsys)
    assert lines[0] == "birds: usable, nothing is lost; 1 warning to look at"
    assert "25 usable (9 not labelled)" in lines[1]
    assert "warning Pictures without annotation 9 times image.unlabelled" in lines


def test_why_nothing_can_be_trained_comes_first(
    clean: CheckReport, capsys: pytest.CaptureFixture[str]
) -> None:
    report = replace(clean, blocked=["The train split is empty: add some."], usable_images=0, classes={})
    lines = told(report, capsys)
    assert lines[:2] == ["birds: unusable, nothing could be trained", "  The train split is empty: add some."]


def test_what_an_annotator_wrote_is_no_markup(clean: CheckReport, capsys: pytest.CaptureFixture[str]) -> None:
    evil = [Defect("image.truncated", Place("[red]a.jpg"), "[/bold] [link=x]y[/link]")]
    lines = told(replace(clean, defects=evil, errors=1), capsys)
    assert "  • [red]a.jpg: [/bold] [link=x]y[/link]" in lines


def test_the_page_is_written_and_named(
    birds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "new" / "report.html"
    assert main(["check", str(birds), "--html", str(page)]) == 0
    assert f"report with pictures: {page}" in capsys.readouterr().out
    assert "<figure" in page.read_text(encoding="utf-8")


def test_json_is_nothing_but_json(birds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(birds), "--json", "--html", str(tmp_path / "report.html")]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == IMAGES
