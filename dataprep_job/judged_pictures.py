"""The pictures that models are judged on: those held out, as the preparation of the candidate lists them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dataprep_job.errors import SourceError
from dataprep_job.labels import Edges, Split


@dataclass(frozen=True, slots=True)
class JudgedPicture:
    """One held-out picture: path in the dataset, content, size as displayed and boxes in its pixels.

    picture: the name of the file that models were shown; None where its split does not judge.
    """

    key: str
    picture: str | None
    digest: str
    split: Split
    width: int
    height: int
    boxes: tuple[tuple[str, Edges], ...]


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
                entry.get("picture"),
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
