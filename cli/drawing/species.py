"""Five species: build, plumage by age and sex, and how each of them behaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from cli.drawing.anatomy import Action, Build
from cli.drawing.canvas import Rgb, mix, scaled
from cli.drawing.face import FaceColours
from cli.drawing.feathers import TailColours, WingColours
from cli.drawing.plumage import Plumage


@dataclass(frozen=True)
class Dress:
    """Everything an individual wears."""

    base: Rgb
    """Colour of the torso under all patches."""
    paint: Callable[[Plumage, np.random.Generator], None]
    folded: WingColours
    spread: WingColours
    tail: TailColours
    face: FaceColours
    legs: Rgb
    crest: tuple[float, Rgb] | None
    """Height in head radii and colour."""


@dataclass(frozen=True)
class Species:
    """One class of the dataset."""

    name: str
    build: Build
    actions: dict[Action, float]
    """How likely each action is."""
    size: float
    """Size of the bird against the others, 1 in the middle."""
    webbed: bool
    dress: Callable[[np.random.Generator], Dress]


def varied(rng: np.random.Generator, colour: Rgb, spread: float = 9.0) -> Rgb:
    """The colour of one individual: a little lighter or darker, a little off in hue."""
    gain = float(rng.normal(1.0, 0.05))
    shift = rng.normal(0, spread / 2, 3)
    return (
        colour[0] * gain + float(shift[0]),
        colour[1] * gain + float(shift[1]),
        colour[2] * gain + float(shift[2]),
    )


def _robin(rng: np.random.Generator) -> Dress:
    brown = varied(rng, (124, 102, 76))
    breast = varied(rng, (216, 98, 36), 14)
    belly = varied(rng, (226, 218, 204), 6)
    grey = varied(rng, (152, 158, 162), 6)
    extent = float(rng.uniform(-0.06, 0.05))
    young = rng.random() < 0.06

    def paint(plumage: Plumage, rng: np.random.Generator) -> None:
        plumage.patch([(0.0, -1.3), (0.0, -0.55), (0.3, -0.30), (0.62, -0.2), (0.70, -1.3)], belly)
        plumage.patch([(0.14, -0.75), (0.2, -0.42), (0.5, -0.22), (0.5, -0.6)], mix(belly, brown, 0.35))
        if young:
            plumage.patch(
                [(0.50, -1.3), (0.55, -0.1), (0.85, 0.2), (1.1, -0.6), (0.9, -1.4)],
                mix(brown, (214, 160, 96), 0.6),
            )
            plumage.mottle(rng, scaled(brown, 0.62), 70, (0.2, 0.95), (-0.9, 0.6))
            return
        plumage.patch(
            [(0.46 + extent, -1.4), (0.55 + extent, -0.05), (0.74, 0.34), (0.92, 0.42), (0.98, -1.4)], grey
        )
        plumage.patch(
            [(1.1, 0.80), (0.35, 0.86), (-0.35, 0.45), (-0.55, -0.5), (0.2, -1.3), (1.2, -0.9)], grey, "head"
        )
        plumage.patch(
            [(0.50 + extent, -1.4), (0.60 + extent, -0.25), (0.78, 0.06), (0.94, 0.10), (1.0, -1.4)], breast
        )
        plumage.patch(
            [(1.15, 0.50), (0.55, 0.66), (0.02, 0.36), (-0.18, -0.3), (-0.2, -1.2), (0.5, -1.5), (1.3, -0.6)],
            breast,
            "head",
        )

    wing = WingColours(
        coverts=scaled(brown, 0.98),
        arm=scaled(brown, 0.86),
        hand=scaled(brown, 0.70),
        tip=scaled(brown, 0.6),
        bar=mix(brown, (206, 168, 112), 0.55) if rng.random() < 0.6 else None,
        spots=None,
    )
    return Dress(
        base=brown,
        paint=paint,
        folded=wing,
        spread=wing,
        tail=TailColours(scaled(brown, 0.86), scaled(brown, 0.95), None, None),
        face=FaceColours(beak=(62, 52, 46), beak_tip=(38, 32, 30), iris=(28, 20, 16)),
        legs=varied(rng, (122, 84, 62)),
        crest=None,
    )


def _jay(rng: np.random.Generator) -> Dress:
    blue = varied(rng, (78, 122, 186), 12)
    deep = mix(blue, (30, 62, 150), 0.55)
    pale = varied(rng, (222, 224, 226), 6)
    black = (28, 30, 38)
    crest = float(rng.uniform(0.15, 0.85))

    def paint(plumage: Plumage, _rng: np.random.Generator) -> None:
        plumage.patch(
            [(-0.05, -1.3), (0.02, -0.30), (0.4, -0.14), (0.74, -0.05), (0.95, -0.2), (1.0, -1.4)], pale
        )
        plumage.patch(
            [(0.45, -0.8), (0.5, -0.35), (0.68, -0.2), (0.7, -0.8)], mix(pale, (150, 150, 160), 0.45)
        )
        plumage.patch(
            [(1.2, 0.44), (0.6, 0.52), (0.0, 0.42), (-0.5, 0.1), (-0.5, -0.7), (0.1, -1.4), (1.2, -0.9)],
            pale,
            "head",
        )
        plumage.line([(-0.55, 0.8), (-0.72, 0.0), (-0.50, -0.8), (-0.05, -1.35)], black, 0.036, "head")
        plumage.line([(0.84, 0.75), (0.80, 0.1), (0.77, -0.5), (0.76, -1.05)], black, 0.044)
        plumage.line([(1.0, -0.02), (0.45, 0.15), (0.05, 0.32)], black, 0.020, "head")

    folded = WingColours(
        coverts=blue,
        arm=deep,
        hand=mix(deep, (50, 90, 170), 0.4),
        tip=pale,
        bar=(238, 240, 244),
        barring=black,
    )
    spread = replace(folded, tip=mix(deep, black, 0.4), tip_share=0.12)
    return Dress(
        base=blue,
        paint=paint,
        folded=folded,
        spread=spread,
        tail=TailColours(deep, mix(deep, pale, 0.35), pale if rng.random() < 0.8 else None, black),
        face=FaceColours(beak=(46, 46, 50), beak_tip=(26, 26, 30), iris=(30, 22, 18)),
        legs=(58, 56, 60),
        crest=(crest, mix(blue, deep, 0.3)),
    )


def _gull(rng: np.random.Generator) -> Dress:
    white = varied(rng, (238, 239, 240), 4)
    mantle = varied(rng, (158, 166, 176), 8)
    black = (34, 34, 38)
    young = rng.random() < 0.10
    winter = rng.random() < 0.3
    brown = varied(rng, (150, 132, 112))

    def paint(plumage: Plumage, rng: np.random.Generator) -> None:
        if young:
            plumage.patch(
                [(0.3, -1.4), (0.3, 1.4), (0.8, 1.2), (1.3, 1.4), (1.3, -1.4)], mix(white, brown, 0.3)
            )
            plumage.mottle(rng, scaled(brown, 0.72), 150, (0.05, 1.0), (-0.9, 0.95))
            return
        plumage.patch([(0.06, 1.4), (0.12, 0.45), (0.40, 0.20), (0.66, 0.42), (0.76, 1.4)], mantle)
        if winter:
            plumage.mottle(rng, (150, 140, 128), 46, (0.80, 1.0), (-0.2, 1.0))

    if young:
        wing = WingColours(
            coverts=mix(white, brown, 0.65),
            arm=brown,
            hand=scaled(brown, 0.55),
            tip=(58, 48, 42),
            tip_share=0.5,
            barring=mix(white, brown, 0.4),
        )
        return Dress(
            base=mix(white, brown, 0.45),
            paint=paint,
            folded=wing,
            spread=wing,
            tail=TailColours(mix(white, brown, 0.2), mix(white, brown, 0.2), (66, 54, 48), None),
            face=FaceColours((60, 54, 52), (36, 32, 32), iris=(46, 34, 26)),
            legs=(176, 146, 138),
            crest=None,
        )
    wing = WingColours(
        coverts=mantle,
        arm=mantle,
        hand=mantle,
        tip=black,
        tip_share=0.52,
        spots=(244, 244, 244),
    )
    yellow = varied(rng, (232, 178, 48))
    return Dress(
        base=white,
        paint=paint,
        folded=replace(wing, hand=scaled(mantle, 0.9)),
        spread=wing,
        tail=TailColours(white, scaled(white, 0.96), None, None),
        face=FaceColours(yellow, yellow, iris=(222, 206, 132), beak_mark=(206, 58, 34), ring=(206, 120, 50)),
        legs=varied(rng, (218, 156, 144) if rng.random() < 0.6 else (222, 178, 60)),
        crest=None,
    )


def _goldfinch(rng: np.random.Generator) -> Dress:
    plain = rng.random() < 0.28
    yellow = varied(rng, (186, 170, 92) if plain else (246, 208, 40), 10)
    black = (54, 48, 42) if plain else (26, 24, 24)
    white = (240, 238, 230)

    def paint(plumage: Plumage, _rng: np.random.Generator) -> None:
        plumage.patch([(-0.1, -1.4), (-0.1, 0.4), (0.06, 0.3), (0.16, -0.6), (0.14, -1.4)], white)
        if plain:
            plumage.patch(
                [(0.14, 1.4), (0.2, 0.25), (0.6, 0.1), (0.85, 0.4), (1.0, 1.4)],
                mix(yellow, (120, 104, 74), 0.55),
            )
            plumage.patch(
                [(0.72, -1.4), (0.74, -0.1), (0.94, 0.1), (1.1, -1.2)], mix(yellow, (240, 214, 70), 0.55)
            )
        else:
            plumage.patch(
                [(0.14, 1.4), (0.2, 0.45), (0.6, 0.3), (0.8, 0.55), (0.86, 1.4)],
                mix(yellow, (196, 168, 30), 0.35),
            )
            plumage.patch(
                [(1.15, 0.22), (0.62, 0.28), (0.28, 0.52), (-0.15, 0.75), (-0.2, 1.3), (0.7, 1.3)],
                black,
                "head",
            )

    wing = WingColours(
        coverts=mix(black, yellow, 0.14 if not plain else 0.3),
        arm=black,
        hand=mix(black, (70, 66, 62), 0.4),
        tip=white,
        bar=white,
        spots=white if not plain else None,
    )
    beak = varied(rng, (150, 116, 92) if plain else (232, 142, 84))
    return Dress(
        base=yellow,
        paint=paint,
        folded=wing,
        spread=replace(wing),
        tail=TailColours(black, mix(black, white, 0.35), None, None),
        face=FaceColours(beak, scaled(beak, 0.86), iris=(24, 20, 18)),
        legs=(168, 118, 98),
        crest=None,
    )


def _mallard(rng: np.random.Generator) -> Dress:
    hen = rng.random() < 0.28
    speculum = varied(rng, (58, 82, 190))
    if hen:
        brown = varied(rng, (156, 122, 84), 10)
        dark = scaled(brown, 0.52)

        def paint_hen(plumage: Plumage, rng: np.random.Generator) -> None:
            plumage.patch(
                [(0.80, -1.4), (0.84, 1.4), (1.3, 1.4), (1.3, -1.4)], mix(brown, (206, 182, 142), 0.55)
            )
            plumage.patch(
                [(0.8, 0.58), (0.2, 0.74), (-0.6, 0.64), (-0.8, 1.2), (0.8, 1.3)], scaled(brown, 0.66), "head"
            )
            plumage.line([(0.95, 0.12), (0.36, 0.2), (-0.75, 0.12)], dark, 0.03, "head")
            plumage.mottle(rng, dark, 190, (0.02, 0.82), (-0.85, 0.95))

        wing = WingColours(
            coverts=scaled(brown, 0.92),
            arm=scaled(brown, 0.84),
            hand=scaled(brown, 0.68),
            tip=dark,
            speculum=speculum,
        )
        beak = varied(rng, (206, 124, 58))
        return Dress(
            base=brown,
            paint=paint_hen,
            folded=wing,
            spread=wing,
            tail=TailColours(mix(brown, (230, 214, 186), 0.3), mix(brown, (236, 224, 200), 0.55), None, None),
            face=FaceColours(beak, mix(beak, (60, 46, 38), 0.5), iris=(36, 26, 20)),
            legs=(226, 120, 48),
            crest=None,
        )
    flank = varied(rng, (190, 188, 184), 6)
    back = varied(rng, (138, 124, 110))
    chest = varied(rng, (104, 62, 46))
    green = varied(rng, (22, 104, 70), 12)

    def paint(plumage: Plumage, _rng: np.random.Generator) -> None:
        plumage.patch([(0.05, 1.4), (0.1, 0.5), (0.4, 0.34), (0.62, 0.5), (0.7, 1.4)], back)
        plumage.patch([(-0.1, -1.4), (-0.1, 1.4), (0.10, 1.0), (0.13, 0.0), (0.08, -1.4)], (34, 34, 36))
        plumage.patch([(0.50, -1.5), (0.56, -0.2), (0.60, 1.4), (0.86, 1.4), (0.86, -1.5)], chest)
        plumage.patch([(0.80, -1.6), (0.80, 1.6), (0.865, 1.6), (0.865, -1.6)], (240, 240, 238))
        plumage.patch([(0.85, -1.6), (0.85, 1.6), (1.4, 1.8), (1.4, -1.8)], green)
        plumage.patch(
            [(0.5, 0.35), (-0.1, 0.75), (-0.6, 0.45), (-0.2, 0.1)], mix(green, (60, 170, 120), 0.5), "head"
        )

    wing = WingColours(
        coverts=mix(back, flank, 0.45),
        arm=mix(back, flank, 0.25),
        hand=scaled(back, 0.8),
        tip=scaled(back, 0.7),
        speculum=speculum,
    )
    beak = varied(rng, (212, 186, 72))
    return Dress(
        base=flank,
        paint=paint,
        folded=wing,
        spread=wing,
        tail=TailColours((226, 224, 218), (236, 234, 230), None, None),
        face=FaceColours(beak, mix(beak, (80, 76, 40), 0.4), iris=(30, 22, 18)),
        legs=(232, 112, 40),
        crest=None,
    )


SPECIES: tuple[Species, ...] = (
    Species(
        "Robin",
        Build(
            depth=0.315,
            neck=0.02,
            head=0.225,
            beak=0.15,
            beak_depth=0.075,
            beak_shape="thin",
            tail=0.50,
            tail_width=0.55,
            tail_notch=0.06,
            legs=0.40,
            wing=0.88,
            span=0.95,
            chord=0.48,
        ),
        {"perched": 0.55, "standing": 0.33, "flying": 0.12},
        1.08,
        False,
        _robin,
    ),
    Species(
        "Jay",
        Build(
            depth=0.255,
            neck=0.06,
            head=0.19,
            beak=0.20,
            beak_depth=0.10,
            beak_shape="stout",
            tail=0.82,
            tail_width=0.75,
            tail_notch=-0.22,
            legs=0.34,
            wing=0.86,
            span=0.98,
            chord=0.48,
        ),
        {"perched": 0.60, "standing": 0.15, "flying": 0.25},
        1.0,
        False,
        _jay,
    ),
    Species(
        "Gull",
        Build(
            depth=0.235,
            neck=0.10,
            head=0.155,
            beak=0.23,
            beak_depth=0.085,
            beak_shape="hook",
            tail=0.36,
            tail_width=0.65,
            tail_notch=0.02,
            legs=0.36,
            wing=1.10,
            span=1.45,
            chord=0.26,
        ),
        {"flying": 0.45, "standing": 0.30, "swimming": 0.25},
        1.04,
        True,
        _gull,
    ),
    Species(
        "Goldfinch",
        Build(
            depth=0.29,
            neck=0.02,
            head=0.205,
            beak=0.15,
            beak_depth=0.15,
            beak_shape="cone",
            tail=0.46,
            tail_width=0.5,
            tail_notch=0.28,
            legs=0.28,
            wing=0.86,
            span=0.92,
            chord=0.46,
        ),
        {"perched": 0.72, "flying": 0.22, "standing": 0.06},
        1.08,
        False,
        _goldfinch,
    ),
    Species(
        "Mallard",
        Build(
            depth=0.255,
            neck=0.20,
            head=0.155,
            beak=0.27,
            beak_depth=0.09,
            beak_shape="flat",
            tail=0.24,
            tail_width=0.55,
            tail_notch=-0.1,
            legs=0.26,
            wing=0.84,
            span=1.02,
            chord=0.36,
        ),
        {"swimming": 0.62, "standing": 0.20, "flying": 0.18},
        1.16,
        True,
        _mallard,
    ),
)
