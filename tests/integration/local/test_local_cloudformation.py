"""AWS::Batch types in a stack, with the network that they stand in."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def stack(aws: Any, wait: Any, named: Any) -> Callable[..., Any]:
    cloudformation = aws.client("cloudformation")

    def run(template: dict[str, Any], name: str = "") -> Any:
        if name:
            cloudformation.update_stack(StackName=name, TemplateBody=json.dumps(template))
        else:
            name = named("stack")
            cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))

        def ended() -> Any:
            found = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
            return None if found["StackStatus"].endswith("IN_PROGRESS") else found

        found = wait(ended, 30)
        found["Outputs"] = {o["OutputKey"]: o["OutputValue"] for o in found.get("Outputs", [])}
        return found

    return run


def template(role: str, command: list[str], max_vcpus: int = 4) -> dict[str, Any]:
    network = {
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.1.0.0/16"}},
        "Gateway": {"Type": "AWS::EC2::InternetGateway"},
        "Attachment": {
            "Type": "AWS::EC2::VPCGatewayAttachment",
            "Properties": {"VpcId": {"Ref": "Vpc"}, "InternetGatewayId": {"Ref": "Gateway"}},
        },
        "Routes": {"Type": "AWS::EC2::RouteTable", "Properties": {"VpcId": {"Ref": "Vpc"}}},
        "Route": {
            "Type": "AWS::EC2::Route",
            "DependsOn": "Attachment",
            "Properties": {
                "RouteTableId": {"Ref": "Routes"},
                "DestinationCidrBlock": "0.0.0.0/0",
                "GatewayId": {"Ref": "Gateway"},
            },
        },
        "Subnet": {
            "Type": "AWS::EC2::Subnet",
            "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.1.0.0/24"},
        },
        "Group": {
            "Type": "AWS::EC2::SecurityGroup",
            "Properties": {"GroupDescription": "jobs", "VpcId": {"Ref": "Vpc"}},
        },
    }
    batch = {
        "Environment": {
            "Type": "AWS::Batch::ComputeEnvironment",
            "Properties": {
                "Type": "MANAGED",
                "ComputeResources": {
                    "Type": "FARGATE",
                    "MaxvCpus": max_vcpus,
                    "Subnets": [{"Ref": "Subnet"}],
                    "SecurityGroupIds": [{"Fn::GetAtt": ["Group", "GroupId"]}],
                },
            },
        },
        "Queue": {
            "Type": "AWS::Batch::JobQueue",
            "Properties": {
                "Priority": 1,
                "ComputeEnvironmentOrder": [
                    {"Order": 1, "ComputeEnvironment": {"Ref": "Environment"}},
                ],
            },
        },
        "Definition": {
            "Type": "AWS::Batch::JobDefinition",
            "Properties": {
                "Type": "container",
                "PlatformCapabilities": ["FARGATE"],
                "Parameters": {"MixedCase": "kept"},
                "ContainerProperties": {
                    "Image": "registry.example/test-batch:1",
                    "Command": command,
                    "ExecutionRoleArn": role,
                    "ResourceRequirements": [
                        {"Type": "VCPU", "Value": 1},
                        {"Type": "MEMORY", "Value": "2048"},
                    ],
                    "LogConfiguration": {
                        "LogDriver": "awslogs",
                        "Options": {"awslogs-group": "/nestbox/jobs", "awslogs-stream-prefix": "prepare"},
                    },
                },
            },
        },
    }
    outputs = {
        "Queue": {"Value": {"Ref": "Queue"}},
        "QueueArn": {"Value": {"Fn::GetAtt": ["Queue", "JobQueueArn"]}},
        "Definition": {"Value": {"Ref": "Definition"}},
        "Environment": {"Value": {"Fn::GetAtt": ["Environment", "ComputeEnvironmentArn"]}},
    }
    return {"Resources": {**network, **batch}, "Outputs": outputs}


def test_batch_in_a_stack(aws: Any, stack: Any, wait: Any) -> None:
    role, batch = aws.role(), aws.client("batch")
    made = stack(template(role, ["echo", "Ref::MixedCase"]))
    assert made["StackStatus"] == "CREATE_COMPLETE"
    outputs = made["Outputs"]
    assert outputs["Queue"] == outputs["QueueArn"]
    submission = {"jobQueue": outputs["Queue"], "jobDefinition": outputs["Definition"]}
    job = batch.submit_job(jobName="j", **submission)["jobId"]

    def ended() -> Any:
        found = batch.describe_jobs(jobs=[job])["jobs"][0]
        return found if "stoppedAt" in found else None

    done = wait(ended)
    assert done["status"] == "SUCCEEDED"
    assert done["container"]["logStreamName"].startswith("prepare/default/")
    assert aws.log("/nestbox/jobs", done["container"]["logStreamName"]) == ["kept"]

    changed = stack(template(role, ["exit", "0"], max_vcpus=8), made["StackName"])
    assert changed["StackStatus"] == "UPDATE_COMPLETE"
    # A changed definition is a new revision, and the old one is retired.
    assert changed["Outputs"]["Definition"] == outputs["Definition"].replace(":1", ":2")
    assert changed["Outputs"]["Queue"] == outputs["Queue"]
    (old,) = batch.describe_job_definitions(jobDefinitions=[outputs["Definition"]])["jobDefinitions"]
    assert old["status"] == "INACTIVE"
    (environment,) = batch.describe_compute_environments(computeEnvironments=[outputs["Environment"]])[
        "computeEnvironments"
    ]
    assert environment["computeResources"]["maxvCpus"] == 8

    cloudformation = aws.client("cloudformation")
    cloudformation.delete_stack(StackName=made["StackName"])
    wait(lambda: not batch.describe_job_queues(jobQueues=[outputs["Queue"]])["jobQueues"])
    wait(
        lambda: (
            not batch.describe_compute_environments(computeEnvironments=[outputs["Environment"]])[
                "computeEnvironments"
            ]
        )
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Definition": {"ContainerProperties": {"Imgae": "typo"}}}, "extraneous key"),
        ({"Queue": {"Priority": "high"}}, "wrong type"),
        ({"Environment": {"Type": "MANAGED"}}, "computeResources must be provided"),
    ],
)
def test_what_batch_refuses_fails_the_stack(
    aws: Any, stack: Any, change: dict[str, Any], reason: str
) -> None:
    document = template(aws.role(), ["exit", "0"])
    for name, properties in change.items():
        kept = document["Resources"][name]["Properties"]
        for key, value in properties.items():
            kept[key] = {**kept[key], **value} if isinstance(value, dict) else value
        if name == "Environment":
            del kept["ComputeResources"]
    made = stack(document)
    assert made["StackStatus"] == "ROLLBACK_COMPLETE"
    events = aws.client("cloudformation").describe_stack_events(StackName=made["StackName"])["StackEvents"]
    assert any(reason in event.get("ResourceStatusReason", "") for event in events)
