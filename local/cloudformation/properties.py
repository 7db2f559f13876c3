"""CloudFormation properties (PascalCase, often strings) → request parameters after botocore's model."""

from __future__ import annotations

from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from local.constraints import mistyped, refusal, violations

_TRUE = {"true": True, "false": False}


def parameters(shape: Shape, properties: Any, at: str = "") -> Any:
    """The parameters that the properties stand for.

    Names match without regard to the case of letters. Raises ValueError for a property that the model does
    not have, with CloudFormation's words for it.
    """
    if isinstance(shape, StructureShape) and isinstance(properties, dict):
        members = {name.lower(): (name, member) for name, member in shape.members.items()}
        result = {}
        for key, value in properties.items():
            if key.lower() not in members:
                raise ValueError(
                    f"Properties validation failed: #{at}: extraneous key [{key}] is not permitted"
                )
            name, member = members[key.lower()]
            result[name] = parameters(member, value, f"{at}/{key}")
        return result
    if isinstance(shape, ListShape) and isinstance(properties, list):
        return [parameters(shape.member, value, f"{at}/{i}") for i, value in enumerate(properties)]
    if isinstance(shape, MapShape) and isinstance(properties, dict):
        return {key: parameters(shape.value, value, f"{at}/{key}") for key, value in properties.items()}
    return _scalar(shape, properties)


def checked(shape: Shape, properties: Any) -> dict[str, Any]:
    """The parameters, checked against the model. Raises ValueError."""
    request: dict[str, Any] = parameters(shape, properties)
    if problems := [*mistyped(shape, request)] or [*violations(shape, request)]:
        raise ValueError(refusal(problems))
    return request


def _scalar(shape: Shape, value: Any) -> Any:
    if isinstance(value, str):
        if shape.type_name in ("integer", "long") and value.lstrip("-").isdigit():
            return int(value)
        if shape.type_name == "boolean":
            return _TRUE.get(value.lower(), value)
        return value
    if shape.type_name == "string" and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value
