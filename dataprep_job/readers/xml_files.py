"""XML files, each fetched once and handed to the format that its root element names."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import BinaryIO

from dataprep_job.dataset_files import DatasetFiles, stem
from dataprep_job.defects import DefectLog
from dataprep_job.lined_xml import XmlError, XmlStream
from dataprep_job.readers.cvat import CvatFiles
from dataprep_job.readers.reading import Findings
from dataprep_job.readers.voc import VocFiles

SMALL_BYTES = 4 << 20
"""Smaller files are fetched whole and ahead; larger ones are read as a stream, one after the other."""

_CHUNK = 1 << 18


class XmlReader:
    """Reads Pascal VOC (root `<annotation>`) and CVAT (root `<annotations>`)."""

    def read(self, files: DatasetFiles, log: DefectLog, findings: Findings) -> None:
        """Every XML annotation of the dataset."""
        voc, cvat = VocFiles(files, log, findings), CvatFiles(files, log, findings)
        for path, stream in _opened(files):
            with stream:
                chunks = iter(partial(stream.read, _CHUNK), b"")
                head = next(chunks, b"")
                xml = XmlStream(chain([head], chunks), opened=CvatFiles.opened)
                try:
                    root = xml.root()
                except XmlError as error:
                    # What is broken from the start is ours when it says so or belongs to a picture.
                    if b"<annotations" in head[:65536]:
                        cvat.read_broken(path, error)
                    elif b"<annotation>" in head[:65536] or files.pictures_with_stem(stem(path)):
                        voc.read_broken(path, error)
                    continue
                if root.tag == "annotation":
                    voc.read(path, root, xml)
                elif root.tag == "annotations":
                    cvat.read(path, xml)
        voc.finish()
        cvat.finish()


def _opened(files: DatasetFiles) -> Iterator[tuple[str, BinaryIO]]:
    small = (file for file in files.unclaimed("xml") if file.size < SMALL_BYTES)
    for file, data in files.read_many(small):
        yield file.path, io.BytesIO(data)
    for file in files.unclaimed("xml"):
        if file.size >= SMALL_BYTES and (stream := files.open(file.path)) is not None:
            yield file.path, stream
