"""Caltech-UCSD Birds 200-2011: text files with one line for each picture or box.

Source: the README of https://www.vision.caltech.edu/datasets/cub_200_2011/. Ids start with 1. Two liberties,
which our reader and the format's readers by id take: a picture with several boxes has several lines of its id
in `bounding_boxes.txt` and, in the same order, in `image_class_labels.txt`. The format knows training and
test pictures only, so validation and test become one.
"""

from __future__ import annotations

import re

from dataprep_job.export.coordinates import pixels
from dataprep_job.export.exported_image import ExportedImage
from dataprep_job.export.writer import FolderWriter


class CubWriter(FolderWriter):
    """Writes `images.txt` and its companions, and `images/<class of the first box>`."""

    def _start(self) -> None:
        self._image_id = 0
        self._write(
            "classes.txt", "".join(f"{class_id + 1} {name}\n" for name, class_id in self._ids.items())
        )

    def add(self, image: ExportedImage) -> None:
        """Write one picture and its boxes."""
        folder = f"{self._class_folder(image.boxes[0].name)}/" if image.boxes else ""
        name = self._place(image, f"images/{folder}".rstrip("/"))
        self._image_id += 1
        self._row("images.txt", f"{folder}{name}")
        self._row("train_test_split.txt", str(int(image.split == "train")))
        for box in image.boxes:
            x0, y0, x1, y1 = box.edges
            numbers = (x0, y0, x1 - x0, y1 - y0)
            self._row("bounding_boxes.txt", " ".join(str(float(pixels(number))) for number in numbers))
            self._row("image_class_labels.txt", str(self._ids[box.name] + 1))

    def _row(self, file: str, rest: str) -> None:
        self._text(file)[0].write(f"{self._image_id} {rest}\n")

    def _class_folder(self, name: str) -> str:
        """As in the original, `001.Black_footed_Albatross`: many tools take the folder for the class."""
        safe = re.sub(r"[^\w.-]+", "_", name)
        return safe if re.match(r"\d{3}\.\w", safe) else f"{self._ids[name] + 1:03}.{safe}"
