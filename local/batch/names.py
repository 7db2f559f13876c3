"""Names, references and refusals of AWS Batch."""

from __future__ import annotations

import re
from typing import NoReturn

from local.errors import AwsError
from local.scope import Scope

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


def refuse(message: str) -> NoReturn:
    """Raises ClientException."""
    raise AwsError("ClientException", message)


def refuse_request(message: str) -> NoReturn:
    """Raises ClientException the way Batch wraps what its back end found wrong."""
    refuse(f"Error executing request, Exception : {message}")


def check_name(name: str, what: str) -> None:
    """Refuses a name that Batch refuses: up to 128 letters, digits, hyphens and underscores."""
    if not _NAME.fullmatch(name):
        refuse_request(
            f"{what} should match valid pattern: it must start with a letter or number and hold up to 128 "
            f"letters (uppercase and lowercase), numbers, hyphens, and underscores; got {name!r}"
        )


def name_in(reference: str, kind: str, scope: Scope) -> str:
    """The name in a name or ARN of this kind (`job-queue`, `job-definition`, `job` …)."""
    if not reference.startswith("arn:"):
        return reference
    prefix = scope.arn("batch", f"{kind}/")
    if not reference.startswith(prefix):
        refuse_request(f"{reference} is not a valid {kind} ARN of this account and region")
    return reference.removeprefix(prefix)
