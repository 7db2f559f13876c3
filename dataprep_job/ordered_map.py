"""Work on many things at once, with results in order and bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 16
"""Results a thread: enough that no thread rests while the consumer is slow for a moment."""


def ordered_map(
    function: Callable[[T], R],
    things: Iterable[T],
    threads: int,
    *,
    weight: Callable[[T], int] | None = None,
    budget: int = 0,
) -> Iterator[R]:
    """Yield `function(thing)` for every thing, in order, computed by `threads` threads.

    At most sixteen results a thread wait at any time, and where `weight` is given, at most `budget` of it in
    all (a thing heavier than the budget goes alone). An error of `function` is raised in its result's place.
    """
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[tuple[Future[R], int]] = deque()
        in_flight = 0
        try:
            for thing in things:
                load = weight(thing) if weight is not None else 0
                while waiting and (len(waiting) >= _AHEAD * threads or in_flight + load > budget > 0):
                    future, done = waiting.popleft()
                    in_flight -= done
                    yield future.result()
                waiting.append((pool.submit(function, thing), load))
                in_flight += load
            while waiting:
                yield waiting.popleft()[0].result()
        finally:
            for future, _ in waiting:
                future.cancel()
