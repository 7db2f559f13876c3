"""What earlier runs held out: `held_out.jsonl`, one line a picture. It stays held out under any name."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dataprep_job.errors import SourceError
from dataprep_job.labels import Split


@dataclass(slots=True)
class HeldOut:
    """Held-out pictures by path, by group and by content (SHA-256), each with its split."""

    paths: dict[str, Split] = field(default_factory=dict)
    groups: dict[str, Split] = field(default_factory=dict)
    digests: dict[bytes, Split] = field(default_factory=dict)


def held_out_to_jsonl(lines: Iterable[dict[str, Any]]) -> bytes:
    """The text of `held_out.jsonl`."""
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()


def held_out_from_jsonl(data: bytes) -> HeldOut:
    """Read `held_out.jsonl`. Raises SourceError: a lost list would let held-out pictures be trained on."""
    held = HeldOut()
    for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
        try:
            entry = json.loads(line)
            split, path, group, digest = (
                entry["split"],
                entry["key"],
                entry["group"],
                bytes.fromhex(entry["sha256"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise SourceError(
                f"Line {number} of the previous held_out.jsonl is damaged: {error!r}."
            ) from error
        if split not in ("validation", "test"):
            raise SourceError(f"Line {number} of the previous held_out.jsonl names the split {split!r}.")
        held.paths[path] = split
        held.groups[group] = split
        held.digests[digest] = split
    return held
