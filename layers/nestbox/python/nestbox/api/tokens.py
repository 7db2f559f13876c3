# mypy: disable-error-code="no-untyped-call"
# (PynamoDB's own constructors carry no annotations.)
"""Tokens of the API: random, stored only as a hash, with scopes, a name and an end."""

import hashlib
import re
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from nestbox.api.errors import RefusedTokenError
from nestbox.tables import TokenRow
from nestbox.timestamps import to_text

PREFIX = "nb_"
_TOKEN = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
_HEADER = re.compile(rf"[Bb]earer +({_TOKEN.pattern})")


class Scope(StrEnum):
    """What a token opens."""

    DETECT = "detect"
    READ = "read"
    OPERATE = "operate"


def generate() -> str:
    """A new token: ``nb_`` and 256 random bits in URL-safe base64."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """The form in which a token is stored: SHA-256, hexadecimal.

    Plain SHA-256 is enough because a token is 256 random bits: nothing can be guessed, so nothing has to
    be slow.
    """
    return hashlib.sha256(token.encode()).hexdigest()


def bearer(header: str) -> str:
    """The token in an ``Authorization: Bearer nb_…`` header; raises RefusedTokenError where there is none."""
    match = _HEADER.fullmatch(header.strip())
    if match is None:
        raise RefusedTokenError("the Authorization header is not 'Bearer nb_…'")
    return match[1]


def create(
    name: str, scopes: Iterable[Scope], lifetime: timedelta | None = None, now: datetime | None = None
) -> tuple[str, TokenRow]:
    """Makes and stores a token; the text it returns is shown once and is nowhere afterwards.

    ``lifetime`` None: it never expires. Raises ValueError where no scope or no name is given.
    """
    wanted = {str(Scope(scope)) for scope in scopes}
    if not wanted:
        raise ValueError(f"a token needs at least one scope of {', '.join(Scope)}")
    if not name.strip():
        raise ValueError("a token needs a name that says who uses it")
    now = now or datetime.now(UTC)
    token = generate()
    row = TokenRow(
        token_hash=hash_token(token),
        token_id=secrets.token_hex(4),
        name=name.strip(),
        scopes=wanted,
        created_at=to_text(now),
        expires_at=None if lifetime is None else now + lifetime,
    )
    row.save(TokenRow.token_hash.does_not_exist())
    return token, row


def verify(token: str, now: datetime | None = None) -> TokenRow:
    """The row of a token that is good now; raises RefusedTokenError saying why it is not.

    The end is checked here as well: DynamoDB removes expired rows only hours later.
    """
    now = now or datetime.now(UTC)
    try:
        row = TokenRow.get(hash_token(token))
    except TokenRow.DoesNotExist as error:
        raise RefusedTokenError("the token is unknown") from error
    if row.revoked_at is not None:
        raise RefusedTokenError(f"token {row.token_id} was revoked at {row.revoked_at}")
    if row.expires_at is not None and row.expires_at <= now:
        raise RefusedTokenError(f"token {row.token_id} expired at {to_text(row.expires_at)}")
    return row


def every() -> list[TokenRow]:
    """All tokens that are stored, oldest first."""
    return sorted(TokenRow.scan(), key=lambda row: row.created_at)


def revoke(token_id: str, now: datetime | None = None) -> TokenRow:
    """Ends a token for good (the API may honour it for one more minute, see the authorizer's cache).

    Revoking twice keeps the first time. Raises RefusedTokenError where no token has this id.
    """
    for row in every():
        if row.token_id == token_id:
            if row.revoked_at is None:
                row.update(actions=[TokenRow.revoked_at.set(to_text(now or datetime.now(UTC)))])
            return row
    raise RefusedTokenError(f"there is no token {token_id!r}: nestbox token list shows them")
