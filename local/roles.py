"""The credentials of job roles: temporary sessions that MiniStack's IAM knows and enforces."""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Mapping
from typing import Any

from ministack.services import iam, sts

from local.endpoint import Credentials
from local.errors import RoleError
from local.scope import Scope

_KEY_CHARACTERS = string.ascii_uppercase + "234567"


def assume(scope: Scope, role_arn: str, service: str, session_name: str) -> Credentials:
    """Opens a session of the role for a service principal such as `sagemaker.amazonaws.com`.

    Raises RoleError when the role does not exist or does not trust the service. The session lasts until
    `revoke`: the platforms refresh a container's credentials for as long as it runs.
    """
    name = role_arn.rpartition("/")[2]
    role = iam._roles.get_scoped(scope.account, None, name)
    if role is None or role.get("Arn") != role_arn:
        raise RoleError(f"the role {role_arn} does not exist")
    if not trusts(role.get("AssumeRolePolicyDocument") or {}, service):
        raise RoleError(f"the trust policy of {role_arn} does not let {service} assume the role")
    key = "ASIA" + "".join(secrets.choice(_KEY_CHARACTERS) for _ in range(16))
    credentials = Credentials(key, secrets.token_urlsafe(30), secrets.token_urlsafe(120))
    session = session_name[:64]
    sts.register_session(
        key,
        {
            "Arn": f"arn:aws:sts::{scope.account}:assumed-role/{name}/{session}",
            "UserId": f"{role.get('RoleId', name)}:{session}",
            "AccountId": scope.account,
            "SecretAccessKey": credentials.secret_access_key,
            "SessionToken": credentials.session_token,
        },
    )
    return credentials


def revoke(credentials: Credentials) -> None:
    """Ends the session."""
    sts._sessions.pop(credentials.access_key_id, None)


def trusts(document: str | Mapping[str, Any], service: str) -> bool:
    """Whether a trust policy lets a service principal assume its role (conditions are not looked at)."""
    policy = json.loads(document) if isinstance(document, str) else document
    statements = policy.get("Statement") or []
    allowed = False
    for statement in [statements] if isinstance(statements, Mapping) else statements:
        principal = statement.get("Principal") or {}
        services = _listed(principal.get("Service") if isinstance(principal, Mapping) else None)
        actions = {action.lower() for action in _listed(statement.get("Action"))}
        if service not in services or not actions & {"sts:assumerole", "sts:*", "*"}:
            continue
        if statement.get("Effect") == "Deny":
            return False
        allowed = allowed or statement.get("Effect") == "Allow"
    return allowed


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])
