"""YOLO as versions 5 to 11 read it: one text file a picture, centre and size as shares of the picture.

Source: https://docs.ultralytics.com/datasets/detect/. `data.yaml` has no `path`: its folders are then
relative to the file itself, wherever the export is moved. Coordinates have ten digits, not the usual six,
which are off by more than a hundredth of a pixel in a large photo.
"""

from __future__ import annotations

import yaml

from dataprep_job.dataset_files import stem
from dataprep_job.export.coordinates import share, spelled
from dataprep_job.export.exported_image import ExportedImage
from dataprep_job.export.writer import VAL, FolderWriter


class YoloWriter(FolderWriter):
    """Writes `data.yaml`, `images/<train|val|test>` and `labels/<train|val|test>`."""

    def _start(self) -> None:
        self._has_test = False
        for split in ("train", "val"):
            for kind in ("images", "labels"):
                (self._folder / kind / split).mkdir(parents=True)

    def add(self, image: ExportedImage) -> None:
        """Write one picture and its boxes; a picture without boxes has an empty file."""
        split = VAL[image.split]
        self._has_test |= split == "test"
        name = self._place(image, f"images/{split}")
        rows: list[str] = []
        for box in image.boxes:
            x0, y0, x1, y1 = box.edges.relative(image.width, image.height)
            numbers = ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0)
            rows.append(f"{self._ids[box.name]} {' '.join(spelled(share(number)) for number in numbers)}\n")
        self._write(f"labels/{split}/{stem(name)}.txt", "".join(rows))

    def _complete(self) -> None:
        document = {
            **{split: f"images/{split}" for split in ("train", "val", "test")[: 2 + self._has_test]},
            "nc": len(self._classes),
            "names": dict(enumerate(self._classes)),
        }
        self._write("data.yaml", yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=1000))
