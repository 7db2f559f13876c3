"""Numbers, times and bars as people see them."""

import stat
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli import credentials
from cli.check import examine, show
from cli.detect import drawn_files
from cli.errors import CliError, UsageError
from cli.output import bar, console, duration, number, plural, size, sparkline


def test_sparkline_maps_0_to_the_lowest_and_1_to_the_highest_bar() -> None:
    assert sparkline([0.0, 0.5, 1.0]) == "▁▅█"
    assert sparkline([]) == ""


@given(st.floats(-1, 2), st.integers(1, 40))
def test_a_bar_is_never_longer_than_its_width(value: float, width: int) -> None:
    assert len(bar(value, width)) <= width


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.25, "4.2 s"), (65, "1 min 05 s"), (7380, "2 h 03 min"), (59.99, "60.0 s")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_what_is_unknown_is_a_dash_and_never_zero() -> None:
    assert number(None) == "-"
    assert bar(None) == ""


def test_plurals_and_sizes() -> None:
    assert plural(1, "box") == "1 box"
    assert plural(2, "box") == "2 boxes"
    assert plural(1200, "image") == "1,200 images"
    assert size(999) == "999 B"
    assert size(12_345_678) == "12.3 MB"


def test_drawn_files_never_share_a_name(tmp_path: Path) -> None:
    images = [Path("a/x.jpg"), Path("b/x.png"), Path("c/y.jpg")]
    targets = drawn_files(images, tmp_path)
    assert targets == {
        images[0]: tmp_path / "x.jpg",
        images[1]: tmp_path / "x-2.jpg",
        images[2]: tmp_path / "y.jpg",
    }


def test_one_picture_may_be_written_to_a_file_and_several_may_not(tmp_path: Path) -> None:
    assert drawn_files([Path("x.jpg")], tmp_path / "y.jpg") == {Path("x.jpg"): tmp_path / "y.jpg"}
    with pytest.raises(UsageError, match="no folder"):
        drawn_files([Path("x.jpg"), Path("z.jpg")], tmp_path / "y.jpg")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX file modes")
def test_kept_tokens_are_readable_by_their_owner_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert credentials.load("https://a/v1") is None
    file = credentials.save("https://a/v1", "nb_a", "me")
    credentials.save("https://b/v1", "nb_b", "me")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert credentials.load("https://a/v1") == "nb_a"
    assert credentials.load("https://b/v1") == "nb_b"
    file.chmod(0o644)
    with pytest.raises(CliError, match="other users") as refused:
        credentials.load("https://a/v1")
    assert "chmod 600" in refused.value.hint


def test_what_an_annotator_wrote_is_shown_as_it_is_and_is_no_markup(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "[red].xml").write_text(
        "<annotation><filename>[bold]gone.jpg</filename>"
        "<object><name>[/bold]</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
        "</object></annotation>"
    )
    report = examine(tmp_path, quiet=True)
    show(console(), tmp_path, report)
    told = capsys.readouterr().out
    assert "Annotations/[red].xml" in told
    assert "[bold]gone.jpg" in told
