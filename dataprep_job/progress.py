"""Lines that tell a waiting person how far the job is. In AWS Batch they become CloudWatch log lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Say = Callable[[str], None]
"""Receives one finished line."""


def say_nothing(line: str) -> None:
    """For callers who do not want to hear."""


def say_on_stdout(line: str) -> None:
    """At once, also where stdout is a pipe."""
    print(line, flush=True)


class Progress:
    """Says at most every few seconds how many things are done, how fast, and how long the rest takes."""

    _EVERY_SECONDS = 5.0

    def __init__(self, say: Say, what: str, total: int) -> None:
        self._say = say
        self._what = what
        self._total = total
        self._done = 0
        self._started = time.monotonic()
        self._last = self._started

    def step(self, count: int = 1) -> None:
        """So many more are done."""
        self._done += count
        now = time.monotonic()
        if now - self._last < self._EVERY_SECONDS and self._done < self._total:
            return
        self._last = now
        seconds = max(now - self._started, 1e-9)
        rate = self._done / seconds
        rest = (self._total - self._done) / rate
        share = f"{self._done / self._total:.0%}"
        ahead = f", {rest:.0f} s to go" if self._done < self._total else f" in {seconds:.1f} s"
        self._say(f"{self._what}: {self._done:,} of {self._total:,} ({share}), {rate:,.0f} a second{ahead}")


class Stopwatch:
    """Seconds spent in named stages."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the time spent inside to a stage."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - started, 3)
