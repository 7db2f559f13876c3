"""The file that outlives a server: rows, damage, and who may read it."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from local.errors import ServerError
from local.persistence.store import Store


def test_rows_come_back_in_the_order_they_were_first_written(tmp_path: Path) -> None:
    store = Store(tmp_path / "rows")
    store.put("a", {(2, "x"): {"n": 1}, (1, b"y"): [None, 2.5]})
    store.put("a", {(3,): "new", (2, "x"): {"n": 2}})
    store.put("b", {(2, "x"): "another kind"})
    store.close()
    assert Store(tmp_path / "rows").read("a") == [
        ((2, "x"), {"n": 2}),
        ((1, b"y"), [None, 2.5]),
        ((3,), "new"),
    ]


def test_none_removes_a_row_and_drop_all_of_a_kind(tmp_path: Path) -> None:
    store = Store(tmp_path / "rows")
    store.put("a", {(1,): "x", (2,): "y"})
    store.put("b", {(1,): "z"})
    store.put_all([("a", (1,), None), ("b", (2,), "w")])
    assert store.read("a") == [((2,), "y")]
    store.drop("a")
    assert store.read("a") == []
    assert store.read("b") == [((1,), "z"), ((2,), "w")]


def test_a_transaction_that_fails_leaves_everything_as_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path / "rows")
    store.put("a", {(1,): "x"})
    with pytest.raises(AttributeError):
        store.put("a", {(1,): "changed", (2,): lambda: None})
    assert store.read("a") == [((1,), "x")]


def test_a_closed_store_keeps_what_it_has(tmp_path: Path) -> None:
    store = Store(tmp_path / "rows")
    store.put("a", {(1,): "x"})
    store.close()
    store.put("a", {(1,): "late"})
    assert Store(tmp_path / "rows").read("a") == [((1,), "x")]


def test_what_put_returned_from_survives_a_sigkill(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from local.persistence.store import Store\n"
        "store = Store(Path(sys.argv[1]))\n"
        "for n in range(500):\n"
        "    store.put('a', {(n,): 'x' * n})\n"
        "os.kill(os.getpid(), 9)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path / "rows")], check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert Store(tmp_path / "rows").read("a") == [((n,), "x" * n) for n in range(500)]


def test_a_log_that_was_torn_costs_the_last_transaction_only(tmp_path: Path) -> None:
    store = Store(tmp_path / "rows")
    store.put("a", {(1,): "first"})
    store.put("a", {(2,): "y" * 20_000})
    log = (tmp_path / "rows-wal").read_bytes()
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "rows").write_bytes((tmp_path / "rows").read_bytes())
    (copy / "rows-wal").write_bytes(log[:-5_000])
    assert Store(copy / "rows").read("a") == [((1,), "first")]


def test_a_damaged_file_is_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(b"not a database, whatever its name may say" * 100)
    with pytest.raises(ServerError, match=r"rows.*--fresh"):
        Store(tmp_path / "rows")


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    Store(tmp_path / "rows").put("a", {(1,): "secret"})
    files = list(tmp_path.glob("rows*"))
    assert tmp_path / "rows-wal" in files
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
