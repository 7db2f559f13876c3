"""The batch transform job that shows held-out pictures to a model."""

from collections.abc import Sequence
from typing import Any

from nestbox.bucket_layout import answers_prefix, judging_manifest_key, s3_uri
from nestbox.names import JudgedModel, transform_job_name


def transform_request(
    run: str,
    model: JudgedModel,
    round_: int,
    *,
    model_name: str,
    artifacts_bucket: str,
    instance_type: str,
    tags: Sequence[dict[str, str]],
) -> dict[str, Any]:
    """The request to CreateTransformJob: every picture is one request, its answer one object beside it.

    How many requests go at once the container says (``/execution-parameters``); the built-in one says 1.
    """
    return {
        "TransformJobName": transform_job_name(run, model, round_),
        "ModelName": model_name,
        "TransformInput": {
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": "ManifestFile",
                    "S3Uri": s3_uri(artifacts_bucket, judging_manifest_key(run)),
                }
            },
            "ContentType": "image/jpeg",
        },
        "TransformOutput": {
            "S3OutputPath": s3_uri(artifacts_bucket, answers_prefix(run, model, round_)),
            "Accept": "application/json",
        },
        "TransformResources": {"InstanceType": instance_type, "InstanceCount": 1},
        "Tags": list(tags),
    }
