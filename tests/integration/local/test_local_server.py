"""Starting and stopping the server as people do, and what it leaves behind: nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from local import background
from local.errors import ServerError


def local(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local", *arguments], capture_output=True, text=True, timeout=90, check=False
    )


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def start_training(url: str, named: Any) -> Any:
    """Starts a training job that sleeps, and returns the client."""

    def client(service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    bucket, role = named("bucket"), named("role")
    client("s3").create_bucket(Bucket=bucket)
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "sagemaker.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    arn = client("iam").create_role(
        RoleName=role,
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )["Role"]["Arn"]
    sagemaker = client("sagemaker")
    sagemaker.create_training_job(
        TrainingJobName="long",
        AlgorithmSpecification={"TrainingImage": "r/test-algorithm:1", "TrainingInputMode": "File"},
        RoleArn=arn,
        HyperParameters={"behaviour": "sleep"},
        OutputDataConfig={"S3OutputPath": f"s3://{bucket}/"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
    )
    return sagemaker


def container_pids(state: Path) -> list[int]:
    """The processes that work in the state directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if str(state / "work") in str((entry / "cwd").readlink()):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


@pytest.mark.parametrize("end", ["down", "kill -9"])
def test_up_status_and_an_end_that_takes_everything_along(
    tmp_path: Path, images: Path, port: int, wait: Any, named: Any, end: str
) -> None:
    state = tmp_path / "state"
    up = ["up", "--port", str(port), "--state", str(state), "--images", str(images)]
    assert local("status", "--state", str(state)).returncode == 1
    try:
        started = local(*up)
        assert started.returncode == 0, started.stderr
        connection = json.loads((state / "connection.json").read_text())
        assert connection["endpoint_url"] == f"http://127.0.0.1:{port}"
        assert (state / "connection.json").stat().st_mode & 0o077 == 0
        assert local("status", "--state", str(state)).returncode == 0
        # A second `up` finds it running; another state directory finds the port taken.
        assert local(*up).returncode == 0
        other = local("up", "--port", str(port), "--state", str(tmp_path / "other"), "--images", str(images))
        assert other.returncode == 1
        assert f"port {port} of 127.0.0.1 is taken" in other.stderr

        sagemaker = start_training(connection["endpoint_url"], named)
        wait(lambda: sagemaker.describe_training_job(TrainingJobName="long")["SecondaryStatus"] == "Training")
        pids = wait(lambda: container_pids(state))
        if end == "down":
            assert local("down", "--state", str(state)).returncode == 0
            assert not (state / "work").exists()
            assert not (state / "connection.json").exists()
        else:
            os.kill(connection["pid"], signal.SIGKILL)
        wait(lambda: not any(running(pid) for pid in pids))
        assert local("status", "--state", str(state)).returncode == 1
    finally:
        local("down", "--state", str(state))
    assert not running(connection["pid"])


def test_a_stale_process_number_is_not_killed(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        background.write_connection(1, tmp_path, other.pid)
        assert background.down(tmp_path) is False
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_damaged_connection_file_is_named(tmp_path: Path) -> None:
    background.connection_file(tmp_path).write_text("{")
    with pytest.raises(ServerError, match=r"connection\.json is damaged"):
        background.Connection.read(tmp_path)


def test_only_the_loopback_is_bound(aws: Any) -> None:
    table = Path("/proc/net/tcp")
    if not table.exists():
        pytest.skip("needs /proc")
    rows = [line.split() for line in table.read_text().splitlines()[1:]]
    listening = [local_address for _, local_address, _, state, *_ in rows if state == "0A"]
    ours = [address for address in listening if int(address.partition(":")[2], 16) == aws.port]
    assert ours == [f"0100007F:{aws.port:04X}"]


def test_another_ministack_is_refused(tmp_path: Path, port: int) -> None:
    program = (
        "import importlib.metadata as m; real = m.version\n"
        "m.version = lambda name: '9.9.9' if name == 'ministack' else real(name)\n"
        "import sys; from local.commands import main\n"
        f"sys.exit(main(['serve', '--port', '{port}', '--state', {str(tmp_path)!r}]))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert "MiniStack 9.9.9 is installed, but the plug-in is written for 1.5.33" in ended.stderr
