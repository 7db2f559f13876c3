"""Training jobs and models on SageMaker."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from nestbox.gateways.refusals import code_of, final_refusals_told, is_missing, missing_is_fine
from nestbox.rules.recording import TrainingJob

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient


class Trainings:
    """SageMaker, as far as training goes."""

    def __init__(self, client: "SageMakerClient") -> None:
        self._client = client

    def ensure(self, request: Mapping[str, Any]) -> None:
        """Create the training job unless it is there; raises AwsRefusedError."""
        try:
            with final_refusals_told("SageMaker refused the training job"):
                self._client.create_training_job(**request)
        except ClientError as error:
            if code_of(error) != "ResourceInUse":
                raise

    def describe(self, job: str) -> TrainingJob | None:
        """The job, or None where there is none of this name."""
        try:
            answer = self._client.describe_training_job(TrainingJobName=job)
        except ClientError as error:
            if is_missing(error):
                return None
            raise
        return TrainingJob(
            status=answer["TrainingJobStatus"],
            secondary_status=answer["SecondaryStatus"],
            image=answer["AlgorithmSpecification"].get("TrainingImage", ""),
            hyperparameters=dict(answer.get("HyperParameters", {})),
            failure_reason=answer.get("FailureReason"),
            model_data=answer.get("ModelArtifacts", {}).get("S3ModelArtifacts") or None,
            ended_at=answer.get("TrainingEndTime"),
        )

    def stop(self, job: str) -> None:
        """Ask the job to stop; one that has ended, or that there never was, is fine."""
        with missing_is_fine():
            self._client.stop_training_job(TrainingJobName=job)

    def ensure_model(
        self, name: str, image: str, model_data: str, role_arn: str, tags: Sequence[Mapping[str, str]]
    ) -> None:
        """Create the model unless it is there; raises AwsRefusedError."""
        try:
            self._client.create_model(
                ModelName=name,
                PrimaryContainer={"Image": image, "ModelDataUrl": model_data},
                ExecutionRoleArn=role_arn,
                Tags=list(tags),  # type: ignore[arg-type]
            )
        except ClientError as error:
            # For a name that is taken CreateModel answers with the code of any invalid request.
            if code_of(error) not in ("ValidationException", "ResourceInUse"):
                raise
            with final_refusals_told("SageMaker refused the model"):
                if not self._has_model(name):
                    raise

    def _has_model(self, name: str) -> bool:
        try:
            self._client.describe_model(ModelName=name)
        except ClientError as error:
            if is_missing(error):
                return False
            raise
        return True
