"""COCO: one JSON file a split, boxes as left, top, width and height in pixels, 0-based.

Source: https://cocodataset.org/#format-data. As there, `file_name` is relative to the folder of the split's
pictures, and ids start with 1 (0 is the background to many tools).
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import IO, TextIO

from dataprep_job.export.coordinates import pixels
from dataprep_job.export.exported_image import ExportedImage
from dataprep_job.export.json_text import JsonArray, compact
from dataprep_job.export.writer import VAL, FolderWriter


@dataclass(frozen=True, slots=True)
class _SplitFile:
    text: TextIO
    images: JsonArray
    spool: IO[str]
    """The annotations, which stand behind all the images."""
    annotations: JsonArray


class CocoWriter(FolderWriter):
    """Writes `annotations/instances_<train|val|test>.json` and the pictures in `train`, `val` and `test`."""

    def _start(self) -> None:
        self._splits: dict[str, _SplitFile] = {}
        self._image_id = self._annotation_id = 0

    def add(self, image: ExportedImage) -> None:
        """Write one picture and its boxes."""
        split = VAL[image.split]
        name = self._place(image, split)
        file = self._splits.get(split) or self._begin_split(split)
        self._image_id += 1
        file.images.add(
            {"id": self._image_id, "file_name": name, "width": image.width, "height": image.height}
        )
        for box in image.boxes:
            self._annotation_id += 1
            x0, y0, x1, y1 = box.edges
            file.annotations.add(
                {
                    "id": self._annotation_id,
                    "image_id": self._image_id,
                    "category_id": self._ids[box.name] + 1,
                    "bbox": [pixels(x0), pixels(y0), pixels(x1 - x0), pixels(y1 - y0)],
                    "area": pixels(box.edges.area),
                    "iscrowd": 0,
                    "segmentation": [],
                }
            )

    def _begin_split(self, split: str) -> _SplitFile:
        text, _ = self._text(f"annotations/instances_{split}.json")
        categories = [
            {"id": class_id + 1, "name": name, "supercategory": ""} for name, class_id in self._ids.items()
        ]
        text.write(f'{{"info": {{}}, "licenses": [],\n"categories": {compact(categories)},\n"images": [')
        spool = self._spool()
        file = self._splits[split] = _SplitFile(text, JsonArray(text), spool, JsonArray(spool))
        return file

    def _complete(self) -> None:
        for file in self._splits.values():
            file.text.write('\n],\n"annotations": [')
            file.spool.seek(0)
            shutil.copyfileobj(file.spool, file.text)
            file.text.write("\n]}\n")
