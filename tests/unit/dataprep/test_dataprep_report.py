"""What people read: defects, the check's JSON, reasons for blocking, the page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import dataprep_job
from dataprep_job.check import CheckReport
from dataprep_job.defect_groups import group_defects
from dataprep_job.defect_kinds import KINDS
from dataprep_job.defects import LISTED_PER_CODE, Defect, DefectLog, Place

Files = dict[str, bytes]
Check = Callable[..., CheckReport]


def test_every_code_in_the_package_is_registered_and_every_registered_code_is_used() -> None:
    folder = Path(dataprep_job.__file__).parent
    sources = [path for path in folder.rglob("*.py") if not {"defect_kinds", "report_page"} & {*path.parts}]
    prefixes = "|".join({code.partition(".")[0] for code in KINDS})
    used = {
        code
        for path in sources
        for code in re.findall(rf'"((?:{prefixes})\.[a-z0-9-]+)"', path.read_text())
        if not code.endswith((".txt", ".json"))
    }
    assert used == set(KINDS)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.code)
def test_every_kind_has_words_for_people(kind: object) -> None:
    code, title, hint = (getattr(kind, name) for name in ("code", "title", "hint"))
    assert re.fullmatch(r"[a-z0-9]+\.[a-z0-9-]+", code)
    # A capital at the start, or the name of a field or file as it is spelled.
    assert title[0].isupper() or not re.match(r"[a-z]+\b(?!\.)", title)
    assert not title.endswith(".")
    assert hint.endswith(".")


def test_an_unregistered_code_is_a_programming_error() -> None:
    with pytest.raises(KeyError, match=r"no\.such"):
        DefectLog().add("no.such", Place("a"), "x")


def test_a_mistake_made_everywhere_does_not_fill_memory() -> None:
    log = DefectLog()
    for number in range(LISTED_PER_CODE + 50):
        log.add("box.zero-area", Place("a.xml", f"line {number}"), "flat")
    listed = log.listed()
    assert len(listed) == LISTED_PER_CODE + 1
    assert "50 more" in listed[-1].message
    assert log.count("error") == LISTED_PER_CODE + 50


def test_what_is_not_listed_counts_for_as_many_as_it_stands_for() -> None:
    log = DefectLog()
    for number in range(LISTED_PER_CODE + 3):
        log.append(Defect("class.without-name", Place("a.txt", f"line {number}"), "No name.", count=7))
    assert group_defects(log.listed())[0].count == 7 * (LISTED_PER_CODE + 3)
    assert log.listed()[-1].message == "21 more of these are not listed."
    assert DefectLog.from_dict(json.loads(json.dumps(log.to_dict()))).listed() == log.listed()


def test_few_alike_are_listed_singly_and_many_together() -> None:
    log = DefectLog()
    log.add_together("image.unlabelled", [(Place("a/1.jpg"), "1"), (Place("a/2.jpg"), "2")], "No: {subject}.")
    assert [defect.message for defect in log.listed()] == ["No: 1.", "No: 2."]
    log.add_together(
        "image.background", [(Place(f"a/b/{n}.jpg"), str(n)) for n in range(9)], "No: {subject}."
    )
    many = log.listed()[-1]
    assert (many.place.file, many.count) == ("a/b/", 9)
    assert many.message == "No: 0, 1, 2, 3, 4 and 4 more."


def test_a_saved_log_says_the_same() -> None:
    log = DefectLog()
    log.add("labels.conflict", Place("a.xml", "line 3"), "Differs.", images=("a.jpg", "b.jpg"))
    log.add_together("image.background", [(Place(f"{n}.jpg"), str(n)) for n in range(9)], "No: {subject}.")
    for number in range(LISTED_PER_CODE + 2):
        log.add("box.zero-area", Place("a.xml", f"line {number}"), "flat")
    again = DefectLog.from_dict(json.loads(json.dumps(log.to_dict())))
    assert again.listed() == log.listed()
    assert again.count("error") == log.count("error") == LISTED_PER_CODE + 3


@pytest.mark.parametrize(
    ("count", "named"), [(4, "0, 1, 2 and 3"), (5, "0, 1, 2, 3 and 4"), (6, "0, 1, 2, 3, 4 and 1 more")]
)
def test_a_bundle_names_the_first_few(count: int, named: str) -> None:
    log = DefectLog()
    log.add_together(
        "image.background", [(Place(f"{n}.jpg"), str(n)) for n in range(count)], "No: {subject}."
    )
    assert [(defect.message, defect.count) for defect in log.listed()] == [(f"No: {named}.", count)]


def test_json_has_exactly_the_promised_shape(voc: Files, checked: Check) -> None:
    voc["JPEGImages/a1.jpg"] = b""
    document = json.loads(checked(voc).to_json())
    assert list(document) == ["images", "usable_images", "boxes", "classes", "splits", "formats", "defects"]
    assert document["splits"] == {"train": 7, "validation": 2}
    (defect,) = document["defects"]
    assert list(defect) == ["code", "severity", "file", "where", "message", "hint"]


def test_an_empty_dataset_is_blocked_for_a_reason(checked: Check) -> None:
    assert checked({}).blocked == ["The dataset is empty: upload pictures and their annotations."]


def test_no_annotations_is_blocked_for_a_reason(picture: Callable[..., bytes], checked: Check) -> None:
    (reason,) = checked({"a.jpg": picture(), "b.jpg": picture()}).blocked
    assert reason.startswith("No annotations were recognised among 2 files")


def test_more_than_a_fifth_unusable_is_blocked_with_numbers(voc: Files, checked: Check) -> None:
    for number in (1, 2):
        voc[f"JPEGImages/a{number}.jpg"] = b"\0"
    assert checked(voc).blocked == []
    del voc["JPEGImages/a3.jpg"]
    (reason,) = checked(voc).blocked
    assert reason.startswith("3 of 10 annotated pictures cannot be used (30%, more than 20%)")


def test_an_empty_split_is_blocked(voc: Files, checked: Check) -> None:
    voc["ImageSets/Main/train.txt"] = b""
    voc["ImageSets/Main/val.txt"] = b"".join(f"a{n}\n".encode() for n in range(10))
    (reason,) = checked(voc).blocked
    assert reason.startswith("The train split is empty")


def test_no_class_left_is_blocked(voc: Files, checked: Check) -> None:
    voc["nestbox.yaml"] = b"classes: {ignore: [dog]}"
    (reason,) = checked(voc).blocked
    assert reason.startswith("No class is left")


def test_pictures_not_labelled_yet_do_not_block(
    voc: Files, picture: Callable[..., bytes], checked: Check
) -> None:
    for number in range(100):
        voc[f"JPEGImages/later{number}.jpg"] = picture(seed=1000 + number)
    report = checked(voc)
    assert report.blocked == []
    assert [(defect.code, defect.count) for defect in report.defects] == [("image.unlabelled", 100)]


def test_a_class_without_training_boxes_is_named(
    voc: Files, xml: Callable[..., bytes], checked: Check
) -> None:
    voc["Annotations/a0.xml"] = xml([("cat", 11, 21, 60, 70)])
    voc["Annotations/a1.xml"] = xml([("cow", 11, 21, 60, 70)])
    found = {(defect.code, defect.message.split()[0]) for defect in checked(voc).defects}
    assert found == {("class.not-in-train", "'cat'"), ("class.not-in-validation", "'cow'")}
