"""SQS: standard queues, which deliver at least once, in any order, and give up after so many receives."""

import hashlib
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simulation.services.refusal import RefusedError, only
from simulation.wiring import Queue

if TYPE_CHECKING:
    from simulation.world import World


@dataclass
class Message:
    """One message."""

    number: int
    body: str
    visible_at: float
    receives: int = 0
    deleted: bool = False


@dataclass
class Held:
    """A queue and what it holds."""

    queue: Queue
    messages: dict[int, Message] = field(default_factory=dict)
    on_visible: Callable[[float], None] | None = None
    """Told of the time at which a message can be received."""


class Sqs:
    """The queues."""

    def __init__(self, world: "World", queues: Mapping[str, Queue]) -> None:
        self._world = world
        self.held = {name: Held(queue) for name, queue in queues.items()}
        self._names = {queue.url: name for name, queue in queues.items()}
        self._numbers = itertools.count(1)

    def put(self, queue: str, body: str, delay: float = 0.0) -> None:
        """Put a message into a queue."""
        held = self.held[queue]
        message = Message(next(self._numbers), body, self._world.timeline.now + delay)
        held.messages[message.number] = message
        self._tell(held, message.visible_at)

    def receive(self, queue: str, most: int) -> list[Message]:
        """Receive messages; those received too often go to the dead letters."""
        held, now = self.held[queue], self._world.timeline.now
        received: list[Message] = []
        for message in list(held.messages.values()):
            if message.visible_at > now or len(received) == most:
                continue
            limit = held.queue.max_receives
            if limit is not None and message.receives >= limit and held.queue.dead_letters is not None:
                del held.messages[message.number]
                self._world.note(f"a message of {queue} goes to the dead letters: {message.body}")
                self.put(held.queue.dead_letters, message.body)
                continue
            message.receives += 1
            message.visible_at = now + held.queue.visibility_timeout
            self._tell(held, message.visible_at)
            received.append(message)
            if self._world.mishap("twice", f"message {self._world.alias(message.body)} of {queue}"):
                message.visible_at = now + self._world.chance.between(f"again {message.number}", 0.1, 20.0)
                self._tell(held, message.visible_at)
        return received

    def delete(self, queue: str, message: Message) -> None:
        """Take a message that was handled out of its queue."""
        message.deleted = True
        self.held[queue].messages.pop(message.number, None)

    def redrive(self) -> int:
        """Put all dead letters back into their queues, as an operator does; returns how many."""
        moved = 0
        for name, held in self.held.items():
            if held.queue.dead_letters is None:
                continue
            dead = self.held[held.queue.dead_letters]
            for message in dead.messages.values():
                self.put(name, message.body)
                moved += 1
            dead.messages.clear()
        return moved

    def waiting(self) -> int:
        """How many messages are in queues that a function reads."""
        return sum(len(held.messages) for held in self.held.values() if held.on_visible is not None)

    # -- operations

    def send_message(self, request: Mapping[str, Any]) -> dict[str, Any]:
        only(request, "QueueUrl", "MessageBody", "DelaySeconds")
        name = self._names.get(request["QueueUrl"])
        if name is None:
            raise RefusedError(
                "AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist"
            )
        delay = request.get("DelaySeconds", 0)
        if not 0 <= delay <= 900:
            raise RefusedError(
                "InvalidParameterValue", f"Value {delay} for parameter DelaySeconds is invalid"
            )
        body = request["MessageBody"]
        self.put(name, body, delay)
        return {"MessageId": "1", "MD5OfMessageBody": hashlib.md5(body.encode()).hexdigest()}

    def _tell(self, held: Held, when: float) -> None:
        if held.on_visible is not None:
            held.on_visible(when)
