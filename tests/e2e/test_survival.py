"""Whatever is killed, throttled or late in the middle of a run: it ends right, and nothing is lost.

One dataset tells one story, and its tests run in the order they stand in.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from deployed_stack import ENDED, ROOT, System, wait_until
from fault_proxy import FaultProxy

T = TypeVar("T")

DATASET = "lasting"
SETTINGS = "training: {epochs: 1}\ngate: {min_map: 0.0, min_improvement: -1.0, max_class_drop: 1.0}\n"
PICTURES = 12
JOBS = {"PREPARING": "batch", "TRAINING": "training", "EVALUATING": "transform", "DEPLOYING": "endpoints"}
SEED = 20_261_129
SUBMIT_JOB = "POST /v1/submitjob"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dozen drawn pictures, and a gate that lets every model pass."""
    folder = tmp_path_factory.mktemp("sample") / "birds"
    subprocess.run(
        [sys.executable, "-m", "cli.main", "sample", str(folder), "--images", str(PICTURES), "--seed", "7"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (folder / "nestbox.yaml").write_text(SETTINGS)
    return folder


def container(system: System, kind: str) -> int:
    """A process of the dataset's below the directory of its kind, once there is one."""
    return wait_until(f"a process of {kind}", lambda: system.working(kind, DATASET), 120, every=0.01)


def kill(system: System, kind: str) -> None:
    os.kill(container(system, kind), signal.SIGKILL)


def kill_the_machine(system: System) -> None:
    """SIGKILL for the local AWS, which is then started again."""
    pid = json.loads((system.state / "connection.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    port = system.endpoint_url.rpartition(":")[2]
    subprocess.run(
        [sys.executable, "-m", "local", "up", "--port", port, "--state", str(system.state)],
        cwd=ROOT,
        env=system.environment,
        check=True,
        capture_output=True,
    )


def snapshot(system: System, run: dict[str, Any]) -> dict[str, str]:
    """Key → version of every object that the run worked on."""
    body = system.s3.get_object(
        Bucket=system.outputs["ArtifactsBucket"], Key=f"runs/{run['run']}/snapshot.jsonl.gz"
    )["Body"].read()
    entries = [json.loads(line) for line in gzip.decompress(body).splitlines()]
    return {entry["key"]: entry["version_id"] for entry in entries if "key" in entry}


def uploaded(system: System, dataset: str) -> dict[str, str]:
    """Key → version of every object of the dataset."""
    listed = system.s3.list_object_versions(
        Bucket=system.outputs["UploadsBucket"], Prefix=f"datasets/{dataset}/"
    )["Versions"]
    return {entry["Key"]: entry["VersionId"] for entry in listed if entry["IsLatest"]}


def batch_jobs(system: System, run: str) -> list[tuple[str, list[int]]]:
    """Name and exit codes of each Batch job of the run."""
    batch = system.client("batch")
    ours = [{"name": "JOB_NAME", "values": [f"{run}*"]}]
    found = []
    for queue in batch.describe_job_queues()["jobQueues"]:
        listed = batch.list_jobs(jobQueue=queue["jobQueueArn"], filters=ours)["jobSummaryList"]
        for job in batch.describe_jobs(jobs=[one["jobId"] for one in listed])["jobs"] if listed else []:
            exits = [attempt["container"]["exitCode"] for attempt in job["attempts"]]
            found.append((job["jobName"], exits))
    return found


def test_a_killed_batch_job_is_tried_again_and_a_killed_training_says_why_the_run_failed(
    system: System, sample: Path
) -> None:
    system.upload(DATASET, sample)
    kill(system, "batch")
    kill(system, "training")
    run = system.run_number(DATASET, 1)
    assert batch_jobs(system, run["run"]) == [(f"{run['run']}-prepare", [137, 0])]
    assert run["state"] == "FAILED"
    assert "exit code: 137" in run["failure"]["reason"]
    assert system.row(DATASET).get("active_run") is None


# Its waits have deadlines of their own; on a machine loaded tenfold restarts and cold starts take minutes.
@pytest.mark.timeout(900)
def test_the_whole_aws_may_be_killed_while_calls_fail_and_a_function_times_out(
    system: System, sample: Path
) -> None:
    picture = next((sample / "images").rglob("*.jpg"))
    (sample / "nestbox.yaml").write_text(SETTINGS.replace("1}", "2}", 1))
    proxy = FaultProxy(system.endpoint_url, SEED, {"throttle": 1, "fail": 1, "lose": 1})
    with (
        proxy.running(),
        through(system, proxy),
        system.function_set("start_run", timeout=10),
        system.function_set("start_training", timeout=10),
        impatient(system, 4),
    ):
        # It takes effect; its caller is killed before it learns of that, and the message comes again.
        proxy.delay_once("batch", SUBMIT_JOB, 25)
        push(system, proxy, sample)
        system.put(DATASET, f"more/{picture.name}", picture.read_bytes() + b"one more")
        # The uploads are answered, and nothing has noticed them yet.
        kill_the_machine(system)
        trainer = made_good(system, "a training", lambda: system.working("training", DATASET))
        # Held up: on a fast machine it starts, and ends, before that caller's time is over.
        os.kill(trainer, signal.SIGSTOP)
        # start_training submits the job where it finds none yet.
        callers = ("start_run", "start_training")
        made_good(system, "the caller to be cut off", lambda: any(times_out(system, one) for one in callers))
        kill_the_machine(system)
        run = made_good(system, "run 2 to end", lambda: system.ended_run(DATASET, 2))
    assert run["state"] == "SERVED", run
    assert snapshot(system, run) == uploaded(system, DATASET)
    training = system.client("sagemaker").describe_training_job(TrainingJobName=run["run"])
    assert "Interrupted" in [move["Status"] for move in training["SecondaryStatusTransitions"]]
    assert [move["to"] for move in run["history"]] == [
        "PREPARING", "TRAINING", "EVALUATING", "DEPLOYING", "SERVED",
    ]  # fmt: skip
    assert system.champion_config(DATASET) == run["run"] == system.row(DATASET)["champion_run"]
    assert len(system.runs(DATASET)) == 2
    assert proxy.faults["batch", SUBMIT_JOB, "delay"] == 1
    names = [name for name, _ in batch_jobs(system, run["run"])]
    assert names.count(f"{run['run']}-prepare") == 1, "the job that was there was found"
    assert {kind for _, _, kind in proxy.faults} == {"throttle", "fail", "lose", "delay"}, proxy.faults
    assert {service for service, _, _ in proxy.faults} >= {
        "dynamodb", "sqs", "s3", "batch", "sagemaker", "logs",
    }, proxy.faults  # fmt: skip


def test_a_killed_endpoint_process_answers_again(system: System, sample: Path) -> None:
    picture = next((sample / "images").rglob("*.jpg")).read_bytes()
    champion = system.row(DATASET)["champion_run"]
    assert system.detect(DATASET, picture).json["run"] == champion
    first = container(system, f"endpoints/{endpoint_directory(system)}")
    os.kill(first, signal.SIGKILL)
    wait_until(
        "another process to answer", lambda: system.detect(DATASET, picture).status == 200, 60, every=0.1
    )
    assert container(system, f"endpoints/{endpoint_directory(system)}") != first
    assert system.champion_config(DATASET) == champion


def endpoint_directory(system: System) -> str:
    found = list((system.state / "work" / "endpoints").glob(f"nestbox-{DATASET}-*"))
    assert len(found) == 1
    return found[0].name


@contextmanager
def through(system: System, proxy: FaultProxy) -> Iterator[None]:
    """Has every function of the stack call AWS by way of the proxy."""
    functions = system.client("lambda")
    configured = {
        function["FunctionName"]: dict(function.get("Environment", {}).get("Variables", {}))
        for function in functions.list_functions()["Functions"]
        if function["FunctionName"].startswith("nestbox-")
    }
    assert len(configured) >= 10
    for name, variables in configured.items():
        functions.update_function_configuration(
            FunctionName=name, Environment={"Variables": {**variables, "AWS_ENDPOINT_URL": proxy.url}}
        )
    try:
        yield
    finally:
        for name, variables in configured.items():
            functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})


@contextmanager
def impatient(system: System, visibility: int) -> Iterator[None]:
    """Shortens how long a message that a step failed on stays away from it."""
    functions, sqs = system.client("lambda"), system.client("sqs")
    mappings = functions.list_event_source_mappings()["EventSourceMappings"]
    names = {mapping["EventSourceArn"].rpartition(":")[2] for mapping in mappings}
    urls = [sqs.get_queue_url(QueueName=name)["QueueUrl"] for name in names if name.startswith("nestbox-")]
    before = {
        url: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
        for url in urls
    }
    for url in urls:
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(visibility)})
    try:
        yield
    finally:
        for url, attributes in before.items():
            sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)


def push(system: System, proxy: FaultProxy, folder: Path) -> None:
    """`nestbox push`, by way of the proxy."""
    subprocess.run(
        [sys.executable, "-m", "cli.main", "push", str(folder), DATASET],
        cwd=ROOT,
        env=system.environment | {"AWS_ENDPOINT_URL": proxy.url},
        check=True,
        capture_output=True,
    )


def made_good(system: System, what: str, look: Callable[[], T | None]) -> T:
    """What comes in the end, though calls fail: reconcile comes by all the while, not only once a minute."""
    done = threading.Event()

    def reconcile() -> None:
        while not done.wait(2):
            system.reconcile()

    # Beside the looking, which would miss what is there for less long than reconcile takes.
    with ThreadPoolExecutor(1) as beside:
        reconciling = beside.submit(reconcile)
        try:
            found = wait_until(what, look, 450, every=0.1)
        finally:
            done.set()
        reconciling.result()
    return found


def times_out(system: System, step: str) -> bool:
    """Whether a call of the step's function was cut off."""
    group = f"/aws/lambda/nestbox-{step.replace('_', '-')}"
    pages = system.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
    return any("timed out" in event["message"] for page in pages for event in page["events"])


@pytest.mark.parametrize("seed", range(int(os.environ.get("NESTBOX_SOAK_ROUNDS", "0"))))
def test_whatever_is_killed_whenever(system: System, sample: Path, seed: int) -> None:
    """`make soak-local`: kills drawn from a seed, under a proxy that throttles and fails all the while."""
    drawn = random.Random(seed)
    dataset = f"soak-{seed}"
    stages = ["PREPARING", "TRAINING", "EVALUATING", "DEPLOYING"]
    kills = {stage: drawn.choice(["machine", "job", "nothing"]) for stage in stages}
    proxy = FaultProxy(system.endpoint_url, seed, {"throttle": 2, "fail": 1, "lose": 1}, of_calls=40)
    with proxy.running(), through(system, proxy), impatient(system, 8):
        system.upload(dataset, sample)
        for stage in stages:
            reached = partial(reached_stage, system, dataset, stage)
            state = wait_until(f"{dataset} in {stage}", reached, 600)["state"]
            if kills[stage] == "machine":
                kill_the_machine(system)
            elif kills[stage] == "job" and (job := system.working(JOBS.get(state, "none"), dataset)):
                with suppress(ProcessLookupError):
                    os.kill(job, signal.SIGKILL)
        first = system.run_number(dataset, 1, 900)
        if first["state"] != "SERVED":
            assert first["failure"]["reason"], first
            system.put(dataset, "nestbox.yaml", SETTINGS.replace("1}", "2}", 1).encode())
            assert system.run_number(dataset, 2, 900)["state"] == "SERVED"
    last = system.runs(dataset)[-1]
    assert snapshot(system, last) == uploaded(system, dataset)
    assert system.champion_config(dataset) == last["run"] == system.row(dataset)["champion_run"]
    picture = next((sample / "images").rglob("*.jpg")).read_bytes()
    wait_until("an answer", lambda: system.detect(dataset, picture).status == 200, 60)


def reached_stage(system: System, dataset: str, stage: str) -> dict[str, Any] | None:
    """The dataset's first run, once it is in this stage or has left it behind."""
    runs = system.runs(dataset)
    if not runs:
        return None
    moves = [move["to"] for move in runs[0]["history"]]
    return runs[0] if stage in moves or runs[0]["state"] in ENDED else None
