"""What is kept of queues, tables, objects and events, and what becomes of what was torn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ministack.services import dynamodb, sqs

from local.errors import ServerError
from local.persistence.keeper import open_store
from local.persistence.leftovers import end_leftovers
from local.persistence.objects import undo_torn_writes
from local.persistence.outbox import Outbox
from local.persistence.queues import Queues
from local.persistence.store import Store
from local.persistence.tables import Tables

ARN = "arn:aws:sqs:us-east-1:000000000000:q"
URL = "http://localhost/000000000000/q"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "rows")


@pytest.fixture
def queue(store: Store, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A queue that keeps its messages."""
    monkeypatch.setattr(sqs, "_queues", sqs._queues)
    Queues(store).install()
    sqs._queues[URL] = {"attributes": {"QueueArn": ARN}, "is_fifo": False, "messages": []}
    found: dict[str, Any] = sqs._queues[URL]
    return found


def message(number: int, **members: Any) -> dict[str, Any]:
    return {"id": str(number), "body": str(number), "receive_count": 0, "sent_at": time.time(), **members}


def kept(store: Store) -> list[str]:
    return [key[1] for key, _ in store.read("messages")]


def test_a_message_is_kept_until_it_is_deleted(store: Store, queue: dict[str, Any]) -> None:
    for number in (1, 2):
        queue["messages"].append(message(number))
    assert kept(store) == ["1", "2"]
    queue["messages"][0]["receive_count"] = 1
    queue["messages"] = queue["messages"][1:]
    assert kept(store) == ["2"]
    assert [one["id"] for one in queue["messages"]] == ["2"]


def test_a_message_sent_while_another_is_deleted_is_not_lost(store: Store, queue: dict[str, Any]) -> None:
    queue["messages"].append(message(1, receive_count=1))
    others = [one for one in queue["messages"] if one["id"] != "1"]
    queue["messages"].append(message(2))
    queue["messages"] = others
    assert [one["id"] for one in queue["messages"]] == ["2"]
    assert kept(store) == ["2"]


def test_an_expired_message_goes_without_having_been_received(store: Store, queue: dict[str, Any]) -> None:
    queue["messages"].append(message(1, sent_at=time.time() - 3600))
    queue["messages"] = []
    assert kept(store) == []


def test_a_purged_or_deleted_queue_keeps_nothing(store: Store, queue: dict[str, Any]) -> None:
    queue["messages"].append(message(1))
    queue["messages"].clear()
    assert kept(store) == []
    queue["messages"].append(message(2))
    sqs._queues.pop(URL)
    assert kept(store) == []


def test_messages_come_back_as_they_were_sent(store: Store, queue: dict[str, Any]) -> None:
    queue["messages"].append(message(1, visible_at=1.5))
    queue["messages"][0].update(receive_count=3, visible_at=9e9, receipt_handle="r")
    state = Queues.state()
    Queues(store).install()
    Queues(store).restore(state)
    (back,) = sqs._queues[URL]["messages"]
    assert (back["receive_count"], back["visible_at"], back["receipt_handle"]) == (0, 1.5, None)


def write(path: Path, body: bytes, when: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    os.utime(path, (when, when))


def test_a_torn_put_is_undone_where_there_are_versions(tmp_path: Path) -> None:
    described = json.dumps({"key": "a/b", "version_id": "v1", "etag": "1"}).encode()
    write(tmp_path / "000000000000/bucket/a/b", b"bytes of a PUT that was never answered", 20)
    write(tmp_path / "000000000000/bucket/a/b.meta.json", described, 10)
    write(tmp_path / ".versions/000000000000/bucket/v1/a/b", b"before", 19)
    assert undo_torn_writes(tmp_path) == 1
    assert (tmp_path / "000000000000/bucket/a/b").read_bytes() == b"before"
    assert undo_torn_writes(tmp_path) == 0


def test_a_torn_put_of_a_new_object_leaves_none(tmp_path: Path) -> None:
    write(tmp_path / "000000000000/bucket/new", b"half", 20)
    write(tmp_path / "000000000000/bucket/other.tmp", b"", 20)
    assert undo_torn_writes(tmp_path) == 1
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_torn_put_without_versions_is_described_as_what_it_is(tmp_path: Path) -> None:
    write(tmp_path / "000000000000/bucket/k", b"new bytes", 20)
    write(tmp_path / "000000000000/bucket/k.meta.json", b'{"key": "k", "etag": "old", "size": 3}', 10)
    assert undo_torn_writes(tmp_path) == 1
    assert (tmp_path / "000000000000/bucket/k").read_bytes() == b"new bytes"
    # MiniStack makes an ETag of the bytes where none is described.
    assert json.loads((tmp_path / "000000000000/bucket/k.meta.json").read_text()) == {"key": "k", "size": 9}


def test_whole_objects_stay_as_they_are(tmp_path: Path) -> None:
    write(tmp_path / "000000000000/bucket/k", b"x", 10)
    write(tmp_path / "000000000000/bucket/k.meta.json", b'{"key": "k"}', 10)
    assert undo_torn_writes(tmp_path) == 0
    assert undo_torn_writes(tmp_path / "absent") == 0


def test_the_outbox_holds_what_was_not_delivered_and_numbers_on(store: Store) -> None:
    outbox = Outbox(store)
    first, second = outbox.add(("bus", 1)), outbox.add(("s3", 2))
    outbox.remove(first)
    again = Outbox(store)
    assert again.left("s3") == [(second, ("s3", 2))]
    assert again.left("bus") == []
    assert again.add(("bus", 3)) > second


def test_a_state_belongs_to_its_port(tmp_path: Path) -> None:
    open_store(tmp_path / "rows", 1).close()
    open_store(tmp_path / "rows", 1).close()
    with pytest.raises(ServerError, match=r"'port': 1.*'port': 2.*--fresh"):
        open_store(tmp_path / "rows", 2)


def test_leftovers_of_this_state_directory_are_ended_and_no_others(tmp_path: Path) -> None:
    sleep = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"]
    ours, others = (
        subprocess.Popen(sleep, env={"TMPDIR": str(place)}, stdout=subprocess.PIPE)
        for place in (tmp_path / "state/tmp", tmp_path / "state-of-another/tmp")
    )
    try:
        for process in (ours, others):
            assert process.stdout is not None
            process.stdout.readline()
        assert end_leftovers(tmp_path / "state") == 1
        assert ours.wait(20) == -9
        assert others.poll() is None
    finally:
        for process in (ours, others):
            process.kill()
            process.wait()


@pytest.fixture
def tables(store: Store, monkeypatch: pytest.MonkeyPatch) -> Tables:
    """Tables whose items are kept."""
    for name in ("_set_item", "_remove_item", "_items_replaced"):
        monkeypatch.setattr(dynamodb, name, getattr(dynamodb, name))
    kept_tables = Tables(store)
    kept_tables.install()
    return kept_tables


def table(*numbers: int) -> dict[str, Any]:
    items = defaultdict(dict, {number: {"": {"n": {"N": str(number)}}} for number in numbers})
    return {"TableArn": "arn", "items": items, "AttributeDefinitions": []}


def test_every_item_has_a_row(store: Store, tables: Tables) -> None:
    things = table()
    for number in (1, 2, 3):
        dynamodb._set_item(things, number, "", {"n": {"N": str(number)}})
    dynamodb._remove_item(things, 2, "")
    tables.flush()
    assert store.read("items of arn") == [((1, ""), {"n": {"N": "1"}}), ((3, ""), {"n": {"N": "3"}})]
    things["items"] = table(4)["items"]
    dynamodb._items_replaced(things)
    tables.flush()
    assert store.read("items of arn") == [((4, ""), {"n": {"N": "4"}})]


def test_nobody_goes_on_before_another_has_written_its_item(
    store: Store, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_all, writing, gone_on = store.put_all, threading.Event(), threading.Event()

    def slowly(rows: Any) -> None:
        writing.set()
        gone_on.wait(0.5)  # nobody does, so this is how long it takes
        put_all(rows)

    monkeypatch.setattr(store, "put_all", slowly)
    things = table()
    dynamodb._set_item(things, 1, "", {"n": {"N": "1"}})
    with ThreadPoolExecutor(1) as other:
        flushed = other.submit(tables.flush)
        assert writing.wait(20)
        tables.flush()
        gone_on.set()
        assert store.read("items of arn") == [((1, ""), {"n": {"N": "1"}})]
        flushed.result()
