"""What template.yaml says: functions, queues, rules, tables, permissions. The one place that reads it."""

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).parents[2]
ACCOUNT = "000000000000"
REGION = "us-east-1"
STACK = "nestbox"

_PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Region": REGION,
    "AWS::StackName": STACK,
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::NoValue": None,
}


@dataclass(frozen=True)
class Queue:
    """A queue and where it leaves what cannot be handled."""

    name: str
    url: str
    visibility_timeout: float = 30.0
    max_receives: int | None = None
    dead_letters: str | None = None
    """Name of the dead-letter queue."""


@dataclass(frozen=True)
class Rule:
    """A rule on the event bus and the queue it feeds."""

    name: str
    pattern: dict[str, Any]
    queue: str


@dataclass(frozen=True)
class Source:
    """A queue that a function reads."""

    queue: str
    batch_size: int
    window: float


@dataclass(frozen=True)
class Stream:
    """The stream of a table that a function reads, as far as it passes the filters."""

    table: str
    batch_size: int
    retries: int
    longest_age: float
    patterns: list[dict[str, Any]]


@dataclass(frozen=True)
class Definition:
    """A Batch job definition: attempts of one job, and seconds of one attempt."""

    attempts: int
    seconds: float


@dataclass(frozen=True)
class Function:
    """A function: its code, its environment, what invokes it, and the actions its role allows."""

    name: str
    module: Path
    handler: str
    environment: dict[str, str]
    timeout: float
    source: Source | None = None
    stream: Stream | None = None
    every: float | None = None
    """Seconds between the invocations of its schedule."""
    actions: frozenset[str] = frozenset()
    routes: frozenset[tuple[str, str]] = frozenset()
    """Method and path of what it answers in the API."""


@dataclass(frozen=True)
class Table:
    """A table: names of its keys, and of its indexes' keys."""

    name: str
    keys: tuple[str, ...]
    indexes: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Wiring:
    """The stack."""

    functions: dict[str, Function]
    queues: dict[str, Queue]
    rules: list[Rule]
    tables: dict[str, Table]
    uploads_bucket: str
    artifacts_bucket: str
    definitions: dict[str, Definition]

    def queue_at(self, url: str) -> Queue:
        """The queue with this URL."""
        return next(queue for queue in self.queues.values() if queue.url == url)


@functools.cache
def _template() -> dict[str, Any]:
    data: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text(encoding="utf-8"))
    return data


@functools.lru_cache(maxsize=512)
def _read(parameters: tuple[tuple[str, str], ...]) -> Wiring:
    return _Reader(_template(), dict(parameters)).wiring()


def read_wiring(parameters: Mapping[str, Any]) -> Wiring:
    """The stack as deployed with these parameters; the others have their defaults."""
    unknown = set(parameters) - set(_template()["Parameters"])
    assert not unknown, f"template.yaml has no parameter {sorted(unknown)}"
    return _read(tuple(sorted((name, str(value)) for name, value in parameters.items())))


class _Reader:
    """Resolves the intrinsic functions that the parts which matter here use."""

    def __init__(self, template: dict[str, Any], parameters: dict[str, str]) -> None:
        self._template = template
        self._resources: dict[str, Any] = template["Resources"]
        defaults = {name: str(one.get("Default", "")) for name, one in template["Parameters"].items()}
        self._values = {**defaults, **parameters}

    def wiring(self) -> Wiring:
        queues = {name: self._queue(name, told) for name, told in self._of_type("AWS::SQS::Queue").items()}
        return Wiring(
            functions={
                name: self._function(name, told)
                for name, told in self._of_type("AWS::Serverless::Function").items()
            },
            queues=queues,
            rules=[self._rule(name, told) for name, told in self._of_type("AWS::Events::Rule").items()],
            tables={
                self._ref(name): self._table(name, told)
                for name, told in self._of_type("AWS::DynamoDB::Table").items()
            },
            uploads_bucket=self._ref("UploadsBucket"),
            artifacts_bucket=self._ref("ArtifactsBucket"),
            definitions={
                self._ref(name): Definition(
                    int(self._resolve(told["RetryStrategy"]["Attempts"])),
                    float(self._resolve(told["Timeout"]["AttemptDurationSeconds"])),
                )
                for name, told in self._of_type("AWS::Batch::JobDefinition").items()
            },
        )

    def _of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        return {
            name: resource.get("Properties", {})
            for name, resource in self._resources.items()
            if resource["Type"] == kind
        }

    def _queue(self, name: str, told: dict[str, Any]) -> Queue:
        redrive = told.get("RedrivePolicy")
        return Queue(
            name,
            self._ref(name),
            float(told.get("VisibilityTimeout", 30)),
            int(redrive["maxReceiveCount"]) if redrive else None,
            redrive["deadLetterTargetArn"]["Fn::GetAtt"][0] if redrive else None,
        )

    def _rule(self, name: str, told: dict[str, Any]) -> Rule:
        [target] = told["Targets"]
        assert set(target) == {"Id", "Arn"}, f"{name}: a target that transforms its input is not simulated"
        return Rule(name, self._resolve(told["EventPattern"]), target["Arn"]["Fn::GetAtt"][0])

    def _function(self, name: str, told: dict[str, Any]) -> Function:
        module, handler = told["Handler"].split(".")
        general = self._template["Globals"]["Function"]
        source = every = stream = None
        routes: set[tuple[str, str]] = set()
        for event in told.get("Events", {}).values():
            properties = event["Properties"]
            if event["Type"] == "SQS":
                source = Source(
                    properties["Queue"]["Fn::GetAtt"][0],
                    int(properties["BatchSize"]),
                    float(properties.get("MaximumBatchingWindowInSeconds", 0)),
                )
                assert properties["FunctionResponseTypes"] == ["ReportBatchItemFailures"], name
            elif event["Type"] == "DynamoDB":
                stream = Stream(
                    self._ref(properties["Stream"]["Fn::GetAtt"][0]),
                    int(properties["BatchSize"]),
                    int(properties["MaximumRetryAttempts"]),
                    float(properties["MaximumRecordAgeInSeconds"]),
                    [json.loads(one["Pattern"]) for one in properties["FilterCriteria"]["Filters"]],
                )
            elif event["Type"] == "Schedule":
                every = _seconds(properties["Schedule"])
            elif event["Type"] == "Api":
                routes.add((properties["Method"], properties["Path"]))
        variables = {
            **general["Environment"]["Variables"],
            **told.get("Environment", {}).get("Variables", {}),
        }
        return Function(
            name,
            ROOT / told["CodeUri"] / f"{module}.py",
            handler,
            {key: str(self._resolve(value)) for key, value in variables.items()},
            float(told.get("Timeout", general["Timeout"])),
            source,
            stream,
            every,
            self._actions(told["Role"]["Fn::GetAtt"][0]),
            frozenset(routes),
        )

    def _actions(self, role: str) -> frozenset[str]:
        statements = [
            statement
            for policy in self._resources[role]["Properties"]["Policies"]
            for statement in policy["PolicyDocument"]["Statement"]
        ]
        return frozenset(
            action
            for statement in statements
            for action in (
                [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
            )
        )

    def _table(self, name: str, told: dict[str, Any]) -> Table:
        return Table(
            self._ref(name),
            tuple(key["AttributeName"] for key in told["KeySchema"]),
            {
                index["IndexName"]: tuple(key["AttributeName"] for key in index["KeySchema"])
                for index in told.get("GlobalSecondaryIndexes", [])
            },
        )

    def _ref(self, name: str) -> Any:
        if name in _PSEUDO:
            return _PSEUDO[name]
        if name in self._values:
            return self._values[name]
        kind = self._resources[name]["Type"]
        if kind == "AWS::SQS::Queue":
            return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"
        if kind == "AWS::S3::Bucket":
            return f"{STACK}-{name.lower()}"
        if kind == "AWS::SNS::Topic":
            return f"arn:aws:sns:{REGION}:{ACCOUNT}:{name}"
        if kind == "AWS::Batch::JobDefinition":
            return f"arn:aws:batch:{REGION}:{ACCOUNT}:job-definition/{name}:1"
        if kind == "AWS::Batch::JobQueue":
            return f"arn:aws:batch:{REGION}:{ACCOUNT}:job-queue/{name}"
        return f"{STACK}-{name}"

    def _attribute(self, name: str, attribute: str) -> str:
        if attribute == "RepositoryUri":
            return f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{name.lower()}"
        if self._resources[name]["Type"] == "AWS::IAM::Role":
            return f"arn:aws:iam::{ACCOUNT}:role/{name}"
        return f"arn:aws:{self._resources[name]['Type'].split('::')[1].lower()}:{REGION}:{ACCOUNT}:{name}"

    def _holds(self, condition: Any) -> bool:
        if isinstance(condition, str):
            return self._holds(self._template["Conditions"][condition])
        [(function, told)] = condition.items()
        if function == "Fn::Equals":
            one, other = (self._resolve(side) for side in told)
            return bool(one == other)
        if function == "Fn::Not":
            return not self._holds(told[0])
        if function == "Fn::And":
            return all(self._holds(one) for one in told)
        if function == "Fn::Or":
            return any(self._holds(one) for one in told)
        assert function == "Condition", function
        return self._holds(told)

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._resolve(one) for one in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            [(function, told)] = value.items()
            if function == "Ref":
                return self._ref(told)
            if function == "Fn::GetAtt":
                return self._attribute(*told)
            if function == "Fn::If":
                return self._resolve(told[1] if self._holds(told[0]) else told[2])
            if function == "Fn::FindInMap":
                name, first, second = (self._resolve(one) for one in told)
                return self._template["Mappings"][name][first][second]
            if function == "Fn::Sub":
                return self._substitute(told)
            if function == "Fn::Join":
                return told[0].join(str(self._resolve(one)) for one in told[1])
        return {key: self._resolve(one) for key, one in value.items()}

    def _substitute(self, told: Any) -> str:
        text, values = (told, {}) if isinstance(told, str) else told

        def replace(match: re.Match[str]) -> str:
            name, _dot, attribute = match[1].partition(".")
            if name in values:
                return str(self._resolve(values[name]))
            return str(self._attribute(name, attribute) if attribute else self._ref(name))

        return re.sub(r"\$\{([^}]+)\}", replace, text)


def _seconds(schedule: str) -> float:
    match = re.fullmatch(r"rate\((\d+) (second|minute|hour|day)s?\)", schedule)
    assert match, f"the schedule {schedule!r} is not simulated"
    return int(match[1]) * {"second": 1, "minute": 60, "hour": 3600, "day": 86400}[match[2]]
