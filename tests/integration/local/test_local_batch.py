"""AWS Batch on this machine, driven by boto3: real processes, their ends, and what AWS says of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cfnlint.decode.cfn_yaml import load as load_yaml

NEEDS = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "2048"}]


@pytest.fixture(scope="module")
def network(aws: Any) -> dict[str, list[str]]:
    ec2 = aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="jobs", Description="jobs", VpcId=vpc)["GroupId"]
    return {"subnets": [subnet], "securityGroupIds": [group]}


@pytest.fixture(scope="module")
def queue(aws: Any, network: dict[str, list[str]], named: Any) -> str:
    batch = aws.client("batch")
    environment = named("environment")
    batch.create_compute_environment(
        computeEnvironmentName=environment,
        type="MANAGED",
        computeResources={"type": "FARGATE", "maxvCpus": 16, **network},
    )
    name: str = named("queue")
    batch.create_job_queue(
        jobQueueName=name,
        priority=1,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": environment}],
    )
    return name


@pytest.fixture(scope="module")
def role(aws: Any) -> str:
    arn: str = aws.role()
    return arn


@pytest.fixture(scope="module")
def definition(aws: Any, role: str, named: Any) -> str:
    arn: str = aws.client("batch").register_job_definition(
        jobDefinitionName=named("definition"),
        type="container",
        platformCapabilities=["FARGATE"],
        parameters={"word": "default"},
        containerProperties={
            "image": "registry.example/test-batch:1",
            "command": ["echo", "Ref::word", "Ref::missing"],
            "executionRoleArn": role,
            "jobRoleArn": role,
            "resourceRequirements": NEEDS,
        },
    )["jobDefinitionArn"]
    return arn


@pytest.fixture
def run(aws: Any, queue: str, definition: str, wait: Any, named: Any) -> Any:
    """Submits a job with this command and waits for its end."""
    batch = aws.client("batch")

    def submit(*command: str, until: tuple[str, ...] = ("SUCCEEDED", "FAILED"), **options: Any) -> Any:
        if command:
            options.setdefault("containerOverrides", {})["command"] = list(command)
        options = {"jobQueue": queue, "jobDefinition": definition, "jobName": named("job"), **options}
        job = batch.submit_job(**options)["jobId"]

        def reached() -> Any:
            detail = batch.describe_jobs(jobs=[job])["jobs"][0]
            return detail if detail["status"] in until else None

        return wait(reached, 30)

    return submit


def test_parameters_replace_references_and_output_is_logged(run: Any, aws: Any) -> None:
    job = run(parameters={"word": "hello"})
    assert job["status"] == "SUCCEEDED"
    assert job["statusReason"] == "Essential container in task exited"
    assert job["container"]["exitCode"] == 0
    assert job["container"]["logStreamName"].split("/")[1] == "default"
    assert aws.log("/aws/batch/job", job["container"]["logStreamName"]) == ["hello Ref::missing"]


def test_the_environment_is_batchs_and_not_the_servers(run: Any, aws: Any) -> None:
    job = run("environment", containerOverrides={"environment": [{"name": "COLOUR", "value": "red"}]})
    environment = json.loads(aws.log("/aws/batch/job", job["container"]["logStreamName"])[0])
    assert environment["AWS_BATCH_JOB_ID"] == job["jobId"]
    assert environment["AWS_BATCH_JOB_ATTEMPT"] == "1"
    assert environment["COLOUR"] == "red"
    assert environment["AWS_ENDPOINT_URL"] == aws.url
    assert "AUTH" not in environment
    assert "GATEWAY_PORT" not in environment


def test_a_failed_job_shows_its_exit_code(run: Any) -> None:
    job = run("exit", "7")
    assert (job["status"], job["container"]["exitCode"]) == ("FAILED", 7)
    assert job["statusReason"] == "Essential container in task exited"
    assert len(job["attempts"]) == 1


def test_retries_until_it_succeeds(run: Any) -> None:
    job = run("fail-once", retryStrategy={"attempts": 3})
    assert job["status"] == "SUCCEEDED"
    assert [attempt["container"]["exitCode"] for attempt in job["attempts"]] == [17, 0]


def test_evaluate_on_exit_ends_the_retries(run: Any) -> None:
    rules = [{"onExitCode": "4*", "action": "EXIT"}, {"onExitCode": "*", "action": "RETRY"}]
    assert len(run("exit", "42", retryStrategy={"attempts": 3, "evaluateOnExit": rules})["attempts"]) == 1
    assert len(run("exit", "5", retryStrategy={"attempts": 2, "evaluateOnExit": rules})["attempts"]) == 2


def test_terminate_sends_sigterm_and_keeps_the_reason(run: Any, aws: Any, wait: Any) -> None:
    batch = aws.client("batch")
    job = run("sleep", until=("RUNNING",))
    stream = job["container"]["logStreamName"]
    wait(lambda: "sleeping" in aws.log("/aws/batch/job", stream))
    batch.terminate_job(jobId=job["jobId"], reason="not needed any more")
    ended = wait(
        lambda: next((j for j in batch.describe_jobs(jobs=[job["jobId"]])["jobs"] if "stoppedAt" in j), None)
    )
    assert (ended["status"], ended["statusReason"]) == ("FAILED", "not needed any more")
    assert ended["container"]["exitCode"] == 143
    assert ended["isTerminated"]
    assert "got SIGTERM" in aws.log("/aws/batch/job", stream)


def test_an_unknown_image_fails_as_a_pull_does(run: Any, aws: Any, role: str, named: Any) -> None:
    arn = aws.client("batch").register_job_definition(
        jobDefinitionName=named("definition"),
        type="container",
        platformCapabilities=["FARGATE"],
        containerProperties={
            "image": "registry.example/nobody-knows:1",
            "executionRoleArn": role,
            "resourceRequirements": NEEDS,
        },
    )["jobDefinitionArn"]
    job = run(jobDefinition=arn)
    assert job["status"] == "FAILED"
    assert job["statusReason"].startswith("CannotPullContainerError")
    assert "images.toml" in job["statusReason"]


def test_the_jobs_role_is_enforced(run: Any, aws: Any, role: str, named: Any) -> None:
    job = run("whoami")
    assert (
        f":assumed-role/{role.rpartition('/')[2]}/"
        in aws.log("/aws/batch/job", job["container"]["logStreamName"])[0]
    )
    denied = run("list")
    assert denied["status"] == "FAILED"
    log = aws.log("/aws/batch/job", denied["container"]["logStreamName"])
    assert any("AccessDenied" in line for line in log)


def test_events_have_awss_shape_and_order(run: Any, aws: Any, wait: Any) -> None:
    received = aws.events({"source": ["aws.batch"], "detail-type": ["Batch Job State Change"]})
    job = run("echo", "x")

    def mine() -> Any:
        found = [e for e in received() if e["detail"]["jobId"] == job["jobId"]]
        return found if any(e["detail"]["status"] == "SUCCEEDED" for e in found) else None

    events = wait(mine)
    assert [e["detail"]["status"] for e in events] == ["RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"]
    assert events[-1]["resources"] == [job["jobArn"]]
    detail = events[-1]["detail"]
    assert isinstance(detail["stoppedAt"], int)
    assert detail["attempts"][0]["container"]["exitCode"] == 0
    assert detail["jobDefinition"] == job["jobDefinition"]


def test_jobs_are_found_by_name(run: Any, aws: Any, queue: str, named: Any) -> None:
    name = named("findme")
    job = run("exit", "1", jobName=name)
    found = aws.client("batch").list_jobs(jobQueue=queue, filters=[{"name": "JOB_NAME", "values": [name]}])
    assert [summary["jobId"] for summary in found["jobSummaryList"]] == [job["jobId"]]
    assert found["jobSummaryList"][0]["status"] == "FAILED"


def test_dependencies_wait_and_fail_together(run: Any, aws: Any, queue: str, definition: str) -> None:
    first = run("exit", "0")
    after = run("echo", "second", dependsOn=[{"jobId": first["jobId"]}])
    assert after["status"] == "SUCCEEDED"
    assert after["startedAt"] >= first["stoppedAt"]
    broken = run("exit", "1")
    never = run("echo", "never", dependsOn=[{"jobId": broken["jobId"]}])
    assert (never["status"], never["statusReason"]) == ("FAILED", "Dependent Job failed")
    assert never["attempts"] == []


def test_array_jobs_run_every_index(run: Any, aws: Any) -> None:
    parent = run("environment", arrayProperties={"size": 3})
    assert parent["status"] == "SUCCEEDED"
    assert parent["arrayProperties"]["statusSummary"]["SUCCEEDED"] == 3
    batch = aws.client("batch")
    children = batch.list_jobs(arrayJobId=parent["jobId"], jobStatus="SUCCEEDED")["jobSummaryList"]
    assert sorted(child["arrayProperties"]["index"] for child in children) == [0, 1, 2]
    child = batch.describe_jobs(jobs=[f"{parent['jobId']}:2"])["jobs"][0]
    environment = json.loads(aws.log("/aws/batch/job", child["container"]["logStreamName"])[0])
    assert environment["AWS_BATCH_JOB_ARRAY_INDEX"] == "2"


def test_a_killed_child_is_tried_again(run: Any, aws: Any) -> None:
    rules = [{"onExitCode": "2", "action": "EXIT"}]
    retry = {"attempts": 3, "evaluateOnExit": rules}
    parent = run("killed-once", "1", arrayProperties={"size": 3}, retryStrategy=retry)
    assert parent["status"] == "SUCCEEDED"
    children = aws.client("batch").describe_jobs(jobs=[f"{parent['jobId']}:{n}" for n in range(3)])["jobs"]
    codes = {
        child["arrayProperties"]["index"]: [one["container"]["exitCode"] for one in child["attempts"]]
        for child in children
    }
    assert codes == {0: [0], 1: [137, 0], 2: [0]}


def test_a_child_that_fails_fails_its_array_and_what_waits_for_it(run: Any, aws: Any) -> None:
    batch = aws.client("batch")
    parent = run("fail-at", "1", arrayProperties={"size": 3}, retryStrategy={"attempts": 2})
    assert (parent["status"], parent["statusReason"]) == ("FAILED", "Array Child Job failed")
    summary = parent["arrayProperties"]["statusSummary"]
    assert (summary["SUCCEEDED"], summary["FAILED"]) == (2, 1)
    [failed] = batch.list_jobs(arrayJobId=parent["jobId"], jobStatus="FAILED")["jobSummaryList"]
    assert failed["jobId"] == f"{parent['jobId']}:1"
    assert failed["jobName"] == parent["jobName"]
    [child] = batch.describe_jobs(jobs=[failed["jobId"]])["jobs"]
    assert [one["container"]["exitCode"] for one in child["attempts"]] == [1, 1]
    after = run("echo", "never", dependsOn=[{"jobId": parent["jobId"]}])
    assert (after["status"], after["statusReason"]) == ("FAILED", "Dependent Job failed")


def test_an_array_waits_for_a_job_and_a_job_for_the_array(
    run: Any, aws: Any, queue: str, definition: str
) -> None:
    batch = aws.client("batch")
    plan = batch.submit_job(jobName="plan", jobQueue=queue, jobDefinition=definition)["jobId"]
    slices = batch.submit_job(
        jobName="slices",
        jobQueue=queue,
        jobDefinition=definition,
        arrayProperties={"size": 3},
        dependsOn=[{"jobId": plan}],
    )["jobId"]
    merge = run("echo", "merged", dependsOn=[{"jobId": slices}])
    assert merge["status"] == "SUCCEEDED"
    ids = [plan, *(f"{slices}:{n}" for n in range(3))]
    first, *children = batch.describe_jobs(jobs=ids)["jobs"]
    assert all(first["stoppedAt"] <= child["startedAt"] for child in children)
    assert all(child["stoppedAt"] <= merge["startedAt"] for child in children)


def test_a_failed_job_fails_the_whole_chain_behind_it(run: Any, aws: Any) -> None:
    broken = run("exit", "1")
    array = run("echo", "never", arrayProperties={"size": 2}, dependsOn=[{"jobId": broken["jobId"]}])
    assert (array["status"], array["statusReason"]) == ("FAILED", "Dependent Job failed")
    assert array["arrayProperties"]["statusSummary"]["FAILED"] == 2
    last = run("echo", "never", dependsOn=[{"jobId": array["jobId"]}])
    assert (last["status"], last["statusReason"]) == ("FAILED", "Dependent Job failed")


def test_events_tell_of_an_array_and_of_its_children(run: Any, aws: Any, wait: Any) -> None:
    received = aws.events({"source": ["aws.batch"], "detail-type": ["Batch Job State Change"]})
    parent = run("echo", "x", arrayProperties={"size": 2})

    def mine() -> Any:
        found = [e["detail"] for e in received() if e["detail"]["jobName"] == parent["jobName"]]
        ended = [one for one in found if one["jobId"] == parent["jobId"] and one["status"] == "SUCCEEDED"]
        return found if ended else None

    told = wait(mine)
    states: dict[str, list[str]] = {}
    for one in told:
        states.setdefault(one["jobId"].removeprefix(parent["jobId"]), []).append(one["status"])
    assert states[""] == ["PENDING", "SUCCEEDED"], "an array job is never RUNNABLE or RUNNING itself"
    assert states[":0"] == states[":1"] == ["RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"]
    assert {one["arrayProperties"].get("index") for one in told} == {None, 0, 1}
    assert told[-1]["arrayProperties"]["size"] == 2


def test_the_stacks_rule_skips_only_children_that_end_well(run: Any, aws: Any, wait: Any) -> None:
    template = load_yaml(str(Path(__file__).parents[3] / "template.yaml"))
    pattern = template["Resources"]["PreparationRule"]["Properties"]["EventPattern"]
    first = run("echo", "alone")
    detail = {**pattern["detail"], "jobQueue": [first["jobQueue"]]}
    received = aws.events({**pattern, "detail": detail})
    array = run("fail-at", "1", arrayProperties={"size": 3})
    alone = run("echo", "alone")

    def told() -> Any:
        found = [(e["detail"]["jobId"], e["detail"]["status"]) for e in received()]
        return found if (alone["jobId"], "SUCCEEDED") in found else None

    assert sorted(wait(told)) == sorted(
        [(f"{array['jobId']}:1", "FAILED"), (array["jobId"], "FAILED"), (alone["jobId"], "SUCCEEDED")]
    )


def test_terminating_an_array_ends_its_children_and_nothing_is_tried_again(
    run: Any, aws: Any, wait: Any
) -> None:
    batch = aws.client("batch")
    retry = {"attempts": 3}
    parent = run("sleep", arrayProperties={"size": 4}, retryStrategy=retry, until=("PENDING",))["jobId"]
    children = [f"{parent}:{n}" for n in range(4)]

    def sleeping() -> bool:
        streams = [
            job["container"].get("logStreamName") for job in batch.describe_jobs(jobs=children)["jobs"]
        ]
        return any(stream and "sleeping" in aws.log("/aws/batch/job", stream) for stream in streams)

    wait(sleeping)
    batch.terminate_job(jobId=parent, reason="the run has failed")
    ended = wait(
        lambda: next((j for j in batch.describe_jobs(jobs=[parent])["jobs"] if "stoppedAt" in j), None)
    )
    assert ended["status"] == "FAILED"
    for child in batch.describe_jobs(jobs=children)["jobs"]:
        assert (child["status"], child["statusReason"]) == ("FAILED", "the run has failed")
        assert child["isTerminated"]
        assert len(child["attempts"]) <= 1


def test_the_timeout_of_an_array_is_that_of_each_child(run: Any, aws: Any) -> None:
    parent = run("echo", "x", arrayProperties={"size": 2}, timeout={"attemptDurationSeconds": 60})
    [child] = aws.client("batch").describe_jobs(jobs=[f"{parent['jobId']}:1"])["jobs"]
    assert child["timeout"] == {"attemptDurationSeconds": 60}


def test_a_policy_can_tell_jobs_by_their_tags(run: Any, aws: Any, queue: str, definition: str) -> None:
    everything = "arn:aws:batch:us-east-1:000000000000:job/*"
    user = aws.user(
        {
            "Effect": "Allow",
            "Action": "batch:TerminateJob",
            "Resource": everything,
            "Condition": {"Null": {"aws:ResourceTag/nestbox:run": "false"}},
        }
    )
    batch = aws.client("batch", user)
    ours, others = run("exit", "0", tags={"nestbox:run": "birds"}), run("exit", "0", tags={"team": "cats"})
    batch.terminate_job(jobId=ours["jobId"], reason="ended already")
    with pytest.raises(ClientError, match="batch:TerminateJob"):
        batch.terminate_job(jobId=others["jobId"], reason="not ours")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"jobName": "a name"}, "jobName should match valid pattern"),
        ({"arrayProperties": {"size": 1}}, "between 2 and 10000"),
        ({"timeout": {"attemptDurationSeconds": 5}}, "at least 60"),
        ({"retryStrategy": {"attempts": 11}}, "between 1 and 10"),
        ({"dependsOn": [{"jobId": "unknown"}]}, "does not exist"),
        ({"jobQueue": "unknown"}, "JobQueue unknown not found"),
        ({"jobDefinition": "unknown"}, "JobDefinition unknown not found"),
        ({"containerOverrides": {"environment": [{"name": "AWS_BATCH_X", "value": ""}]}}, "reserved"),
    ],
)
def test_what_aws_refuses_is_refused(
    aws: Any, queue: str, definition: str, change: dict[str, Any], message: str
) -> None:
    request = {"jobName": "job", "jobQueue": queue, "jobDefinition": definition, **change}
    with pytest.raises(ClientError, match=message) as refusal:
        aws.client("batch").submit_job(**request)
    assert refusal.value.response["Error"]["Code"] == "ClientException"
    assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_fargate_takes_its_own_sizes_only(aws: Any, role: str, named: Any) -> None:
    needs = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "512"}]
    with pytest.raises(ClientError, match="not a valid combination"):
        aws.client("batch").register_job_definition(
            jobDefinitionName=named("definition"),
            type="container",
            platformCapabilities=["FARGATE"],
            containerProperties={"image": "i", "executionRoleArn": role, "resourceRequirements": needs},
        )


def test_an_environment_with_unknown_subnets_is_invalid(aws: Any, named: Any) -> None:
    batch = aws.client("batch")
    name = named("environment")
    resources = {"type": "FARGATE", "maxvCpus": 1, "subnets": ["subnet-0"], "securityGroupIds": ["sg-0"]}
    batch.create_compute_environment(computeEnvironmentName=name, type="MANAGED", computeResources=resources)
    found = batch.describe_compute_environments(computeEnvironments=[name])["computeEnvironments"][0]
    assert found["status"] == "INVALID"
    with pytest.raises(ClientError, match="is not VALID"):
        batch.create_job_queue(
            jobQueueName=named("queue"),
            priority=1,
            computeEnvironmentOrder=[{"order": 1, "computeEnvironment": name}],
        )


def test_queues_and_environments_are_disabled_before_they_go(
    aws: Any, network: dict[str, list[str]], named: Any
) -> None:
    batch = aws.client("batch")
    environment, queue = named("environment"), named("queue")
    batch.create_compute_environment(
        computeEnvironmentName=environment,
        type="MANAGED",
        computeResources={"type": "FARGATE", "maxvCpus": 1, **network},
    )
    order = [{"order": 1, "computeEnvironment": environment}]
    batch.create_job_queue(jobQueueName=queue, priority=1, computeEnvironmentOrder=order)
    with pytest.raises(ClientError, match="must be disabled first"):
        batch.delete_job_queue(jobQueue=queue)
    batch.update_compute_environment(computeEnvironment=environment, state="DISABLED")
    with pytest.raises(ClientError, match="JobQueue relationship"):
        batch.delete_compute_environment(computeEnvironment=environment)
    batch.update_job_queue(jobQueue=queue, state="DISABLED")
    batch.delete_job_queue(jobQueue=queue)
    batch.delete_compute_environment(computeEnvironment=environment)
    assert batch.describe_job_queues(jobQueues=[queue])["jobQueues"] == []


def test_callers_need_permission_for_queue_and_definition(
    aws: Any, queue: str, definition: str, wait: Any, named: Any
) -> None:
    prefix = f"arn:aws:batch:us-east-1:000000000000:job-queue/{queue}"
    bare = definition.rpartition(":")[0]
    allowed = aws.user({"Effect": "Allow", "Action": "batch:SubmitJob", "Resource": [prefix, f"{bare}:*"]})
    half = aws.user({"Effect": "Allow", "Action": "batch:SubmitJob", "Resource": [prefix]})
    request = {"jobName": named("job"), "jobQueue": queue, "jobDefinition": definition}
    assert aws.client("batch", allowed).submit_job(**request)["jobId"]
    with pytest.raises(ClientError, match="not authorized to perform: batch:SubmitJob") as refusal:
        aws.client("batch", half).submit_job(**request)
    assert refusal.value.response["Error"]["Code"] == "AccessDeniedException"
    with pytest.raises(ClientError, match="batch:TagResource"):
        aws.client("batch", allowed).submit_job(**request, tags={"a": "b"})
    with pytest.raises(ClientError, match="batch:ListJobs"):
        aws.client("batch", allowed).list_jobs(jobQueue=queue)


def test_registering_a_definition_needs_to_pass_its_roles(aws: Any, role: str, named: Any) -> None:
    user = aws.user({"Effect": "Allow", "Action": "batch:*", "Resource": "*"})
    with pytest.raises(ClientError, match="iam:PassRole"):
        aws.client("batch", user).register_job_definition(
            jobDefinitionName=named("definition"),
            type="container",
            platformCapabilities=["FARGATE"],
            containerProperties={"image": "i", "executionRoleArn": role, "resourceRequirements": NEEDS},
        )


def test_tags(aws: Any, definition: str) -> None:
    batch = aws.client("batch")
    batch.tag_resource(resourceArn=definition, tags={"team": "birds", "x": "y"})
    batch.untag_resource(resourceArn=definition, tagKeys=["x"])
    assert batch.list_tags_for_resource(resourceArn=definition)["tags"] == {"team": "birds"}


def test_operations_that_are_not_offered_say_so(aws: Any) -> None:
    with pytest.raises(ClientError, match="does not offer") as refusal:
        aws.client("batch").list_scheduling_policies()
    assert refusal.value.response["Error"]["Code"] == "UnknownOperationException"
