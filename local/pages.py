"""Cuts lists into pages with opaque tokens, as AWS's list operations do."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TypeVar

from local.errors import AwsError

Item = TypeVar("Item")


def page(
    items: Sequence[Item], limit: int, token: str | None, code: str = "ValidationException"
) -> tuple[list[Item], str | None]:
    """The page that starts at `token` and the token of the next (None at the end).

    Raises AwsError with `code` for a token that was not given out.
    """
    start = 0
    if token:
        try:
            start = int(base64.urlsafe_b64decode(token.encode()).decode().removeprefix("offset:"))
        except (ValueError, binascii.Error) as error:
            raise AwsError(code, "Invalid NextToken.") from error
        if start < 0:
            raise AwsError(code, "Invalid NextToken.")
    following = start + limit
    more = following < len(items)
    next_token = base64.urlsafe_b64encode(f"offset:{following}".encode()).decode() if more else None
    return list(items[start:following]), next_token
