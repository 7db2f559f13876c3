"""How many cores there are to work on."""

import os


def available_cores() -> int:
    """Return how many cores this process may use (at least 1)."""
    return max(1, len(os.sched_getaffinity(0)))
