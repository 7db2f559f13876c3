"""`nestbox redrive`: what the dead-letter queues hold, and back with it to where it came from."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from nestbox import timestamps
from nestbox.errors import BadEventError
from nestbox.events import DatasetLook, RunLook, look_in, uploads_in
from rich.markup import escape

from cli.errors import CliError
from cli.options import Commands, Parser, add_command, add_stack_options
from cli.output import ago, console, plural, print_json, table
from cli.stack import Stack, find_stack

DEAD_LETTERS, QUEUE = "DeadLetters", "Queue"
SHOWN = 20
_BATCH = 10
_LONGEST_BODY = 100


def register(commands: Commands[Parser]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "redrive",
        run_redrive,
        summary="Move what could not be handled back to where it came from, and show what it said.",
        details="""
            Messages that a step failed on five times wait in its dead-letter queue, for two weeks. Mend what
            made them fail (the step's log says what), then move them back. Each is sent before it is deleted:
            whatever breaks in between, none is lost, and one that comes twice does no harm.

            Without QUEUE and --all it only counts.
        """,
        example="nestbox redrive intake",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("queue", nargs="?", metavar="QUEUE", help="intake, settle, training, record, …")
    which.add_argument("--all", action="store_true", help="of every queue")
    parser.add_argument(
        "--drop", action="store_true", help="delete them instead: for messages that can never be handled"
    )
    add_stack_options(parser)


@dataclass(frozen=True)
class Letter:
    """One message of a dead-letter queue."""

    id: str
    body: str
    said: str
    sent_at: str
    receives: int


@dataclass
class Redriven:
    """What was done with one dead-letter queue."""

    queue: str
    waiting: int
    """Messages in it before, as far as SQS knows."""
    letters: list[Letter] = field(default_factory=list)
    """Those that were moved (or dropped)."""


def run_redrive(options: argparse.Namespace) -> int:
    """Count, or move messages back."""
    stack = find_stack(options)
    queues = _queues(stack)
    if options.queue and options.queue not in queues:
        raise CliError(f"There is no queue {options.queue!r}.", f"Queues: {', '.join(sorted(queues))}")
    act = options.all or options.queue is not None
    if options.drop and not act:
        raise CliError("Nothing is dropped without a name.", "Name the QUEUE, or give --all.")
    sqs = stack.session.client("sqs")
    done = []
    for name in [options.queue] if options.queue else sorted(queues):
        dead, source = queues[name]
        result = Redriven(name, _count(sqs, dead))
        done.append(result)
        if act:
            result.letters = list(_move(sqs, dead, None if options.drop else source))
    if options.json:
        print_json({"queues": [_record(one, act, options.drop) for one in done]})
    else:
        _show(done, act, options.drop)
    return 0


def _queues(stack: Stack) -> dict[str, tuple[str, str]]:
    """Short name to the URLs of the dead-letter queue and of the queue it belongs to."""
    pages = (
        stack.session.client("cloudformation")
        .get_paginator("list_stack_resources")
        .paginate(StackName=stack.name)
    )
    urls = {
        resource["LogicalResourceId"]: resource.get("PhysicalResourceId", "")
        for page in pages
        for resource in page["StackResourceSummaries"]
        if resource["ResourceType"] == "AWS::SQS::Queue"
    }
    return {
        name.removesuffix(DEAD_LETTERS).lower(): (url, urls[name.removesuffix(DEAD_LETTERS) + QUEUE])
        for name, url in urls.items()
        if name.endswith(DEAD_LETTERS)
    }


def _count(sqs: Any, url: str) -> int:
    answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])


def _move(sqs: Any, dead: str, source: str | None) -> Iterator[Letter]:
    """Send each message to ``source`` (None: nowhere), then delete it; yields those that were."""
    # SQS has StartMessageMoveTask, but what is moved by it nobody gets to read.
    while True:
        messages = sqs.receive_message(
            QueueUrl=dead,
            MaxNumberOfMessages=_BATCH,
            WaitTimeSeconds=1,
            AttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
            MessageAttributeNames=["All"],
        ).get("Messages", [])
        if not messages:
            return
        for message in messages:
            if source is not None:
                attributes = {
                    name: {key: value for key, value in one.items() if key.endswith(("Type", "Value"))}
                    for name, one in message.get("MessageAttributes", {}).items()
                }
                sqs.send_message(QueueUrl=source, MessageBody=message["Body"], MessageAttributes=attributes)
            sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])
            yield _letter(message)


def _letter(message: dict[str, Any]) -> Letter:
    sent = datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC)
    return Letter(
        id=message["MessageId"],
        body=message["Body"],
        said=said(message["Body"]),
        sent_at=timestamps.to_text(sent),
        receives=int(message["Attributes"]["ApproximateReceiveCount"]),
    )


def said(body: str) -> str:
    """What a message asks for, in words."""
    try:
        uploads = uploads_in(body)
    except BadEventError:
        uploads = []
    if uploads:
        return ", ".join(f"{one.key} was {'deleted' if one.deleted else 'uploaded'}" for one in uploads)
    try:
        look = look_in(body)
    except BadEventError as error:
        return f"{error} ({body[:_LONGEST_BODY]})"
    if isinstance(look, RunLook):
        return f"look at run {look.run}"
    if isinstance(look, DatasetLook):
        return f"look at dataset {look.dataset}"
    return f"an event about somebody else's job ({body[:_LONGEST_BODY]})"


def _record(done: Redriven, act: bool, drop: bool) -> dict[str, Any]:
    record: dict[str, Any] = {"queue": done.queue, "waiting": done.waiting}
    if act:
        record["dropped" if drop else "moved"] = [vars(letter) for letter in done.letters]
    return record


def _show(done: list[Redriven], act: bool, drop: bool) -> None:
    out = console()
    if not act:
        out.print(
            table(
                ["queue", "dead letters"],
                [[one.queue, str(one.waiting)] for one in done],
                right=["dead letters"],
            )
        )
        if any(one.waiting for one in done):
            out.print("next: mend what made them fail (docs/runbook.md), then: nestbox redrive QUEUE")
        return
    for one in done:
        what = "dropped" if drop else "moved back"
        out.print(f"{one.queue}: {plural(len(one.letters), 'message')} {what}")
        for letter in one.letters[:SHOWN]:
            out.print(f"  {ago(letter.sent_at)}: {escape(letter.said)}", soft_wrap=True)
        if len(one.letters) > SHOWN:
            out.print(f"  … and {len(one.letters) - SHOWN} more (all of them: --json)")
