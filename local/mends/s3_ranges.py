"""Parts of S3 objects."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from ministack.services import s3

Response = tuple[int, dict[str, str], bytes]

_WANTS_A_PART: ContextVar[bool] = ContextVar("wants_a_part", default=False)


def install() -> None:
    """Puts the mends of this module in place."""
    read_parts_alone()
    read_parts_of_versions()


def read_parts_alone() -> None:
    """GetObject and UploadPartCopy read a whole object from its file for any part of it.

    They only take the length and a slice then, so a mapped file will do.
    """
    read_body, version_body = s3._read_body, s3._version_body
    get_object, upload_part_copy = s3._get_object, s3._upload_part_copy

    def read_body_mapped(bucket: str, key: str, found: dict[str, Any]) -> Any:
        mapped = None
        if _WANTS_A_PART.get() and found.get("body") is None:
            mapped = _mapped(s3._object_disk_path(bucket, key))
        return read_body(bucket, key, found) if mapped is None else mapped

    def version_body_mapped(bucket: dict[str, Any], name: str, key: str, found: dict[str, Any]) -> Any:
        mapped = None
        if _WANTS_A_PART.get() and found.get("data") is None:
            mapped = _mapped(s3._version_disk_path(name, key, found["version_id"]))
        return version_body(bucket, name, key, found) if mapped is None else mapped

    def get_part(
        bucket: str, key: str, headers: dict[str, str], query: dict[str, Any] | None = None
    ) -> Response:
        with _part(wanted="range" in headers and not s3._qp(query or {}, "versionId", "")):
            answer: Response = get_object(bucket, key, headers, query)
            return answer

    def copy_part(bucket: str, key: str, query: dict[str, Any], headers: dict[str, str]) -> Response:
        with _part(wanted="x-amz-copy-source-range" in headers):
            answer: Response = upload_part_copy(bucket, key, query, headers)
            return answer

    s3._read_body, s3._version_body = read_body_mapped, version_body_mapped
    s3._get_object, s3._upload_part_copy = get_part, copy_part


def read_parts_of_versions() -> None:
    """GetObject with a version answers with the whole object, whatever Range it was asked for."""
    original = s3._get_object

    def get_object(
        bucket: str, key: str, headers: dict[str, str], query: dict[str, Any] | None = None
    ) -> Response:
        wanted = headers.get("range", "")
        if not wanted or not s3._qp(query or {}, "versionId", ""):
            answer: Response = original(bucket, key, headers, query)
            return answer
        # The checksum of the whole is none of the part.
        others = {
            name: value for name, value in headers.items() if name not in ("range", "x-amz-checksum-mode")
        }
        with _part(wanted=True):
            status, found, body = original(bucket, key, others, query)
        if status != 200:
            return status, found, body
        part = s3._parse_range(wanted, len(body))
        if part is None:
            refused = {"Content-Type": "application/xml", "Content-Range": f"bytes */{len(body)}"}
            return 416, refused, s3._xml_body(s3._range_error_xml(bucket, key))
        first, last = part
        found["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
        found["Content-Length"] = str(last + 1 - first)
        return 206, found, body[first : last + 1]

    s3._get_object = get_object


@contextmanager
def _part(*, wanted: bool) -> Iterator[None]:
    token = _WANTS_A_PART.set(wanted or _WANTS_A_PART.get())
    try:
        yield
    finally:
        _WANTS_A_PART.reset(token)


def _mapped(path: str | None) -> mmap.mmap | None:
    """A file's bytes, read where they are looked at; None where there is no file, or nothing in it."""
    if path is None:
        return None
    try:
        with Path(path).open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):
        return None
