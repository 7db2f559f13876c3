"""Lambda: the functions' own handlers, fed by their queues and schedules, in virtual time."""

import importlib.util
import json
import logging
import math
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from datetime import datetime, timedelta
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn
from unittest import mock

from botocore.exceptions import ClientError, ReadTimeoutError
from moto.events.models import EventPattern

from simulation.services.dynamodb import Write
from simulation.services.sqs import Message
from simulation.timeline import Killed, Process
from simulation.wiring import ACCOUNT, REGION, Function, Stream

if TYPE_CHECKING:
    from simulation.world import World

QUIET = {
    "POWERTOOLS_METRICS_DISABLED": "true",
    "POWERTOOLS_TRACE_DISABLED": "true",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
}
APIS = ("OperateApi",)
"""The functions behind the API that people of the schedules call."""

_modules: dict[str, ModuleType] = {}


class _Listener(logging.Handler):
    """Hears what a function logs, instead of standard output."""

    def __init__(self, formatter: logging.Formatter | None) -> None:
        super().__init__()
        self.formatter = formatter
        self.hears: Callable[[logging.LogRecord], None] = lambda _record: None

    def emit(self, record: logging.LogRecord) -> None:
        self.hears(record)


_listeners: dict[str, _Listener] = {}


def load(function: Function) -> ModuleType:
    """The module of a function, loaded once for all worlds."""
    if function.name not in _modules:
        spec = importlib.util.spec_from_file_location(f"simulated_{function.module.stem}", function.module)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        with mock.patch.dict(os.environ, {**QUIET, **function.environment}):
            spec.loader.exec_module(module)
        logger = module.logger._logger
        listener = _Listener(logger.handlers[0].formatter if logger.handlers else None)
        logger.handlers = [listener]
        logger.propagate = False
        if hasattr(module, "metrics"):
            # Disabled metrics are printed all the same once there are a hundred.
            module.metrics.add_metric = lambda **_metric: None
        _modules[function.name] = module
        _listeners[function.name] = listener
        warnings.filterwarnings("ignore", message="No application metrics to publish")
    return _modules[function.name]


def _cool_down(module: ModuleType) -> None:
    """Forget what a warm function remembers, as every world begins with cold ones."""
    for value in vars(module).values():
        forget = getattr(value, "cache_clear", None)
        if forget is not None:
            forget()


class Invocation:
    """One invocation of a function, in a process of its own."""

    def __init__(
        self,
        lambda_: "Lambda",
        function: Function,
        number: int,
        event: dict[str, Any],
        then: Callable[[Any], None],
    ) -> None:
        self._lambda = lambda_
        self._event = event
        self._then = then
        self.function = function
        self.number = number
        world = lambda_.world
        self.process: Process = world.timeline.start(f"{function.name} {number}", self._run)
        self.process.invocation = self  # type: ignore[attr-defined]
        self.process.environment = {**QUIET, **function.environment}
        world.timeline.after(function.timeout, self._time_out)

    def crash(self) -> NoReturn:
        """End here and now."""
        self.process.killed = True
        raise Killed

    def _time_out(self) -> None:
        if not self.process.dead:
            self._lambda.world.note(f"{self.function.name} runs into its timeout")
            self.process.kill()

    def _run(self) -> None:
        handler = getattr(load(self.function), self.function.handler)
        context = SimpleNamespace(
            function_name=self.function.name,
            memory_limit_in_mb=256,
            invoked_function_arn=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.function.name}",
            aws_request_id=f"request-{self.number}",
            get_remaining_time_in_millis=lambda: 10_000,
        )
        try:
            answer = handler(self._event, context)
        except Killed:
            return
        except Exception as error:  # noqa: BLE001  (what a function does not catch is Lambda's to record)
            self._lambda.stumbled(self.function.name, error)
            return
        self._then(answer)


class Lambda:
    """All functions of the stack."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self._functions = world.wiring.functions
        self._running: Invocation | None = None
        self._jumps: dict[str, float] = {}
        self.errors: list[str] = []
        """What a function stumbled over that no fault of AWS explains."""
        for function in self._functions.values():
            idle = function.source is None and function.stream is None and function.every is None
            if idle and function.name not in APIS:
                continue
            module = load(function)
            _cool_down(module)
            _listeners[function.name].hears = lambda record, name=function.name: self._hear(name, record)  # type: ignore[misc]
            if function.source is not None:
                self._connect(function)
            if function.stream is not None:
                self._follow(function, function.stream)

    def invoke(
        self, name: str, event: dict[str, Any], then: Callable[[Any], None] = lambda _answer: None
    ) -> Invocation:
        """Invoke a function; ``then`` gets its answer, unless it fails."""
        return Invocation(self, self._functions[name], self.world.next_number(), event, then)

    def clock(self, name: str) -> datetime:
        """What the clock of a function's machine says now."""
        return self.world.timeline.moment + timedelta(
            seconds=0 if self.world.chance.calm else self._jumps.get(name, 0.0)
        )

    # -- queues

    def _connect(self, function: Function) -> None:
        source = function.source
        assert source is not None
        world, due = self.world, set[float]()

        def on_visible(when: float) -> None:
            at = math.ceil(10 * (max(when, world.timeline.now) + source.window)) / 10
            if at not in due:
                due.add(at)
                world.timeline.at(at, lambda: poll(at))

        def poll(at: float) -> None:
            due.discard(at)
            while messages := world.sqs.receive(source.queue, source.batch_size):
                self._deliver(function, source.queue, messages)

        world.sqs.held[source.queue].on_visible = on_visible

    def _deliver(self, function: Function, queue: str, messages: list[Message]) -> None:
        world = self.world

        def answered(answer: dict[str, Any]) -> None:
            failed = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
            for message in messages:
                if str(message.number) not in failed:
                    world.sqs.delete(queue, message)

        self._maybe_jump(function.name)
        self.invoke(function.name, {"Records": [_record(queue, one) for one in messages]}, answered)

    def _maybe_jump(self, name: str) -> None:
        world = self.world
        label = world.chance.numbered(f"of {name}")
        if world.mishap("clock jumps", label):
            self._jumps[name] = world.chance.between(f"jump {label}", -900.0, 900.0)
            world.note(f"the clock of {name} jumps by {self._jumps[name]:.0f} s")

    # -- streams

    def _follow(self, function: Function, stream: Stream) -> None:
        """Hand a table's changes over in their order, each batch until it is handled or given up."""
        world = self.world
        patterns = [EventPattern(None, one) for one in stream.patterns]
        shard: list[tuple[float, dict[str, Any]]] = []
        busy = False

        def on_write(write: Write) -> None:
            if write.table == stream.table:
                record = _change(write)
                if any(pattern.matches_event(record) for pattern in patterns):
                    shard.append((world.timeline.now, record))
                    delay = world.chance.between(
                        world.chance.numbered(f"stream to {function.name}"), 0.1, 1.0
                    )
                    world.timeline.after(delay, read)

        def read() -> None:
            nonlocal busy
            if busy or not shard:
                return
            busy = True
            batch = shard[: stream.batch_size]
            attempt(batch, 0)

        def attempt(batch: list[tuple[float, dict[str, Any]]], tries: int) -> None:
            settled = False

            def answered(_answer: Any) -> None:
                nonlocal settled
                settled = True
                finish(batch)

            def failed() -> None:
                if settled:
                    return
                too_old = world.timeline.now - batch[0][0] > stream.longest_age
                if tries >= stream.retries or too_old:
                    finish(batch)
                else:
                    attempt(batch, tries + 1)

            self._maybe_jump(function.name)
            self.invoke(function.name, {"Records": [record for _at, record in batch]}, answered)
            world.timeline.after(function.timeout + 1, failed)

        def finish(batch: list[tuple[float, dict[str, Any]]]) -> None:
            nonlocal busy
            busy = False
            del shard[: len(batch)]
            read()

        world.dynamodb.on_write.append(on_write)

    # -- schedules

    def invoke_scheduled(self, name: str) -> None:
        """Invoke a function as its schedule does."""
        self._maybe_jump(name)
        self.invoke(
            name,
            {
                "version": "0",
                "id": "11111111-1111-1111-1111-111111111111",
                "detail-type": "Scheduled Event",
                "source": "aws.events",
                "account": ACCOUNT,
                "time": f"{self.world.timeline.moment:%Y-%m-%dT%H:%M:%SZ}",
                "region": REGION,
                "resources": [],
                "detail": {},
            },
        )

    # -- the API

    def post(self, path: str, route: str, body: dict[str, Any], then: Callable[[int, str], None]) -> None:
        """Call the API as an operator; ``then`` gets the status and the body of the answer."""
        function = next(one for one in self._functions.values() if ("POST", route) in one.routes)
        self._maybe_jump(function.name)
        event = {
            "resource": route,
            "path": path,
            "httpMethod": "POST",
            "headers": {"Content-Type": "application/json"},
            "multiValueHeaders": {"Content-Type": ["application/json"]},
            "queryStringParameters": None,
            "multiValueQueryStringParameters": None,
            "body": json.dumps(body),
            "isBase64Encoded": False,
            "requestContext": {
                "requestId": f"api-{self.world.next_number()}",
                "httpMethod": "POST",
                "path": path,
                "stage": "v1",
                "authorizer": {"token_id": "t1", "token_name": "ada", "scopes": "operate"},
            },
        }
        self.invoke(function.name, event, lambda answer: then(answer["statusCode"], answer["body"]))

    # -- what they say

    def _hear(self, name: str, record: logging.LogRecord) -> None:
        outcome = getattr(record, "outcome", None)
        if outcome is not None:
            about = getattr(record, "run", None) or getattr(record, "dataset", None)
            self.world.note(f"{name} looks at {about}: {outcome}")
        elif record.exc_info and record.exc_info[1] is not None:
            self.stumbled(name, record.exc_info[1])

    def stumbled(self, name: str, error: BaseException) -> None:
        """Note an error that a function met."""
        self.world.note(f"{name} fails: {type(error).__name__}: {error}")
        if not _explained(error):
            self.errors.append("".join(traceback.format_exception(error)))


def _explained(error: BaseException) -> bool:
    """Whether an error is a fault of the schedule, wrapped or not."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ReadTimeoutError) or (
            isinstance(seen, ClientError) and seen.response.get("Injected")
        ):
            return True
        seen = getattr(seen, "cause", None) or seen.__cause__  # PynamoDB names its causes itself
    return False


def _change(write: Write) -> dict[str, Any]:
    name = "INSERT" if write.before is None else "REMOVE" if write.after is None else "MODIFY"
    item = write.after or write.before or {}
    change: dict[str, Any] = {"Keys": {key: item[key] for key in ("dataset", "run") if key in item}}
    if write.after is not None:
        change["NewImage"] = write.after
    return {
        "eventID": "1",
        "eventName": name,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": REGION,
        "dynamodb": {**change, "SequenceNumber": "1", "StreamViewType": "NEW_IMAGE"},
    }


def _record(queue: str, message: Message) -> dict[str, Any]:
    return {
        "messageId": str(message.number),
        "receiptHandle": "handle",
        "body": message.body,
        "attributes": {
            "ApproximateReceiveCount": str(message.receives),
            "ApproximateFirstReceiveTimestamp": "1700000000000",
            "SenderId": "sender",
            "SentTimestamp": "1700000000000",
        },
        "messageAttributes": {},
        "md5OfBody": "0" * 32,
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}",
        "awsRegion": REGION,
    }
