"""CSV with the columns of TensorFlow's detection tutorials: a row for each box, corners in pixels, 0-based.

The layout is Roboflow's: `_annotations.csv` beside the pictures of each split. A picture without boxes has
one row without class and corners.
"""

from __future__ import annotations

import csv

from dataprep_job.export.coordinates import pixels
from dataprep_job.export.exported_image import ExportedImage
from dataprep_job.export.writer import FolderWriter

_COLUMNS = ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax")


class CsvWriter(FolderWriter):
    """Writes `<train|validation|test>/_annotations.csv` and the pictures beside it."""

    def add(self, image: ExportedImage) -> None:
        """Write one picture and its boxes."""
        name = self._place(image, image.split)
        text, is_new = self._text(f"{image.split}/_annotations.csv")
        rows = csv.writer(text, lineterminator="\n")
        if is_new:
            rows.writerow(_COLUMNS)
        if not image.boxes:
            rows.writerow((name, image.width, image.height, "", "", "", "", ""))
        for box in image.boxes:
            edges = (pixels(edge) for edge in box.edges)
            rows.writerow((name, image.width, image.height, box.name, *edges))
