"""Virtual time: events in their order, and processes (greenlets) that wait in it."""

import heapq
import itertools
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from unittest import mock

from greenlet import getcurrent, greenlet

START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


class Killed(BaseException):
    """Ends a process where it stands, as a crash or a timeout does; no handler of Exception sees it."""


class Process(greenlet):
    """Something that runs and waits."""

    def __init__(self, timeline: "Timeline", name: str, work: Callable[[], None]) -> None:
        super().__init__(work, timeline.hub)
        self.timeline = timeline
        self.name = name
        self.killed = False
        self.environment: dict[str, str] = {}
        """What ``os.environ`` is while it runs."""

    def wait(self, seconds: float) -> None:
        """Let so much time pass; raises Killed where the process was ended meanwhile."""
        self.timeline.after(seconds, self._resume)
        self.timeline.hub.switch()
        if self.killed:
            raise Killed

    def kill(self) -> None:
        """End it now, if it still runs."""
        if not self.dead and not self.killed:
            self.killed = True
            if getcurrent() is not self:
                self._go_on()

    def _resume(self) -> None:
        # Once killed it has been switched to already; what it waited for comes too late.
        if not self.dead and not self.killed:
            self._go_on()

    def _go_on(self) -> None:
        with mock.patch.object(os, "environ", self.environment):
            self.switch()


class Timeline:
    """The clock of the world, and what is to happen when."""

    def __init__(self) -> None:
        self.now = 0.0
        """Seconds since the start."""
        self.hub = getcurrent()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    @property
    def moment(self) -> datetime:
        """The true time."""
        return START + timedelta(seconds=self.now)

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Have something happen at a time (now, where that has passed)."""
        heapq.heappush(self._events, (max(when, self.now), next(self._order), action))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Have something happen in so many seconds."""
        self.at(self.now + seconds, action)

    def start(self, name: str, work: Callable[[], None]) -> Process:
        """Start a process at once; it runs until it waits."""
        process = Process(self, name, work)
        self.after(0, process._resume)
        return process

    def run(self, until: float) -> None:
        """Let everything happen that is due by then."""
        while self._events and self._events[0][0] <= until:
            self.now, _order, action = heapq.heappop(self._events)
            action()
        self.now = max(self.now, until)


def current_process() -> Process | None:
    """The process that runs, or None outside of any."""
    running = getcurrent()
    return running if isinstance(running, Process) else None
