"""XML that strangers wrote, as a small tree that knows its line numbers. DTDs and entities are refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.sax import SAXParseException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl, Locator

from defusedxml import sax
from defusedxml.common import DefusedXmlException

MAX_ELEMENTS = 2_000_000


class XmlError(ValueError):
    """Not well-formed, or more than an annotation can be. `line` is 1-based, None where unknown."""

    def __init__(self, message: str, line: int | None) -> None:
        super().__init__(message)
        self.line = line


class XmlRefusedError(XmlError):
    """The document declares a DTD or entities, which no annotation needs and attackers do."""


@dataclass(slots=True)
class Element:
    """One element: its tag, line, attributes, own text in pieces, and children in document order."""

    tag: str
    line: int
    attributes: dict[str, str] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    children: list[Element] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The element's own text, stripped."""
        return "".join(self.texts).strip()

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


def parse_xml(data: bytes) -> Element:
    """The root element of a document.

    Raises:
        XmlRefusedError: a DTD or an entity is declared.
        XmlError: not well-formed.
    """
    builder = _Builder()
    try:
        sax.parseString(data, builder, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    except XmlError:
        raise
    except DefusedXmlException as error:
        raise XmlRefusedError("The file declares a DTD or entities.", builder.line()) from error
    except SAXParseException as error:
        raise XmlError(f"Not well-formed: {error.getMessage()}.", error.getLineNumber()) from error
    except (ValueError, LookupError) as error:  # unknown encodings and lone surrogates
        raise XmlError(f"Not well-formed: {error}.", builder.line()) from error
    if builder.root is None:
        raise XmlError("The file holds no element.", None)
    return builder.root


class _Builder(ContentHandler):
    def __init__(self) -> None:
        super().__init__()
        self.root: Element | None = None
        self._open: list[Element] = []
        self._count = 0
        self._locator: Locator | None = None

    def line(self) -> int | None:
        return None if self._locator is None else self._locator.getLineNumber()

    def setDocumentLocator(self, locator: Locator) -> None:  # noqa: N802  (the name is SAX's)
        self._locator = locator

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802
        self._count += 1
        if self._count > MAX_ELEMENTS:
            raise XmlError(f"The file holds more than {MAX_ELEMENTS:,} elements.", self.line())
        element = Element(name, self.line() or 0, dict(attrs.items()))
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def endElement(self, name: str) -> None:  # noqa: ARG002, N802
        self._open.pop()

    def characters(self, content: str) -> None:
        if self._open:
            self._open[-1].texts.append(content)
