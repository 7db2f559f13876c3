"""S3: MiniStack keeps each object in a file of its own, beside a file that describes it.

It replaces the one, then the other. A server that is killed between the two leaves the bytes of a PUT that
was never answered under the description of the object before.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

_DESCRIPTION = ".meta.json"
_PARTIAL = ".tmp"
_VERSIONS = ".versions"


def undo_torn_writes(root: Path) -> int:
    """Puts back what each unfinished PUT below MiniStack's data directory had replaced; how many there were.

    To be called before MiniStack's S3 is imported, which reads the directory.
    """
    undone = 0
    for partial in root.rglob(f"*{_PARTIAL}"):
        partial.unlink()
    for account in root.iterdir() if root.is_dir() else ():
        if account.name == _VERSIONS or not account.is_dir():
            continue
        for file in account.rglob("*"):
            if file.is_file() and not file.name.endswith(_DESCRIPTION):
                undone += _undone(root, account, file)
    return undone


def _undone(root: Path, account: Path, file: Path) -> bool:
    description = file.with_name(file.name + _DESCRIPTION)
    if not description.exists():
        file.unlink()
        return True
    if file.stat().st_mtime_ns <= description.stat().st_mtime_ns:
        return False
    described = json.loads(description.read_bytes())
    bucket, *name = file.relative_to(account).parts
    version = described.get("version_id") or "null"
    before = root.joinpath(_VERSIONS, account.name, bucket, version, *name)
    if before.is_file():
        shutil.copyfile(before, file)
        description.touch()
        return True
    # Without versions S3 lets either of two writers win: the new bytes stay, described as what they are.
    size = file.stat().st_size
    description.write_text(json.dumps({"key": described.get("key"), "size": size}), encoding="utf-8")
    return True
