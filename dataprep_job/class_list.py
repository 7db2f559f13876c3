"""Classes of a dataset: an append-only list, so that an id never changes its meaning from run to run."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence

from dataprep_job.errors import SourceError

MAX_NAME = 100


def normal_name(name: str) -> str | None:
    """The one spelling of a class name (NFC, single spaces); None where it cannot be a class name."""
    spelled = unicodedata.normalize("NFC", " ".join(name.split()))
    if not 1 <= len(spelled) <= MAX_NAME or not spelled.isprintable():
        return None
    return spelled


def append_classes(earlier: Sequence[str], found: Iterable[str]) -> list[str]:
    """Earlier names in their places, then new names in the order found; a name's index is its class id."""
    return list(dict.fromkeys([*earlier, *found]))


def classes_to_json(classes: Sequence[str]) -> bytes:
    """The text of `classes.json`: names in id order."""
    return (json.dumps(list(classes), ensure_ascii=False, indent=1) + "\n").encode()


def classes_from_json(data: bytes) -> list[str]:
    """Read `classes.json`. Raises SourceError: a lost list would let ids change their meaning."""
    try:
        classes = json.loads(data)
    except ValueError as error:
        raise SourceError(f"classes.json of the previous preparation is no JSON: {error}.") from error
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise SourceError("classes.json of the previous preparation is no list of names.")
    if len(set(classes)) != len(classes):
        raise SourceError("classes.json of the previous preparation names a class twice.")
    return classes
