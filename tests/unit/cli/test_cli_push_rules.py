"""What `push` uploads, leaves and deletes."""

import hashlib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from cli import push
from cli.push import LocalFile, RemoteObject, differences, etag, list_folder


def local(key: str, size: int = 3) -> LocalFile:
    return LocalFile(Path(key), key, size)


def test_compares_by_size_first_and_by_etag_only_then() -> None:
    hashed: list[str] = []

    def etag_of(file: LocalFile) -> str:
        hashed.append(file.key)
        return f"etag-{file.key}"

    files = [local("new.jpg"), local("grown.jpg", 4), local("same.jpg"), local("edited.jpg")]
    remote = {
        "grown.jpg": RemoteObject(3, "etag-grown.jpg"),
        "same.jpg": RemoteObject(3, "etag-same.jpg"),
        "edited.jpg": RemoteObject(3, "other"),
        "gone.jpg": RemoteObject(3, "etag-gone.jpg"),
    }
    plan = differences(files, remote, etag_of)
    assert [file.key for file in plan.changed] == ["edited.jpg", "grown.jpg", "new.jpg"]
    assert [file.key for file in plan.unchanged] == ["same.jpg"]
    assert list(plan.gone) == ["gone.jpg"]
    assert sorted(hashed) == ["edited.jpg", "same.jpg"]


def test_annotations_go_up_after_their_images() -> None:
    files = [local("a.xml"), local("bounding_boxes.txt"), local("z.jpg"), local("b.PNG")]
    plan = differences(files, {}, lambda file: "")
    assert [file.key for file in plan.changed] == ["b.PNG", "z.jpg", "a.xml", "bounding_boxes.txt"]


@given(
    st.sets(st.text(alphabet="abc/.", min_size=1, max_size=6)),
    st.sets(st.text(alphabet="abc/.", min_size=1, max_size=6)),
)
def test_every_file_is_either_changed_or_unchanged_and_only_strangers_are_gone(
    here: set[str], there: set[str]
) -> None:
    plan = differences(
        [local(key) for key in here], {key: RemoteObject(3, "e") for key in there}, lambda file: "e"
    )
    changed, unchanged = {file.key for file in plan.changed}, {file.key for file in plan.unchanged}
    assert changed == here - there
    assert unchanged == here & there
    assert set(plan.gone) == there - here


def test_hidden_files_clutter_and_the_marker_are_no_part_of_a_dataset(tmp_path: Path) -> None:
    for name in ("b.jpg", "sub/a b.jpg", ".git/config", ".DS_Store", "Thumbs.db", "_READY", "sub/._x.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [file.key for file in list_folder(tmp_path)] == ["b.jpg", "sub/a b.jpg"]


def test_the_etag_is_the_md5_and_of_large_files_that_of_their_parts(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"abcdefghij")
    file = LocalFile(path, "x.bin", 10)
    assert etag(file) == hashlib.md5(b"abcdefghij").hexdigest()
    monkeypatch.setattr(push, "PART_BYTES", 4)
    parts = b"".join(hashlib.md5(part).digest() for part in (b"abcd", b"efgh", b"ij"))
    assert etag(file) == hashlib.md5(parts).hexdigest() + "-3"
