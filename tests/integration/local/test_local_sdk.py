"""The official SageMaker SDK (v2) as an independent client.

What the birds notebook does, step by step, and a batch transform through the real detector.
"""

from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from detector.anchors import AnchorPlan, Level
from detector.answers import prediction
from detector.architecture import build_network
from detector.artefact import Artefact, graph_of, write_artefact
from detector.description import Description
from detector.hyperparameters import SMALL_NETWORK
from detector.inference import Detector
from detector.invocations import MAX_BODY_MEGABYTES
from detector.mxnet_runtime import mx
from detector.weights import take_weights

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


TRANSFORM = """
import json, sys, time
import boto3, sagemaker
from sagemaker.transformer import Transformer
role, bucket, image = sys.argv[1:]
session = sagemaker.Session()
model = sagemaker.model.Model(
    image, model_data=f"s3://{bucket}/model/model.tar.gz", role=role, sagemaker_session=session)
transformer = model.transformer(
    instance_count=1, instance_type="ml.m5.xlarge", strategy="SingleRecord", accept="application/json",
    output_path=f"s3://{bucket}/out")
transformer.transform(
    f"s3://{bucket}/pictures/", content_type="image/jpeg", split_type="None", wait=False, logs=False,
    model_client_config={"InvocationsTimeoutInSeconds": 60, "InvocationsMaxRetries": 1})
job = transformer.latest_transform_job.name
client = boto3.client("sagemaker")
deadline = time.monotonic() + 90
def describe():
    return client.describe_transform_job(TransformJobName=job)
while describe()["TransformJobStatus"] == "InProgress":
    assert time.monotonic() < deadline
    time.sleep(0.05)
session.logs_for_transform_job(job, poll=0)
attached = Transformer.attach(job, sagemaker_session=session)
session.wait_for_transform_job(attached.latest_transform_job.name, poll=0)
print(json.dumps({"description": describe(), "output_path": attached.output_path}, default=str))
"""


def run(aws: Any, folder: Path, program: str, *arguments: str) -> tuple[dict[str, Any], str]:
    """Runs a program of the SDK with nothing but an endpoint and keys: (its last line, all it printed)."""
    (folder / "sitecustomize.py").write_text(SHIM)
    config = folder / "config.yaml"
    config.write_text("SchemaVersion: '1.0'\nSageMaker: {PythonSDK: {Modules: {TelemetryOptOut: true}}}\n")
    environment = {
        "PATH": str(Path(sys.executable).parent),
        "HOME": str(folder),
        "PYTHONPATH": str(folder),
        "AWS_ENDPOINT_URL": aws.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(config),
        "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
        "NO_PROXY": "127.0.0.1",
    }
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1]), ended.stdout


@pytest.fixture
def bucket(aws: Any) -> str:
    name: str = aws.bucket()
    return name


@pytest.fixture
def role(aws: Any) -> str:
    arn: str = aws.role({"Effect": "Allow", "Action": ["s3:*", "logs:*"], "Resource": "*"})
    return arn


def test_fit_attach_deploy_predict(aws: Any, tmp_path: Path, bucket: str, role: str) -> None:
    aws.client("s3").upload_fileobj(io.BytesIO(b"records"), bucket, "train/train.rec")
    seen, _ = run(aws, tmp_path, PROGRAM, role, bucket)
    assert seen["account"] == "000000000000"
    assert seen["model_data"].startswith(f"s3://{bucket}/output/object-detection")
    assert seen["answer"]["type"] == "image/jpeg"
    assert seen["answer"]["model"]["num_classes"] == "5"


def picture(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (80 + 10 * seed, 120, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def test_transform_through_the_detector(aws: Any, tmp_path: Path, bucket: str, role: str) -> None:
    plan = AnchorPlan(96, (Level(16, ((0.2, 0.2), (0.3, 0.15))), Level(32, ((0.5, 0.5),))))
    mx.random.seed(0)
    network = build_network(SMALL_NETWORK, 2, plan)
    description = Description(SMALL_NETWORK, 2, plan, 0.45, 0.5, 10, 3, 0.75)
    write_artefact(tmp_path / "model", Artefact(description, graph_of(network), take_weights(network)))
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "model", arcname=".")
    s3 = aws.client("s3")
    s3.upload_file(str(tmp_path / "model.tar.gz"), bucket, "model/model.tar.gz")
    pictures = {f"{'deep/' * (seed % 2)}{seed}.jpg": picture(seed) for seed in range(4)}
    for name, content in pictures.items():
        s3.put_object(Bucket=bucket, Key=f"pictures/{name}", Body=content)

    seen, printed = run(aws, tmp_path, TRANSFORM, role, bucket, "registry.example/nestbox-detector:1")

    assert seen["description"]["TransformJobStatus"] == "Completed"
    assert seen["output_path"] == f"s3://{bucket}/out"
    assert "ready: " in printed
    # What the container says about itself, since the request says nothing.
    assert f"MaxPayloadInMB={MAX_BODY_MEGABYTES}, BatchStrategy=SINGLE_RECORD" in printed
    detector = Detector.load(tmp_path / "model")
    for name, content in pictures.items():
        answer = json.loads(s3.get_object(Bucket=bucket, Key=f"out/{name}.out")["Body"].read())
        expected = prediction(detector.detect(content))["prediction"]
        assert expected
        np.testing.assert_allclose(answer["prediction"], expected, atol=1e-4)
