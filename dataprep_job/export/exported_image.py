"""One checked picture as every writer gets it, whatever format it came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dataprep_job.labels import Edges, Split


@dataclass(frozen=True, slots=True)
class ExportedBox:
    """One labelled object: class name, and edges in pixels of the displayed picture, inside it."""

    name: str
    edges: Edges


@dataclass(frozen=True, slots=True)
class ExportedImage:
    """One picture with its boxes; without boxes nothing is on it.

    Attributes:
        path: in the dataset it comes from.
        width: of the displayed picture (EXIF orientation applied), in pixels.
        height: of the displayed picture, in pixels.
        split: where it belongs.
        read: gives the picture's file.
        source: the picture's file on this machine, where there is one: it may be linked instead of copied.
    """

    path: str
    width: int
    height: int
    boxes: tuple[ExportedBox, ...]
    split: Split
    read: Callable[[], bytes]
    source: Path | None = None
