"""Objects in the artifacts bucket."""

from typing import TYPE_CHECKING, BinaryIO, cast

from botocore.exceptions import ClientError

from nestbox.gateways.refusals import code_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Artifacts:
    """The artifacts bucket."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self.bucket = bucket

    def put_new(self, key: str, content: bytes) -> None:
        """Write an object that is written once; one that is there already stays as it is."""
        try:
            self._client.put_object(Bucket=self.bucket, Key=key, Body=content, IfNoneMatch="*")
        except ClientError as error:
            if code_of(error) != "PreconditionFailed":
                raise

    def open(self, key: str) -> BinaryIO | None:
        """A stream of the object's bytes, or None where there is no such object."""
        try:
            return cast(BinaryIO, self._client.get_object(Bucket=self.bucket, Key=key)["Body"])
        except ClientError as error:
            if code_of(error) in ("NoSuchKey", "404"):
                return None
            raise
