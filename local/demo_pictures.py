"""What `make demo` leaves to look at: annotated pictures, a contact sheet and a chart of the epochs."""

from __future__ import annotations

import html
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nestbox.api.boxes import Detection
from nestbox.api.drawing import draw
from nestbox.api.picture import Picture
from nestbox.rows.epochs import from_row
from nestbox.rules.epochs import best_epoch
from nestbox.tables import EpochRow
from PIL import Image, ImageDraw, ImageOps

MATCH_IOU = 0.5
LARGEST_EDGE = 960
"""Small pictures are enlarged to this, so that labels can be read."""
CELL = (480, 400)
COLUMNS = 4
GAP = 10

INK, PAPER, GRID = "#24292f", "#ffffff", "#d8dee4"
GREEN, BLUE, ORANGE = "#1a7f37", "#0969da", "#bc4c00"


@dataclass(frozen=True)
class Truth:
    """A true box in pixels of the picture as a person sees it."""

    class_name: str
    xmin: float
    ymin: float
    xmax: float
    ymax: float


def found_of(truth: Sequence[Truth], found: Sequence[Detection]) -> int:
    """How many true boxes a detection of the same class overlaps with an IoU of at least 0.5, each once."""
    left = list(truth)
    for detection in found:
        best = max(left, key=lambda box: _iou(box, detection), default=None)
        if (
            best is not None
            and best.class_name == detection.class_name
            and _iou(best, detection) >= MATCH_IOU
        ):
            left.remove(best)
    return len(truth) - len(left)


def annotated(file: Path, truth: Sequence[Truth], found: Sequence[Detection]) -> bytes:
    """A JPEG of the picture: true boxes thin and white, detections bold and named."""
    with Image.open(file) as opened:
        upright = ImageOps.exif_transpose(opened).convert("RGB")
    scale = max(1.0, LARGEST_EDGE / max(upright.size))
    image = upright.resize(
        (round(upright.width * scale), round(upright.height * scale)), Image.Resampling.LANCZOS
    )
    canvas = ImageDraw.Draw(image)
    for box in truth:
        corners = [value * scale for value in (box.xmin, box.ymin, box.xmax, box.ymax)]
        canvas.rectangle([value + 1 for value in corners], outline="#404040", width=1)
        canvas.rectangle(corners, outline="white", width=1)
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=95)
    enlarged = [
        Detection(one.class_name, one.score, type(one.box)(*(value * scale for value in _corners(one))))
        for one in found
    ]
    return draw(Picture(jpeg.getvalue(), "image/jpeg", image.width, image.height), enlarged)


def contact_sheet(pictures: Sequence[bytes]) -> bytes:
    """All pictures side by side, as a JPEG."""
    columns = min(COLUMNS, len(pictures))
    rows = -(-len(pictures) // columns)
    width, height = CELL
    sheet = Image.new("RGB", (columns * (width + GAP) + GAP, rows * (height + GAP) + GAP), "#f6f8fa")
    for place, content in enumerate(pictures):
        with Image.open(io.BytesIO(content)) as opened:
            cell = ImageOps.pad(opened, CELL, Image.Resampling.LANCZOS, color="#eaeef2")
        row, column = divmod(place, columns)
        sheet.paste(cell, (GAP + column * (width + GAP), GAP + row * (height + GAP)))
    jpeg = io.BytesIO()
    sheet.save(jpeg, "JPEG", quality=90)
    return jpeg.getvalue()


def epochs_chart(title: str, epochs: Sequence[EpochRow]) -> str:
    """An SVG: validation mAP (left axis, 0 to 1) and the two losses (right axis) by epoch."""
    last = max((int(row.epoch) for row in epochs), default=0) or 1
    losses = [v for row in epochs for v in (row.train_cross_entropy, row.train_smooth_l1) if v is not None]
    axes = _Axes(last, _round_up(max(losses, default=1.0)))
    lines: list[tuple[str, str, float, Callable[[EpochRow], float | None], float]] = [
        ("validation mAP", GREEN, 2.5, lambda row: row.validation_map, 1.0),
        ("train cross entropy", BLUE, 1.5, lambda row: row.train_cross_entropy, axes.highest_loss),
        ("train smooth L1", ORANGE, 1.5, lambda row: row.train_smooth_l1, axes.highest_loss),
    ]
    parts = [*axes.frame(title)]
    legend = axes.left
    for name, colour, thick, value_of, full in lines:
        known = [(float(row.epoch), value) for row in epochs if (value := value_of(row)) is not None]
        points = " ".join(
            f"{axes.x(epoch):.1f},{axes.y(min(1.0, value / full)):.1f}" for epoch, value in known
        )
        pen = f'fill="none" stroke="{colour}" stroke-width="{thick}" stroke-linejoin="round"'
        parts += [
            f'<polyline points="{points}" {pen}/>',
            f'<path d="M{legend} 41h22" {pen}/>',
            _text(legend + 28, 45, name, INK),
        ]
        legend += 60 + 7 * len(name)
    best = best_epoch(map(from_row, epochs))
    if best is not None and best.validation_map is not None:
        at, height = best.epoch, best.validation_map
        anchor = "end" if at > last * 0.8 else "middle"
        parts += [
            f'<circle cx="{axes.x(at):.1f}" cy="{axes.y(height):.1f}" r="4" fill="{GREEN}"/>',
            _text(axes.x(at), axes.y(height) - 10, f"{height:.3f}", GREEN, anchor, bold=True),
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


@dataclass(frozen=True)
class _Axes:
    """Places of epochs and values on the chart, in its pixels."""

    last_epoch: int
    highest_loss: float
    width: int = 860
    height: int = 400
    left: int = 56
    right: int = 796
    top: int = 56
    bottom: int = 352

    def x(self, epoch: float) -> float:
        return self.left + (self.right - self.left) * epoch / self.last_epoch

    def y(self, share: float) -> float:
        """`share` 0 is the foot of the chart, 1 its top."""
        return self.bottom - (self.bottom - self.top) * share

    def frame(self, title: str) -> list[str]:
        """Everything but the lines."""
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}">',
            f"<style>text {{ font: 12px sans-serif; fill: {INK} }}</style>",
            f'<rect width="{self.width}" height="{self.height}" fill="{PAPER}"/>',
            _text(self.left, 24, title, INK, bold=True),
        ]
        for step in range(6):
            share = step / 5
            parts += [
                f'<path d="M{self.left} {self.y(share):.1f}H{self.right}" stroke="{GRID}"/>',
                _text(self.left - 8, self.y(share) + 4, f"{share:.1f}", GREEN, "end"),
                _text(self.right + 8, self.y(share) + 4, f"{share * self.highest_loss:.2g}", INK),
            ]
        for epoch in range(0, self.last_epoch + 1, max(1, round(_round_up(self.last_epoch / 10)))):
            parts.append(_text(self.x(epoch), self.bottom + 20, str(epoch), INK, "middle"))
        parts.append(_text((self.left + self.right) / 2, self.height - 8, "epoch", INK, "middle"))
        return parts


def _text(x: float, y: float, text: str, colour: str, anchor: str = "start", bold: bool = False) -> str:
    style = f"fill: {colour}" + ("; font-weight: bold" if bold else "")
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} style="{style}">{html.escape(text)}</text>'


def _corners(detection: Detection) -> tuple[float, float, float, float]:
    box = detection.box
    return (box.xmin, box.ymin, box.xmax, box.ymax)


def _iou(box: Truth, detection: Detection) -> float:
    xmin, ymin, xmax, ymax = _corners(detection)
    wide = min(box.xmax, xmax) - max(box.xmin, xmin)
    tall = min(box.ymax, ymax) - max(box.ymin, ymin)
    if wide <= 0 or tall <= 0:
        return 0.0
    both = (box.xmax - box.xmin) * (box.ymax - box.ymin) + (xmax - xmin) * (ymax - ymin)
    return wide * tall / (both - wide * tall)


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, … so that axes have round numbers."""
    step = 10.0 ** max(0, len(str(int(value))) - 1)
    return next(step * factor for factor in (1, 2, 5, 10) if step * factor >= value)
