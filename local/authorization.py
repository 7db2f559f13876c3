"""Asks MiniStack's IAM evaluator whether a caller may do what it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.iam_actions import identity_denial_message

from local.errors import AwsError
from local.scope import Scope


@dataclass(frozen=True)
class Caller:
    """Who signed the request (MiniStack has checked the signature before our services see it)."""

    access_key_id: str
    scope: Scope

    def require(
        self, action: str, *resources: str, context: Mapping[str, Any] | None = None, any_of: bool = False
    ) -> None:
        """Raises AccessDeniedException unless the caller may do `action` on every resource (or on one)."""
        refusals = []
        for resource in resources or ("*",):
            denied = iam_evaluator.enforce(
                self.access_key_id,
                action,
                action.partition(":")[0],
                self.scope.region,
                resource_arn=resource,
                service_context=dict(context or {}),
            )
            if denied is None:
                if any_of:
                    return
                continue
            if isinstance(denied, iam_evaluator.AuthError):
                raise AwsError(denied.code, denied.message, 403)
            refusals.append(
                identity_denial_message(action, denied.principal_arn, resource, denied.decision == "Deny")
            )
        if refusals:
            raise AwsError("AccessDeniedException", refusals[0], 403)

    def require_passing(self, role_arn: str, service: str) -> None:
        """Raises AccessDeniedException unless the caller may hand `role_arn` to `service`."""
        self.require("iam:PassRole", role_arn, context={"iam:PassedToService": service})
