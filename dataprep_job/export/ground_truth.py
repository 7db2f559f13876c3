"""The augmented manifest that SageMaker Ground Truth writes and SageMaker trains on: a JSON object a line.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/sms-data-output.html (bounding box job output). Boxes
are whole pixels: left, top, width, height, 0-based. The format has no splits; every channel of a training
job has a manifest of its own. AWS itself takes only s3:// addresses as `source-ref`, so give a base.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

from dataprep_job.export.coordinates import whole_box
from dataprep_job.export.exported_image import ExportedImage
from dataprep_job.export.json_text import compact
from dataprep_job.export.writer import FolderWriter

_LABEL = "bounding-box"


class GroundTruthWriter(FolderWriter):
    """Writes `<train|validation|test>/output.manifest` and the pictures beside it.

    Every `source-ref` is `<base><split>/<name>`: relative to the exported folder where no base is given.
    """

    takes_base: ClassVar[bool] = True

    def _start(self) -> None:
        self._created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")

    def add(self, image: ExportedImage) -> None:
        """Write one picture and its boxes."""
        name = self._place(image, image.split)
        boxes = [(self._ids[box.name], whole_box(box.edges)) for box in image.boxes]
        line = {
            "source-ref": f"{self._base}{image.split}/{name}",
            _LABEL: {
                "image_size": [{"width": image.width, "height": image.height, "depth": 3}],
                "annotations": [
                    {"class_id": class_id, "left": left, "top": top, "width": width, "height": height}
                    for class_id, (left, top, width, height) in boxes
                ],
            },
            f"{_LABEL}-metadata": {
                "objects": [{"confidence": 1} for _ in boxes],
                "class-map": {
                    str(class_id): self._classes[class_id] for class_id in sorted({one for one, _ in boxes})
                },
                "type": "groundtruth/object-detection",
                "human-annotated": "yes",
                "creation-date": self._created,
                "job-name": "labeling-job/nestbox-export",
            },
        }
        text, _ = self._text(f"{image.split}/output.manifest")
        text.write(compact(line) + "\n")
