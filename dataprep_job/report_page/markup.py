"""Small pieces of HTML. Whatever comes from a dataset goes through `text`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

SPLIT_TITLES = {"train": "Train", "validation": "Validation", "test": "Test", "left out": "Left out"}

_UNWANTED = dict.fromkeys(
    (*range(9), 11, 12, *range(14, 32), 127, *range(0x202A, 0x202F), *range(0x2066, 0x206A)),
    "\N{REPLACEMENT CHARACTER}",
)
"""Control characters, also those that turn the direction of text around."""


def text(value: str) -> str:
    """Escaped for element contents and quoted attributes, without control characters."""
    if not value.isprintable():
        value = value.translate(_UNWANTED).encode("utf-8", "replace").decode()
    return escape(value)


def path(value: str) -> str:
    """A path or a place in a file, escaped; narrow columns break it where a person would."""
    return text(value).replace("/", "/<wbr>").replace("_", "_<wbr>")


def counted(count: int, thing: str, things: str = "") -> str:
    """'1 box', '2 boxes', '1,200 pictures'."""
    if count == 1:
        return f"1 {thing}"
    return f"{count:,} {things or thing + ('es' if thing.endswith('x') else 's')}"


class Part(NamedTuple):
    """A part of a stacked bar. `tone` is a class of the style sheet."""

    tone: str
    size: int
    label: str


def stacked_bar(parts: Sequence[Part], whole: int) -> str:
    """A bar whose parts are as long as their counts; it fills its width where they add up to `whole`."""
    shown = [part for part in parts if part.size]
    title = ", ".join(f"{part.size:,} {part.label}" for part in shown)
    pieces = "".join(
        f'<i class="{part.tone}" style="width:{100 * part.size / max(whole, 1):.2f}%"></i>' for part in shown
    )
    return f'<span class="bar" title="{text(title)}">{pieces}</span>'


def legend(parts: Iterable[Part]) -> str:
    """What the colours of a stacked bar stand for, with the counts."""
    items = "".join(
        f'<li><i class="{part.tone}"></i><b>{part.size:,}</b> {text(part.label)}</li>'
        for part in parts
        if part.size
    )
    return f'<ul class="legend">{items}</ul>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    """A table that scrolls sideways where the screen is narrow.

    Args:
        head: titles of the columns, as HTML.
        rows: cells, as HTML; the first of a row is its heading.
        numbers: columns that are aligned to the right.
    """
    right = frozenset(numbers)

    def cell(tag: str, column: int, content: str) -> str:
        return f"<{tag}{' class=number' if column in right else ''}>{content}</{tag.split()[0]}>"

    heads = "".join(cell("th scope=col", column, title) for column, title in enumerate(head))
    body = "".join(
        "<tr>"
        + "".join(
            cell("td" if column else "th scope=row", column, content) for column, content in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="table" tabindex=0><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def section(anchor: str, title: str, *contents: str) -> str:
    """A part of the page with its heading; nothing where it has no contents."""
    filled = [content for content in contents if content]
    if not filled:
        return ""
    return f'<section id="{anchor}"><h2>{text(title)}</h2>{"".join(filled)}</section>'
