"""SageMaker's built-in object detection in image mode: a JSON file for each picture, in channels.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/object-detection.html (train with the image format).
Boxes are whole pixels: left, top, width, height, 0-based; class ids start with 0 and have no gaps.
"""

from __future__ import annotations

from dataprep_job.dataset_files import stem
from dataprep_job.export.coordinates import whole_box
from dataprep_job.export.exported_image import ExportedImage
from dataprep_job.export.json_text import compact
from dataprep_job.export.writer import FolderWriter


class SagemakerWriter(FolderWriter):
    """Writes the channels `train`, `train_annotation`, `validation`, `validation_annotation` and for test."""

    def add(self, image: ExportedImage) -> None:
        """Write one picture and its boxes."""
        name = self._place(image, image.split)
        boxes = [(self._ids[box.name], whole_box(box.edges)) for box in image.boxes]
        document = {
            "file": name,
            "image_size": [{"width": image.width, "height": image.height, "depth": 3}],
            "annotations": [
                {"class_id": class_id, "left": left, "top": top, "width": width, "height": height}
                for class_id, (left, top, width, height) in boxes
            ],
            "categories": [
                {"class_id": class_id, "name": self._classes[class_id]}
                for class_id in sorted({one for one, _ in boxes})
            ],
        }
        self._write(f"{image.split}_annotation/{stem(name)}.json", compact(document) + "\n")
