"""One schedule in one world: from a seed to the end of everything that it set going."""

import contextlib
import gc
import itertools
import re
from collections.abc import Collection, Iterator
from datetime import datetime, tzinfo
from types import SimpleNamespace
from typing import Any
from unittest import mock

import nestbox.names
import nestbox.timestamps
from pynamodb.attributes import ListAttribute, MapAttribute

from simulation.calls import led_into
from simulation.chance import Chance
from simulation.containers import Containers
from simulation.functions import Lambda
from simulation.people import BUSY, People
from simulation.services.batch import Batch
from simulation.services.bus import Bus
from simulation.services.cloudwatch import CloudWatch
from simulation.services.dynamodb import DynamoDb, Write
from simulation.services.logs import Logs
from simulation.services.paging import PAGE
from simulation.services.s3 import S3
from simulation.services.sagemaker import SageMaker
from simulation.services.sns import Sns
from simulation.services.sqs import Sqs
from simulation.timeline import Timeline, current_process
from simulation.wiring import read_wiring

FAULTS_END = BUSY + 300.0
"""Seconds after which nothing goes wrong any more."""

LONGEST = 24 * 3600.0
"""Seconds after which what still goes on counts as stuck."""

_RUN = re.compile(r"([a-z0-9](?:-?[a-z0-9])*)-[0-9]{14}-[0-9a-f]{4}")


def parameters_of(chance: Chance) -> dict[str, Any]:
    """How the stack is deployed."""
    ours = chance.pick("detector", (True, False))
    return {
        "QuietPeriodSeconds": chance.pick("quiet period", (5, 30, 60)),
        "MaxWaitSeconds": chance.pick("max wait", (60, 300, 900)),
        "MinNewImages": chance.pick("min new images", (1, 1, 2)),
        "ArrayThreshold": chance.pick("array threshold", (2, 50_000, 50_000)),
        "FollowSeconds": chance.pick("follow", (30, 120)),
        "PrepareMaxSeconds": 900,
        "TrainingMaxSeconds": 1800,
        "EndpointBakeSeconds": chance.pick("bake", (0, 30, 120)),
        "AuditMinutes": chance.pick("audit", (4, 10)),
        "KeepModels": chance.pick("keep models", (1, 2, 5)),
        "DetectorImage": "nestbox" if ours else "built-in",
        "BaseNetwork": "nestbox-small" if ours else "resnet-50",
    }


class World:
    """AWS, the stack in it, and its people."""

    def __init__(self, seed: int, without: Collection[str] = ()) -> None:
        self.chance = Chance(seed, without)
        self.timeline = Timeline()
        self.log: list[tuple[float, str]] = []
        """What happened, in words."""
        self._numbers = itertools.count(1)
        self._aliases: dict[str, str] = {}
        parameters = parameters_of(self.chance)
        self._audit_seconds = 60.0 * (parameters["AuditMinutes"] + 1)
        self._restless_at = 0.0
        self.wiring = wiring = read_wiring(parameters)
        self.dynamodb = DynamoDb(wiring.tables, lambda: self.timeline.now, self._index_lag, PAGE)
        self.sqs = Sqs(self, wiring.queues)
        self.bus = self.events = Bus(self, wiring.rules)
        self.s3 = S3(self, [wiring.uploads_bucket, wiring.artifacts_bucket], [wiring.uploads_bucket])
        self.logs = Logs(self)
        self.batch = Batch(self, wiring.definitions)
        self.sagemaker = SageMaker(self)
        self.cloudwatch = CloudWatch(self)
        self.sns = Sns()
        self.containers = Containers(self)
        self.batch.work = self.containers.run_job
        self.sagemaker.train = self.containers.train
        self.lambda_ = Lambda(self)
        self.people = People(self)
        self.started: dict[str, float] = {}
        """When each run started."""
        self.ended: dict[str, float] = {}
        """When each run ended."""
        self.champions: list[tuple[float, str, str | None]] = []
        """When which dataset got which champion."""
        self.moves: set[tuple[str | None, str]] = set()
        """From and to of every move of a run."""
        self.dynamodb.on_write.append(self._watch)

    # -- living

    def live(self) -> None:
        """Play the whole schedule, and then let everything come to rest."""
        for function in self.wiring.functions.values():
            if function.every is not None:
                self._schedule(function.name, function.every)
        self.timeline.run(FAULTS_END)
        self.chance.calm = True
        self._restless_at = self.timeline.now
        self.note("from here on nothing goes wrong")
        moved = self.sqs.redrive()
        if moved:
            self.note(f"an operator puts {moved} dead letters back into their queues")
        while self.timeline.now < LONGEST and not (self.at_rest() and not self.sqs.waiting()):
            self.timeline.run(self.timeline.now + 60)

    def at_rest(self) -> bool:
        """Whether nothing goes on; where events of uploads were lost, only once an audit has seen to them."""
        if not self._is_still():
            self._restless_at = self.timeline.now
            return False
        return self.timeline.now - self._restless_at >= (self._audit_seconds if self.s3.untold else 0.0)

    def _is_still(self) -> bool:
        """Whether no run is unfinished, no upload waits, and no endpoint moves."""
        rows = self.rows("RunsTable").values()
        datasets = self.rows("DatasetsTable").values()
        return (
            not any({"unfinished", "unannounced"} & row.keys() for row in rows)
            and not any(_UNSETTLED & row.keys() for row in datasets)
            and all(one.record["EndpointStatus"] in _RESTING for one in self.sagemaker.endpoints.values())
        )

    def _schedule(self, name: str, every: float) -> None:
        def tick() -> None:
            self.timeline.after(every, tick)
            idle = self.chance.calm and self.at_rest()
            if not idle and not self.mishap("schedule skips", self.chance.numbered(f"of {name}")):
                self.lambda_.invoke_scheduled(name)

        self.timeline.after(self.chance.between(f"{name} begins", 1.0, every), tick)

    # -- what the parts share

    def mishap(self, kind: str, where: str) -> bool:
        """Whether this goes wrong here."""
        return self.chance.happens(kind, where, self.timeline.now) and self._noted(f"!! {kind}: {where}")

    def note(self, text: str) -> None:
        """Write down what happened."""
        self.log.append((self.timeline.now, text))

    def _noted(self, text: str) -> bool:
        self.note(text)
        return True

    def alias(self, text: str) -> str:
        """The text with runs named by their number, which stays where a schedule shifts in time."""
        return _RUN.sub(lambda match: self._alias_of(match[0], match[1]), text)

    def _alias_of(self, run: str, dataset: str) -> str:
        if run not in self._aliases:
            number = 1 + sum(1 for one in self._aliases if one.startswith(f"{dataset}-2"))
            self._aliases[run] = f"{dataset}/{number}"
        return self._aliases[run]

    def next_number(self) -> int:
        """A number that was not used before."""
        return next(self._numbers)

    def rows(self, table: str) -> dict[tuple[str, ...], dict[str, Any]]:
        """A table's items in wire form, by key."""
        return self.dynamodb.items(f"nestbox-{table}")

    def read(self, uri: str) -> bytes | None:
        """The content of an object."""
        bucket, _slash, key = uri.removeprefix("s3://").partition("/")
        return self.s3.read(bucket, key)

    def write(self, uri: str, content: bytes) -> None:
        """Write an object."""
        bucket, _slash, key = uri.removeprefix("s3://").partition("/")
        self.s3.put(bucket, key, content)

    def exists(self, uri: str) -> bool:
        """Whether there is such an object."""
        return self.read(uri) is not None

    def _index_lag(self, what: str) -> float:
        name = self.chance.numbered(f"of {what}")
        if self.mishap("index lags", name):
            return self.chance.between(f"lag {name}", 1.0, 90.0)
        return 0.0 if self.chance.calm else 0.3

    def _watch(self, write: Write) -> None:
        before, after = write.before or {}, write.after or {}
        if write.table.endswith("RunsTable"):
            state, old = (one.get("state", {}).get("S") for one in (after, before))
            if state != old and state is not None:
                self.moves.add((old, state))
                self.started.setdefault(write.key[1], self.timeline.now)
                self.note(f"-> run {write.key[1]} is {state}: {_last(after)}")
            if "unfinished" in before and "unfinished" not in after:
                self.ended[write.key[1]] = self.timeline.now
        elif write.table.endswith("DatasetsTable"):
            champion, old = (one.get("champion_run", {}).get("S") for one in (after, before))
            if champion != old:
                self.note(f"-> {champion} is champion of {write.key[0]}")
                self.champions.append((self.timeline.now, write.key[0], champion))


_UNSETTLED = {"pending", "active_run", "wanted_run"}
_RESTING = ("InService", "Failed", "UpdateRollbackFailed", "OutOfService")


def _last(row: dict[str, Any]) -> str:
    history = row.get("history", {}).get("L", [])
    return str(history[-1]["M"]["why"]["S"]) if history else ""


_current: World | None = None


class _Clock(datetime):
    """datetime whose now() is that of the machine which asks."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        assert _current is not None
        invocation = getattr(current_process(), "invocation", None)
        if invocation is None:
            return _current.timeline.moment
        return _current.lambda_.clock(invocation.function.name)


def _token_hex(count: int) -> str:
    assert _current is not None
    return f"{_current.next_number() * 40503 % 65536:04x}"[: 2 * count]


def _world() -> World:
    assert _current is not None, "a call to AWS outside of any world"
    return _current


@contextlib.contextmanager
def simulated_aws() -> Iterator[None]:
    """Within, everything that nestbox asks of AWS, of the clock and of chance goes to the current world."""
    with (
        _seldom_collected(),
        mock.patch.object(ListAttribute, "deserialize", _deserialize_list),
        led_into(_world),
        mock.patch.object(nestbox.timestamps, "datetime", _Clock),
        mock.patch.object(nestbox.names, "secrets", SimpleNamespace(token_hex=_token_hex)),
    ):
        yield


@contextlib.contextmanager
def _seldom_collected() -> Iterator[None]:
    """Within, garbage is looked for seldom: that took a third of a schedule's time."""
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


_plain_lists = ListAttribute.deserialize
_elements: dict[type[Any], Any] = {}


def _deserialize_list(attribute: Any, values: list[dict[str, Any]]) -> list[Any]:
    """PynamoDB's own, but for lists of maps: it copies the element's whole type for every list it reads."""
    kind = attribute.element_type
    if kind is None or not issubclass(kind, MapAttribute):
        return _plain_lists(attribute, values)
    if kind not in _elements:
        _elements[kind] = kind()
        _elements[kind]._make_attribute()
        _elements[kind].attr_name = kind.__name__
    element = _elements[kind]
    return [element.deserialize(element.get_value(value)) for value in values]


def play(seed: int, without: Collection[str] = ()) -> World:
    """A world after its schedule (within ``simulated_aws``)."""
    global _current
    _current = None
    world = World(seed, without)
    _current = world
    world.live()
    return world
