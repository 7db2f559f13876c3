"""What earlier runs held out: `held_out.jsonl`, one line a picture. It stays held out under any name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from dataprep_job.catalogue import Catalogue
from dataprep_job.errors import SourceError
from dataprep_job.labels import Split

HELD_OUT = "held_out.jsonl"
_encode = json.JSONEncoder(ensure_ascii=False).encode


class HeldOutImage(NamedTuple):
    """One picture that an earlier run held out: known by its path, its group and its content."""

    path: str
    group: str
    digest: bytes
    split: Split


def held_out_line(line: dict[str, Any]) -> bytes:
    """One line of `held_out.jsonl`."""
    return (_encode(line) + "\n").encode()


def held_out_from_jsonl(lines: Iterable[bytes]) -> Iterator[HeldOutImage]:
    """Read `held_out.jsonl`. Raises SourceError: a lost list would let held-out pictures be trained on."""
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            image = HeldOutImage(
                str(entry["key"]),
                str(entry["group"]),
                # Lists of an earlier version know pictures by path and group alone.
                bytes.fromhex(entry.get("blake3", "")),
                entry["split"],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise SourceError(
                f"Line {number} of the previous held_out.jsonl is damaged: {error!r}."
            ) from error
        if image.split not in ("validation", "test"):
            raise SourceError(
                f"Line {number} of the previous held_out.jsonl names the split {image.split!r}."
            )
        yield image


def absent_held_out(catalogue: Catalogue) -> Iterator[dict[str, Any]]:
    """Lines for pictures that earlier runs held out and that this one lacks, whatever lies at their paths.

    Reads the tables `held_images` and `used`.
    """
    rows = catalogue.database.execute(
        'SELECT DISTINCT path, "group", digest, split FROM held_images '
        "WHERE digest NOT IN (SELECT digest FROM used) ORDER BY path, digest"
    )
    for path, group, digest, split in rows:
        yield {"key": path, "split": split, "group": group, "blake3": digest.hex()}
