"""The pictures that models are judged on: those held out, less what the champion was trained on."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from dataprep_job.errors import SourceError
from dataprep_job.labels import Edges, Split
from dataprep_job.packed_index import INDEX
from dataprep_job.storage import Storage


@dataclass(frozen=True, slots=True)
class JudgedPicture:
    """One held-out picture: path in the dataset, content, size as displayed and boxes in its pixels."""

    key: str
    digest: str
    split: Split
    width: int
    height: int
    boxes: tuple[tuple[str, Edges], ...]


@dataclass(frozen=True, slots=True)
class TrainedOn:
    """Pictures that a model was trained on, by path and by content (BLAKE3, hexadecimal)."""

    keys: frozenset[str]
    digests: frozenset[str]

    def holds(self, picture: JudgedPicture) -> bool:
        """Whether the model has seen a picture: under this path, or this very file under any."""
        return picture.key in self.keys or picture.digest in self.digests


def pictures_from_jsonl(lines: Iterable[bytes]) -> list[JudgedPicture]:
    """Read `held_out.jsonl` with its boxes. Raises SourceError naming the line that is damaged."""
    pictures = []
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            boxes = tuple(
                (str(box["class"]), Edges(*(float(box[edge]) for edge in ("xmin", "ymin", "xmax", "ymax"))))
                for box in entry["boxes"]
            )
            picture = JudgedPicture(
                str(entry["key"]),
                str(entry["blake3"]),
                entry["split"],
                int(entry["width"]),
                int(entry["height"]),
                boxes,
            )
        except (ValueError, KeyError, TypeError) as error:
            raise SourceError(
                f"Line {number} of held_out.jsonl is damaged: {error!r}. Prepare the run again."
            ) from error
        if min(picture.width, picture.height) < 1 or not all(box.is_finite() for _, box in boxes):
            raise SourceError(
                f"Line {number} of held_out.jsonl has an impossible size or box. Prepare the run again."
            )
        pictures.append(picture)
    return pictures


def judged_split(pictures: Sequence[JudgedPicture]) -> Split:
    """Which split decides: `test` where there is one; else `validation`, which chose the best epoch too."""
    return "test" if any(picture.split == "test" for picture in pictures) else "validation"


def trained_on(preparation: Storage, address: str) -> TrainedOn:
    """What a model was trained on, from the index of its preparation. Raises SourceError without one."""
    with tempfile.TemporaryDirectory() as folder:
        path = preparation.local_copy(INDEX, Path(folder))
        if path is None:
            raise SourceError(
                f"{address} has no {INDEX}, so nobody knows what the champion was trained on; "
                "name the preparation of its run."
            )
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
                rows = database.execute("SELECT image, digest FROM packed WHERE split = 'train'").fetchall()
        except sqlite3.Error as error:
            raise SourceError(f"{INDEX} in {address} is damaged: {error}.") from error
    return TrainedOn(frozenset(image for image, _ in rows), frozenset(digest.hex() for _, digest in rows))
