"""What a reader of an annotation format promises."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from dataprep_job.dataset_files import DatasetFiles
from dataprep_job.defects import DefectLog
from dataprep_job.labels import LabelledImage


@dataclass(slots=True)
class Reading:
    """Everything one reader found in a dataset.

    Attributes:
        images: one record per annotation of an existing picture; without boxes where the annotation has none.
        class_order: class names in the order in which they should get their ids.
        lost: annotated pictures that cannot be used at all (missing, damaged annotation), each with its
            defect in the log: the picture's path, empty where it is not known.
    """

    images: list[LabelledImage] = field(default_factory=list)
    class_order: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


class Reader(Protocol):
    """Reads one annotation format, wherever it lies in the dataset. Keeps no state between calls."""

    name: str

    def read(self, files: DatasetFiles, log: DefectLog) -> Reading | None:
        """Every record of this format, None where the dataset holds none. Bad data never raises."""
        ...
