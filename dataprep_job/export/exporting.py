"""From a checked dataset to a folder in another format: the same check as ever, then one writer."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from dataprep_job.archive_source import open_archives
from dataprep_job.catalogue import Catalogue, Groups
from dataprep_job.check import CheckReport, Examination
from dataprep_job.errors import OutputError
from dataprep_job.export.exported_image import ExportedBox, ExportedImage
from dataprep_job.export.staging import check_target, whole_folder
from dataprep_job.export.writer import Writer
from dataprep_job.file_source import FileSource, FolderSource, SourceFile
from dataprep_job.inspection import Photo
from dataprep_job.labels import Edges, Split
from dataprep_job.progress import Progress, Say, say_nothing
from dataprep_job.survey import Earlier, survey


def export_folder(folder: Path, target: Path, writer: Writer, say: Say = say_nothing) -> CheckReport:
    """Check a dataset and write what can be used of it: pictures, boxes and the splits that were decided.

    Args:
        folder: the dataset.
        target: a folder that does not exist or is empty; it appears whole, at the end.
        writer: of the wanted format; used up afterwards.
        say: receives progress lines.

    Returns:
        What the check found. Nothing is written where it is `blocked`.

    Raises:
        SourceError: the dataset cannot be read.
        OutputError: the target is in the way, or cannot be written, or a class name cannot.
    """
    check_target(target)
    if target.resolve().is_relative_to(folder.resolve()):
        raise OutputError(f"{target} lies in the dataset itself, and would become part of it: name another.")
    source = open_archives(FolderSource(folder))
    found = survey(source, Earlier())
    examination = Examination(found, say)
    usable = _Usable(found.catalogue)
    for photo, split in examination.photos():
        if isinstance(photo, Photo):
            usable.add(photo, split)
    report = examination.report()
    if report.blocked:
        return report
    with whole_folder(target) as staged, closing(writer):
        progress = Progress(say, "pictures written", report.usable_images)
        writer.begin(staged, found.classes)
        for image in usable.images(source, folder.resolve(), found.classes):
            writer.add(image)
            progress.step()
        writer.finish()
    return report


class _Usable:
    """The usable pictures of a check, kept outside memory and given back in the order of their paths.

    They are opened in an order that shuffles them; nobody wants to read files in that order.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._groups = Groups(catalogue, 8)

    def add(self, photo: Photo, split: Split) -> None:
        """Keep one picture."""
        file = photo.plan.file
        edges = array("d", (edge for box in photo.boxes for edge in box.edges))
        self._groups.add(
            photo.plan.labels.image,
            *(file.size, file.version, file.tag, photo.width, photo.height, split),
            array("i", (box.class_id for box in photo.boxes)).tobytes(),
            edges.tobytes(),
        )

    def images(self, source: FileSource, root: Path, classes: list[str]) -> Iterator[ExportedImage]:
        """All pictures; `root` is the dataset's folder."""
        for path, rows in self._groups:
            for size, version, tag, width, height, split, ids, numbers in rows:
                edges = array("d", numbers)
                boxes = tuple(
                    ExportedBox(classes[class_id], Edges(*edges[4 * at : 4 * at + 4]))
                    for at, class_id in enumerate(array("i", ids))
                )
                file = root / path
                yield ExportedImage(
                    path=path,
                    width=width,
                    height=height,
                    boxes=boxes,
                    split=split,
                    read=partial(source.read, SourceFile(path, size, version, tag)),
                    source=file if file.is_file() else None,
                )
