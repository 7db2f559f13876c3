"""Apple's Create ML: one JSON file beside the pictures, boxes as centre and size in pixels.

Source: https://developer.apple.com/documentation/createml/building-an-object-detector-data-source. Create ML
takes one folder with one JSON file, so every split is a folder.
"""

from __future__ import annotations

from dataprep_job.export.coordinates import pixels
from dataprep_job.export.exported_image import ExportedImage
from dataprep_job.export.json_text import JsonArray
from dataprep_job.export.writer import SPLITS, FolderWriter
from dataprep_job.labels import Split


class CreateMlWriter(FolderWriter):
    """Writes `<train|validation|test>/annotations.json` and the pictures beside it."""

    def _start(self) -> None:
        self._entries: dict[Split, JsonArray] = {}

    def add(self, image: ExportedImage) -> None:
        """Write one picture and its boxes."""
        name = self._place(image, image.split)
        entries = self._entries.get(image.split)
        if entries is None:
            text, _ = self._text(f"{image.split}/annotations.json")
            text.write("[")
            entries = self._entries[image.split] = JsonArray(text)
        annotations = [
            {
                "label": box.name,
                "coordinates": {
                    "x": pixels((box.edges.x0 + box.edges.x1) / 2),
                    "y": pixels((box.edges.y0 + box.edges.y1) / 2),
                    "width": pixels(box.edges.x1 - box.edges.x0),
                    "height": pixels(box.edges.y1 - box.edges.y0),
                },
            }
            for box in image.boxes
        ]
        entries.add({"image": name, "annotations": annotations})

    def _complete(self) -> None:
        for split in SPLITS:
            if split in self._entries:
                self._text(f"{split}/annotations.json")[0].write("\n]\n")
