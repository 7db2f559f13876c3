"""Open Images: one CSV file a split, corners as shares of the picture in the order x, x, y, y.

Source: https://storage.googleapis.com/openimages/web/download_v7.html (data formats). A picture's id is its
name without the extension. Class names stand for Google's machine ids (`/m/…`), which other classes do not
have; the class descriptions say so. A picture without boxes has no row.
"""

from __future__ import annotations

import csv

from dataprep_job.dataset_files import stem
from dataprep_job.export.coordinates import share, spelled
from dataprep_job.export.exported_image import ExportedImage
from dataprep_job.export.writer import FolderWriter

_COLUMNS = (
    *("ImageID", "Source", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax"),
    *("IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside"),
)


class OpenImagesWriter(FolderWriter):
    """Writes `<split>-annotations-bbox.csv`, `class-descriptions-boxable.csv` and the pictures in folders."""

    def _start(self) -> None:
        text, _ = self._text("class-descriptions-boxable.csv")
        csv.writer(text, lineterminator="\n").writerows((name, name) for name in self._classes)

    def add(self, image: ExportedImage) -> None:
        """Write one picture and its boxes."""
        name = self._place(image, image.split)
        text, is_new = self._text(f"{image.split}-annotations-bbox.csv")
        rows = csv.writer(text, lineterminator="\n")
        if is_new:
            rows.writerow(_COLUMNS)
        for box in image.boxes:
            x0, y0, x1, y1 = (spelled(share(edge)) for edge in box.edges.relative(image.width, image.height))
            rows.writerow((stem(name), "xclick", box.name, 1, x0, x1, y0, y1, 0, 0, 0, 0, 0))
