"""`nestbox sample`: the same bytes every time, and boxes that are true."""

import hashlib
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from cli.drawing.cub import write_dataset
from cli.drawing.picture import SIZES, draw_picture
from cli.drawing.placement import SMALLEST
from cli.drawing.species import SPECIES
from cli.main import EPILOG, main
from cli.sample import DEFAULT_SEED
from dataprep_job.check import check_folder

IMAGES = 25
SEED = 3


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows(folder: Path, name: str) -> list[list[str]]:
    return [line.split() for line in (folder / name).read_text().splitlines()]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    write_dataset(folder, IMAGES, SEED)
    return folder


def test_the_same_seed_draws_the_same_bytes(drawn: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path, IMAGES, SEED)
    assert digests(tmp_path) == digests(drawn)


def test_another_seed_draws_other_pictures(drawn: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path, 5, SEED + 1)
    assert not set(digests(tmp_path / "images").values()) & set(digests(drawn / "images").values())


def test_a_larger_dataset_holds_the_smaller_one(drawn: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path, 5, SEED)
    small, large = digests(tmp_path / "images"), digests(drawn / "images")
    assert len(small) == 5
    assert small.items() <= large.items()
    for table in ("images.txt", "train_test_split.txt", "bounding_boxes.txt", "image_class_labels.txt"):
        start = (tmp_path / table).read_text()
        assert (drawn / table).read_text().startswith(start)


def test_one_picture_in_five_is_held_out_and_every_species_leads_as_often(drawn: Path) -> None:
    train = [row[1] for row in rows(drawn, "train_test_split.txt")]
    assert train.count("0") == IMAGES // 5
    assert train.count("1") == IMAGES - IMAGES // 5
    leaders = [row[1].split("/")[0] for row in rows(drawn, "images.txt")]
    assert {leaders.count(species.name) for species in SPECIES} == {IMAGES // len(SPECIES)}


def test_labels_and_boxes_come_in_pairs_inside_their_pictures(drawn: Path) -> None:
    boxes, labels = rows(drawn, "bounding_boxes.txt"), rows(drawn, "image_class_labels.txt")
    assert [row[0] for row in boxes] == [row[0] for row in labels]
    assert {row[1] for row in labels} <= {row[0] for row in rows(drawn, "classes.txt")}
    paths = {row[0]: row[1] for row in rows(drawn, "images.txt")}
    assert {row[0] for row in boxes} == set(paths)
    for image, *numbers in boxes:
        height, width = cv2.imread(str(drawn / "images" / paths[image])).shape[:2]
        assert (height, width) in SIZES
        x, y, w, h = (float(number) for number in numbers)
        assert 0 <= x < x + w <= width
        assert 0 <= y < y + h <= height


def test_the_preparation_finds_nothing_wrong_with_it(drawn: Path) -> None:
    report = check_folder(drawn)
    assert report.defects == []
    assert report.usable_images == IMAGES
    assert list(report.classes) == [species.name for species in SPECIES]
    assert report.splits["validation"] == IMAGES // 5


@pytest.mark.parametrize("number", range(12))
def test_boxes_are_tight_around_what_can_be_seen(number: int) -> None:
    picture = draw_picture(np.random.default_rng([11, number]), number % len(SPECIES))
    assert picture.boxes
    for box, mask in zip(picture.boxes, picture.masks, strict=True):
        seen = mask >= 128
        assert not seen[: box.y0].any()
        assert not seen[box.y1 :].any()
        assert not seen[:, : box.x0].any()
        assert not seen[:, box.x1 :].any()
        inside = seen[box.y0 : box.y1, box.x0 : box.x1]
        assert inside[0].any()
        assert inside[-1].any()
        assert inside[:, 0].any()
        assert inside[:, -1].any()
        share = ((box.x1 - box.x0) * (box.y1 - box.y0) / (picture.height * picture.width)) ** 0.5
        assert share > SMALLEST / 2


def test_the_bird_is_where_its_mask_says() -> None:
    """Pixels under the masks differ from the scene around them: the labels belong to this picture."""
    differences = []
    for number in range(6):
        picture = draw_picture(np.random.default_rng([5, number]), number % len(SPECIES))
        pixels = cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR).astype(float)
        for mask in picture.masks:
            bird = mask > 200
            ring = (cv2.dilate(mask, np.ones((9, 9), np.uint8)) > 0) & (mask == 0)
            differences.append(np.abs(pixels[bird].mean(axis=0) - pixels[ring].mean(axis=0)).max())
    assert np.median(differences) > 25


def test_the_command_says_what_it_drew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "birds"
    assert main(["sample", str(folder), "--images", "5", "--seed", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["images"] == 5
    assert told["train_images"] == 4
    assert told["test_images"] == 1
    assert told["boxes"] == sum(told["class_boxes"].values()) == len(rows(folder, "bounding_boxes.txt"))


def test_a_folder_with_something_in_it_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["sample", str(tmp_path)]) == 2
    assert "--force" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_picture_that_the_help_names_is_drawn(tmp_path: Path) -> None:
    write_dataset(tmp_path, 5, DEFAULT_SEED)
    named = re.search(r"birds/(images/\S+\.jpg)", EPILOG)
    assert named
    assert (tmp_path / named[1]).is_file()
