"""Finds everything a command needs from the outputs of the CloudFormation stack, and from nothing else."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)

from cli.errors import StackError

CONNECTION_FILE = Path(".nestbox/local/connection.json")
STAGE = "v1"
TABLES = ("DatasetsTable", "RunsTable", "EpochsTable", "TokensTable")
QUEUES = ("SettleQueue", "EndpointQueue", "CancelQueue")
OUTPUTS = ("UploadsBucket", "ArtifactsBucket", *TABLES, *QUEUES, "ApiId", "ApiUrl", "Region")

TRANSFER_CONNECTIONS = 32


@dataclass(frozen=True)
class Stack:
    """A deployed stack."""

    name: str
    session: boto3.Session
    uploads_bucket: str
    artifacts_bucket: str
    api_url: str
    """Base of the API with its stage, without a slash at the end."""
    region: str
    tables: Mapping[str, str]
    """Output name to table name."""
    queues: Mapping[str, str]
    """Output name to queue URL."""


def connect(options: argparse.Namespace) -> boto3.Session:
    """A session for the AWS that the options name.

    It is also written into this process's environment, which is where the PynamoDB models look. Raises
    StackError.
    """
    if options.local and "AWS_ENDPOINT_URL" not in os.environ:
        os.environ.update(_local_environment(options.stack))
        for variable in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN"):
            os.environ.pop(variable, None)
    if options.profile:
        os.environ["AWS_PROFILE"] = options.profile
    try:
        # boto3 itself heeds AWS_DEFAULT_REGION only; the AWS CLI and the other SDKs heed AWS_REGION first.
        region = options.region or os.environ.get("AWS_REGION")
        session = boto3.Session(region_name=region, profile_name=options.profile)
    except ProfileNotFound as error:
        raise StackError(str(error), "List them with: aws configure list-profiles") from error
    if not session.region_name:
        raise StackError(
            "No AWS region is set.", "Give --region, or set AWS_REGION; --local for this machine."
        )
    os.environ["AWS_REGION"] = os.environ["AWS_DEFAULT_REGION"] = session.region_name
    return session


def find_stack(options: argparse.Namespace) -> Stack:
    """The stack that the options name, its tables known to the models. Raises StackError."""
    session = connect(options)
    outputs = _outputs(session, options.stack)
    missing = [name for name in OUTPUTS if name not in outputs]
    if missing:
        raise StackError(
            f"Stack {options.stack!r} has no output {', '.join(missing)}.",
            "It is no Nestbox stack, or one of another version: deploy this version, or give --stack.",
        )
    for output in TABLES:
        os.environ[output.removesuffix("Table").upper() + "_TABLE"] = outputs[output]
    return Stack(
        name=options.stack,
        session=session,
        uploads_bucket=outputs["UploadsBucket"],
        artifacts_bucket=outputs["ArtifactsBucket"],
        api_url=_api_url(outputs),
        region=outputs["Region"],
        tables={output: outputs[output] for output in TABLES},
        queues={output: outputs[output] for output in QUEUES},
    )


def transfer_config() -> Config:
    """For clients that move many objects at a time."""
    return Config(max_pool_connections=TRANSFER_CONNECTIONS, retries={"mode": "standard", "max_attempts": 6})


def _outputs(session: boto3.Session, name: str) -> dict[str, str]:
    where = os.environ.get("AWS_ENDPOINT_URL") or f"AWS, region {session.region_name}"
    try:
        stacks = session.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            raise StackError(
                f"There is no stack {name!r} ({where}).",
                "Deploy it (make local, or sam build && sam deploy --guided), or give --stack and --region.",
            ) from error
        raise StackError(
            f"Stack {name!r} cannot be read: {error}", "The caller needs cloudformation:DescribeStacks on it."
        ) from error
    except EndpointConnectionError as error:
        raise StackError(
            f"Nobody answers at {where}.", "Start the AWS on this machine: make local"
        ) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise StackError(
            "No AWS credentials were found.", "Set them up (aws configure), or give --profile or --local."
        ) from error
    except (NoRegionError, BotoCoreError) as error:
        raise StackError(
            f"Stack {name!r} cannot be read: {error}", "Try again, or check --region."
        ) from error
    stack = stacks[0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
    if not outputs and not stack["StackStatus"].endswith("_COMPLETE"):
        raise StackError(
            f"Stack {name!r} is {stack['StackStatus']}.",
            "Wait until its deployment has ended, or deploy it again.",
        )
    return outputs


def _api_url(outputs: Mapping[str, str]) -> str:
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        return f"{endpoint.rstrip('/')}/_aws/execute-api/{outputs['ApiId']}/{STAGE}"
    return outputs["ApiUrl"].rstrip("/")


def _local_environment(stack: str) -> dict[str, str]:
    places = [*(folder / CONNECTION_FILE for folder in (Path.cwd(), *Path.cwd().parents))]
    places.append(Path(__file__).resolve().parent.parent / CONNECTION_FILE)
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise StackError(
            f"The AWS on this machine is not running ({CONNECTION_FILE} is missing).",
            f"Start it and deploy {stack}: make local",
        )
    try:
        connection = json.loads(path.read_text())
        return {
            "AWS_ENDPOINT_URL": connection["endpoint_url"],
            "AWS_REGION": connection["region"],
            "AWS_DEFAULT_REGION": connection["region"],
            "AWS_ACCESS_KEY_ID": connection["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": connection["secret_access_key"],
        }
    except (ValueError, KeyError) as error:
        raise StackError(
            f"{path} cannot be read: {error!r}", "Start again: make stop && make local"
        ) from error
