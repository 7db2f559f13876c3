"""The annotation formats we read and write: their names in code and commands, and their titles for people."""

from __future__ import annotations

FORMAT_TITLES: dict[str, str] = {
    "cub": "CUB-200-2011",
    "coco": "COCO",
    "voc": "Pascal VOC",
    "yolo": "YOLO",
    "ground-truth": "SageMaker Ground Truth",
    "cvat": "CVAT",
    "label-studio": "Label Studio",
    "labelme": "LabelMe",
    "sagemaker": "SageMaker JSON",
    "lst": "MXNet .lst",
    "openimages": "Open Images CSV",
    "csv": "CSV (TensorFlow, RetinaNet, AutoML)",
    "createml": "Create ML",
}
