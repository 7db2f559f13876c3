"""The natural dirt of real data sets is found, and mutated copies of them never stop the reading."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dataprep_job.check import CheckReport, check_folder

FUZZED = 60


def test_bccd_has_two_boxes_without_area(bccd: Path) -> None:
    report = check_folder(bccd)
    assert [(defect.code, defect.place.file) for defect in report.defects] == [
        ("box.zero-area", "Annotations/BloodImage_00338.xml"),
        ("box.zero-area", "Annotations/BloodImage_00343.xml"),
    ]
    assert (report.images, report.usable_images, report.boxes) == (364, 364, 4886)
    assert report.splits == {"train": 205, "validation": 87, "test": 72}
    assert report.formats == ["voc"]
    assert not report.validation_is_test


def test_cub_subset_has_leftover_ids(cub_3_species: Path) -> None:
    report = check_folder(cub_3_species)
    assert [(defect.code, defect.place.file, defect.count) for defect in report.defects] == [
        ("cub.orphan-id", "image_class_labels.txt", 11_615),
        ("cub.orphan-id", "train_test_split.txt", 11_615),
    ]
    assert (report.images, report.usable_images, report.boxes) == (173, 173, 173)
    assert list(report.classes) == [
        "001.Black_footed_Albatross",
        "004.Groove_billed_Ani",
        "007.Parakeet_Auklet",
    ]
    assert report.splits == {"train": 90, "validation": 83}


def copy_some(source: Path, target: Path, pattern: str, count: int) -> None:
    for path in sorted(source.rglob(pattern))[:count]:
        where = target / path.relative_to(source)
        where.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, where)


def mutate(data: bytes, rng: random.Random) -> bytes:
    """A few edits of the kinds that editors, disks and people make."""
    mutated = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(mutated) + 1)
        match rng.randrange(6):
            case 0:
                mutated[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del mutated[at : at + rng.randint(1, 40)]
            case 2:
                mutated[at:at] = rng.choice(
                    [b"\0", b"\xff\xfe", b"-", b"nan", b"<", b"&a;", b"\n", b"../", b"9" * 400]
                )
            case 3:
                mutated[at:at] = mutated[at // 2 : at // 2 + rng.randint(1, 60)]
            case 4:
                del mutated[at:]
            case 5:
                mutated = mutated.swapcase()
    return bytes(mutated)


def survives(folder: Path) -> CheckReport:
    report = check_folder(folder)
    assert report.usable_images <= report.images
    assert report.boxes == sum(report.classes.values())
    assert sum(report.splits.values()) == report.usable_images
    report.to_json()
    return report


@pytest.mark.parametrize("part", ["annotations", "pictures"])
def test_mutated_voc_files_never_stop_the_reading(bccd: Path, tmp_path: Path, part: str) -> None:
    for number in range(6):
        name = f"BloodImage_{number:05}"
        copy_some(bccd, tmp_path, f"{name}.*", 2)
    copy_some(bccd, tmp_path, "train.txt", 1)
    targets = sorted(tmp_path.rglob("*.jpg" if part == "pictures" else "*.[xt]*"))
    originals = {path: path.read_bytes() for path in targets}
    rng = random.Random(20261124)
    for _ in range(FUZZED):
        path = rng.choice(targets)
        path.write_bytes(mutate(originals[path], rng))
        report = survives(tmp_path)
        assert report.usable_images >= 5
        path.write_bytes(originals[path])


def test_mutated_cub_files_never_stop_the_reading(
    cub_3_species: Path, tmp_path: Path, drawn: Callable[..., dict[str, bytes]]
) -> None:
    copy_some(cub_3_species, tmp_path, "*.txt", 99)
    copy_some(cub_3_species, tmp_path, "*.jpg", 4)
    texts = {path: b"".join(path.read_bytes().splitlines(True)[:200]) for path in tmp_path.glob("*.txt")}
    rng = random.Random(20261125)
    for path, data in texts.items():
        path.write_bytes(data)
    for _ in range(FUZZED):
        path = rng.choice(sorted(texts))
        path.write_bytes(mutate(texts[path], rng))
        survives(tmp_path)
        path.write_bytes(texts[path])
    assert survives(tmp_path).usable_images == 4


def test_links_that_lead_out_of_a_folder_are_refused(bccd: Path, tmp_path: Path) -> None:
    copy_some(bccd, tmp_path, "BloodImage_0000*.*", 30)
    outside = tmp_path.parent / "secret.jpg"
    outside.write_bytes(b"secret")
    (tmp_path / "JPEGImages" / "link.jpg").symlink_to(outside)
    codes = [(defect.code, defect.place.file) for defect in check_folder(tmp_path).defects]
    assert codes == [("path.outside", "JPEGImages/link.jpg")]
