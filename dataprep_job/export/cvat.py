"""CVAT for images 1.1: one XML file, corners in pixels with fractions, 0-based.

Source: https://docs.cvat.ai/docs/other/xml_format (version 1.1, annotation mode). Splits are CVAT's subsets,
under the names that CVAT itself offers.
"""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape, quoteattr

from dataprep_job.export.coordinates import pixels
from dataprep_job.export.exported_image import ExportedImage
from dataprep_job.export.writer import FolderWriter
from dataprep_job.labels import Split

_SUBSETS: Mapping[Split, str] = {"train": "Train", "validation": "Validation", "test": "Test"}
_FILE = "annotations.xml"


class CvatWriter(FolderWriter):
    """Writes `annotations.xml` and `images`."""

    def _start(self) -> None:
        self._count = 0
        labels = "".join(
            f"        <label>\n          <name>{escape(name)}</name>\n"
            "          <type>rectangle</type>\n          <attributes>\n          </attributes>\n"
            "        </label>\n"
            for name in self._classes
        )
        text, _ = self._text(_FILE)
        text.write(
            '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <meta>\n'
            "    <task>\n      <name>nestbox export</name>\n      <mode>annotation</mode>\n      <labels>\n"
            f"{labels}      </labels>\n    </task>\n  </meta>\n"
        )

    def add(self, image: ExportedImage) -> None:
        """Write one picture and its boxes."""
        name = self._place(image, "images")
        text, _ = self._text(_FILE)
        text.write(
            f'  <image id="{self._count}" name={quoteattr(name)} subset="{_SUBSETS[image.split]}" '
            f'width="{image.width}" height="{image.height}">\n'
        )
        self._count += 1
        for box in image.boxes:
            xtl, ytl, xbr, ybr = (pixels(edge) for edge in box.edges)
            text.write(
                f'    <box label={quoteattr(box.name)} source="manual" occluded="0" '
                f'xtl="{xtl}" ytl="{ytl}" xbr="{xbr}" ybr="{ybr}" z_order="0">\n    </box>\n'
            )
        text.write("  </image>\n")

    def _complete(self) -> None:
        self._text(_FILE)[0].write("</annotations>\n")
