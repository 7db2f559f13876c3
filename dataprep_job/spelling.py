"""Names that people take for one: other case, other Unicode form, `.jpeg` for `.jpg`, renamed uploads."""

from __future__ import annotations

import re
import unicodedata

_JPEG = ("jpg", "jpeg", "jpe", "jfif")
_UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)", re.DOTALL)


def plain(path: str) -> str:
    """What all spellings of one name or path share: of `Größe.JPEG`, in any Unicode form, `größe.jpg`.

    macOS takes letters with accents apart (NFD), Windows and S3 keep them as they come; both of the former do
    not tell upper from lower case, S3 does.
    """
    folded = path.casefold()
    if not folded.isascii():
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
    bare, dot, ending = folded.rpartition(".")
    return f"{bare}.jpg" if dot and ending in _JPEG else folded


def other_forms(path: str) -> list[str]:
    """The same letters in their other Unicode forms; nothing for plain ASCII."""
    if path.isascii():
        return []
    forms = (unicodedata.normalize(form, path) for form in ("NFC", "NFD"))
    return [form for form in dict.fromkeys(forms) if form != path]


def name_before_upload(name: str) -> str | None:
    """The name of a file that was uploaded to Label Studio: `3f2a9c01-a.jpg` was `a.jpg`; None otherwise."""
    uploaded = _UPLOADED.fullmatch(name)
    return uploaded[1] if uploaded else None
