"""A preparation dealt out to several jobs, one of which is killed: the result is that of one job."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deployed_stack import ROOT, System, wait_until

DATASET = "many"
IMAGES = 200
# 200 pictures are two blocks of the packing order, so that one of three slices is empty.
THRESHOLD = 70
KILLED = 2


@pytest.fixture(scope="module")
def small_slices(system: System) -> Iterator[None]:
    """The stack as if it had been deployed with a small ArrayThreshold."""
    with system.function_set("start_run", ARRAY_THRESHOLD=str(THRESHOLD)):
        yield


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / DATASET
    subprocess.run(
        [sys.executable, "-m", "cli.main", "sample", str(folder), "--images", str(IMAGES), "--seed", "7"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (folder / "nestbox.yaml").write_text("training: {epochs: 1}\n")
    return folder


def find_child(run: str, index: int) -> int | None:
    """The process of a slice that has begun to work: its temporary folder has open files."""
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes().split(b"\0")
            if b"slice" not in command or run.encode() not in command:
                continue
            if f"AWS_BATCH_JOB_ARRAY_INDEX={index}".encode() not in (process / "environ").read_bytes().split(
                b"\0"
            ):
                continue
            opened = [entry.readlink() for entry in (process / "fd").iterdir()]
            if any("nestbox-" in target.parent.name for target in opened):
                return int(process.name)
    return None


@pytest.fixture(scope="module")
def prepared(system: System, small_slices: None, sample: Path) -> dict[str, Any]:
    """The run once its data is prepared; one of its slices was killed at work."""
    system.upload(DATASET, sample)
    run = wait_until("the run", lambda: system.runs(DATASET), 60)[0]["run"]
    os.kill(wait_until("a slice to kill", lambda: find_child(run, KILLED), 120, every=0.01), signal.SIGKILL)

    def ready() -> dict[str, Any] | None:
        row = system.runs(DATASET)[0]
        return row if row["state"] != "PREPARING" else None

    return wait_until("the data to be prepared", ready, 180)


def test_the_run_goes_on_though_a_slice_was_killed(system: System, prepared: dict[str, Any]) -> None:
    assert prepared["state"] in {"TRAINING", "EVALUATING", "DEPLOYING", "SERVED"}, prepared
    assert prepared["slices"] == -(-IMAGES // THRESHOLD)
    batch = system.client("batch")
    ids = [prepared["plan_job_id"], prepared["slices_job_id"], prepared["prepare_job_id"]]
    jobs = batch.describe_jobs(jobs=ids)["jobs"]
    assert [job["jobName"] for job in jobs] == [
        f"{prepared['run']}-{k}" for k in ("plan", "slices", "prepare")
    ]
    assert {job["status"] for job in jobs} == {"SUCCEEDED"}
    children = batch.describe_jobs(jobs=[f"{ids[1]}:{n}" for n in range(int(prepared["slices"]))])["jobs"]
    codes = [[one["container"]["exitCode"] for one in child["attempts"]] for child in children]
    assert codes == [[0], [0], [137, 0]]


def test_the_result_is_that_of_one_job(system: System, prepared: dict[str, Any], tmp_path: Path) -> None:
    bucket, run = system.outputs["ArtifactsBucket"], prepared["run"]
    command = [
        *(".nestbox/env/dataprep/bin/python", "-m", "dataprep_job", "prepare"),
        *("--run", run, "--dataset", DATASET, "--output", str(tmp_path)),
        *("--judging", f"s3://{bucket}/judging/{DATASET}/"),
        *("--source", f"s3://{system.outputs['UploadsBucket']}/datasets/{DATASET}/"),
        *("--snapshot", f"s3://{bucket}/runs/{run}/snapshot.jsonl.gz"),
    ]
    path = os.pathsep.join([str(ROOT), str(ROOT / "layers/nestbox/python")])
    done = subprocess.run(
        command, cwd=ROOT, env=system.environment | {"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr

    prefix = f"runs/{run}/prep/"
    pages = system.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    names = {item["Key"].removeprefix(prefix) for page in pages for item in page["Contents"]}
    alone = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert names == alone, "nothing is left of the work"
    for name in sorted(names):
        body = system.s3.get_object(Bucket=bucket, Key=prefix + name)["Body"].read()
        same = without_timings(name, body) == without_timings(name, (tmp_path / name).read_bytes())
        assert same, f"{name} is not what one job writes"


def without_timings(name: str, body: bytes) -> Any:
    if name != "summary.json":
        return body
    return {key: value for key, value in json.loads(body).items() if key != "seconds"}


def test_whoever_ends_one_job_of_a_run_has_ended_the_run_and_all_its_jobs(
    system: System, small_slices: None, sample: Path
) -> None:
    dataset, batch = "ended", system.client("batch")
    system.upload(dataset, sample)

    def submitted() -> dict[str, Any] | None:
        return next((row for row in system.runs(dataset) if "prepare_job_id" in row), None)

    run = wait_until("the jobs", submitted, 60)
    batch.terminate_job(jobId=run["prepare_job_id"], reason="not needed any more")
    ended = system.run_number(dataset, 1, 120)
    assert (ended["state"], ended["failure"]["stage"]) == ("FAILED", "prepare")
    assert ended["failure"]["reason"] == f"job {run['run']}-prepare: not needed any more"

    def all_ended() -> bool:
        jobs = batch.describe_jobs(jobs=[run["plan_job_id"], run["slices_job_id"]])["jobs"]
        return all(job["status"] in ("SUCCEEDED", "FAILED") for job in jobs)

    wait_until("the other jobs to end", all_ended, 60)
    [child] = batch.describe_jobs(jobs=[f"{run['slices_job_id']}:{KILLED}"])["jobs"]
    assert child["statusReason"] == ended["failure"]["reason"]
