"""A model's answers as SageMaker's batch transform leaves them: `<name>.out` for every picture it was sent.

An answer is `{"prediction": [[class, score, xmin, ymin, xmax, ymax], ...]}`, coordinates relative to the
picture; any container that keeps the built-in algorithm's contract writes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dataprep_job.errors import SourceError
from dataprep_job.ordered_map import ordered_map
from dataprep_job.progress import Progress, Say
from dataprep_job.s3_client import READ_THREADS
from dataprep_job.storage import Storage

Rows = NDArray[np.float64]
"""(n, 6): class id, score, corners relative to the picture."""

_NAMED = 3
_FOREIGN = -1.0


def read_predictions(
    answers: Storage, names: Sequence[str], class_ids: Sequence[int | None], who: str, say: Say
) -> list[Rows]:
    """Read a model's answers for pictures, class ids translated to those that are judged by.

    Args:
        answers: where the transform job wrote.
        names: of the pictures' files, in order. In which folder below `answers` batch transform puts an
            answer depends on what it was given (a prefix, a manifest), so any will do.
        class_ids: for each id of the model the id that is judged by; None: its class is not judged.
        who: "candidate" or "champion", for messages.
        say: hears about progress.

    Raises:
        SourceError: an answer is missing or is none. A model is never judged on part of its answers: whose
            missing ones count for nothing would lose by it, and the other would win.
    """
    progress = Progress(say, f"answers of the {who}", len(names))
    found: list[Rows] = []
    missing: list[str] = []
    places = {place.rpartition("/")[2]: place for place in answers.names()}

    def read(name: str) -> bytes | None:
        place = places.get(f"{name}.out")
        return None if place is None else answers.read(place)

    for name, data in zip(names, ordered_map(read, names, READ_THREADS), strict=True):
        if data is None:
            missing.append(name)
        else:
            found.append(_translated(parse_answer(data, f"{name}.out of the {who}"), class_ids))
        progress.step()
    if missing:
        named = ", ".join(missing[:_NAMED])
        raise SourceError(
            f"The {who} has no answer for {len(missing):,} of {len(names):,} pictures ({named}"
            f"{', …' if len(missing) > _NAMED else ''}): its transform job did not finish; run it again."
        )
    return found


def parse_answer(data: bytes, where: str) -> Rows:
    """Read one answer. Raises SourceError where it has another shape; values need not be finite."""
    try:
        rows = json.loads(data)["prediction"]
        if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == 6 for row in rows):
            raise TypeError("'prediction' must be a list of rows of six numbers")
        return np.array(rows, np.float64).reshape(-1, 6)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise SourceError(f"{where} is no answer of a detector: {error!r}.") from error


def translate_classes(model: Sequence[str], judged: Mapping[str, int]) -> list[int | None]:
    """Return for each class id of a model the id by which the class of that name is judged."""
    return [judged.get(name) for name in model]


def _translated(rows: Rows, class_ids: Sequence[int | None]) -> Rows:
    """Classes that are not judged become -1, ids that the model cannot mean become no number."""
    table = np.array([_FOREIGN if new is None else float(new) for new in class_ids] + [np.nan, _FOREIGN])
    ids = rows[:, 0]
    # A model takes a box back by giving it the class -1.
    known = np.isin(ids, np.arange(len(class_ids)))
    place = np.where(known, np.where(known, ids, 0), np.where(ids == -1, len(class_ids) + 1, len(class_ids)))
    rows[:, 0] = table[place.astype(np.int64)]
    return rows
