"""The body of CreateTrainingJob."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nestbox import bucket_layout
from nestbox.names import dataset_of_run, training_job_name
from nestbox.settings import DetectorKind, StartTrainingSettings

_METRICS = {
    "validation:mAP": r"epoch=\d+, validation mAP <score>=\(([0-9.]+)\)",
    "train:cross_entropy": r"epoch=\d+, train cross_entropy <loss>=\(([0-9.]+)\)",
    "train:smooth_l1": r"epoch=\d+, train smooth_l1 <loss>=\(([0-9.]+)\)",
}


_RETRIES = 2


@dataclass(frozen=True)
class Champion:
    """The run whose weights training starts from."""

    run: str
    model_data: str
    """S3 URI of its model.tar.gz."""


def training_request(
    run: str, hyperparameters: Mapping[str, str], champion: Champion | None, settings: StartTrainingSettings
) -> dict[str, Any]:
    """What SageMaker is asked for; the name is the run's, so asking twice makes one job."""
    bucket = settings.artifacts_bucket
    algorithm: dict[str, Any] = {"TrainingImage": settings.detector_image, "TrainingInputMode": "File"}
    if settings.detector_kind is DetectorKind.NESTBOX:
        # Of its own algorithms SageMaker knows the metrics, and refuses definitions.
        algorithm["MetricDefinitions"] = [{"Name": name, "Regex": regex} for name, regex in _METRICS.items()]
    channels = [
        _channel(
            name,
            bucket_layout.s3_uri(bucket, bucket_layout.channel_prefix(run, name)),
            "application/x-recordio",
        )
        for name in ("train", "validation")
    ]
    if champion is not None:
        channels.append(_channel("model", champion.model_data, "application/x-sagemaker-model"))
    request: dict[str, Any] = {
        "TrainingJobName": training_job_name(run),
        "AlgorithmSpecification": algorithm,
        "RoleArn": settings.training_role_arn,
        "HyperParameters": dict(hyperparameters),
        "InputDataConfig": channels,
        "OutputDataConfig": {"S3OutputPath": bucket_layout.s3_uri(bucket, bucket_layout.output_prefix(run))},
        "ResourceConfig": {
            "InstanceType": settings.training_instance_type,
            "InstanceCount": 1,
            "VolumeSizeInGB": settings.training_volume_gb,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": settings.training_max_seconds},
        # After an InternalServerError only: a machine that was lost, not a job that failed.
        "RetryStrategy": {"MaximumRetryAttempts": _RETRIES},
        "Tags": tags(run),
    }
    if settings.training_spot:
        request["EnableManagedSpotTraining"] = True
        # MaxWaitTime covers training and the wait for capacity.
        request["StoppingCondition"]["MaxWaitTimeInSeconds"] = 2 * settings.training_max_seconds
        request["CheckpointConfig"] = {
            "S3Uri": bucket_layout.s3_uri(bucket, bucket_layout.checkpoints_prefix(run))
        }
    return request


def tags(run: str) -> list[dict[str, str]]:
    """What every SageMaker resource of a run is tagged with, for bills and for people."""
    return [{"Key": "nestbox:dataset", "Value": dataset_of_run(run)}, {"Key": "nestbox:run", "Value": run}]


def _channel(name: str, uri: str, content_type: str) -> dict[str, Any]:
    return {
        "ChannelName": name,
        "ContentType": content_type,
        "CompressionType": "None",
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": uri,
                "S3DataDistributionType": "FullyReplicated",
            }
        },
    }
