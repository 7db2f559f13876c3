"""Readers of annotation formats. Each finds its files by content and layout, and gives neutral records.

A new format is one module with a class that keeps `Reader` (or `JsonFormat`), one entry in `READERS` (or in
`JSON_FORMATS`), its title in `annotation_formats` and its defects in `defect_kinds`.
"""

from __future__ import annotations

from dataprep_job.readers.csv_files import CsvReader
from dataprep_job.readers.cub import CubReader
from dataprep_job.readers.ground_truth import GroundTruthReader
from dataprep_job.readers.json_files import JsonReader
from dataprep_job.readers.lst import ListReader
from dataprep_job.readers.reading import Findings, Reader
from dataprep_job.readers.xml_files import XmlReader
from dataprep_job.readers.yolo import YoloReader

READERS: tuple[Reader, ...] = (
    CubReader(),
    GroundTruthReader(),
    JsonReader(),
    XmlReader(),
    ListReader(),
    CsvReader(),
    YoloReader(),
)
"""In the order in which they are asked: layouts of several files first, so that they claim what is theirs."""

__all__ = ["READERS", "Findings", "Reader"]
