"""S3 in this process, drawn datasets in it, and the real data sets beside the checkout."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import cv2
import numpy as np
import pytest
from moto import mock_aws

Files = dict[str, bytes]

UPLOADS, ARTIFACTS = "uploads", "artifacts"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of an S3 that holds an uploads bucket (versioned) and an artifacts bucket."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("s3")
        for bucket in (UPLOADS, ARTIFACTS):
            client.create_bucket(Bucket=bucket)
        client.put_bucket_versioning(Bucket=UPLOADS, VersioningConfiguration={"Status": "Enabled"})
        yield client


@pytest.fixture
def upload(s3: Any) -> Callable[[str, Mapping[str, bytes]], None]:
    """Put files into a dataset of the uploads bucket."""

    def put(dataset: str, files: Mapping[str, bytes]) -> None:
        for path, data in files.items():
            s3.put_object(Bucket=UPLOADS, Key=f"datasets/{dataset}/{path}", Body=data)

    return put


@pytest.fixture
def snapshot(s3: Any) -> Callable[[str, str], list[str]]:
    """Freeze a dataset for a run, and give the job's arguments."""

    def take(dataset: str, run: str, previous: str = "-") -> list[str]:
        lines: list[str] = []
        for page in s3.get_paginator("list_object_versions").paginate(
            Bucket=UPLOADS, Prefix=f"datasets/{dataset}/"
        ):
            for version in page.get("Versions", []):
                if version["IsLatest"]:
                    line = {
                        "key": version["Key"],
                        "version_id": version["VersionId"],
                        "etag": version["ETag"].strip('"'),
                        "size": version["Size"],
                    }
                    lines.append(json.dumps(line) + "\n")
        key = f"runs/{run}/snapshot.jsonl.gz"
        s3.put_object(Bucket=ARTIFACTS, Key=key, Body=gzip.compress("".join(sorted(lines)).encode()))
        return [
            *("prepare", "--run", run, "--dataset", dataset),
            *("--source", f"s3://{UPLOADS}/datasets/{dataset}/"),
            *("--snapshot", f"s3://{ARTIFACTS}/{key}"),
            *("--output", f"s3://{ARTIFACTS}/runs/{run}/prep/"),
            *("--previous", previous if previous == "-" else f"s3://{ARTIFACTS}/runs/{previous}/prep/"),
            *("--judging", f"s3://{ARTIFACTS}/judging/{dataset}/"),
        ]

    return take


@pytest.fixture
def artifact(s3: Any) -> Callable[[str, str], bytes]:
    """Read a file of a run's preparation."""

    def read(run: str, name: str) -> bytes:
        data: bytes = s3.get_object(Bucket=ARTIFACTS, Key=f"runs/{run}/prep/{name}")["Body"].read()
        return data

    return read


def draw(seed: int, width: int = 96, height: int = 72) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (height // 12, width // 12, 3), np.uint8)
    pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_CUBIC)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


@pytest.fixture
def drawn() -> Callable[..., Files]:
    """A VOC dataset of so many drawn pictures, no split; picture n has n % 4 + 1 boxes of two classes."""

    def make(count: int, start: int = 0) -> Files:
        files: Files = {}
        for number in range(start, start + count):
            objects = "".join(
                f"<object><name>{'cat' if box % 2 else 'dog'}</name><bndbox>"
                f"<xmin>{1 + 5 * box}</xmin><ymin>{3 + 4 * box}</ymin>"
                f"<xmax>{40 + 7 * box}</xmax><ymax>{50 + box}</ymax></bndbox></object>"
                for box in range(number % 4 + 1)
            )
            size = "<size><width>96</width><height>72</height><depth>3</depth></size>"
            files[f"Annotations/p{number}.xml"] = f"<annotation>{size}{objects}</annotation>".encode()
            files[f"JPEGImages/p{number}.jpg"] = draw(number)
        return files

    return make


def _shared(name: str) -> Path:
    root = Path(__file__).resolve().parents[3]
    folder = Path(os.environ.get("NESTBOX_SHARED_DATA", root.parent / "shared" / "data")) / name
    if not folder.is_dir():
        pytest.skip(f"the real data set {name} is not beside the checkout (set NESTBOX_SHARED_DATA)")
    return folder


@pytest.fixture(scope="session")
def bccd() -> Path:
    """364 blood cell photos in Pascal VOC."""
    return _shared("bccd")


@pytest.fixture(scope="session")
def cub_3_species() -> Path:
    """173 bird photos in the CUB layout."""
    return _shared("cub-3-species")
