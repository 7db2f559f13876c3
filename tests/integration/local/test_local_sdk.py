"""The official SageMaker SDK (v2) as an independent client: what the birds notebook does, step by step."""

from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("sagemaker") is None, reason="the SageMaker SDK is not installed"
)

# Both SDKs take https://sts.REGION.amazonaws.com for STS whatever AWS_ENDPOINT_URL says.
SHIM = """
import os, re
import botocore.session as session
create = session.Session.create_client
def create_client(self, service_name, *arguments, **named):
    if re.match(r"https://sts\\.[a-z0-9.-]*amazonaws\\.com", named.get("endpoint_url") or ""):
        named["endpoint_url"] = None
    return create(self, service_name, *arguments, **named)
session.Session.create_client = create_client
"""
PROGRAM = """
import json, sys, time
import boto3, sagemaker
from sagemaker import image_uris
role, bucket = sys.argv[1:]
session = sagemaker.Session()
account = session.account_id()
image = image_uris.retrieve(framework="object-detection", region="us-east-1")
estimator = sagemaker.estimator.Estimator(
    image, role, instance_count=1, instance_type="ml.p3.2xlarge", volume_size=50, max_run=3600,
    input_mode="File", output_path=f"s3://{bucket}/output", sagemaker_session=session)
estimator.set_hyperparameters(base_network="resnet-50", num_classes=5, epochs=1)
data = sagemaker.inputs.TrainingInput(
    f"s3://{bucket}/train", distribution="FullyReplicated", content_type="application/x-recordio",
    s3_data_type="S3Prefix")
estimator.fit(inputs={"train": data}, wait=False, logs=False)
job = estimator.latest_training_job.name
client = boto3.client("sagemaker")
deadline = time.monotonic() + 90
while client.describe_training_job(TrainingJobName=job)["TrainingJobStatus"] == "InProgress":
    assert time.monotonic() < deadline
    time.sleep(0.05)
attached = sagemaker.estimator.Estimator.attach(job, sagemaker_session=session)
serializer = sagemaker.serializers.IdentitySerializer("image/jpeg")
predictor = attached.deploy(1, "ml.m4.xlarge", wait=False, serializer=serializer)
name = predictor.endpoint_name
while client.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Creating":
    assert time.monotonic() < deadline
    time.sleep(0.05)
answer = json.loads(predictor.predict(b"picture"))
predictor.delete_endpoint(delete_endpoint_config=True)
print(json.dumps({"account": account, "model_data": attached.model_data, "answer": answer, "image": image}))
"""


def test_fit_attach_deploy_predict(aws: Any, tmp_path: Path, named: Any) -> None:
    bucket = aws.bucket()
    aws.client("s3").upload_fileobj(io.BytesIO(b"records"), bucket, "train/train.rec")
    role = aws.role({"Effect": "Allow", "Action": ["s3:*", "logs:*"], "Resource": "*"})
    (tmp_path / "sitecustomize.py").write_text(SHIM)
    config = tmp_path / "config.yaml"
    config.write_text("SchemaVersion: '1.0'\nSageMaker: {PythonSDK: {Modules: {TelemetryOptOut: true}}}\n")
    environment = {
        "PATH": str(Path(sys.executable).parent),
        "HOME": str(tmp_path),
        "PYTHONPATH": str(tmp_path),
        "AWS_ENDPOINT_URL": aws.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(config),
        "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
        "NO_PROXY": "127.0.0.1",
    }
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, role, bucket],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    seen = json.loads(ended.stdout.splitlines()[-1])
    assert seen["account"] == "000000000000"
    assert seen["model_data"].startswith(f"s3://{bucket}/output/object-detection")
    assert seen["answer"]["type"] == "image/jpeg"
    assert seen["answer"]["model"]["num_classes"] == "5"
