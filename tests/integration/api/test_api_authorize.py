"""The authorizer with stored tokens."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from nestbox.api import tokens
from nestbox.api.errors import RefusedTokenError
from nestbox.tables import TokenRow

ROUTE = "arn:aws:execute-api:eu-central-1:123456789012:abcdef1234/v1/GET/runs"
CONTEXT = SimpleNamespace(
    function_name="authorize",
    memory_limit_in_mb=256,
    invoked_function_arn="arn:aws:lambda:eu-central-1:123456789012:function:authorize",
    aws_request_id="52fdfc07-2182-154f-163f-5f0f9a621d72",
)


@pytest.fixture
def authorize(aws: None, load_function: Any) -> Any:
    handler = load_function("authorize").handler
    return lambda header: handler(
        {"type": "TOKEN", "methodArn": ROUTE, "authorizationToken": header}, CONTEXT
    )


def test_a_good_token_opens_the_routes_of_its_scopes(authorize: Any) -> None:
    token, row = tokens.create("console", [tokens.Scope.READ], timedelta(days=1))
    answer = authorize(f"Bearer {token}")
    assert answer["principalId"] == row.token_id
    [statement] = answer["policyDocument"]["Statement"]
    assert statement["Effect"] == "Allow"
    assert ROUTE in statement["Resource"]
    assert not [resource for resource in statement["Resource"] if "/POST/" in resource]


def expired() -> str:
    long_ago = datetime.now(UTC) - timedelta(days=2)
    return tokens.create("old", [tokens.Scope.READ], timedelta(days=1), now=long_ago)[0]


def revoked() -> str:
    token, row = tokens.create("lost", [tokens.Scope.READ])
    tokens.revoke(row.token_id)
    return token


@pytest.mark.parametrize("make", [tokens.generate, expired, revoked, lambda: "nb_short", lambda: ""])
def test_any_other_token_fails_with_the_text_that_means_401(authorize: Any, make: Any) -> None:
    with pytest.raises(Exception, match=r"^Unauthorized$"):
        authorize(f"Bearer {make()}")


def test_the_token_itself_is_stored_nowhere(aws: None) -> None:
    token, _ = tokens.create("phone", list(tokens.Scope))
    [row] = TokenRow.scan()
    assert row.token_hash == tokens.hash_token(token)
    assert token not in str(row.to_simple_dict(force=True))
    assert row.scopes == {"detect", "read", "operate"}
    assert row.expires_at is None


def test_tokens_are_listed_in_the_order_they_were_made(aws: None) -> None:
    start = datetime(2026, 11, 24, tzinfo=UTC)
    for day, name in enumerate(["a", "b", "c"]):
        tokens.create(name, [tokens.Scope.READ], now=start + timedelta(days=day))
    assert [row.name for row in tokens.every()] == ["a", "b", "c"]


def test_revoking_twice_keeps_the_first_time(aws: None) -> None:
    _, row = tokens.create("lost", [tokens.Scope.READ])
    first = tokens.revoke(row.token_id, now=datetime(2026, 11, 24, tzinfo=UTC)).revoked_at
    assert tokens.revoke(row.token_id).revoked_at == first == "2026-11-24T00:00:00.000Z"


def test_revoking_what_is_not_there(aws: None) -> None:
    with pytest.raises(RefusedTokenError, match="nestbox token list"):
        tokens.revoke("ffffffff")


@pytest.mark.parametrize(("name", "scopes"), [("", ["read"]), (" ", ["read"]), ("x", []), ("x", ["root"])])
def test_a_token_needs_a_name_and_known_scopes(aws: None, name: str, scopes: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"(?i)name|scope"):
        tokens.create(name, scopes)
