"""What birds sit on, and the leaves around it: branches, twigs, stalks, wires and posts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cli.drawing.canvas import Points, Raster, Rgb, bgra, fill, mix, ribbon, scaled, smooth, stroke

PerchKind = Literal["branch", "twig", "stalk", "wire", "post"]


@dataclass(frozen=True)
class Perch:
    """Something to sit on. `line` runs from left to right; only lines that cross the picture seat several."""

    kind: PerchKind
    line: Points
    thickness: float
    """Pixels."""

    def top_at(self, x: float) -> float:
        """Row on which a bird's feet stand at column `x`."""
        return float(np.interp(x, self.line[:, 0], self.line[:, 1])) - self.thickness * 0.42

    @property
    def seats_several(self) -> bool:
        """Whether another bird may sit beside the first."""
        return self.kind in ("branch", "wire")


def place_perch(
    rng: np.random.Generator, kind: PerchKind, seat: tuple[float, float], body: float, height: int, width: int
) -> Perch:
    """A perch whose top is at `seat`, for a bird whose body is `body` pixels long."""
    x, y = seat
    if kind == "branch":
        slope = float(rng.normal(0, 0.16))
        bend = float(rng.normal(0, 0.10))
        xs = np.linspace(-20, width + 20, 9)
        off = (xs - x) / width
        ys = y + slope * (xs - x) + bend * off**2 * height + rng.normal(0, body * 0.025, 9)
        thickness = body * float(rng.uniform(0.14, 0.34))
        ys += thickness * 0.42 - (np.interp(x, xs, ys) - y)
        return Perch(kind, smooth(np.stack([xs, ys], axis=1), closed=False), thickness)
    if kind == "wire":
        slope = float(rng.normal(0, 0.05))
        xs = np.array([-10.0, x, width + 10.0])
        return Perch(kind, np.stack([xs, y + slope * (xs - x) + 1], axis=1), max(1.5, body * 0.035))
    if kind == "twig":
        side = 1.0 if rng.random() < 0.5 else -1.0
        far = -20.0 if side > 0 else width + 20.0
        rise = float(rng.uniform(-0.5, 0.6)) * abs(x - far)
        end = x + side * body * float(rng.uniform(0.4, 1.2))
        line = [
            (far, y + rise),
            ((x + far) / 2, y + rise * 0.36),
            (x, y),
            (end, y - body * float(rng.uniform(0, 0.3))),
        ]
        curve = smooth(np.array(line if side > 0 else line[::-1]), closed=False)
        thickness = body * float(rng.uniform(0.07, 0.13))
        return Perch(kind, curve + np.array([0.0, thickness * 0.42]), thickness)
    half = body * (float(rng.uniform(0.16, 0.34)) if kind == "post" else 0.03)
    return Perch(kind, np.array([[x - half, y], [x + half, y]]), 0.0)


def draw_perch(
    rng: np.random.Generator, layer: Raster, perch: Perch, bark: Rgb, leaves: Sequence[Rgb], snowy: bool
) -> None:
    """Paint a perch on a premultiplied layer of the whole picture, in place."""
    height = layer.shape[0]
    if perch.kind == "wire":
        stroke(layer, perch.line, bgra((44, 44, 48)), perch.thickness)
        return
    if perch.kind == "post":
        _draw_post(rng, layer, perch, bark, snowy)
        return
    if perch.kind == "stalk":
        x, y = perch.line.mean(axis=0)
        body = (perch.line[1, 0] - perch.line[0, 0]) / 0.06
        sway = float(rng.normal(0, 0.5)) * body
        stem = smooth(
            np.array([[x, y - 0.15 * body], [x + sway * 0.2, y + body], [x + sway, height + 10.0]]),
            closed=False,
        )
        tone = mix(leaves[0], (120, 110, 60), 0.4)
        fill(layer, ribbon(stem, np.linspace(0.05, 0.10, len(stem)) * body), bgra(tone))
        scatter_leaves(rng, layer, stem[len(stem) // 3 :], leaves, 6, 0.32 * body)
        for _ in range(14):
            spot = np.array([x, y - 0.1 * body]) + rng.normal(0, 0.07 * body, 2)
            fill(
                layer,
                _leaf(spot, float(rng.uniform(0, 6.3)), 0.16 * body, 0.3),
                bgra(scaled((150, 120, 74), float(rng.uniform(0.7, 1.2)))),
            )
        return
    taper = np.linspace(1.15, 0.85, len(perch.line)) * perch.thickness
    if perch.kind == "twig":
        taper = np.linspace(1.6, 0.6, len(perch.line)) * perch.thickness
        if perch.line[0, 0] > -10:
            taper = taper[::-1]
    tone = scaled(bark, float(rng.uniform(0.8, 1.2)))
    for _ in range(int(rng.integers(1, 5))):
        _draw_sprig(rng, layer, perch, tone, leaves)
    fill(layer, ribbon(perch.line, taper), bgra(scaled(tone, 0.66)))
    fill(layer, ribbon(perch.line - np.array([0, perch.thickness * 0.10]), taper * 0.72), bgra(tone))
    fill(
        layer,
        ribbon(perch.line - np.array([0, perch.thickness * 0.26]), taper * 0.26),
        bgra(scaled(tone, 1.24)),
    )
    for _ in range(40 if perch.thickness > 8 else 12):
        k = int(rng.integers(2, len(perch.line) - 3))
        at = perch.line[k : k + 2] + np.array([0, float(rng.uniform(-0.4, 0.4)) * taper[k]])
        stroke(layer, at, bgra(scaled(tone, float(rng.uniform(0.5, 1.15)))), 1)
    if snowy:
        rim = perch.line - np.array([0, perch.thickness * 0.46])
        bumps = np.abs(rng.normal(0.30, 0.10, len(rim))) * perch.thickness
        fill(layer, ribbon(rim, bumps), bgra((238, 242, 248)))


def _draw_post(rng: np.random.Generator, layer: Raster, perch: Perch, bark: Rgb, snowy: bool) -> None:
    height = layer.shape[0]
    (left, top), (right, _) = perch.line
    width = right - left
    tone = mix(scaled(bark, float(rng.uniform(0.85, 1.35))), (140, 134, 126), 0.4)
    lean = float(rng.normal(0, 0.03)) * (height - top)
    side = np.array([[left, top], [right, top], [right + lean, height + 10], [left + lean, height + 10]])
    fill(layer, side, bgra(tone))
    shade = side.copy()
    shade[[0, 3], 0] += width * 0.55
    fill(layer, shade, bgra(scaled(tone, 0.80)))
    for _ in range(14):
        x, y = float(rng.uniform(left, right)), float(rng.uniform(top, height))
        reach = float(rng.uniform(0.2, 0.9)) * width
        stroke(
            layer,
            np.array([[x, y], [x + lean * reach / (height - top + 1), y + reach]]),
            bgra(scaled(tone, float(rng.uniform(0.6, 1.1)))),
            1,
        )
    rim = np.array(
        [
            [left - width * 0.03, top + width * 0.10],
            [left, top - 1],
            [right, top - 1],
            [right + width * 0.03, top + width * 0.10],
        ]
    )
    fill(layer, rim, bgra((240, 243, 248) if snowy else scaled(tone, 1.22)))


def _draw_sprig(
    rng: np.random.Generator, layer: Raster, perch: Perch, tone: Rgb, leaves: Sequence[Rgb]
) -> None:
    k = int(rng.integers(len(perch.line) // 8, len(perch.line) - 2))
    start = perch.line[k]
    up = -1.0 if rng.random() < 0.7 else 1.0
    reach = max(perch.thickness * 5, 26) * float(rng.uniform(0.8, 2.0))
    lean = float(rng.uniform(-1.1, 1.1))
    end = start + np.array([np.sin(lean), up * np.cos(lean)]) * reach
    middle = (start + end) / 2 + rng.normal(0, reach * 0.08, 2)
    stem = smooth(np.stack([start, middle, end]), closed=False)
    fill(
        layer,
        ribbon(stem, np.linspace(0.30, 0.08, len(stem)) * perch.thickness + 0.8),
        bgra(scaled(tone, 0.8)),
    )
    scatter_leaves(rng, layer, stem[3:], leaves, int(rng.integers(3, 9)), reach * 0.24)


def _leaf(spot: Points, angle: float, length: float, width: float) -> Points:
    heading = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-heading[1], heading[0]])
    along = np.array([0.0, 0.25, 0.6, 1.0, 0.6, 0.25]) * length
    aside = np.array([0.0, 0.8, 0.85, 0.0, -0.85, -0.8]) * width * length / 2
    outline: Points = spot + heading * along[:, None] + across * aside[:, None]
    return outline


def scatter_leaves(
    rng: np.random.Generator, layer: Raster, stem: Points, leaves: Sequence[Rgb], count: int, length: float
) -> None:
    """Leaves along a stem, each with a lit half and a vein, in place."""
    for _ in range(count):
        spot = stem[int(rng.integers(len(stem)))] + rng.normal(0, length * 0.12, 2)
        angle = float(rng.uniform(0, 2 * np.pi))
        size = length * float(rng.uniform(0.6, 1.25))
        tone = scaled(leaves[int(rng.integers(len(leaves)))], float(rng.uniform(0.75, 1.2)))
        outline = _leaf(spot, angle, size, float(rng.uniform(0.36, 0.56)))
        fill(layer, outline, bgra(tone))
        if size > 7:
            fill(layer, outline[:4], bgra(scaled(tone, 1.18)))
            stroke(layer, outline[[0, 3]], bgra(scaled(tone, 0.75)), 1)
