"""Readers of annotation formats. Each finds its format by content and layout, and gives neutral records.

A new format is one module with a class that keeps `Reader`, and one entry in `READERS`.
"""

from __future__ import annotations

from dataprep_job.readers.cub import CubReader
from dataprep_job.readers.reading import Reader, Reading
from dataprep_job.readers.voc import VocReader

READERS: tuple[Reader, ...] = (CubReader(), VocReader())
"""In the order in which they are asked: layouts of several files first, so that they claim what is theirs."""

__all__ = ["READERS", "Reader", "Reading"]
