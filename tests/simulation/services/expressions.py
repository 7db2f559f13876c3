"""DynamoDB's expressions on items in wire form (``{"name": {"S": "wren"}}``), each compiled once.

As in docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html; a test compares with moto.
"""

import functools
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from simulation.services.refusal import RefusedError

Value = dict[str, Any]
Item = dict[str, Value]
Names = Mapping[str, str]
Values = Mapping[str, Value]
Operand = Callable[[Item, Names, Values], Value | None]
Condition = Callable[[Item, Names, Values], bool]
Path = list[str | int]

_TOKEN = re.compile(r"\s*(?:(<>|<=|>=|[=<>(),.+\-])|\[(\d+)\]|([:#]?[A-Za-z_][\w]*|[:#][\w]+))")
_KEYWORDS = {"AND", "OR", "NOT", "BETWEEN", "IN", "SET", "REMOVE", "ADD", "DELETE"}
_ORDERED = ("S", "N", "B")


def _invalid(message: str) -> RefusedError:
    return RefusedError("ValidationException", message)


class _Tokens:
    def __init__(self, text: str) -> None:
        self._tokens: list[str | int] = []
        position = 0
        text = text.strip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise _invalid(f"Syntax error in expression near {text[position:]!r}")
            self._tokens.append(match[1] or (int(match[2]) if match[2] is not None else match[3]))
            position = match.end()
        self._at = 0

    def peek(self) -> str | int | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def word(self) -> str | None:
        """The next token in capitals, where it is a keyword."""
        token = self.peek()
        return token.upper() if isinstance(token, str) and token.upper() in _KEYWORDS else None

    def next(self) -> str | int:
        token = self.peek()
        if token is None:
            raise _invalid("Syntax error: the expression ends early")
        self._at += 1
        return token

    def take(self, token: str) -> bool:
        if self.peek() == token or self.word() == token:
            self._at += 1
            return True
        return False

    def expect(self, token: str) -> None:
        if not self.take(token):
            raise _invalid(f"Syntax error: expected {token}, found {self.peek()}")

    def end(self) -> None:
        if self.peek() is not None:
            raise _invalid(f"Syntax error: unexpected {self.peek()}")


@functools.lru_cache(maxsize=4096)
def placeholders(text: str) -> frozenset[str]:
    """The placeholders that an expression uses."""
    return frozenset(re.findall(r"[#:]\w+", text))


# ---- values -----------------------------------------------------------------------------------------


def comparable(value: Value) -> Any:
    """A Python value that compares as DynamoDB compares values of one type."""
    [(kind, content)] = value.items()
    if kind == "N":
        return Decimal(content)
    if kind in ("SS", "BS"):
        return frozenset(content)
    if kind == "NS":
        return frozenset(Decimal(one) for one in content)
    if kind == "L":
        return [(next(iter(one)), comparable(one)) for one in content]
    if kind == "M":
        return {name: (next(iter(one)), comparable(one)) for name, one in content.items()}
    return content


def _kind(value: Value) -> str:
    return next(iter(value))


def _equal(one: Value | None, other: Value | None) -> bool:
    if one is None or other is None:
        return False
    return _kind(one) == _kind(other) and comparable(one) == comparable(other)


def _ordered(test: Callable[[Any, Any], bool]) -> Callable[[Value | None, Value | None], bool]:
    def compare(one: Value | None, other: Value | None) -> bool:
        if one is None or other is None or _kind(one) != _kind(other) or _kind(one) not in _ORDERED:
            return False
        return test(comparable(one), comparable(other))

    return compare


_COMPARISONS: dict[str, Callable[[Value | None, Value | None], bool]] = {
    "=": _equal,
    "<>": lambda one, other: not _equal(one, other),
    "<": _ordered(lambda one, other: one < other),
    "<=": _ordered(lambda one, other: one <= other),
    ">": _ordered(lambda one, other: one > other),
    ">=": _ordered(lambda one, other: one >= other),
}


def _copied(value: Value) -> Value:
    if "M" in value:
        return {"M": {name: _copied(one) for name, one in value["M"].items()}}
    if "L" in value:
        return {"L": [_copied(one) for one in value["L"]]}
    return dict(value)


def _number(value: Decimal) -> Value:
    text = format(value.normalize(), "f")
    return {"N": "0" if text == "-0" else text}


# ---- paths ------------------------------------------------------------------------------------------


def _parse_path(tokens: _Tokens) -> Callable[[Names], Path]:
    parts: list[str | int] = []
    first = tokens.next()
    if (
        not isinstance(first, str)
        or first[0] == ":"
        or not (first[0] == "#" or first[0].isalpha() or first[0] == "_")
    ):
        raise _invalid(f"Syntax error: expected an attribute, found {first}")
    parts.append(first)
    while True:
        if tokens.take(".") or isinstance(tokens.peek(), int):
            parts.append(tokens.next())
        else:
            break

    def resolve(names: Names) -> Path:
        path: Path = []
        for part in parts:
            if isinstance(part, str) and part.startswith("#"):
                if part not in names:
                    raise _invalid(
                        f"An expression attribute name used in the document path is not defined: {part}"
                    )
                path.append(names[part])
            else:
                path.append(part)
        return path

    return resolve


def get_path(item: Item, path: Path) -> Value | None:
    """The value at a document path, or None."""
    value: Value | None = {"M": item}
    for part in path:
        if value is None:
            return None
        if isinstance(part, int):
            elements = value.get("L")
            value = elements[part] if elements is not None and part < len(elements) else None
        else:
            value = value.get("M", {}).get(part)
    return value


def _parent(item: Item, path: Path) -> Value:
    parent = get_path(item, path[:-1]) if len(path) > 1 else {"M": item}
    if parent is None or ("L" if isinstance(path[-1], int) else "M") not in parent:
        raise _invalid("The document path provided in the update expression is invalid for update")
    return parent


def _set_path(item: Item, path: Path, value: Value) -> None:
    parent, last = _parent(item, path), path[-1]
    if isinstance(last, int):
        elements = parent["L"]
        if last < len(elements):
            elements[last] = value
        else:
            elements.append(value)
    else:
        parent["M"][last] = value


# ---- conditions -------------------------------------------------------------------------------------


def _parse_operand(tokens: _Tokens) -> Operand:
    token = tokens.peek()
    if isinstance(token, str) and token.startswith(":"):
        tokens.next()

        def placeholder(_item: Item, _names: Names, values: Values) -> Value | None:
            if token not in values:
                raise _invalid(f"An expression attribute value used in expression is not defined: {token}")
            return values[token]

        return placeholder
    if token == "size":
        tokens.next()
        tokens.expect("(")
        inner = _parse_path(tokens)
        tokens.expect(")")

        def size(item: Item, names: Names, _values: Values) -> Value | None:
            value = get_path(item, inner(names))
            if value is None or _kind(value) in ("N", "BOOL", "NULL"):
                return None
            return {"N": str(len(next(iter(value.values()))))}

        return size
    path = _parse_path(tokens)
    return lambda item, names, _values: get_path(item, path(names))


def _parse_function(name: str, tokens: _Tokens) -> Condition:
    tokens.expect("(")
    if name in ("attribute_exists", "attribute_not_exists"):
        path = _parse_path(tokens)
        tokens.expect(")")
        wanted = name == "attribute_exists"
        return lambda item, names, _values: (get_path(item, path(names)) is not None) is wanted
    one = _parse_operand(tokens)
    tokens.expect(",")
    other = _parse_operand(tokens)
    tokens.expect(")")

    def test(item: Item, names: Names, values: Values) -> bool:
        left, right = one(item, names, values), other(item, names, values)
        if left is None or right is None:
            return False
        if name == "begins_with":
            return (
                _kind(left) == _kind(right)
                and _kind(left) in ("S", "B")
                and left[_kind(left)].startswith(right[_kind(right)])
            )
        if name == "attribute_type":
            return _kind(left) == right["S"]
        kind = _kind(left)
        if kind in ("SS", "NS", "BS"):
            return _kind(right) == kind[0] and comparable(right) in comparable(left)
        if kind == "L":
            return any(_equal(element, right) for element in left["L"])
        return kind == _kind(right) and kind in ("S", "B") and right[kind] in left[kind]

    return test


_FUNCTIONS = {"attribute_exists", "attribute_not_exists", "begins_with", "attribute_type", "contains"}


def _parse_comparison(tokens: _Tokens) -> Condition:
    token = tokens.peek()
    if token in _FUNCTIONS:
        tokens.next()
        return _parse_function(str(token), tokens)
    left = _parse_operand(tokens)
    if tokens.take("BETWEEN"):
        low = _parse_operand(tokens)
        tokens.expect("AND")
        high = _parse_operand(tokens)
        at_least, at_most = _COMPARISONS[">="], _COMPARISONS["<="]

        def between(item: Item, names: Names, values: Values) -> bool:
            value = left(item, names, values)
            return at_least(value, low(item, names, values)) and at_most(value, high(item, names, values))

        return between
    if tokens.take("IN"):
        tokens.expect("(")
        choices = [_parse_operand(tokens)]
        while tokens.take(","):
            choices.append(_parse_operand(tokens))
        tokens.expect(")")
        return lambda item, names, values: any(
            _equal(left(item, names, values), choice(item, names, values)) for choice in choices
        )
    operator = tokens.next()
    if operator not in _COMPARISONS:
        raise _invalid(f"Syntax error: unexpected {operator}")
    compare, right = _COMPARISONS[str(operator)], _parse_operand(tokens)
    return lambda item, names, values: compare(left(item, names, values), right(item, names, values))


def _parse_not(tokens: _Tokens) -> Condition:
    if tokens.take("NOT"):
        inner = _parse_not(tokens)
        return lambda item, names, values: not inner(item, names, values)
    if tokens.take("("):
        inner = _parse_or(tokens)
        tokens.expect(")")
        return inner
    return _parse_comparison(tokens)


def _parse_and(tokens: _Tokens) -> Condition:
    parts = [_parse_not(tokens)]
    while tokens.take("AND"):
        parts.append(_parse_not(tokens))
    return parts[0] if len(parts) == 1 else lambda *with_: all(part(*with_) for part in parts)


def _parse_or(tokens: _Tokens) -> Condition:
    parts = [_parse_and(tokens)]
    while tokens.take("OR"):
        parts.append(_parse_and(tokens))
    return parts[0] if len(parts) == 1 else lambda *with_: any(part(*with_) for part in parts)


@functools.lru_cache(maxsize=4096)
def condition(text: str) -> Condition:
    """A condition, filter or key condition."""
    tokens = _Tokens(text)
    compiled = _parse_or(tokens)
    tokens.end()
    return compiled


# ---- projections and updates ------------------------------------------------------------------------


@functools.lru_cache(maxsize=1024)
def projection(text: str) -> Callable[[Item, Names], Item]:
    """A projection on top-level attributes (and no others)."""
    tokens = _Tokens(text)
    paths = [_parse_path(tokens)]
    while tokens.take(","):
        paths.append(_parse_path(tokens))
    tokens.end()

    def project(item: Item, names: Names) -> Item:
        wanted: Item = {}
        for path in paths:
            [name] = path(names)
            if name in item:
                wanted[str(name)] = item[str(name)]
        return wanted

    return project


def _parse_set_term(tokens: _Tokens) -> Operand:
    token = tokens.peek()
    if token == "if_not_exists":
        tokens.next()
        tokens.expect("(")
        path = _parse_path(tokens)
        tokens.expect(",")
        otherwise = _parse_set_term(tokens)
        tokens.expect(")")

        def if_not_exists(item: Item, names: Names, values: Values) -> Value | None:
            found = get_path(item, path(names))
            return found if found is not None else otherwise(item, names, values)

        return if_not_exists
    if token == "list_append":
        tokens.next()
        tokens.expect("(")
        one = _parse_set_term(tokens)
        tokens.expect(",")
        other = _parse_set_term(tokens)
        tokens.expect(")")

        def list_append(item: Item, names: Names, values: Values) -> Value:
            left, right = _needed(one(item, names, values)), _needed(other(item, names, values))
            if "L" not in left or "L" not in right:
                raise _invalid("An operand in the update expression has an incorrect data type")
            return {"L": left["L"] + right["L"]}

        return list_append
    return _parse_operand(tokens)


def _needed(value: Value | None) -> Value:
    if value is None:
        raise _invalid("The provided expression refers to an attribute that does not exist in the item")
    return value


def _parse_set_value(tokens: _Tokens) -> Operand:
    left = _parse_set_term(tokens)
    sign = 1 if tokens.take("+") else -1 if tokens.take("-") else 0
    if not sign:
        return left
    right = _parse_set_term(tokens)

    def add(item: Item, names: Names, values: Values) -> Value:
        one, other = _needed(left(item, names, values)), _needed(right(item, names, values))
        if "N" not in one or "N" not in other:
            raise _invalid("An operand in the update expression has an incorrect data type")
        return _number(Decimal(one["N"]) + sign * Decimal(other["N"]))

    return add


Clause = tuple[str, Callable[[Names], Path], Operand | None]


@functools.lru_cache(maxsize=4096)
def _clauses(text: str) -> tuple[Clause, ...]:
    tokens = _Tokens(text)
    clauses: list[Clause] = []
    while tokens.peek() is not None:
        verb = tokens.word()
        if verb not in ("SET", "REMOVE", "ADD", "DELETE"):
            raise _invalid(f"Syntax error: unexpected {tokens.peek()}")
        tokens.next()
        while True:
            path = _parse_path(tokens)
            operand: Operand | None = None
            if verb == "SET":
                tokens.expect("=")
                operand = _parse_set_value(tokens)
            elif verb in ("ADD", "DELETE"):
                operand = _parse_operand(tokens)
            clauses.append((verb, path, operand))
            if not tokens.take(","):
                break
    return tuple(clauses)


def update(text: str, item: Item, names: Names, values: Values) -> Item:
    """The item after an update expression; all of it reads the item as it was before."""
    resolved = [(verb, path(names), operand) for verb, path, operand in _clauses(text)]
    _check_overlaps([path for _verb, path, _operand in resolved])
    new = {name: _copied(value) for name, value in item.items()}
    removed: list[Path] = []
    for verb, path, operand in resolved:
        if verb == "REMOVE":
            removed.append(path)
            continue
        assert operand is not None
        value = _copied(_needed(operand(item, names, values)))
        if verb == "SET":
            _set_path(new, path, value)
        elif verb == "ADD":
            _set_path(new, path, _added(get_path(item, path), value))
        else:
            left = _without(get_path(item, path), value)
            if left is None:
                removed.append(path)
            else:
                _set_path(new, path, left)
    # Later elements of a list first, so that earlier places stay what they were.
    for path in sorted(removed, key=lambda one: one[-1] if isinstance(one[-1], int) else -1, reverse=True):
        if len(path) == 1:
            new.pop(str(path[0]), None)
            continue
        parent, last = _parent(new, path), path[-1]
        if isinstance(last, int):
            del parent["L"][last : last + 1]
        else:
            parent["M"].pop(last, None)
    return new


def _check_overlaps(paths: list[Path]) -> None:
    for place, one in enumerate(paths):
        for other in paths[place + 1 :]:
            short = min(len(one), len(other))
            if one[:short] == other[:short]:
                raise _invalid("Invalid UpdateExpression: Two document paths overlap with each other")


def _added(before: Value | None, value: Value) -> Value:
    kind = _kind(value)
    if kind == "N":
        if before is not None and "N" not in before:
            raise _invalid("An operand in the update expression has an incorrect data type")
        return _number(Decimal(before["N"] if before else 0) + Decimal(value["N"]))
    if kind not in ("SS", "NS", "BS"):
        raise _invalid("Incorrect operand type for operator ADD")
    if before is not None and kind not in before:
        raise _invalid("An operand in the update expression has an incorrect data type")
    known = list(before[kind]) if before else []
    return {kind: known + [one for one in value[kind] if one not in known]}


def _without(before: Value | None, value: Value) -> Value | None:
    kind = _kind(value)
    if kind not in ("SS", "NS", "BS"):
        raise _invalid("Incorrect operand type for operator DELETE")
    if before is None:
        return None
    if kind not in before:
        raise _invalid("An operand in the update expression has an incorrect data type")
    left = [one for one in before[kind] if one not in value[kind]]
    return {kind: left} if left else None
