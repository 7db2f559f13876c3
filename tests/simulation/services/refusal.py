"""How a service refuses a call."""

from collections.abc import Mapping
from typing import Any


class RefusedError(Exception):
    """An error of AWS's: code, message, and what else its answer carries."""

    def __init__(self, code: str, message: str = "", **more: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.more = more


def only(request: Mapping[str, Any], *known: str) -> None:
    """Raise where a request has a parameter that the simulated operation does not look at."""
    unknown = set(request) - set(known)
    if unknown:
        raise NotImplementedError(f"not simulated: {', '.join(sorted(unknown))}")
