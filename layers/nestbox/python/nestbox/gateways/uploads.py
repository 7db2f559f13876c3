"""What is in the uploads bucket."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from nestbox.bucket_layout import DATASETS, dataset_prefix, folder_of_upload, is_ready_marker
from nestbox.names import is_dataset_name
from nestbox.rules.snapshots import Counts, SnapshotEntry, count, version_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass
class Listing:
    """The newest versions of a dataset's objects, sorted by key, and when they last changed."""

    entries: list[SnapshotEntry] = field(default_factory=list)
    last_change_at: datetime | None = None
    """When the newest object was written or deleted."""
    ready_at: datetime | None = None
    """When ``_READY`` was written, if it is there."""

    def counts(self) -> Counts:
        """How many of them are pictures, archives and others."""
        return count(self.entries)

    def version(self) -> str:
        """What a snapshot of it would be called."""
        return version_of(self.entries)


class Uploads:
    """The uploads bucket, versioned."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self.bucket = bucket

    def datasets(self) -> Iterator[str]:
        """All datasets that have, or had, objects: one request for a thousand of them."""
        pages = self._client.get_paginator("list_object_versions").paginate(
            Bucket=self.bucket, Prefix=DATASETS, Delimiter="/"
        )
        for page in pages:
            for folder in page.get("CommonPrefixes", []):
                name = folder_of_upload(folder["Prefix"])
                if name is not None and is_dataset_name(name):
                    yield name

    def list(self, dataset: str) -> Listing:
        """All of a dataset as it is now; the markers of folders that S3 consoles make do not count."""
        listing = Listing()
        pages = self._client.get_paginator("list_object_versions").paginate(
            Bucket=self.bucket, Prefix=dataset_prefix(dataset)
        )
        for page in pages:
            for version in page.get("Versions", []):
                key = version["Key"]
                if not version["IsLatest"] or key.endswith("/"):
                    continue
                if is_ready_marker(key):
                    listing.ready_at = _later(listing.ready_at, version["LastModified"])
                    continue
                listing.last_change_at = _later(listing.last_change_at, version["LastModified"])
                listing.entries.append(
                    SnapshotEntry(key, version["VersionId"], version["ETag"].strip('"'), version["Size"])
                )
            for marker in page.get("DeleteMarkers", []):
                if marker["IsLatest"] and not is_ready_marker(marker["Key"]):
                    listing.last_change_at = _later(listing.last_change_at, marker["LastModified"])
        listing.entries.sort()
        return listing


def _later(one: datetime | None, other: datetime) -> datetime:
    return other if one is None else max(one, other)
