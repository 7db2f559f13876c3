"""XML that strangers wrote, element by element, with line numbers. DTDs and entities are refused.

A document is never held whole: the finished children of its root are handed out and forgotten, so memory is
bounded by the largest of them, and that one by the limits below.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from xml.sax import SAXParseException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl, Locator

from defusedxml.common import DefusedXmlException
from defusedxml.expatreader import DefusedExpatParser

MAX_ELEMENTS = 200_000
"""Elements in what is handed out at once."""

MAX_CHARACTERS = 64 << 20
"""Characters of text and attributes in what is handed out at once."""

MAX_DEPTH = 100
MAX_ATTRIBUTES = 1000

MAX_TOKEN_BYTES = 8 << 20
"""A start tag or comment; longer ones would be scanned again and again from their beginning."""


class XmlError(ValueError):
    """Not well-formed, or more than an annotation can be. `line` is 1-based, None where unknown."""

    def __init__(self, message: str, line: int | None) -> None:
        super().__init__(message)
        self.line = line


class XmlRefusedError(XmlError):
    """The document declares a DTD or entities, which no annotation needs and attackers do."""


@dataclass(slots=True)
class Element:
    """One element: its tag, line, attributes, own text (stripped) and children in document order."""

    tag: str
    line: int
    attributes: dict[str, str] = field(default_factory=dict)
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def all(self, tag: str) -> Iterator[Element]:
        """Direct children of a tag."""
        return (child for child in self.children if child.tag == tag)

    def first(self, tag: str) -> Element | None:
        """The first direct child of a tag."""
        return next(self.all(tag), None)

    def text_of(self, tag: str) -> str | None:
        """The stripped text of the first direct child of a tag, None where there is none."""
        child = self.first(tag)
        return None if child is None else child.text


class XmlStream:
    """A document that is read once, from its start to its end or to the first mistake in it."""

    def __init__(self, chunks: Iterable[bytes], opened: Collection[str] = ()) -> None:
        """Read from pieces of the file, of some 100 KiB each.

        Args:
            chunks: the file.
            opened: children of the root with these tags can be too large to hand out; their children are
                handed out instead.
        """
        self._chunks = iter(chunks)
        self._parser = DefusedExpatParser(forbid_dtd=True, forbid_entities=True, forbid_external=True)
        self._builder = _Builder(self._parser, opened)
        self._parser.setContentHandler(self._builder)
        self._parser.reset()
        self._error: XmlError | None = None
        self._is_closed = False
        self._silent_bytes = 0

    def root(self) -> Element:
        """The root element as its start tag has it, without text and children.

        Raises:
            XmlError: not even that can be read.
        """
        while self._builder.root is None and self._error is None and not self._is_closed:
            self._feed()
        if self._builder.root is None:
            raise self._error or XmlError("The file holds no element.", None)
        return self._builder.root

    def __iter__(self) -> Iterator[tuple[Element, Element]]:
        """Finished elements, each with its parent: the root, or the opened child of the root around it.

        Raises:
            XmlRefusedError: a DTD or an entity is declared.
            XmlError: not well-formed, or beyond a limit; after every element before the mistake.
        """
        while True:
            yield from self._builder.take()
            if self._error is not None:
                raise self._error
            if self._is_closed:
                return
            self._feed()

    def _feed(self) -> None:
        chunk = next(self._chunks, b"")
        events = self._builder.events
        try:
            if chunk:
                self._parser.feed(chunk)
            else:
                self._is_closed = True
                self._parser.close()
        except XmlError as error:
            self._error = error
        except DefusedXmlException:
            self._error = XmlRefusedError("The file declares a DTD or entities.", self._builder.line())
        except SAXParseException as error:
            self._error = XmlError(f"Not well-formed: {error.getMessage()}.", error.getLineNumber())
        except (ValueError, LookupError) as error:  # unknown encodings and lone surrogates
            self._error = XmlError(f"Not well-formed: {error}.", self._builder.line())
        self._silent_bytes = self._silent_bytes + len(chunk) if self._builder.events == events else 0
        if self._silent_bytes > MAX_TOKEN_BYTES and self._error is None:
            self._error = XmlError(
                f"A tag or comment is longer than {MAX_TOKEN_BYTES >> 20} MiB.", self._builder.line()
            )


class _Builder(ContentHandler):
    def __init__(self, locator: Locator, opened: Collection[str]) -> None:
        super().__init__()
        self._locator = locator
        self.root: Element | None = None
        self.events = 0
        self._opened = opened
        self._ready: list[tuple[Element, Element]] = []
        self._open: list[Element] = []
        self._texts: list[list[str]] = []
        self._handed_out_at = 1
        self._elements = 0
        self._characters = 0

    def line(self) -> int:
        return self._locator.getLineNumber() or 1

    def take(self) -> list[tuple[Element, Element]]:
        ready, self._ready = self._ready, []
        return ready

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802  (the names are SAX's)
        self.events += 1
        depth = len(self._open)
        if depth == 1:
            self._handed_out_at = 2 if name in self._opened else 1
        if depth <= self._handed_out_at:
            self._elements = self._characters = 0
        attributes = dict(attrs.items())
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            raise XmlError(f"One entry holds more than {MAX_ELEMENTS:,} elements.", self.line())
        if depth >= MAX_DEPTH:
            raise XmlError(f"Elements are nested more than {MAX_DEPTH} deep.", self.line())
        if len(attributes) > MAX_ATTRIBUTES:
            raise XmlError(f"An element has more than {MAX_ATTRIBUTES:,} attributes.", self.line())
        self._count_characters(sum(map(len, attributes.values())))
        element = Element(name, self.line(), attributes)
        if depth == 0:
            self.root = element
        elif depth > self._handed_out_at:
            self._open[-1].children.append(element)
        self._open.append(element)
        self._texts.append([])

    def endElement(self, name: str) -> None:  # noqa: ARG002, N802
        self.events += 1
        element = self._open.pop()
        element.text = "".join(self._texts.pop()).strip()
        if len(self._open) == self._handed_out_at:
            self._ready.append((self._open[-1], element))

    def characters(self, content: str) -> None:
        self.events += 1
        if len(self._open) > self._handed_out_at:
            self._count_characters(len(content))
            self._texts[-1].append(content)

    def _count_characters(self, count: int) -> None:
        self._characters += count
        if self._characters > MAX_CHARACTERS:
            raise XmlError(f"One entry holds more than {MAX_CHARACTERS >> 20} Mi characters.", self.line())
