"""Conditional writes, and what their refusal means."""

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError
from pynamodb.connection import Connection
from pynamodb.exceptions import PutError, TransactWriteError, UpdateError
from pynamodb.expressions.condition import Condition
from pynamodb.transactions import TransactWrite

from nestbox.errors import LostRaceError

_WHERE = ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION")
"""What of the environment a connection is made for."""
_CONDITION_FAILED = ("ConditionalCheckFailedException", "ConditionalCheckFailed")


def is_still(attribute: Any, value: Any) -> Condition:
    """The condition that an attribute is as it was read; None: that it is absent."""
    condition: Condition = attribute.does_not_exist() if value is None else attribute == value
    return condition


@contextmanager
def races_told(what: str) -> Iterator[None]:
    """Within, a write whose condition does not hold raises LostRaceError; other refusals pass through."""
    try:
        yield
    except (PutError, UpdateError) as error:
        # Not `cause_response_code`, which stumbles where no answer came at all (a read timeout).
        refused = error.cause.response if isinstance(error.cause, ClientError) else {}
        if refused.get("Error", {}).get("Code") in _CONDITION_FAILED:
            raise LostRaceError(f"{what} was written by somebody else first") from error
        raise
    except TransactWriteError as error:
        if any(reason and reason.code in _CONDITION_FAILED for reason in error.cancellation_reasons):
            raise LostRaceError(f"{what} was written by somebody else first") from error
        raise


@contextmanager
def one_transaction(what: str) -> Iterator[TransactWrite]:
    """A TransactWrite that is committed at the end of the block; raises LostRaceError."""
    with (
        races_told(what),
        TransactWrite(connection=_connection(*map(os.environ.get, _WHERE))) as transaction,
    ):
        yield transaction


@functools.cache
def _connection(*_where: str | None) -> Connection:
    return Connection()
