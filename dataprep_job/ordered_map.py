"""Work on many things at once, with results in order and bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar, cast

T = TypeVar("T")
R = TypeVar("R")
D = TypeVar("D")

_AHEAD = 16
"""Results a thread: enough that no thread rests while the consumer is slow for a moment."""
_READY_AHEAD = 4096
"""Results that needed no thread wait for those before them, up to this number in all."""


def ordered_map(
    function: Callable[[T], R],
    things: Iterable[Any],
    threads: int,
    *,
    ready: Callable[[Any], D | None] | None = None,
    weight: Callable[[T], int] | None = None,
    budget: int = 0,
    count: Callable[[D], int] = lambda _: 1,
) -> Iterator[R | D]:
    """Yield `function(thing)` for every thing, in order, computed by `threads` threads.

    At most sixteen results a thread wait at any time, and where `weight` is given, at most `budget` of it in
    all (a thing heavier than the budget goes alone). An error of `function` is raised in its result's place.
    Things for which `ready` has an answer need no thread, and do not count; `count` says for how many results
    an answer stands.
    """
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[tuple[Future[R] | None, D | None, int]] = deque()
        in_flight = running = ready_ahead = 0
        try:
            for thing in things:
                result = ready(thing) if ready is not None else None
                if result is not None:
                    if running:
                        waiting.append((None, result, 0))
                        ready_ahead += count(result)
                        if ready_ahead < _READY_AHEAD:
                            continue
                    else:
                        yield result
                        continue
                load = weight(thing) if weight is not None and result is None else 0
                while waiting and (
                    running >= _AHEAD * threads
                    or in_flight + load > budget > 0
                    or waiting[0][0] is None
                    or ready_ahead >= _READY_AHEAD
                ):
                    future, done, taken = waiting.popleft()
                    in_flight -= taken
                    running -= future is not None
                    ready_ahead -= 0 if done is None else count(done)
                    yield cast(D, done) if future is None else future.result()
                if result is None:
                    waiting.append((pool.submit(function, thing), None, load))
                    running += 1
                    in_flight += load
            while waiting:
                future, done, _ = waiting.popleft()
                yield cast(D, done) if future is None else future.result()
        finally:
            for future, _, _ in waiting:
                if future is not None:
                    future.cancel()
