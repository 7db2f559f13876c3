"""What becomes of a conditional write that DynamoDB refuses, or whose answer is lost."""

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from nestbox.errors import LostRaceError
from nestbox.rows.conditional import races_told
from pynamodb.exceptions import (
    CancellationReason,
    PutError,
    TransactWriteError,
    UpdateError,
    VerboseClientError,
)


@pytest.mark.parametrize("kind", [UpdateError, PutError])
def test_a_condition_that_does_not_hold_is_a_lost_race(kind):
    cause = ClientError({"Error": {"Code": "ConditionalCheckFailedException"}}, "UpdateItem")
    written = "run birds was written by somebody else first"
    with pytest.raises(LostRaceError, match=written), races_told("run birds"):
        raise kind("refused", cause)


@pytest.mark.parametrize(
    "cause",
    [
        ReadTimeoutError(endpoint_url="https://dynamodb.us-east-1.amazonaws.com"),
        ClientError({"Error": {"Code": "ProvisionedThroughputExceededException"}}, "UpdateItem"),
    ],
    ids=["lost answer", "throttled"],
)
def test_other_failures_of_a_write_pass_through_as_they_are(cause):
    with pytest.raises(UpdateError) as caught, races_told("run birds"):
        raise UpdateError("failed", cause)
    assert caught.value.cause is cause


def cancelled(*codes):
    """A transaction that DynamoDB cancelled, with the reason for each item, None where it is not to blame."""
    reasons = [CancellationReason(code) if code else None for code in codes]
    answer = {"Error": {"Code": "TransactionCanceledException"}}
    cause = VerboseClientError(answer, "TransactWriteItems", cancellation_reasons=reasons)
    return TransactWriteError("cancelled", cause)


@pytest.mark.parametrize(
    "codes",
    [
        ["ConditionalCheckFailed"],
        [None, "ConditionalCheckFailed"],
        ["TransactionConflict", "ConditionalCheckFailed"],
    ],
)
def test_one_condition_that_does_not_hold_makes_a_transaction_a_lost_race(codes):
    with (
        pytest.raises(LostRaceError, match="run birds was written by somebody else first"),
        races_told("run birds"),
    ):
        raise cancelled(*codes)


@pytest.mark.parametrize("codes", [["TransactionConflict"], ["ValidationError", None], [None], []])
def test_other_reasons_of_a_transaction_pass_through_as_they_are(codes):
    """Who met a conflict tries again by its message; what is ill-formed must not look like a race."""
    error = cancelled(*codes)
    with pytest.raises(TransactWriteError) as caught, races_told("run birds"):
        raise error
    assert caught.value is error
