"""Beak, eye and crest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cli.drawing.anatomy import Body
from cli.drawing.canvas import Points, Raster, Rgb, bgra, disc, fill, scaled, smooth

PUPIL: Rgb = (14, 12, 12)
GLINT: Rgb = (250, 250, 250)

# Upper and lower mandible: x from the gape 0 to the tip 1, y in beak depths above the line between the two.
MANDIBLES: dict[str, tuple[list[tuple[float, float]], list[tuple[float, float]]]] = {
    "thin": (
        [(0, 0.50), (0.5, 0.36), (0.9, 0.12), (1.0, 0.0)],
        [(1.0, 0.0), (0.85, -0.05), (0.4, -0.30), (0, -0.40)],
    ),
    "cone": (
        [(0, 0.72), (0.45, 0.55), (0.85, 0.18), (1.0, -0.04)],
        [(0.98, -0.04), (0.75, -0.28), (0.4, -0.48), (0, -0.58)],
    ),
    "stout": (
        [(0, 0.58), (0.5, 0.52), (0.82, 0.34), (1.0, 0.0)],
        [(0.96, 0.02), (0.7, -0.26), (0.35, -0.42), (0, -0.48)],
    ),
    "hook": (
        [(0, 0.48), (0.6, 0.46), (0.88, 0.30), (1.0, -0.06), (0.97, -0.24), (0.9, -0.04)],
        [(0.93, -0.08), (0.74, -0.44), (0.6, -0.46), (0, -0.46)],
    ),
    "flat": (
        [(0, 0.66), (0.4, 0.26), (0.8, 0.18), (0.97, 0.14), (1.0, 0.02), (0.95, -0.02)],
        [(0.95, 0.0), (0.85, -0.16), (0.4, -0.22), (0, -0.38)],
    ),
}


@dataclass(frozen=True)
class FaceColours:
    """Beak and eye."""

    beak: Rgb
    beak_tip: Rgb
    iris: Rgb
    beak_mark: Rgb | None = None
    """Colour of a spot near the tip of the lower mandible."""
    ring: Rgb | None = None
    """Colour of a ring around the eye."""


def beak_layer(body: Body, colours: FaceColours) -> Raster:
    """The beak as a layer of the whole raster; its root lies inside the head, which is drawn over it."""
    frame, build = body.frame, body.build
    layer = frame.blank()
    length, deep = build.beak / build.head, build.beak_depth / build.head
    upper, lower = MANDIBLES[build.beak_shape]

    def place(points: list[tuple[float, float]]) -> Points:
        return body.pixels([(0.84 + x * length, -0.08 + y * deep) for x, y in points], "head")

    inside = [(-0.4, -0.1)]
    fill(layer, place([*lower, *inside]), bgra(scaled(colours.beak, 0.76)))
    fill(layer, place([*upper, *inside]), bgra(colours.beak))
    height_there = float(np.interp(0.72, [x for x, _ in upper[:4]], [y for _, y in upper[:4]]))
    beyond = [point for point in upper if point[0] > 0.72]
    fill(layer, place([(0.72, height_there), *beyond, (0.72, -0.02)]), bgra(colours.beak_tip))
    if colours.beak_mark:
        disc(layer, place([(0.78, -0.26)])[0], max(0.8, 0.026 * frame.scale), bgra(colours.beak_mark))
    return layer


def draw_eye(layer: Raster, body: Body, colours: FaceColours, light: tuple[float, float]) -> None:
    """Eye with iris, pupil and the light's glint, in place."""
    radius = max(0.034, 0.18 * body.build.head) * body.frame.scale
    centre = body.pixels([(0.36, 0.20)], "head")[0]
    if colours.ring:
        disc(layer, centre, radius * 1.34, bgra(colours.ring))
    disc(layer, centre, radius, bgra(colours.iris))
    disc(layer, centre, radius * 0.74, bgra(PUPIL))
    if radius > 1.4:
        disc(layer, centre + np.array([light[0], -light[1]]) * radius * 0.36, radius * 0.24, bgra(GLINT))


def crest_layer(body: Body, height: float, colour: Rgb) -> Raster:
    """Feathers raised `height` head radii above the back of the head."""
    layer = body.frame.blank()
    outline = [
        (0.55, 0.62),
        (0.1, 0.95 + 0.25 * height),
        (-1.0, 0.55 + height),
        (-1.35, 0.45 + height),
        (-0.95, 0.1),
    ]
    fill(layer, body.pixels(smooth(outline), "head"), bgra(colour))
    return layer
