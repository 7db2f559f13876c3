"""What error codes of AWS mean here."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import ClientError

from nestbox.errors import AwsRefusedError

_FINAL = frozenset({"ValidationException", "ResourceLimitExceeded", "ClientException"})


_MISSING = frozenset({"ValidationException", "ResourceNotFound"})
"""What SageMaker answers about something that is not there (or, to a wish to stop it, has ended)."""


def is_missing(error: ClientError) -> bool:
    """Whether SageMaker knows nothing of this name."""
    return code_of(error) in _MISSING


@contextmanager
def missing_is_fine() -> Iterator[None]:
    """Within, ending something on SageMaker that is not there, or has ended, does nothing."""
    try:
        yield
    except ClientError as error:
        if not is_missing(error):
            raise


def code_of(error: ClientError) -> str:
    """The error code of a refused call."""
    return str(error.response.get("Error", {}).get("Code", ""))


def message_of(error: ClientError) -> str:
    """AWS's own words."""
    return str(error.response.get("Error", {}).get("Message", error))


@contextmanager
def final_refusals_told(what: str) -> Iterator[None]:
    """Within, a refusal that will not pass by itself raises AwsRefusedError with AWS's own words."""
    try:
        yield
    except ClientError as error:
        if code_of(error) in _FINAL:
            raise AwsRefusedError(f"{what}: {message_of(error)}") from error
        raise
