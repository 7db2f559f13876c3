"""Links to the report about a run's data, which lies in the artifacts bucket."""

from http import HTTPStatus
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from nestbox.api.errors import NotFoundError
from nestbox.api.views import ReportView
from nestbox.bucket_layout import report_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LINK_SECONDS = 900


def report_links(s3: "S3Client", artifacts_bucket: str, run: str) -> ReportView:
    """Presigned links to the report; raises NotFoundError where the run has none (yet)."""
    try:
        s3.head_object(Bucket=artifacts_bucket, Key=report_key(run, "html"))
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != HTTPStatus.NOT_FOUND:
            raise
        raise NotFoundError(
            f"Run {run} has no report.",
            f"It is written when preparation ends; GET /runs/{run} shows how far it is.",
        ) from error
    html, json = (
        s3.generate_presigned_url(
            "get_object",
            Params={"Bucket": artifacts_bucket, "Key": report_key(run, kind)},
            ExpiresIn=LINK_SECONDS,
        )
        for kind in ("html", "json")
    )
    return ReportView(run=run, html=html, json=json, expires_in=LINK_SECONDS)
