"""The account and region a request belongs to, and the ARNs made from them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

from ministack.core import responses


@dataclass(frozen=True)
class Scope:
    """One account in one region: names are unique inside it."""

    account: str
    region: str

    @classmethod
    def current(cls) -> Scope:
        """The scope of the request being served (MiniStack keeps it in context variables)."""
        return cls(responses.get_account_id(), responses.get_region())

    def arn(self, service: str, resource: str) -> str:
        """`arn:aws:{service}:{region}:{account}:{resource}`."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    def pinned(self) -> AbstractContextManager[None]:
        """Makes this the current scope for work done outside a request, such as a job's thread."""
        pinned: AbstractContextManager[None] = responses.request_scope(self.account, self.region)
        return pinned
