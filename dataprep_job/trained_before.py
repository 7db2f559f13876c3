"""What earlier runs of a dataset trained on and this one does not: `trained_before.jsonl`, a line a picture.

A model that started from another one's weights has seen what that one saw. Every run is prepared after the
one before it, so this list covers whatever a champion, or a candidate that starts from it, can have seen
besides the candidate's own training pictures. It is short: pictures rarely leave the training split.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dataprep_job.catalogue import Catalogue
from dataprep_job.errors import SourceError

TRAINED_BEFORE = "trained_before.jsonl"

_LEFT_TRAINING = """
SELECT image, digest FROM {source} AS one
WHERE NOT EXISTS (SELECT 1 FROM used WHERE used.digest = one.digest AND used.split = 'train')
"""
_NOT_HELD_OUT_BEFORE = """
SELECT image, digest FROM used
WHERE split != 'train' AND NOT EXISTS (SELECT 1 FROM held_digests WHERE held_digests.digest = used.digest)
"""


@dataclass(frozen=True, slots=True)
class TrainedBefore:
    """Pictures that models may have been trained on, by path and by content (BLAKE3, hexadecimal)."""

    keys: frozenset[str]
    digests: frozenset[str]

    def holds(self, key: str, digest: str) -> bool:
        """Whether a picture is among them: under this path, or this very file under any."""
        return key in self.keys or digest in self.digests


def trained_before_from_jsonl(lines: Iterable[bytes]) -> TrainedBefore:
    """Read the list for judging. Raises SourceError naming the line that is damaged."""
    found = list(_read(lines))
    return TrainedBefore(frozenset(key for key, _ in found), frozenset(digest.hex() for _, digest in found))


def trained_before_lines(catalogue: Catalogue, earlier: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of the list, where there is a previous preparation.

    Where the index of that one cannot be read, nobody knows what was trained on, and only pictures that were
    held out before are above suspicion.

    Args:
        catalogue: with the tables `used` and `held_digests`.
        earlier: the lines of the previous preparation's list.

    Raises:
        SourceError: a line of the previous list is damaged.
    """
    database = catalogue.database
    database.execute("CREATE TEMP TABLE trained_earlier (image TEXT, digest BLOB)")
    database.executemany("INSERT INTO trained_earlier VALUES (?, ?)", _read(earlier))
    packed = "(SELECT image, digest FROM previous.packed WHERE split = 'train')"
    rest = _LEFT_TRAINING.format(source=packed) if catalogue.has_previous_index else _NOT_HELD_OUT_BEFORE
    query = f"{_LEFT_TRAINING.format(source='trained_earlier')} UNION {rest} ORDER BY image, digest"
    for image, digest in database.execute(query):
        yield (json.dumps({"key": image, "blake3": digest.hex()}, ensure_ascii=False) + "\n").encode()


def _read(lines: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            yield str(entry["key"]), bytes.fromhex(entry["blake3"])
        except (ValueError, KeyError, TypeError) as error:
            raise SourceError(f"Line {number} of {TRAINED_BEFORE} is damaged: {error!r}.") from error
