"""Checks request parameters against botocore's service model, in AWS's words.

botocore's own validator looks at required members, types and lower bounds only; the service models also
hold patterns, upper bounds and enumerations, and AWS refuses requests by all of them.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import regex
from botocore.model import ListShape, MapShape, Shape, StructureShape

_LENGTHS = ("string", "list", "map", "blob")
_NUMBERS = ("integer", "long", "float", "double")
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "blob": (bytes,),
    "timestamp": (datetime.datetime,),
}


def mistyped(shape: Shape, value: Any, at: str = "") -> Iterator[str]:
    """Yields one sentence for every value that has not the JSON type of the model."""
    expected = _TYPES.get(shape.type_name)
    if expected and (
        not isinstance(value, expected) or (isinstance(value, bool) and shape.type_name != "boolean")
    ):
        yield f"{at or 'request'} has the wrong type: expected {shape.type_name}, got {type(value).__name__}"
        return
    if isinstance(shape, StructureShape):
        for name, member in value.items():
            if member is not None:
                yield from mistyped(shape.members[name], member, _join(at, name))
    elif isinstance(shape, ListShape):
        for index, member in enumerate(value):
            yield from mistyped(shape.member, member, f"{at}.{index + 1}.member")
    elif isinstance(shape, MapShape):
        for key, member in value.items():
            yield from mistyped(shape.value, member, f"{at}.{key}")


def violations(shape: Shape, value: Any, at: str = "") -> Iterator[str]:
    """Yields AWS's sentence for every constraint of the model that `value` breaks."""
    bounds: Mapping[str, Any] = shape.metadata
    kind = shape.type_name

    def failed(requirement: str) -> str:
        return f"Value '{value}' at '{at}' failed to satisfy constraint: Member must {requirement}"

    if kind == "string" and "enum" in bounds and value not in bounds["enum"]:
        yield failed(f"satisfy enum value set: [{', '.join(bounds['enum'])}]")
    too_long = False
    if kind in _LENGTHS or kind in _NUMBERS:
        size, noun = (value, "value") if kind in _NUMBERS else (len(value), "length")
        if "min" in bounds and size < bounds["min"]:
            yield failed(f"have {noun} greater than or equal to {bounds['min']}")
        if "max" in bounds and size > bounds["max"]:
            too_long = True
            yield failed(f"have {noun} less than or equal to {bounds['max']}")
    # A length already refused is not matched: some of the models' patterns backtrack on long input.
    unmatched = kind == "string" and "pattern" in bounds and not too_long
    if unmatched and not _pattern(bounds["pattern"]).fullmatch(value):
        yield failed(f"satisfy regular expression pattern: {bounds['pattern']}")
    if isinstance(shape, StructureShape):
        for name in shape.required_members:
            if value.get(name) is None:
                yield (
                    f"Value null at '{_join(at, name)}' failed to satisfy constraint: Member must not be null"
                )
        for name, member in value.items():
            if member is not None:
                yield from violations(shape.members[name], member, _join(at, name))
    elif isinstance(shape, ListShape):
        for index, member in enumerate(value):
            yield from violations(shape.member, member, f"{at}.{index + 1}.member")
    elif isinstance(shape, MapShape):
        for key, member in value.items():
            yield from violations(shape.key, key, f"{at}.key")
            yield from violations(shape.value, member, f"{at}.{key}")


def refusal(sentences: list[str]) -> str:
    """AWS's message for a request with these constraint failures."""
    plural = "s" if len(sentences) > 1 else ""
    return f"{len(sentences)} validation error{plural} detected: {'; '.join(sentences)}"


def _join(at: str, name: str) -> str:
    return f"{at}.{name[0].lower()}{name[1:]}".lstrip(".")


@functools.cache
def _pattern(pattern: str) -> Any:
    # The models hold Java regular expressions: \p{..} needs the regex module, \z is spelled \Z in Python.
    return regex.compile(pattern.replace(r"\z", r"\Z"))
