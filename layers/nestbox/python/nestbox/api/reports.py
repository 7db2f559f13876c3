"""Links to the reports about a run, which lie in the artifacts bucket."""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

from botocore.exceptions import ClientError

from nestbox.api.errors import NotFoundError
from nestbox.api.views import ReportView
from nestbox.bucket_layout import evaluation_key, report_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LINK_SECONDS = 900

ReportKind = Literal["report", "evaluation"]
"""About the run's data, or about its model."""

Form = Literal["json", "html"]


@dataclass(frozen=True)
class _Report:
    """Where a report is, which of its two forms is written last, and when that happens."""

    key: Callable[[str, Form], str]
    last: Form
    written: str


_REPORTS: dict[ReportKind, _Report] = {
    "report": _Report(report_key, "html", "It is written when preparation ends"),
    "evaluation": _Report(evaluation_key, "json", "It is written when the model has been scored"),
}


def report_links(s3: "S3Client", artifacts_bucket: str, kind: ReportKind, run: str) -> ReportView:
    """Presigned links to a report; raises NotFoundError where the run has none (yet)."""
    report = _REPORTS[kind]
    try:
        s3.head_object(Bucket=artifacts_bucket, Key=report.key(run, report.last))
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != HTTPStatus.NOT_FOUND:
            raise
        raise NotFoundError(
            f"Run {run} has no {kind}.", f"{report.written}; GET /runs/{run} shows how far it is."
        ) from error

    def link(form: Form) -> str:
        return s3.generate_presigned_url(
            "get_object",
            Params={"Bucket": artifacts_bucket, "Key": report.key(run, form)},
            ExpiresIn=LINK_SECONDS,
        )

    return ReportView(run=run, html=link("html"), json=link("json"), expires_in=LINK_SECONDS)
