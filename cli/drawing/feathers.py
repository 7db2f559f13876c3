"""Wings and tail, feather by feather. Every function returns a layer of the whole raster."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cli.drawing.anatomy import Body
from cli.drawing.canvas import Points, Raster, Rgb, bgra, disc, fill, mix, scaled, smooth, stroke

WHITE: Rgb = (238, 238, 234)
FINE_DETAIL = 26.0
"""Pixels per body length below which fine bars would only be noise."""


@dataclass(frozen=True)
class WingColours:
    """Colours of a wing: `arm` near the body, `hand` towards the tip, and what is drawn on them."""

    coverts: Rgb
    arm: Rgb
    hand: Rgb
    tip: Rgb
    tip_share: float = 0.0
    """Share of the hand feathers' length that has the tip's colour."""
    bar: Rgb | None = None
    """Colour of the wing bar (tips of the coverts)."""
    barring: Rgb | None = None
    """Colour of fine bars across the feathers."""
    speculum: Rgb | None = None
    """Colour of a white-edged panel on the arm feathers."""
    spots: Rgb | None = None
    """Colour of spots at the tips of the hand feathers."""


@dataclass(frozen=True)
class TailColours:
    """Colours of the tail's feathers."""

    middle: Rgb
    outer: Rgb
    band: Rgb | None = None
    """Colour of a band across the end."""
    barring: Rgb | None = None


def feather(
    root: Points, heading: Points, span: tuple[float, float], length: float, half_widths: list[float]
) -> Points:
    """Outline of a part of a feather, `span` from and to as shares of its length."""
    stations = np.array([0.0, 0.35, 0.85, 1.0])
    along: NDArray[np.float64] = (span[0] + stations * (span[1] - span[0])) * length
    across = np.array([-heading[1], heading[0]]) * np.array(half_widths)[:, None]
    middle = root + heading * along[:, None]
    return smooth(np.concatenate([middle + across, (middle - across)[::-1]]), steps=4)


def folded_wing(body: Body, colours: WingColours, rng: np.random.Generator) -> Raster:
    """The wing of a bird at rest, held against its side."""
    frame, depth, reach = body.frame, body.build.depth, body.build.wing
    scale = frame.scale
    layer = frame.blank()
    drop = float(rng.uniform(-0.16, 0.06))
    shoulder = body.at(0.66, 0.10)

    def place(points: list[tuple[float, float]] | Points) -> Points:
        """(x, y): x back from the shoulder in wing lengths, y up in body depths."""
        array = np.asarray(points, dtype=np.float64)
        return frame.to_pixels(
            np.stack(
                [
                    shoulder[0] - array[:, 0] * reach,
                    shoulder[1] + (array[:, 1] + drop * array[:, 0] - 0.30 * array[:, 0] ** 2) * depth,
                ],
                axis=1,
            )
        )

    def shape(outline: list[tuple[float, float]], colour: Rgb) -> None:
        fill(layer, place(smooth(outline)), bgra(colour))

    def line(path: list[tuple[float, float]], colour: Rgb, width: float) -> None:
        stroke(layer, place(smooth(path, closed=False)), bgra(colour), width * scale)

    shape(
        [
            (-0.04, 0.10), (0.10, 0.56), (0.38, 0.72), (0.66, 0.64), (0.88, 0.55),
            (1.06, 0.47), (0.84, 0.20), (0.62, -0.16), (0.34, -0.38), (0.08, -0.28),
        ],
        colours.arm,
    )  # fmt: skip
    shape(
        [(0.52, 0.26), (0.80, 0.42), (1.10, 0.50), (1.07, 0.40), (0.84, 0.16), (0.60, -0.12)],
        mix(colours.hand, colours.tip, 0.35),
    )
    if colours.tip_share > 0:
        shape([(0.80, 0.44), (1.14, 0.52), (1.02, 0.32), (0.84, 0.18)], colours.tip)
    if colours.speculum:
        shape([(0.46, 0.0), (0.66, 0.22), (0.76, 0.16), (0.66, -0.06), (0.50, -0.22)], WHITE)
        shape([(0.50, 0.0), (0.64, 0.16), (0.72, 0.12), (0.64, -0.04), (0.53, -0.16)], colours.speculum)
    for k in range(5):
        y = 0.46 - 0.15 * k
        path = [(0.36 + 0.03 * k, y), (0.62, y + 0.05), (0.92 - 0.06 * k, 0.40 - 0.09 * k)]
        line(path, mix(colours.arm, (255, 255, 255), 0.22), 0.010)
    for k in range(4):
        y = 0.40 - 0.10 * k
        line(
            [(0.66 - 0.02 * k, y - 0.04), (0.86, y + 0.03), (1.04 - 0.05 * k, y + 0.07)],
            scaled(colours.hand, 0.62),
            0.010,
        )
    if colours.barring and scale > FINE_DETAIL:
        for k in range(6):
            x = 0.44 + 0.075 * k
            line([(x, 0.36 - 0.02 * k), (x + 0.03, 0.02)], colours.barring, 0.018)
    shape(
        [(-0.04, 0.10), (0.10, 0.55), (0.34, 0.68), (0.52, 0.52), (0.46, 0.12), (0.32, -0.26), (0.08, -0.26)],
        colours.coverts,
    )
    if scale > 1.5 * FINE_DETAIL:
        for row in range(3):
            for k in range(5):
                x, y = 0.10 + 0.11 * row, 0.42 - 0.15 * k + 0.06 * row
                line([(x, y + 0.07), (x + 0.05, y), (x, y - 0.07)], scaled(colours.coverts, 0.82), 0.009)
    if colours.bar:
        for shift, width in ((0.0, 0.055), (0.14, 0.034)):
            line([(0.55 - shift, 0.42), (0.49 - shift, 0.10), (0.36 - shift, -0.22)], colours.bar, width)
    if colours.spots:
        for spot in place([(1.02, 0.46), (0.95, 0.37), (0.88, 0.28)]):
            disc(layer, spot, 0.018 * scale, bgra(colours.spots))
    return layer


def spread_wing(body: Body, colours: WingColours, near: bool) -> Raster:
    """One wing of a flying bird; seen from below it is paler and duller."""
    frame, build, pose = body.frame, body.build, body.frame.pose
    scale, span, chord = frame.scale, build.span, build.chord
    layer = frame.blank()
    lift, roll = math.radians(pose.wing_lift), math.radians(pose.roll)
    rise = math.sin(lift + roll) if near else math.sin(lift - roll)
    # Exactly edge-on a wing would vanish into a line.
    rise = math.copysign(max(0.25, abs(rise)), rise)
    # Raised wings show the underside of the near one and the upper side of the far one.
    under = (rise > 0) == near
    sweep = 0.24 if near else -0.06
    base = body.at(0.62 if near else 0.66, 0.42 if rise > 0 else 0.0)

    wing_axes = span * np.array([[-sweep, rise], [1.0, 0.0]])

    def place(points: list[tuple[float, float]] | Points) -> Points:
        """(s, c): s along the wing from the shoulder 0 to the tip 1, c forward, in wing lengths."""
        return frame.to_pixels(base + np.asarray(points) @ wing_axes)

    def shade(colour: Rgb) -> Rgb:
        seen = mix(colour, (205, 200, 192), 0.26) if under else colour
        return scaled(seen, (0.94 if under else 1.0) * (1.0 if near else 0.86))

    shoulder, wrist, hand = np.array([0.0, 0.02]), np.array([0.44, 0.10]), np.array([0.70, 0.02])
    feathers: list[tuple[Points, float, float, float]] = [
        (shoulder + (wrist - shoulder) * u, -90 + 12 * u, chord * (0.98 - 0.05 * u), 0.0)
        for u in np.linspace(0, 1, 8, endpoint=False)
    ]
    for u in np.linspace(0, 1, 9):
        length = chord * 0.93 + (0.36 - chord * 0.42) * u**0.8
        feathers.append((wrist + (hand - wrist) * u, -78 + 62 * u**1.15, length, 0.25 + 0.75 * u))
    half = (0.040 if span > 1.1 else 0.056) * np.array([0.75, 1.0, 0.9, 0.15])
    for root, degrees, length, outer in feathers:
        heading = np.array([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))])

        def part(
            start: float,
            end: float,
            colour: Rgb,
            root: Points = root,
            heading: Points = heading,
            length: float = length,
        ) -> None:
            fill(layer, place(feather(root, heading, (start, end), length, list(half))), bgra(colour))

        colour = shade(mix(colours.arm, colours.hand, min(1.0, outer * 1.4)))
        fill(
            layer,
            place(feather(root, heading, (0.0, 1.03), length, list(half * 1.12))),
            bgra(scaled(colour, 0.76)),
        )
        part(0.0, 1.0, colour)
        if colours.speculum and outer == 0:
            part(0.46, 0.92, WHITE)
            part(0.54, 0.84, colours.speculum)
        if colours.barring and scale > FINE_DETAIL:
            for start in (0.36, 0.52, 0.68, 0.84):
                part(start, start + 0.05, shade(colours.barring))
        if colours.tip_share > 0 and outer > 0.35:
            part(1.0 - colours.tip_share * outer, 1.0, shade(colours.tip))
            if colours.spots and scale > 0.7 * FINE_DETAIL:
                spot = place((root + heading * length * 0.94)[None])[0]
                disc(layer, spot, 0.018 * scale, bgra(colours.spots))
    deep = chord * 0.52
    coverts = [
        (-0.06, 0.05), (0.20, 0.12), (0.44, 0.155), (0.60, 0.10), (0.74, 0.0),
        (0.60, -0.03 - deep * 0.35), (0.40, -deep * 0.72), (0.18, -deep), (-0.06, -deep),
    ]  # fmt: skip
    fill(layer, place(smooth(coverts)), bgra(shade(colours.coverts)))
    if scale > 1.5 * FINE_DETAIL:
        for k in range(2):
            path = [(0.0, -deep * (0.3 + 0.3 * k)), (0.3, -deep * (0.25 + 0.28 * k)), (0.55, -deep * 0.1 * k)]
            stroke(
                layer,
                place(smooth(path, closed=False)),
                bgra(shade(scaled(colours.coverts, 0.84))),
                0.010 * scale,
            )
    if colours.bar:
        path = [(0.02, -deep * 1.0), (0.2, -deep * 0.98), (0.42, -deep * 0.74), (0.60, -0.07)]
        stroke(layer, place(smooth(path, closed=False)), bgra(shade(colours.bar)), 0.05 * scale)
    return layer


def tail_layer(body: Body, colours: TailColours) -> Raster:
    """The tail, fanned as the pose says."""
    frame, build = body.frame, body.build
    layer = frame.blank()
    spread = frame.pose.tail_spread * build.tail_width
    half = np.array([0.034, 0.046, 0.046, 0.014]) * (0.7 + 0.5 * spread)
    # From the outside inwards: the outermost feathers lie lowest.
    for k in (-3, 3, -2, 2, -1, 1, 0):
        aside = k / 3
        angle = math.radians(180 + aside * 46 * spread)
        heading = np.array([math.cos(angle), math.sin(angle)])
        root = np.array([-0.40, 0.055 + aside * 0.03])
        length = build.tail * (1 - build.tail_notch * (1 - abs(aside))) + 0.12

        def part(
            start: float,
            end: float,
            colour: Rgb,
            root: Points = root,
            heading: Points = heading,
            length: float = length,
        ) -> None:
            outline = feather(root, heading, (start, end), length, list(half))
            fill(layer, frame.to_pixels(outline), bgra(colour))

        colour = colours.outer if abs(aside) > 0.6 else colours.middle
        part(0.0, 1.015, scaled(colours.band or colour, 0.72))
        part(0.0, 1.0, colour)
        if colours.barring and frame.scale > FINE_DETAIL:
            for start in (0.34, 0.46, 0.58, 0.70):
                part(start, start + 0.035, colours.barring)
        if colours.band:
            part(0.82, 1.0, colours.band)
    return layer
