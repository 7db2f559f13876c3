"""Every command has help with an example; errors say what to do next; exit codes mean one thing each."""

import argparse
import json
from pathlib import Path

import pytest
from nestbox.states import ENDED

from cli.main import main, parser
from cli.options import Parser
from cli.watch import ENDS


def commands(root: Parser, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Parser]]:
    found = []
    for action in root._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                found.append(((*path, name), command))
                found += commands(command, (*path, name))
    return found


ALL = commands(parser())
LEAVES = [(path, command) for path, command in ALL if command.get_default("run")]


def test_the_commands_of_the_contract_are_there() -> None:
    names = {" ".join(path) for path, _ in LEAVES}
    assert names == {
        *("sample", "check", "pack", "export", "push", "watch", "datasets", "runs", "run", "detect"),
        *("token create", "token list", "token revoke"),
        *("promote", "rollback", "pin", "cancel", "start"),
    }


@pytest.mark.parametrize(("path", "command"), ALL, ids=[" ".join(path) for path, _ in ALL])
def test_every_command_has_help_with_an_example(
    path: tuple[str, ...], command: Parser, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*path, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "example:" in shown
    assert f"nestbox {' '.join(path)}" in shown.split("example:")[1]


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=[" ".join(path) for path, _ in LEAVES])
def test_every_command_speaks_json(path: tuple[str, ...], command: Parser) -> None:
    assert "--json" in command.format_help()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["sample"],
        ["sample", "x", "--images", "4"],
        ["sample", "x", "--images", "many"],
        ["check", "/no/such/folder"],
        ["export", ".", "out"],
        ["pack", "."],
        ["export", ".", "out", "--to", "paper"],
        ["push", ".", "No_Name"],
        ["push", ".", "a" * 33],
        ["detect", "a.jpg", "--threshold", "1.5"],
        ["detect", "a.jpg", "--threshold", "high"],
        ["token", "create", "me", "--scope", "everything"],
        ["runs", "--limit", "0"],
    ],
)
def test_wrong_usage_has_its_own_exit_code(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 64
    assert "--help" in capsys.readouterr().err


def test_every_end_of_a_run_has_its_own_exit_code() -> None:
    assert set(ENDS) == ENDED
    assert len(set(ENDS.values())) == len(ENDS)
    assert [state for state, code in ENDS.items() if code == 0] == ["SERVED"]
    assert not {1, 2, 64} & set(ENDS.values())


def test_without_a_local_aws_the_error_says_how_to_start_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setattr("cli.stack.CONNECTION_FILE", Path("nowhere/connection.json"))
    monkeypatch.chdir(tmp_path)
    assert main(["datasets", "--local"]) == 1
    assert "make local" in capsys.readouterr().err
    assert main(["datasets", "--local", "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert set(error) == {"code", "message", "hint"}
    assert "make local" in error["hint"]


def test_check_tells_clean_from_defects_from_unusable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "birds"
    assert main(["sample", str(folder), "--images", "25", "--json"]) == 0
    capsys.readouterr()
    assert main(["check", str(folder), "--json", "--html", str(tmp_path / "report.html")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {"images", "usable_images", "boxes", "classes", "splits", "formats", "defects"}
    assert told["images"] == told["usable_images"] == 25
    assert told["defects"] == []
    assert "<html" in (tmp_path / "report.html").read_text()

    images = sorted((folder / "images").rglob("*.jpg"))
    images[0].write_bytes(images[0].read_bytes()[:300])
    assert main(["check", str(folder), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["usable_images"] == 24
    assert {"code", "severity", "file", "where", "message", "hint"} == set(told["defects"][0])
    assert any(images[0].name in defect["file"] for defect in told["defects"])

    for image in images:
        image.unlink()
    assert main(["check", str(folder)]) == 2
    assert "unusable" in capsys.readouterr().out


def test_detect_names_a_missing_file_before_it_asks_anyone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["detect", "no-such.jpg", "--url", "http://127.0.0.1:9/v1", "--token", "nb_x"]) == 2
    assert "no-such.jpg" in capsys.readouterr().err
