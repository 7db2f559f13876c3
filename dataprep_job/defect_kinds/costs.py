"""What one defect of a kind costs. Reports list the costliest kinds first.

Errors cost the picture unless they are named here; warnings cost nothing.
"""

from __future__ import annotations

from typing import Literal

Cost = Literal["file", "picture", "box", "choice", "nothing"]

COSTS: dict[Cost, str] = {
    "file": "The labels in the file are lost, or those behind the mistake.",
    "picture": "The picture is left out.",
    "box": "The box is left out; the picture's other boxes are used.",
    "choice": "Nothing is lost, but what is meant is not certain: the safe choice was made.",
    "nothing": "Nothing is lost; look whether it is meant.",
}
"""The costliest first, in words."""

FILE = frozenset((
    "archive.bomb", "archive.damaged", "archive.encrypted", "archive.member-damaged", "archive.nested",
    "archive.spanned", "archive.too-large", "archive.unsupported", "archive.unsupported-method",
    "class.lists-differ", "csv.missing-column", "cub.file-missing", "cvat.bad-xml", "cvat.video",
    "file.gone", "file.too-large", "json.broken", "lst.classification", "manifest.wrong-type",
    "path.outside", "text.not-utf8", "xml.dtd", "yolo.bad-yaml", "yolo.no-class-names",
))  # fmt: skip
BOX = frozenset((
    "box.not-a-number", "box.outside", "box.too-small", "box.zero-area", "class.bad-name",
    "class.without-name", "coco.bad-annotation", "coco.bad-category", "coco.class-without-name",
    "coco.duplicate-category", "coco.mask-without-box", "coco.no-box", "coco.unknown-image",
    "createml.bad-annotation", "csv.bad-row", "csv.not-relative", "cub.bad-line",
    "cub.class-without-name", "cub.duplicate-class", "cvat.bad-shape", "labelme.bad-shape",
    "labelstudio.bad-region",
    "labelstudio.several-labels", "manifest.class-without-name", "sagemaker.bad-annotation",
    "sagemaker.bad-category", "sagemaker.class-without-name", "voc.bad-object", "yolo.bad-class",
    "yolo.bad-line", "yolo.negative-size", "yolo.not-relative",
))  # fmt: skip
CHOICE = frozenset((
    "archive.duplicate-member", "archive.path-taken", "config.bad-value", "config.unknown-key",
    "config.unreadable", "image.duplicate-across-splits", "split.conflict",
))  # fmt: skip


def cost_of(code: str, severity: str) -> Cost:
    """What a defect of this kind costs."""
    if severity == "warning":
        return "nothing"
    if code in FILE:
        return "file"
    if code in BOX:
        return "box"
    return "choice" if code in CHOICE else "picture"
