"""Writers of annotation formats: a checked dataset in the files that other tools expect.

A new format is one module with a class that keeps `Writer`, one entry in `WRITERS`, and its title in
`annotation_formats`.
"""

from __future__ import annotations

from dataprep_job.export.coco import CocoWriter
from dataprep_job.export.createml import CreateMlWriter
from dataprep_job.export.cub import CubWriter
from dataprep_job.export.cvat import CvatWriter
from dataprep_job.export.exported_image import ExportedBox, ExportedImage
from dataprep_job.export.ground_truth import GroundTruthWriter
from dataprep_job.export.label_studio import LabelStudioWriter
from dataprep_job.export.labelme import LabelmeWriter
from dataprep_job.export.lst import LstWriter
from dataprep_job.export.openimages import OpenImagesWriter
from dataprep_job.export.sagemaker import SagemakerWriter
from dataprep_job.export.tables import CsvWriter
from dataprep_job.export.voc import VocWriter
from dataprep_job.export.writer import Writer
from dataprep_job.export.yolo import YoloWriter

WRITERS: dict[str, type[Writer]] = {
    "cub": CubWriter,
    "coco": CocoWriter,
    "voc": VocWriter,
    "yolo": YoloWriter,
    "ground-truth": GroundTruthWriter,
    "cvat": CvatWriter,
    "label-studio": LabelStudioWriter,
    "labelme": LabelmeWriter,
    "sagemaker": SagemakerWriter,
    "lst": LstWriter,
    "openimages": OpenImagesWriter,
    "csv": CsvWriter,
    "createml": CreateMlWriter,
}
"""By the names of `FORMAT_TITLES`."""

__all__ = ["WRITERS", "ExportedBox", "ExportedImage", "Writer"]
