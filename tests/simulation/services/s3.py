"""S3: versioned objects, strongly consistent, with times of whole seconds as its listings have them."""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.response import StreamingBody

from simulation.services.paging import PAGE
from simulation.services.refusal import RefusedError, only

if TYPE_CHECKING:
    from simulation.world import World


@dataclass(frozen=True)
class Version:
    """One version of an object; without content it is a delete marker."""

    id: str
    content: bytes | None
    at: datetime

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.content or b"").hexdigest()}"'


class S3:
    """The buckets."""

    def __init__(self, world: "World", buckets: list[str], telling: list[str]) -> None:
        self._world = world
        self.buckets: dict[str, dict[str, list[Version]]] = {bucket: {} for bucket in buckets}
        self._telling = telling
        self.untold = set[str]()
        """Uploads of which an event was lost."""
        self._count = 0

    def newest(self, bucket: str, key: str) -> Version | None:
        """The version that a plain read gives."""
        versions = self.buckets[bucket].get(key)
        return versions[-1] if versions and versions[-1].content is not None else None

    def read(self, bucket: str, key: str, version: str | None = None) -> bytes | None:
        """The content of an object, or None."""
        for one in reversed(self.buckets[bucket].get(key, [])):
            if version is None or one.id == version:
                return one.content
        return None

    def put(self, bucket: str, key: str, content: bytes | None) -> Version:
        """Write an object (None: delete it), and tell of it."""
        self._count += 1
        at = self._world.timeline.moment.replace(microsecond=0)
        version = Version(f"v{self._count}", content, at)
        self.buckets[bucket].setdefault(key, []).append(version)
        if bucket in self._telling:
            told = self._world.bus.emit(
                "aws.s3",
                "Object Deleted" if content is None else "Object Created",
                {
                    "version": "0",
                    "bucket": {"name": bucket},
                    "object": {"key": key, "version-id": version.id, "sequencer": f"{self._count:016X}"},
                },
                f"of upload {key}",
                loss="upload event lost",
            )
            if not told:
                self.untold.add(key)
        return version

    # -- operations

    def put_object(self, request: Mapping[str, Any]) -> dict[str, Any]:
        only(request, "Bucket", "Key", "Body", "IfNoneMatch", "ContentType", "CacheControl", "Metadata")
        if request.get("IfNoneMatch") == "*" and self.newest(request["Bucket"], request["Key"]):
            raise RefusedError(
                "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"
            )
        body = request.get("Body", b"")
        content = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else body.read()
        return {"ETag": self.put(request["Bucket"], request["Key"], content).etag}

    def get_object(self, request: Mapping[str, Any]) -> dict[str, Any]:
        only(request, "Bucket", "Key", "VersionId")
        content = self.read(request["Bucket"], request["Key"], request.get("VersionId"))
        if content is None:
            raise RefusedError("NoSuchKey", "The specified key does not exist.")
        return {"Body": StreamingBody(io.BytesIO(content), len(content)), "ContentLength": len(content)}

    def head_object(self, request: Mapping[str, Any]) -> dict[str, Any]:
        only(request, "Bucket", "Key")
        version = self.newest(request["Bucket"], request["Key"])
        if version is None or version.content is None:
            raise RefusedError("404", "Not Found")
        return {"ContentLength": len(version.content), "ETag": version.etag, "LastModified": version.at}

    def delete_object(self, request: Mapping[str, Any]) -> dict[str, Any]:
        only(request, "Bucket", "Key")
        self.put(request["Bucket"], request["Key"], None)
        return {}

    def list_objects_v2(self, request: Mapping[str, Any]) -> dict[str, Any]:
        only(request, "Bucket", "Prefix", "MaxKeys", "ContinuationToken", "StartAfter")
        start = request.get("ContinuationToken") or request.get("StartAfter") or ""
        found = [
            (key, version)
            for key in sorted(self.buckets[request["Bucket"]])
            if key.startswith(request.get("Prefix", ""))
            and key > start
            and (version := self.newest(request["Bucket"], key))
        ]
        most = min(request.get("MaxKeys", PAGE), PAGE)
        answer: dict[str, Any] = {
            "Contents": [
                {"Key": key, "ETag": one.etag, "Size": len(one.content or b""), "LastModified": one.at}
                for key, one in found[:most]
            ],
            "KeyCount": len(found[:most]),
            "IsTruncated": len(found) > most,
        }
        if len(found) > most:
            answer["NextContinuationToken"] = found[most - 1][0]
        return answer

    def list_object_versions(self, request: Mapping[str, Any]) -> dict[str, Any]:
        only(request, "Bucket", "Prefix", "Delimiter", "KeyMarker", "VersionIdMarker")
        prefix, delimiter = request.get("Prefix", ""), request.get("Delimiter")
        things: list[tuple[str, Version | None]] = []
        """Keys with a version each, newest first; common prefixes without."""
        for key, versions in sorted(self.buckets[request["Bucket"]].items()):
            if not key.startswith(prefix):
                continue
            folder, cut, _rest = key.removeprefix(prefix).partition(delimiter) if delimiter else ("", "", "")
            if cut:
                things.append((prefix + folder + cut, None))
            else:
                things += [(key, one) for one in reversed(versions)]
        things = list(dict.fromkeys(things))
        places = [(key, one.id if one is not None else "") for key, one in things]
        marker = (request.get("KeyMarker"), request.get("VersionIdMarker") or "")
        begin = places.index(marker) + 1 if marker in places else 0
        page = things[begin : begin + PAGE]
        more = begin + PAGE < len(things)
        answer: dict[str, Any] = {
            "IsTruncated": more,
            "Versions": [],
            "DeleteMarkers": [],
            "CommonPrefixes": [],
        }
        if more:
            answer["NextKeyMarker"], answer["NextVersionIdMarker"] = places[begin + PAGE - 1]
        for key, one in page:
            if one is None:
                answer["CommonPrefixes"].append({"Prefix": key})
                continue
            newest = one is self.buckets[request["Bucket"]][key][-1]
            told = {"Key": key, "VersionId": one.id, "IsLatest": newest, "LastModified": one.at}
            if one.content is None:
                answer["DeleteMarkers"].append(told)
            else:
                answer["Versions"].append({**told, "ETag": one.etag, "Size": len(one.content)})
        return answer
