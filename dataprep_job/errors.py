"""Errors of the data preparation job.

    DataPrepError
    ├── LocationError     an address that is neither s3://bucket/prefix/ nor a folder
    ├── SourceError       the dataset, its snapshot or a previous preparation cannot be read
    │   └── FileGoneError one listed file cannot be had; `code` is the defect it amounts to
    │       ├── FileTooLargeError   a file that is not read, as it would fill memory
    │       └── MemberDamagedError  a file in a zip that is not what the zip says it is
    ├── OutputError       the result cannot be written
    ├── PictureError      a picture that cannot be used; `code` is the defect it amounts to
    └── RecordError       bytes that are no RecordIO, or a payload that RecordIO cannot hold

What is wrong with the *data* is no error: it is collected as defects (`dataprep_job.defects`). These errors
end the job, except FileGoneError and PictureError, which become defects of their file.
"""

from __future__ import annotations


class DataPrepError(Exception):
    """Base of every error this package raises on purpose; the message says what to mend."""


class LocationError(DataPrepError):
    """An address that names no place."""


class SourceError(DataPrepError):
    """Something that must be readable is not."""


class FileGoneError(SourceError):
    """A file that was listed cannot be fetched any more."""

    code = "file.gone"
    """The defect it amounts to."""


class FileTooLargeError(FileGoneError):
    """A file that was listed is too large to be read whole."""

    code = "file.too-large"


class MemberDamagedError(FileGoneError):
    """A file in a zip archive is cut off, or not the one that was packed."""

    code = "archive.member-damaged"


class OutputError(DataPrepError):
    """The result cannot be written."""


class PictureError(DataPrepError):
    """One picture cannot be used.

    Attributes:
        code: the defect code that says why.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class RecordError(DataPrepError):
    """Not RecordIO, or impossible as RecordIO."""
