"""Python's search for cycles of garbage: a tenth of the time where millions of objects are made."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_NEW_OBJECTS = 50_000
"""So many containers more than before set off a search; with Python's own 700 it hardly ever rests."""


@contextmanager
def seldom_collecting() -> Iterator[None]:
    """Search seldom, and not among what is there already, such as imported modules.

    Records and photos refer to each other one way only, so they are freed without any search.
    """
    threshold, *older = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(max(threshold, _NEW_OBJECTS), *older)
    try:
        yield
    finally:
        gc.set_threshold(threshold, *older)
        gc.unfreeze()
