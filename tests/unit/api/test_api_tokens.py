"""Tokens, as far as they are not stored."""

import hashlib

import pytest
from aws_lambda_powertools.utilities.data_classes.api_gateway_authorizer_event import (
    APIGatewayAuthorizerTokenEvent,
)
from nestbox.api import tokens
from nestbox.api.access import ROUTES, policy
from nestbox.api.errors import RefusedTokenError
from nestbox.api.tokens import Scope

STAGE = "arn:aws:execute-api:eu-central-1:123456789012:abcdef1234/v1"


def answer(*scopes: str, route: str = "GET/runs") -> dict[str, object]:
    event = APIGatewayAuthorizerTokenEvent({"methodArn": f"{STAGE}/{route}", "authorizationToken": "x"})
    return policy(event, "1a2b3c4d", "anna", scopes)


def test_tokens_are_long_and_differ() -> None:
    made = {tokens.generate() for _ in range(100)}
    assert len(made) == 100
    assert all(token.startswith("nb_") and len(token) == 46 for token in made)


def test_what_is_stored_is_the_sha256() -> None:
    assert tokens.hash_token("nb_abc") == hashlib.sha256(b"nb_abc").hexdigest()


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", " Bearer  "])
def test_the_token_in_a_header(scheme: str) -> None:
    token = tokens.generate()
    assert tokens.bearer(scheme + token) == token


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nb_short", "Basic bmI6eA==", "nb_" + "a" * 43])
def test_a_header_without_token_is_refused(header: str) -> None:
    with pytest.raises(RefusedTokenError):
        tokens.bearer(header)


@pytest.mark.parametrize("scope", list(Scope))
def test_a_policy_names_every_route_of_a_scope_whatever_was_called(scope: Scope) -> None:
    wanted = {f"{STAGE}/{method}{path}" for method, path in ROUTES[scope]}
    for route in ("GET/runs", "POST/detect/birds", "POST/runs/x/promote"):
        [statement] = answer(scope, route=route)["policyDocument"]["Statement"]  # type: ignore[index]
        assert statement["Effect"] == "Allow"
        assert set(statement["Resource"]) == wanted


def test_scopes_do_not_open_each_others_routes() -> None:
    opened = [set(ROUTES[scope]) for scope in Scope]
    assert len(set().union(*opened)) == sum(map(len, opened))


def test_a_token_without_known_scopes_opens_nothing() -> None:
    for scopes in ((), ("admin",)):
        [statement] = answer(*scopes)["policyDocument"]["Statement"]  # type: ignore[index]
        assert statement["Effect"] == "Deny"


def test_functions_are_told_who_calls() -> None:
    assert answer("read", "detect")["context"] == {
        "token_id": "1a2b3c4d",
        "token_name": "anna",
        "scopes": "detect read",
    }
