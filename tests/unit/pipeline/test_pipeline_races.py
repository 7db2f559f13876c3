"""What becomes of a conditional write that DynamoDB refuses, or whose answer is lost."""

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from nestbox.errors import LostRaceError
from nestbox.rows.conditional import races_told
from pynamodb.exceptions import PutError, UpdateError


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
