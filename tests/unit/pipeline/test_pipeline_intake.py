"""What a batch of upload events asks for: one look at each dataset, and a note of what belongs to none."""

from datetime import UTC, datetime
from unittest.mock import Mock

import pytest
from nestbox.events import Upload
from nestbox.steps.intake import Intake, IntakeBatch

AT = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.fixture
def intake() -> Mock:
    stand_in = Mock(spec=Intake)
    stand_in.pend.return_value = "to be settled"
    return stand_in


def note(intake: Mock, *uploads: tuple[str, bool]) -> tuple[list[str], IntakeBatch]:
    batch = IntakeBatch(intake)
    return [batch.note(Upload(key=key, at=AT, deleted=deleted)) for key, deleted in uploads], batch


def test_a_dataset_is_looked_at_once_and_once_more_when_it_is_ready(intake: Mock) -> None:
    told, batch = note(
        intake,
        ("datasets/birds/a.jpg", False),
        ("datasets/birds/b.jpg", False),
        ("datasets/birds/_READY", False),
        ("datasets/cats/c.jpg", False),
        ("datasets/birds/d.jpg", False),
    )
    assert told == ["to be settled"] * 5
    looks = [(call.args[0], call.kwargs["ready"]) for call in intake.pend.call_args_list]
    assert looks == [("birds", False), ("birds", True), ("cats", False)]
    assert batch.finish() == []
    intake.reject.assert_not_called()


def test_what_was_deleted_changes_a_dataset_too(intake: Mock) -> None:
    assert note(intake, ("datasets/birds/a.jpg", True))[0] == ["to be settled"]
    intake.pend.assert_called_once_with("birds", uploaded_at=AT, ready=False)


def test_taking_the_marker_away_starts_nothing(intake: Mock) -> None:
    assert note(intake, ("datasets/birds/_READY", True))[0] == ["_READY was taken away"]
    intake.pend.assert_not_called()


@pytest.mark.parametrize("key", ["datasets/birds/images/", "datasets/", "elsewhere/"])
def test_folders_that_consoles_make_are_nothing(intake: Mock, key: str) -> None:
    told, batch = note(intake, (key, False))
    assert told == ["a folder, no object"]
    assert (batch.finish(), batch.stray_objects) == ([], 0)
    intake.pend.assert_not_called()


def test_what_belongs_to_no_dataset_is_written_down_unless_it_is_gone(intake: Mock) -> None:
    told, batch = note(
        intake,
        ("datasets/Not A Name/a.jpg", False),
        ("datasets/Not A Name/b.jpg", False),
        ("datasets/Gone Name/c.jpg", True),
    )
    assert told[2] == "a deletion outside the datasets"
    assert batch.stray_objects == 2
    assert batch.finish() == intake.reject.return_value
    [strays] = intake.reject.call_args.args
    assert [stray.folder for stray in strays] == ["datasets/Not A Name/"]
    intake.pend.assert_not_called()
