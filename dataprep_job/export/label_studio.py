"""Label Studio's full JSON: a list of tasks, boxes as left, top, width and height in per cent of the picture.

Source: https://labelstud.io/guide/export (raw JSON format) and /guide/storage (local files). The format has
no splits; pictures lie in folders named for them, and each task's data says it again.
"""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import quote

from dataprep_job.export.coordinates import share
from dataprep_job.export.exported_image import ExportedBox, ExportedImage
from dataprep_job.export.json_text import JsonArray
from dataprep_job.export.writer import FolderWriter

_LOCAL_FILES = "/data/local-files/?d="


class LabelStudioWriter(FolderWriter):
    """Writes `tasks.json` and the pictures in `train`, `validation` and `test`.

    Without a base, pictures have addresses that Label Studio serves from its local files, with the exported
    folder as document root.
    """

    takes_base: ClassVar[bool] = True

    def _start(self) -> None:
        text, _ = self._text("tasks.json")
        text.write("[")
        self._tasks = JsonArray(text)
        self._task_id = 0

    def add(self, image: ExportedImage) -> None:
        """Write one picture and its boxes."""
        path = f"{image.split}/{self._place(image, image.split)}"
        self._task_id += 1
        self._tasks.add(
            {
                "id": self._task_id,
                "data": {
                    "image": self._address(path),
                    "split": image.split,
                },
                "annotations": [
                    {
                        "id": self._task_id,
                        "result": [
                            self._result(box, number, image) for number, box in enumerate(image.boxes)
                        ],
                        "was_cancelled": False,
                        "ground_truth": False,
                    }
                ],
                "predictions": [],
            }
        )

    def _address(self, path: str) -> str:
        """Web addresses are encoded, keys in buckets are not."""
        if not self._base:
            return _LOCAL_FILES + quote(path)
        return self._base + (quote(path) if self._base.startswith("http") else path)

    def _result(self, box: ExportedBox, number: int, image: ExportedImage) -> dict[str, Any]:
        x0, y0, x1, y1 = box.edges.relative(image.width, image.height)
        return {
            "id": f"{self._task_id}-{number}",
            "type": "rectanglelabels",
            "from_name": "label",
            "to_name": "image",
            "original_width": image.width,
            "original_height": image.height,
            "image_rotation": 0,
            "value": {
                "x": share(100 * x0),
                "y": share(100 * y0),
                "width": share(100 * (x1 - x0)),
                "height": share(100 * (y1 - y0)),
                "rotation": 0,
                "rectanglelabels": [box.name],
            },
        }

    def _complete(self) -> None:
        self._text("tasks.json")[0].write("\n]\n")
