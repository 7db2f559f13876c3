"""The alarms of template.yaml and docs/runbook.md: what one names the other has."""

import functools
import re
import shlex
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from botocore.model import ServiceModel

from cli.main import parser

ROOT = Path(__file__).parents[3]


TEXT = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
# A command of AWS CLI 2 alone: what it calls, and how its options are called there.
TAIL = ("filter-log-events", {"--since": "--start-time", "--filter-pattern": "--filter-pattern"})


def aws_commands() -> list[str]:
    """Every command line of the runbook that begins with `aws`, without the comment behind it."""
    quoted = re.findall(r"`(aws [^`]+)`", TEXT)
    blocks = re.findall(r"^```sh\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("aws ")]
    return sorted({line.split("  #")[0].strip().replace("\n", " ") for line in quoted + lines})


@functools.cache
def service_model(service: str) -> ServiceModel:
    """What botocore knows of a service, as the AWS CLI does."""
    return botocore.session.get_session().get_service_model(service)


def runbook() -> dict[str, str]:
    """Heading to text of each entry."""
    parts = re.split(r"^### (.+)$", TEXT, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_alarm_has_its_entry_in_the_runbook_and_every_entry_its_alarm(template: Any) -> None:
    entries = runbook()
    alarms = template.of_type("AWS::CloudWatch::Alarm")
    assert sorted(entries) == sorted(alarms)
    for name, alarm in alarms.items():
        assert alarm["AlarmDescription"].endswith(f"Runbook: docs/runbook.md#{name.lower()}"), name


def test_every_entry_says_what_it_means_how_to_look_and_how_to_mend() -> None:
    for name, text in runbook().items():
        for part in ("**Means.**", "**Look.**", "**Mend.**"):
            assert part in text, f"{name} lacks {part}"
        assert "`" in text, f"{name} names no command"


def test_commands_in_the_runbook_are_commands(template: Any) -> None:
    known = set(next(iter(parser()._subparsers._group_actions)).choices)  # type: ignore[union-attr, arg-type]
    used = set(re.findall(r"`?nestbox ([a-z]+)", "\n".join(runbook().values())))
    assert used <= known, used - known
    outputs = set(re.findall(r"\$\(output (\w+)\)", "\n".join(runbook().values())))
    assert outputs <= set(template.data["Outputs"])


@pytest.mark.parametrize("command", aws_commands())
def test_what_the_runbook_has_the_aws_cli_do_can_be_done(template: Any, command: str) -> None:
    _, service, operation, *words = shlex.split(command)
    if (service, operation) == ("logs", "tail"):
        group, *words = words
        operation, options = TAIL
        words = ["--log-group-name", group, *(options.get(word, word) for word in words)]
    model = service_model(service)
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    shape = model.operation_model(operations[operation]).input_shape
    known = {f"--{xform_name(name, '-')}": name for name in shape.members}
    given = [word for word in words if word.startswith("--") and word not in ("--query", "--output")]
    assert set(given) <= set(known), set(given) - set(known)
    assert {known[option] for option in given} >= set(shape.required_members)
    groups = {
        group["LogGroupName"]["Fn::Sub"].replace("${AWS::StackName}", "nestbox")
        for group in template.of_type("AWS::Logs::LogGroup").values()
    }
    functions = {group.removeprefix("/aws/lambda/") for group in groups}
    assert {word for word in words if word.startswith("/aws/lambda/")} <= groups
    assert {word for word in words if word.startswith("nestbox-") and word != "nestbox-DATASET"} <= functions
