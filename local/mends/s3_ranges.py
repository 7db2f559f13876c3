"""Parts of versions of S3 objects."""

from __future__ import annotations

from typing import Any

from ministack.services import s3

Response = tuple[int, dict[str, str], bytes]


def install() -> None:
    """Puts the mends of this module in place."""
    read_parts_of_versions()


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
        others = {name: value for name, value in headers.items() if name != "x-amz-checksum-mode"}
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
