"""Training through the built-in algorithm's image and through ours: the same job to whoever looks at it."""

from __future__ import annotations

import io
import re
import tarfile
from datetime import UTC, datetime
from typing import Any

import cv2
import numpy as np
import pytest
from nestbox.rules.epochs import LogLine, read_log

from dataprep_job.recordio import detection_label, frame, pack_image

OURS = "000000000000.dkr.ecr.us-east-1.amazonaws.com/nestbox-detector:latest"
BUILT_IN = "811284229777.dkr.ecr.us-east-1.amazonaws.com/object-detection:1"
LOGS = "/aws/sagemaker/TrainingJobs"
METRICS = [{"Name": "validation:mAP", "Regex": r"validation mAP <score>=\(([0-9.]+)\)"}]
HYPERPARAMETERS = {
    "base_network": "nestbox-small",
    "num_classes": "1",
    "num_training_samples": "8",
    "image_shape": "64",
    "epochs": "2",
    "mini_batch_size": "4",
    "label_width": "7",
}


def records(count: int, seed: int) -> bytes:
    """A RecordIO file of white squares on noise."""
    random = np.random.default_rng(seed)
    content = b""
    for number in range(count):
        picture = random.integers(0, 150, (64, 64, 3), dtype=np.uint8)
        x, y = random.integers(0, 40, 2).tolist()
        cv2.rectangle(picture, (x, y), (x + 20, y + 20), (255, 255, 255), -1)
        label = detection_label([(0, (x / 64, y / 64, (x + 20) / 64, (y + 20) / 64))])
        content += frame(pack_image(number, label, cv2.imencode(".jpg", picture)[1].tobytes()))
    return content


class Job:
    """A finished training job, seen as the pipeline and people see it."""

    def __init__(self, aws: Any, description: dict[str, Any], events: list[dict[str, Any]]) -> None:
        self.description = description
        self.name = description["TrainingJobName"]
        self.log = aws.log(LOGS, f"{self.name}/")
        self.events = [(event["TrainingJobStatus"], event["SecondaryStatus"]) for event in events]
        bucket, key = description["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://").split("/", 1)
        body = aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(body)) as archive:
            self.model = {
                member.name: archive.extractfile(member).read()  # type: ignore[union-attr]
                for member in archive
            }

    @property
    def said(self) -> list[str]:
        """The log without what no two runs share: times, threads and speeds."""
        lines = [re.sub(r"^\[.*? (INFO|WARNING|ERROR) \d+\]", r"\1", line) for line in self.log]
        return [
            re.sub(r"\d+\.\d+ (s\b|records/second)", r"… \1", line)
            for line in lines
            if "engine.cc" not in line
        ]

    @property
    def epochs(self) -> list[tuple[int, float | None, float | None, float | None]]:
        read = read_log(LogLine(datetime(2026, 1, 1, tzinfo=UTC), line) for line in self.log)
        assert read.finished
        return [(e.epoch, e.validation_map, e.train_cross_entropy, e.train_smooth_l1) for e in read.epochs]


@pytest.fixture(scope="module")
def jobs(real_aws: Any, wait: Any, named: Any) -> tuple[Job, Job]:
    """The same training through both images."""
    bucket = real_aws.bucket()
    role = real_aws.role({"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
    for channel, count, seed in (("train", 8, 1), ("validation", 4, 2)):
        key = f"data/{channel}/{channel}.rec"
        real_aws.client("s3").put_object(Bucket=bucket, Key=key, Body=records(count, seed))
    received = real_aws.events(
        {"source": ["aws.sagemaker"], "detail-type": ["SageMaker Training Job State Change"]}
    )
    sagemaker = real_aws.client("sagemaker")
    done = []
    for image in (BUILT_IN, OURS):
        algorithm: dict[str, Any] = {"TrainingImage": image, "TrainingInputMode": "File"}
        if image == OURS:
            # Of its own algorithms SageMaker knows the metrics.
            algorithm["MetricDefinitions"] = METRICS
        name = named("job")
        sagemaker.create_training_job(
            TrainingJobName=name,
            AlgorithmSpecification=algorithm,
            RoleArn=role,
            HyperParameters=HYPERPARAMETERS,
            InputDataConfig=[channel_of(bucket, channel) for channel in ("train", "validation")],
            OutputDataConfig={"S3OutputPath": f"s3://{bucket}/output/"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
            StoppingCondition={"MaxRuntimeInSeconds": 600},
            # Beside other work, threads that wait busily for each other take many times as long.
            Environment={"OMP_WAIT_POLICY": "passive"},
        )

        def ended(name: str = name) -> dict[str, Any] | None:
            job: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName=name)
            return job if job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped") else None

        def told(name: str = name) -> list[dict[str, Any]] | None:
            events = [e["detail"] for e in received() if e["detail"]["TrainingJobName"] == name]
            return events if any(e["SecondaryStatus"] == "Completed" for e in events) else None

        description = wait(ended, 120)
        assert description["TrainingJobStatus"] == "Completed", description["FailureReason"]
        done.append(Job(real_aws, description, wait(told, 20)))
    return done[0], done[1]


def channel_of(bucket: str, channel: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/data/{channel}/"}
    return {
        "ChannelName": channel,
        "ContentType": "application/x-recordio",
        "DataSource": {"S3DataSource": source},
    }


def test_the_events_are_the_same(jobs: tuple[Job, Job]) -> None:
    built_in, ours = jobs
    assert built_in.events == ours.events
    assert [secondary for _, secondary in ours.events] == [
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]


def test_the_logs_and_epochs_are_the_same(jobs: tuple[Job, Job]) -> None:
    built_in, ours = jobs
    assert built_in.said == ours.said
    assert built_in.epochs == ours.epochs
    assert [epoch for epoch, *_ in ours.epochs] == [0, 1]
    assert all(value is not None for epoch in ours.epochs for value in epoch)


def test_the_model_is_the_same_and_lies_in_the_same_place(jobs: tuple[Job, Job]) -> None:
    built_in, ours = jobs
    assert built_in.model == ours.model
    assert {"detector.json", "detector-symbol.json", "detector-0000.params"} <= set(ours.model)
    for job in jobs:
        assert job.description["ModelArtifacts"]["S3ModelArtifacts"].endswith(
            f"/output/{job.name}/output/model.tar.gz"
        )
