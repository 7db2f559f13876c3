"""What `make demo` leaves to look at."""

import io
from pathlib import Path
from xml.etree import ElementTree

import pytest
from nestbox.api.boxes import Box, Detection
from nestbox.names import is_dataset_name
from nestbox.tables import EpochRow
from PIL import Image

from local.demo import _name_for
from local.demo_pictures import Truth, annotated, contact_sheet, epochs_chart, found_of


def detection(name: str, *corners: float, score: float = 0.9) -> Detection:
    return Detection(name, score, Box(*corners))


def test_nothing_true_nothing_found() -> None:
    assert found_of([], []) == 0
    assert found_of([], [detection("Jay", 0, 0, 10, 10)]) == 0
    assert found_of([Truth("Jay", 0, 0, 10, 10)], []) == 0


def test_an_object_is_found_once_by_a_box_of_its_class_that_overlaps_enough() -> None:
    truth = [Truth("Jay", 0, 0, 10, 10), Truth("Gull", 20, 0, 30, 10)]
    assert found_of(truth, [detection("Jay", 0, 0, 10, 10), detection("Jay", 0, 0, 10, 10)]) == 1
    assert found_of(truth, [detection("Gull", 0, 0, 10, 10)]) == 0  # another class
    assert found_of(truth, [detection("Jay", 0, 0, 10, 4)]) == 0  # IoU 0.4
    assert found_of(truth, [detection("Jay", 0, 0, 10, 5)]) == 1  # IoU 0.5
    assert found_of(truth, [detection("Gull", 21, 0, 31, 10), detection("Jay", 0, 0, 9, 9)]) == 2


def test_pictures_are_enlarged_with_their_boxes(tmp_path: Path) -> None:
    Image.new("RGB", (96, 48), (90, 140, 90)).save(tmp_path / "a.jpg", quality=95)
    jpeg = annotated(tmp_path / "a.jpg", [Truth("Jay", 10, 10, 40, 40)], [detection("Jay", 48, 8, 90, 40)])
    picture = Image.open(io.BytesIO(jpeg))
    assert picture.size == (960, 480)
    red, green, blue = picture.getpixel((100, 250))  # the left edge of the true box, ten times as far out
    assert min(red, green, blue) > 180
    assert picture.getpixel((700, 80)) != picture.getpixel((300, 240))  # the upper edge of the detection


def test_a_contact_sheet_holds_all_pictures() -> None:
    cell = io.BytesIO()
    Image.new("RGB", (60, 40), "red").save(cell, "JPEG")
    for count, (columns, rows) in {1: (1, 1), 4: (4, 1), 5: (4, 2)}.items():
        sheet = Image.open(io.BytesIO(contact_sheet([cell.getvalue()] * count)))
        assert sheet.size == (columns * 490 + 10, rows * 410 + 10)


AT = "2026-11-30T18:00:00Z"


def epochs(*maps: float | None) -> list[EpochRow]:
    return [
        EpochRow("r", number, validation_map=value, train_cross_entropy=3.0 / (number + 1), at=AT)
        for number, value in enumerate(maps)
    ]


@pytest.mark.parametrize("rows", [epochs(), epochs(None), epochs(0.5), epochs(None, 0.2, 0.9, 0.7)])
def test_the_chart_is_an_svg_with_a_point_for_each_known_value(rows: list[EpochRow]) -> None:
    chart = ElementTree.fromstring(epochs_chart("birds & cells <1>", rows))
    assert chart.tag.endswith("svg")
    names = [text.text for text in chart.iter("{http://www.w3.org/2000/svg}text")]
    assert "birds & cells <1>" in names
    lines = [line.get("points").split() for line in chart.iter("{http://www.w3.org/2000/svg}polyline")]
    known = [row for row in rows if row.validation_map is not None]
    assert len(lines[0]) == len(known)
    for point in (point for line in lines for point in line):
        x, y = map(float, point.split(","))
        assert 0 <= x <= 860
        assert 0 <= y <= 400
    if known:
        assert f"{max(row.validation_map for row in known):.3f}" in names


@pytest.mark.parametrize(
    ("data", "name"),
    [(None, "birds"), ("../shared/bccd", "bccd"), ("/x/My Birds_2026/", "my-birds-2026"), ("/x/___", "data")],
)
def test_a_dataset_is_named_after_its_folder(data: str | None, name: str) -> None:
    assert _name_for(data) == name
    assert is_dataset_name(name)


def test_long_folder_names_are_cut_to_a_dataset_name() -> None:
    assert is_dataset_name(_name_for("/x/" + "ab-" * 40))
