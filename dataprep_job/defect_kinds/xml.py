"""Kinds of defects of CVAT XML."""

from __future__ import annotations

from dataprep_job.defect_kinds.kind import Row

ROWS: tuple[Row, ...] = (
    (
        "cvat.bad-xml",
        "error",
        "CVAT file is damaged",
        "Export the task again from CVAT; what stands before the damage was used where it is complete.",
    ),
    (
        "cvat.bad-image",
        "error",
        "<image> cannot be used",
        "Give the <image> the name of its picture.",
    ),
    (
        "cvat.bad-shape",
        "error",
        "Shape cannot be used",
        "Give the shape a label, and in a track the number of its frame.",
    ),
    (
        "cvat.size-missing",
        "warning",
        "Annotation does not say the picture's size",
        "Nothing is lost, but a wrong picture would go unnoticed; export with width and height.",
    ),
    (
        "cvat.unknown-subset",
        "warning",
        "Subset that is no split",
        "Call the subset Train, Validation or Test in CVAT; until then it says nothing about the split.",
    ),
    (
        "cvat.video",
        "error",
        "Video without pictures of its frames",
        "Export the task from CVAT as 'CVAT for images 1.1' with 'Save images', and upload both.",
    ),
)
