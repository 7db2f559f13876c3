"""Reading /opt/ml, and the failure file."""

import json
from pathlib import Path

import pytest

from detector.errors import ChannelError
from detector.opt_ml import OptMl


@pytest.fixture
def layout(tmp_path: Path) -> OptMl:
    (tmp_path / "input" / "config").mkdir(parents=True)
    return OptMl(tmp_path)


def configure(layout: OptMl, name: str, content: object) -> None:
    (layout.root / "input" / "config" / f"{name}.json").write_text(json.dumps(content))


def test_hyperparameters_are_strings_whatever_the_json_says(layout: OptMl) -> None:
    configure(layout, "hyperparameters", {"epochs": 3, "optimizer": "sgd"})
    assert layout.hyperparameters() == {"epochs": "3", "optimizer": "sgd"}


def test_missing_or_broken_configuration_is_told(layout: OptMl) -> None:
    with pytest.raises(ChannelError, match=r"hyperparameters\.json is missing"):
        layout.hyperparameters()
    (layout.root / "input/config/hyperparameters.json").write_text("{")
    with pytest.raises(ChannelError, match="is no JSON"):
        layout.hyperparameters()
    configure(layout, "hyperparameters", [])
    with pytest.raises(ChannelError, match="must hold a JSON object"):
        layout.hyperparameters()


def test_records_are_found_anywhere_in_the_channel(layout: OptMl) -> None:
    folder = layout.root / "input/data/train/deep"
    folder.mkdir(parents=True)
    for name in ("b.rec", "a.rec", "a.idx"):
        (folder / name).touch()
    assert [path.name for path in layout.records("train")] == ["a.rec", "b.rec"]


def test_missing_and_empty_channels_are_told_apart(layout: OptMl) -> None:
    with pytest.raises(ChannelError, match="'validation' is missing"):
        layout.records("validation")
    (layout.root / "input/data/validation").mkdir(parents=True)
    with pytest.raises(ChannelError, match=r"holds no \.rec file"):
        layout.records("validation")


def test_content_type_and_mode_are_checked(layout: OptMl) -> None:
    (layout.root / "input/data/train").mkdir(parents=True)
    (layout.root / "input/data/train/a.rec").touch()
    configure(layout, "inputdataconfig", {"train": {"ContentType": "application/x-recordio"}})
    assert layout.records("train")
    configure(layout, "inputdataconfig", {"train": {"ContentType": "image/jpeg"}})
    with pytest.raises(ChannelError, match="content type image/jpeg"):
        layout.records("train")
    configure(layout, "inputdataconfig", {"train": {"TrainingInputMode": "Pipe"}})
    with pytest.raises(ChannelError, match="Pipe mode"):
        layout.records("train")


def test_defaults_without_resource_configuration(layout: OptMl) -> None:
    assert (layout.host(), layout.hosts(), layout.checkpoints, layout.previous_model()) == (
        "algo-1",
        1,
        None,
        None,
    )
    configure(layout, "resourceconfig", {"current_host": "algo-2", "hosts": ["algo-1", "algo-2"]})
    assert (layout.host(), layout.hosts()) == ("algo-2", 2)


def test_an_empty_model_channel_is_none(layout: OptMl) -> None:
    (layout.root / "input/data/model").mkdir(parents=True)
    assert layout.previous_model() is None


def test_the_failure_fits_what_sagemaker_shows(layout: OptMl) -> None:
    layout.write_failure("ClientError: " + "x" * 2000)
    text = layout.failure.read_text()
    assert len(text) == 1024
    assert text.startswith("ClientError: ")
    assert text.endswith("…")


@pytest.mark.parametrize("channel", ["train", "model"])
def test_a_channel_that_is_a_file_is_told(layout: OptMl, channel: str) -> None:
    (layout.root / "input/data").mkdir(parents=True, exist_ok=True)
    (layout.root / "input/data" / channel).write_bytes(b"records")
    with pytest.raises(ChannelError, match=f"channel '{channel}' is a file; give the S3 prefix"):
        layout.previous_model() if channel == "model" else layout.records(channel)


def test_a_configuration_that_cannot_be_read_is_told(layout: OptMl) -> None:
    (layout.root / "input/config/hyperparameters.json").mkdir(parents=True)
    with pytest.raises(ChannelError, match=r"hyperparameters.json cannot be read: Is a directory"):
        layout.hyperparameters()
