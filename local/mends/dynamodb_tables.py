"""Properties of AWS::DynamoDB::Table that CloudFormation drops."""

from __future__ import annotations

import json
from typing import Any

from ministack.services import dynamodb
from ministack.services.cloudformation import provisioners

Properties = dict[str, Any]


def install() -> None:
    """Puts the mends of this module in place."""
    keep_expiry_and_recovery()


def keep_expiry_and_recovery() -> None:
    """TimeToLiveSpecification and PointInTimeRecoverySpecification have no effect from a template."""
    handler = provisioners._RESOURCE_HANDLERS["AWS::DynamoDB::Table"]
    create, update = handler["create"], handler["update"]

    def created(logical_id: str, properties: Properties, stack: str) -> Any:
        provisioned = create(logical_id, properties, stack)
        _apply(provisioned[0], {}, properties)
        return provisioned

    def updated(name: str, old: Properties, new: Properties, *rest: Any) -> Any:
        provisioned = update(name, old, new, *rest)
        _apply(provisioned[0], old, new)
        return provisioned

    handler["create"], handler["update"] = created, updated


def _apply(table: str, old: Properties, new: Properties) -> None:
    expiry = new.get("TimeToLiveSpecification")
    if expiry != old.get("TimeToLiveSpecification"):
        chosen = expiry or {**old["TimeToLiveSpecification"], "Enabled": False}
        specification = {**chosen, "Enabled": str(chosen.get("Enabled")).lower() == "true"}
        request = {"TableName": table, "TimeToLiveSpecification": specification}
        _checked(dynamodb._update_ttl(request))
    recovery = new.get("PointInTimeRecoverySpecification")
    if recovery != old.get("PointInTimeRecoverySpecification"):
        enabled = str((recovery or {}).get("PointInTimeRecoveryEnabled", False)).lower() == "true"
        request = {
            "TableName": table,
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": enabled},
        }
        _checked(dynamodb._update_continuous_backups(request))


def _checked(response: tuple[int, dict[str, str], bytes]) -> None:
    if response[0] >= 400:
        raise ValueError(json.loads(response[2]).get("message", "the table refused the property"))
