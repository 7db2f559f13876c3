"""Batch transform jobs on SageMaker."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from nestbox.gateways.refusals import code_of, final_refusals_told, is_missing, missing_is_fine
from nestbox.rules.judging import TransformJob

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient


class Transforms:
    """SageMaker, as far as batch transform goes."""

    def __init__(self, client: "SageMakerClient") -> None:
        self._client = client

    def ensure(self, request: Mapping[str, Any]) -> None:
        """Create the transform job unless it is there; raises AwsRefusedError."""
        try:
            with final_refusals_told("SageMaker refused the transform job"):
                self._client.create_transform_job(**request)
        except ClientError as error:
            if code_of(error) != "ResourceInUse":
                raise

    def describe(self, job: str) -> TransformJob | None:
        """The job, or None where there is none of this name."""
        try:
            answer = self._client.describe_transform_job(TransformJobName=job)
        except ClientError as error:
            if is_missing(error):
                return None
            raise
        return TransformJob(job, answer["TransformJobStatus"], answer.get("FailureReason"))

    def stop(self, job: str) -> None:
        """Stop a job; one that has ended, or is not there, is fine."""
        with missing_is_fine():
            self._client.stop_transform_job(TransformJobName=job)
