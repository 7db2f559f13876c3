"""On the AWS of this machine, with its S3: from job start to the report, and packing again with downloads."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.packing.datasets import Figure, coco_document, different, drawn_photos, seconds, small_photos
from dataprep_job.__main__ import main
from dataprep_job.s3_client import connect
from local.background import down, up
from local.deploy import enter
from local.images import DEFAULT_IMAGES

REPORTED = 1000
PHOTOS = 5000
CHANGED = 50
_BUCKET = "bench"
_UPLOADS = 8


def figures(root: Path) -> Iterator[Figure]:
    """Seconds to the report; seconds of a full preparation divided by those of preparing again."""
    root.mkdir(parents=True)
    with _local_aws(root):
        s3 = connect()
        s3.create_bucket(Bucket=_BUCKET)
        s3.put_bucket_versioning(Bucket=_BUCKET, VersioningConfiguration={"Status": "Enabled"})
        photos = small_photos()
        _upload(s3, "reported", photos, REPORTED)
        took, whole = _seconds_to_the_report(_order(s3, "reported", "first"))
        text = f"{REPORTED:,} photos to 512 px, process start included; all done after {whole:.1f} s"
        yield "aws.seconds_to_the_report", took, 5, False, text
        _upload(s3, "again", photos, PHOTOS)
        full = seconds(_prepare, _order(s3, "again", "first"))
        for number, photo in enumerate(drawn_photos(CHANGED, 500, 375)):
            s3.put_object(Bucket=_BUCKET, Key=f"datasets/again/{number * 97:05}.jpg", Body=photo)
        again = seconds(_prepare, _order(s3, "again", "second", "first"))
        text = f"{PHOTOS:,} photos to 256 px, {CHANGED} changed, with downloads: {full:.1f} s, {again:.2f} s"
        yield "aws.again_times_full", full / again, 10, True, text


@contextmanager
def _local_aws(root: Path) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    state = root / "aws"
    enter(up(port, state, DEFAULT_IMAGES))
    try:
        yield
    finally:
        down(state)


def _upload(s3: Any, dataset: str, photos: list[bytes], count: int) -> None:
    document = coco_document(count, 1, 120, 100)
    for image in document["images"]:  # type: ignore[attr-defined]
        del image["width"], image["height"]
    files = {f"{number:05}.jpg": photo for number, photo in enumerate(different(photos, count))}
    files["instances.json"] = json.dumps(document).encode()
    if dataset == "again":
        files["nestbox.yaml"] = b"images: {resize: 256}\n"
    with ThreadPoolExecutor(_UPLOADS) as pool:
        list(
            pool.map(
                lambda item: s3.put_object(Bucket=_BUCKET, Key=f"datasets/{dataset}/{item[0]}", Body=item[1]),
                files.items(),
            )
        )


def _order(s3: Any, dataset: str, run: str, previous: str = "") -> list[str]:
    """The arguments of the job, after taking a snapshot as the pipeline does."""
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=_BUCKET, Prefix=f"datasets/{dataset}/")
    lines = [
        json.dumps(
            {
                "key": version["Key"],
                "version_id": version["VersionId"],
                "etag": version["ETag"].strip('"'),
                "size": version["Size"],
            }
        )
        for page in pages
        for version in page["Versions"]
        if version["IsLatest"]
    ]
    snapshot = f"runs/{dataset}-{run}/snapshot.jsonl.gz"
    s3.put_object(Bucket=_BUCKET, Key=snapshot, Body=gzip.compress("\n".join(lines).encode()))
    before = f"s3://{_BUCKET}/runs/{dataset}-{previous}/prep/" if previous else "-"
    return [
        *("prepare", "--run", f"{dataset}-20261124000000-0000", "--dataset", dataset),
        *("--source", f"s3://{_BUCKET}/datasets/{dataset}/", "--snapshot", f"s3://{_BUCKET}/{snapshot}"),
        *("--output", f"s3://{_BUCKET}/runs/{dataset}-{run}/prep/", "--previous", before),
        *("--judging", f"s3://{_BUCKET}/judging/{dataset}/"),
    ]


def _prepare(order: list[str]) -> None:
    if main(order) != 0:
        raise RuntimeError(f"The preparation failed: {' '.join(order)}")


def _seconds_to_the_report(order: list[str]) -> tuple[float, float]:
    """From the start of the job's process to its word that the report is published, and to its end."""
    job_command = [sys.executable, "-m", "dataprep_job"]
    # In the image everything is compiled, which Python does here when it first runs something.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([*job_command, "--help"], env=environment, stdout=subprocess.DEVNULL, check=True)
    started = time.perf_counter()
    published = 0.0
    with subprocess.Popen([*job_command, *order], env=environment, stdout=subprocess.PIPE, text=True) as job:
        for line in job.stdout or ():
            if "the report is published" in line:
                published = time.perf_counter() - started
    if job.returncode != 0 or not published:
        raise RuntimeError(f"The preparation failed: {' '.join(order)}")
    return published, time.perf_counter() - started
