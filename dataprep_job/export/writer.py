"""What a writer of annotations promises, and what all of ours share."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, ClassVar, Protocol, TextIO

from dataprep_job.class_list import normal_name
from dataprep_job.errors import OutputError
from dataprep_job.export.exported_image import ExportedImage
from dataprep_job.export.picture_files import PictureFiles
from dataprep_job.labels import Split

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
VAL: Mapping[Split, str] = {"train": "train", "validation": "val", "test": "test"}
"""Names of the splits where tools say `val`."""


class Writer(Protocol):
    """Writes a dataset in one format. Memory does not grow with the dataset."""

    takes_base: ClassVar[bool]
    """Whether the format names pictures by address, so that `base` means something."""

    def __init__(self, base: str = "") -> None:
        """`base`: address under which the exported folder is going to lie (`s3://bucket/birds`)."""
        ...

    def begin(self, folder: Path, classes: Sequence[str]) -> None:
        """Start in an empty folder.

        Args:
            folder: where everything is written.
            classes: names in id order.

        Raises:
            OutputError: a name that the format cannot hold; nothing is written then.
        """
        ...

    def add(self, image: ExportedImage) -> None:
        """Write one picture and its boxes. Raises OutputError."""
        ...

    def finish(self) -> None:
        """Write what only the whole shows. Raises OutputError."""
        ...

    def close(self) -> None:
        """Close what is open, whether the export succeeded or not."""
        ...


class FolderWriter(ABC):
    """Class ids, pictures with names of their own, and open files: what all formats need."""

    takes_base: ClassVar[bool] = False

    def __init__(self, base: str = "") -> None:
        """See `Writer`."""
        if base and not self.takes_base:
            raise OutputError("This format names pictures by path, never by address: leave the base out.")
        self._base = base.rstrip("/") + "/" if base else ""
        self._open = ExitStack()
        self._texts: dict[str, TextIO] = {}

    def begin(self, folder: Path, classes: Sequence[str]) -> None:
        """Check the names, and start."""
        _check_names(classes)
        self._folder = folder
        self._classes = tuple(classes)
        self._ids = {name: class_id for class_id, name in enumerate(classes)}
        self._pictures = PictureFiles(folder)
        self._open.callback(self._pictures.close)
        self._start()

    @abstractmethod
    def add(self, image: ExportedImage) -> None:
        """Write one picture and its boxes."""

    def finish(self) -> None:
        """Write what only the whole shows, and close everything."""
        self._complete()
        self.close()

    def close(self) -> None:
        """Close what is open."""
        self._open.close()

    def _start(self) -> None:  # noqa: B027  (most formats have nothing to start with)
        """Write what comes before the first picture."""

    def _complete(self) -> None:  # noqa: B027
        """Write what comes after the last picture."""

    def _place(self, image: ExportedImage, folder: str) -> str:
        """Put a picture into a folder of the export, and give the name it has there."""
        name = self._pictures.name(image)
        self._pictures.put(image, folder, name)
        return name

    def _text(self, path: str) -> tuple[TextIO, bool]:
        """An open text file of the export, and whether it is new. Only for a fixed number of files."""
        known = self._texts.get(path)
        if known is not None:
            return known, False
        place = self._folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        opened = self._texts[path] = self._open.enter_context(place.open("w", encoding="utf-8", newline="\n"))
        return opened, True

    def _write(self, path: str, text: str) -> None:
        """Write one small file."""
        place = self._folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8", newline="\n")

    def _spool(self) -> IO[str]:
        """A nameless text file for what must stand behind something that is not known yet."""
        return self._open.enter_context(
            tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n", dir=self._folder)
        )


def _check_names(classes: Sequence[str]) -> None:
    """Names are normal ones by now; control characters would end a line or break XML."""
    bad = [name for name in classes if normal_name(name) != name]
    if bad:
        listed = ", ".join(repr(name[:80]) for name in bad[:3])
        raise OutputError(
            f"No annotation format holds these class names safely: {listed}. "
            "Names have 1 to 100 visible characters and single spaces."
        )
    if len(set(classes)) != len(classes):
        raise OutputError("A class is named twice.")
