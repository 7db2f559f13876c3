"""A folder that appears whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dataprep_job.errors import OutputError


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Give a hidden folder beside the target to write into; on success it becomes the target.

    Raises:
        OutputError: the target is a file or a folder that is not empty, or nothing can be written there.
    """
    check_target(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(prefix=f".{target.name[:100]}-", dir=target.parent))
    except OSError as error:
        raise OutputError(f"{target.parent} cannot be written to: {error.strerror}.") from error
    try:
        yield staged
        # What mkdtemp makes is for its owner's eyes only; a new folder should be like any other.
        staged.chmod(0o777 & ~_umask(staged))
        staged.replace(target)
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def check_target(target: Path) -> None:
    """Refuse a target that would be overwritten. Raises OutputError."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise OutputError(f"{target} is there already and no folder: name a new folder.")
    if target.is_dir() and any(target.iterdir()):
        raise OutputError(f"{target} is not empty: name a new folder, or empty this one first.")


def _umask(folder: Path) -> int:
    """The process's mask, found out without changing it (which other threads would feel)."""
    probe = folder / ".mask"
    probe.mkdir()
    mask = 0o777 & ~probe.stat().st_mode
    probe.rmdir()
    return mask
