"""Answers in pages, small ones, so that whoever reads only the first of them is found out."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

PAGE = 2
"""Things in one page."""


def page_of(things: Sequence[T], token: str | None) -> tuple[Sequence[T], str | None]:
    """The page that a token asks for (None: the first), and the token of the next one."""
    begin = int(token or 0)
    end = begin + PAGE
    return things[begin:end], str(end) if end < len(things) else None
