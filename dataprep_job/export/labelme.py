"""LabelMe: one JSON file beside each picture, rectangles as two corners in pixels with fractions, 0-based.

Source: https://github.com/wkentaro/labelme (label file, version 5). The picture itself is not repeated in
`imageData`. The format has no splits; folders are named for them.
"""

from __future__ import annotations

from typing import Any

from dataprep_job.dataset_files import stem
from dataprep_job.export.coordinates import pixels
from dataprep_job.export.exported_image import ExportedImage
from dataprep_job.export.json_text import compact
from dataprep_job.export.writer import FolderWriter


class LabelmeWriter(FolderWriter):
    """Writes pictures and their JSON files in `train`, `validation` and `test`."""

    def add(self, image: ExportedImage) -> None:
        """Write one picture and its boxes."""
        name = self._place(image, image.split)
        shapes: list[dict[str, Any]] = [
            {
                "label": box.name,
                "points": [
                    [pixels(box.edges.x0), pixels(box.edges.y0)],
                    [pixels(box.edges.x1), pixels(box.edges.y1)],
                ],
                "group_id": None,
                "description": "",
                "shape_type": "rectangle",
                "flags": {},
            }
            for box in image.boxes
        ]
        document: dict[str, Any] = {
            "version": "5.0.1",
            "flags": {},
            "shapes": shapes,
            "imagePath": name,
            "imageData": None,
            "imageHeight": image.height,
            "imageWidth": image.width,
        }
        self._write(f"{image.split}/{stem(name)}.json", compact(document) + "\n")
