"""What integration tests share: moto that answers DynamoDB calls in half the time."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from botocore.model import StructureShape
from moto.core.serialize import JSONSerializer

_ATTRIBUTE_VALUE = "AttributeValue"
_serialize_structure = JSONSerializer._serialize_type_structure


def _serialize_held_members(
    self: JSONSerializer, serialized: MutableMapping[str, Any], value: Any, shape: StructureShape, key: str
) -> None:
    """An attribute value holds one of its ten members; moto looks for each, under several spellings.

    That search takes half the time of a test that works on tables.
    """
    if shape.name != _ATTRIBUTE_VALUE or not isinstance(value, Mapping):
        _serialize_structure(self, serialized, value, shape, key)
        return
    held = self.MAP_TYPE()
    for member, member_value in value.items():
        self._serialize(held, member_value, shape.members[member], member)
    self._default_serialize(serialized, held, shape, key)


JSONSerializer._serialize_type_structure = _serialize_held_members
