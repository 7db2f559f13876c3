"""MXNet's list for im2rec: a line for each picture, corners as shares of the picture.

Source: https://mxnet.apache.org/versions/1.9.1/api/faq/recordio (tools/im2rec.py) and the header
`2 5`, which AWS's own object detection notebooks write: header of two numbers, five for each object. Pack
with `im2rec.py --pack-label train.lst .` in the exported folder. The list holds class ids only; their names
stand in `classes.txt`, a line each.
"""

from __future__ import annotations

from dataprep_job.export.coordinates import share, spelled
from dataprep_job.export.exported_image import ExportedImage
from dataprep_job.export.writer import FolderWriter

_HEADER = ("2", "5")


class LstWriter(FolderWriter):
    """Writes `train.lst`, `validation.lst`, `test.lst`, `classes.txt` and the pictures in folders."""

    def _start(self) -> None:
        self._index = 0
        self._write("classes.txt", "".join(f"{name}\n" for name in self._classes))

    def add(self, image: ExportedImage) -> None:
        """Write one picture and its boxes."""
        name = self._place(image, image.split)
        fields = [str(self._index), *_HEADER]
        self._index += 1
        for box in image.boxes:
            fields.append(str(self._ids[box.name]))
            fields += [spelled(share(edge)) for edge in box.edges.relative(image.width, image.height)]
        fields.append(f"{image.split}/{name}")
        text, _ = self._text(f"{image.split}.lst")
        text.write("\t".join(fields) + "\n")
