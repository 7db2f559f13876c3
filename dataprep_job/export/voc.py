"""Pascal VOC: one XML file a picture, corners in pixels, counted from 1, both part of the box.

Source: the development kit of VOC 2012, http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/.

Corners are always whole numbers, as in the original: many readers parse nothing else (`int(…)` in
torchvision's tutorials and in countless scripts), and a fraction would leave open whether counting starts at
0 or 1, as the tools that write fractions start at 0. Rounding costs half a pixel at most (see `one_based`
for boxes thinner than two pixels). Where that matters, COCO holds the exact box.
"""

from __future__ import annotations

from xml.sax.saxutils import escape

from dataprep_job.dataset_files import stem
from dataprep_job.export.coordinates import one_based
from dataprep_job.export.exported_image import ExportedBox, ExportedImage
from dataprep_job.export.writer import VAL, FolderWriter


class VocWriter(FolderWriter):
    """Writes `Annotations`, `JPEGImages` and the lists of splits in `ImageSets/Main`."""

    def _start(self) -> None:
        for split in ("train", "val", "trainval"):
            self._text(f"ImageSets/Main/{split}.txt")

    def add(self, image: ExportedImage) -> None:
        """Write one picture and its boxes."""
        name = self._place(image, "JPEGImages")
        lists = (VAL[image.split],) if image.split == "test" else (VAL[image.split], "trainval")
        for split in lists:
            text, _ = self._text(f"ImageSets/Main/{split}.txt")
            text.write(f"{stem(name)}\n")
        objects = "".join(_object(box, image.width, image.height) for box in image.boxes)
        self._write(
            f"Annotations/{stem(name)}.xml",
            "<annotation>\n"
            "\t<folder>JPEGImages</folder>\n"
            f"\t<filename>{escape(name)}</filename>\n"
            "\t<size>\n"
            f"\t\t<width>{image.width}</width>\n"
            f"\t\t<height>{image.height}</height>\n"
            "\t\t<depth>3</depth>\n"
            "\t</size>\n"
            "\t<segmented>0</segmented>\n"
            f"{objects}"
            "</annotation>\n",
        )


def _object(box: ExportedBox, width: int, height: int) -> str:
    xmin, xmax = one_based(box.edges.x0, box.edges.x1, width)
    ymin, ymax = one_based(box.edges.y0, box.edges.y1, height)
    return (
        "\t<object>\n"
        f"\t\t<name>{escape(box.name)}</name>\n"
        "\t\t<pose>Unspecified</pose>\n"
        "\t\t<truncated>0</truncated>\n"
        "\t\t<difficult>0</difficult>\n"
        "\t\t<bndbox>\n"
        f"\t\t\t<xmin>{xmin}</xmin>\n"
        f"\t\t\t<ymin>{ymin}</ymin>\n"
        f"\t\t\t<xmax>{xmax}</xmax>\n"
        f"\t\t\t<ymax>{ymax}</ymax>\n"
        "\t\t</bndbox>\n"
        "\t</object>\n"
    )
