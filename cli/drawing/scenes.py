"""Backdrops: sky, forest, lake, meadow, snow and dusk, soft as behind a long lens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np

from cli.drawing.anatomy import Action
from cli.drawing.canvas import (
    Points,
    Raster,
    Rgb,
    bgr,
    blend,
    disc,
    fill,
    gradient,
    mix,
    modulate,
    noise,
    noise_tile,
    scaled,
)
from cli.drawing.perches import PerchKind

SUMMER: tuple[Rgb, ...] = ((74, 108, 44), (98, 134, 52), (124, 150, 62), (58, 88, 42), (150, 160, 74))
AUTUMN: tuple[Rgb, ...] = ((176, 106, 40), (198, 140, 52), (150, 78, 36), (120, 110, 52), (210, 168, 76))
WINTER: tuple[Rgb, ...] = ((96, 84, 70), (120, 104, 84), (84, 78, 72))


@dataclass(frozen=True)
class Span:
    """A range of rows, in pixels from the top."""

    top: float
    bottom: float


@dataclass
class Scene:
    """A backdrop and what it offers to birds."""

    raster: Raster
    actions: frozenset[Action]
    light: tuple[float, float]
    """Direction the light comes from (x right, y up)."""
    air: Rgb
    """What far things fade into."""
    leaves: tuple[Rgb, ...]
    bark: Rgb
    perches: tuple[PerchKind, ...]
    ground: Span | None = None
    water: Span | None = None
    brightness: float = 1.0
    warmth: float = 0.0
    """Positive is towards orange, negative towards blue."""
    flakes: bool = False
    blades: tuple[Rgb, ...] = field(default=())
    """Colours of the grass or reeds in front; empty for none."""


Backdrop = Callable[[np.random.Generator, int, int], Scene]


def _light(rng: np.random.Generator) -> tuple[float, float]:
    x = float(rng.uniform(-0.75, 0.75))
    return (x, float(np.sqrt(1 - x * x)))


def _soften(raster: Raster, sigma: float) -> Raster:
    """A wide blur, done at a quarter of the size."""
    height, width = raster.shape[:2]
    small = cv2.resize(raster, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), max(0.3, sigma / 4))
    soft: Raster = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return soft


def _ridge(rng: np.random.Generator, width: int, level: float, rough: float, bottom: int) -> Points:
    """Outline of hills or a tree line whose top wanders around `level`."""
    x = np.linspace(-4, width + 4, 120)
    y = np.full_like(x, level)
    for octave in range(5):
        waves = rng.uniform(1, 2.4) * 2**octave
        y += rough * 0.6**octave * np.sin(x / width * waves * np.pi * 2 + rng.uniform(0, 6.3))
    return np.concatenate([np.stack([x, y], axis=1), [[width + 4, bottom], [-4, bottom]]])


def _clouds(rng: np.random.Generator, raster: Raster, cover: float, bright: Rgb, dark: Rgb) -> None:
    """Clouds with lit tops, in place; `cover` 0..1."""
    height, width = raster.shape[:2]
    tile = noise(rng, "cloud", height, width, zoom=float(rng.uniform(0.8, 1.6)))
    threshold = 175 - 75 * cover
    body = np.clip((np.arange(256) - threshold) * 4.2, 0, 235).astype(np.uint8)
    mask = cv2.LUT(tile, body)
    fade = np.clip(np.linspace(1.1, 0.55, height) * 255, 0, 255).astype(np.uint8)
    mask = cv2.multiply(mask, cv2.repeat(fade[:, None], 1, width), scale=1 / 255)
    blend(raster, bright, mask)
    deep = cv2.LUT(tile, np.clip((np.arange(256) - threshold - 34) * 2.6, 0, 120).astype(np.uint8))
    lower = np.zeros_like(deep)
    shift = max(2, height // 40)
    lower[shift:] = deep[:-shift]
    blend(raster, dark, cv2.min(lower, mask))


def _glow(rng: np.random.Generator, raster: Raster, colour: Rgb, x: float, y: float, size: float) -> None:
    """A round glow around (x, y), in place."""
    height, width = raster.shape[:2]
    small = np.zeros((height // 8, width // 8), np.uint8)
    disc(small, (x / 8, y / 8), size / 8, (float(rng.uniform(150, 230)),))
    small = cv2.GaussianBlur(small, (0, 0), size / 12)
    blend(raster, colour, cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))


def _foliage(
    rng: np.random.Generator, raster: Raster, palette: tuple[Rgb, ...], count: int, rows: Span, size: float
) -> None:
    """Blobs of leaves out of focus, in place."""
    width = raster.shape[1]
    for _ in range(count):
        tone = scaled(palette[int(rng.integers(len(palette)))], float(rng.uniform(0.55, 1.3)))
        centre = (float(rng.uniform(0, width)), float(rng.uniform(rows.top, rows.bottom)))
        disc(raster, centre, size * float(rng.uniform(0.3, 1.0)), bgr(tone))


def sky(rng: np.random.Generator, height: int, width: int) -> Scene:
    """Open sky with more or fewer clouds."""
    overcast = rng.random() < 0.3
    top: Rgb = (150, 166, 184) if overcast else (74, 126, 196)
    low: Rgb = (206, 212, 218) if overcast else (182, 208, 230)
    drift = float(rng.uniform(-18, 18))
    raster = gradient(
        height, width, [(0, mix(top, (90, 150, 200), 0.3)), (0.6, mix(top, low, 0.6)), (1, low)]
    )
    _clouds(rng, raster, float(rng.uniform(0.15, 0.9)), (240 + drift / 3, 243, 247), (176, 184, 198))
    if rng.random() < 0.45:
        tone = mix((92, 120, 84), low, float(rng.uniform(0.25, 0.6)))
        for k in range(2):
            line = _ridge(rng, width, height * (0.86 + 0.07 * k), height * 0.03, height + 4)
            fill(raster, line, bgr(scaled(tone, 1 - 0.18 * k)))
        raster[height * 3 // 4 :] = cv2.GaussianBlur(raster[height * 3 // 4 :], (0, 0), 2.2)
    return Scene(
        raster,
        frozenset({"flying", "perched"}),
        _light(rng),
        low,
        SUMMER,
        (108, 92, 76),
        ("branch", "wire", "post", "twig"),
    )


def forest(rng: np.random.Generator, height: int, width: int) -> Scene:
    """Trees out of focus, green or in autumn colours, with light falling through."""
    autumn = rng.random() < 0.35
    palette = AUTUMN if autumn else SUMMER
    dark = scaled(palette[3], float(rng.uniform(0.4, 0.8)))
    bright = mix(palette[2], (214, 224, 180), float(rng.uniform(0.1, 0.5)))
    h, w = height // 4, width // 4
    raster = gradient(h, w, [(0, mix(bright, dark, 0.3)), (0.45, bright), (1, dark)])
    _foliage(rng, raster, palette, 130, Span(-5, h), w / 9)
    for _ in range(int(rng.integers(2, 8))):
        x, thick = float(rng.uniform(0, w)), float(rng.uniform(0.012, 0.06)) * w
        lean = float(rng.normal(0, 0.06)) * w
        tone = scaled((88, 76, 62), float(rng.uniform(0.5, 1.25)))
        fill(
            raster,
            np.array(
                [[x, -4], [x + thick, -4], [x + thick * 1.3 + lean, h + 4], [x - thick * 0.3 + lean, h + 4]]
            ),
            bgr(tone),
        )
    _foliage(rng, raster, palette, 60, Span(-5, h), w / 16)
    raster = cv2.GaussianBlur(raster, (0, 0), float(rng.uniform(1.8, 4.0)))
    for _ in range(int(rng.integers(4, 26))):
        spot = np.zeros((h, w), np.uint8)
        disc(
            spot,
            (float(rng.uniform(0, w)), float(rng.uniform(0, h * 0.7))),
            float(rng.uniform(1.5, 5)),
            (float(rng.uniform(40, 130)),),
        )
        blend(raster, mix(bright, (250, 250, 226), 0.6), spot)
    raster = cv2.resize(cv2.GaussianBlur(raster, (0, 0), 0.8), (width, height), interpolation=cv2.INTER_CUBIC)
    ground = None
    if rng.random() < 0.55:
        level = height * float(rng.uniform(0.62, 0.76))
        soil = mix((112, 92, 62), palette[0], float(rng.uniform(0.1, 0.5)))
        _floor(rng, raster, level, soil, palette)
        ground = Span(level + height * 0.05, height * 0.95)
    actions: set[Action] = {"perched", "flying"}
    if ground:
        actions.add("standing")
    return Scene(
        raster,
        frozenset(actions),
        _light(rng),
        mix(bright, (230, 236, 220), 0.4),
        palette,
        (92, 76, 60),
        ("branch", "twig", "branch"),
        ground=ground,
        brightness=float(rng.uniform(0.78, 1.08)),
        warmth=float(rng.uniform(-0.2, 0.6)),
    )


def _floor(
    rng: np.random.Generator, raster: Raster, level: float, soil: Rgb, litter: tuple[Rgb, ...]
) -> None:
    """Ground from `level` down, sharper towards the viewer and strewn with litter, in place."""
    height, width = raster.shape[:2]
    top = round(level)
    part = gradient(height - top, width, [(0, scaled(soil, 0.86)), (1, scaled(soil, 1.08))])
    modulate(part, noise(rng, "rough", height - top, width, zoom=1.6), 0.34)
    for _ in range(150):
        y = float(rng.uniform(0, 1)) ** 0.8 * (height - top)
        near = 0.25 + 0.75 * y / (height - top)
        length = 7 * near * float(rng.uniform(0.5, 1.4))
        x, angle = float(rng.uniform(0, width)), float(rng.uniform(-0.7, 0.7))
        tone = scaled(litter[int(rng.integers(len(litter)))], float(rng.uniform(0.6, 1.25)))
        reach = np.array([np.cos(angle), np.sin(angle) * 0.5]) * length
        across = np.array([-reach[1], reach[0]]) * 0.25
        spot = np.array([x, y])
        fill(part, np.stack([spot - reach, spot + across, spot + reach, spot - across]), bgr(tone))
    part[: (height - top) // 3] = cv2.GaussianBlur(part[: (height - top) // 3], (0, 0), 1.6)
    feather = np.linspace(0, 1, 13)[:, None, None]
    edge = slice(max(0, top - 6), max(0, top - 6) + 13)
    above = raster[edge].astype(np.float64)
    colour = np.array(bgr(scaled(soil, 0.86)))
    raster[top:] = part
    raster[edge] = (above * (1 - feather) + colour * feather).astype(np.uint8)


def _ripples(rng: np.random.Generator, height: int, width: int) -> Raster:
    """Noise stretched along the surface and denser towards the horizon."""
    tile = noise_tile("streak")
    start_x, start_y = int(rng.integers(0, 1024 - 420)), int(rng.integers(0, 200))
    depth = np.linspace(0, 1, height)
    rows = start_y + (780 * depth ** float(rng.uniform(0.55, 0.8))).astype(np.int64)
    cut = np.ascontiguousarray(tile[rows][:, start_x : start_x + 420])
    ripples: Raster = cv2.resize(cut, (width, height), interpolation=cv2.INTER_LINEAR)
    return ripples


def lake(rng: np.random.Generator, height: int, width: int) -> Scene:
    """Water to a far shore, calm or ruffled."""
    calm = rng.random() < 0.5
    horizon = round(height * float(rng.uniform(0.08, 0.34)))
    high: Rgb = mix((96, 146, 204), (170, 178, 186), float(rng.uniform(0, 1)))
    low: Rgb = mix(high, (232, 234, 232), 0.62)
    raster = gradient(height, width, [(0, high), (horizon / height, low), (1, low)])
    _clouds(rng, raster, float(rng.uniform(0.1, 0.7)), (240, 242, 244), (184, 190, 200))
    shore = mix((62, 88, 58), low, float(rng.uniform(0.1, 0.55)))
    fill(raster, _ridge(rng, width, horizon - height * 0.045, height * 0.022, horizon), bgr(shore))
    raster[: horizon + 2] = cv2.GaussianBlur(raster[: horizon + 2], (0, 0), 2.4)
    deep = mix((50, 84, 100), (84, 100, 84), float(rng.uniform(0, 1)))
    near = scaled(mix(deep, high, 0.25), float(rng.uniform(0.75, 1.1)))
    rows = height - horizon
    water = gradient(
        rows,
        width,
        [(0, mix(low, shore, 0.35)), (0.14, mix(low, deep, 0.35)), (0.55, mix(high, deep, 0.6)), (1, near)],
    )
    mirrored = cv2.flip(raster[max(0, horizon - rows // 4) : horizon], 0)
    if len(mirrored) > 4:
        reflection = cv2.addWeighted(
            water[: len(mirrored)], 0.5, cv2.GaussianBlur(mirrored, (0, 0), 3), 0.5, 0
        )
        water[: len(mirrored)] = reflection
    modulate(water, _ripples(rng, rows, width), 0.22 if calm else 0.5)
    raster[horizon:] = water
    reeds = rng.random() < 0.5
    return Scene(
        raster,
        frozenset({"swimming", "flying", "perched"}),
        _light(rng),
        low,
        SUMMER,
        (104, 90, 76),
        ("post", "post", "branch"),
        water=Span(horizon + rows * 0.14, height * 0.94),
        brightness=float(rng.uniform(0.82, 1.08)),
        warmth=float(rng.uniform(-0.6, 0.4)),
        blades=((110, 130, 60), (146, 140, 78), (90, 112, 54)) if reeds else (),
    )


def meadow(rng: np.random.Generator, height: int, width: int) -> Scene:
    """Grass with flowers under a tree line."""
    dry = rng.random() < 0.35
    grass: Rgb = (168, 150, 86) if dry else (110, 146, 58)
    level = round(height * float(rng.uniform(0.18, 0.46)))
    air: Rgb = (206, 216, 222)
    raster = gradient(
        height, width, [(0, (128, 170, 214)), (level / height, (214, 224, 226)), (1, (214, 224, 226))]
    )
    _clouds(rng, raster, float(rng.uniform(0.1, 0.6)), (244, 245, 246), (190, 196, 206))
    trees = mix((70, 96, 58), air, float(rng.uniform(0.05, 0.4)))
    fill(raster, _ridge(rng, width, level - height * 0.06, height * 0.03, level + 3), bgr(trees))
    fill(
        raster, _ridge(rng, width, level - height * 0.02, height * 0.015, level + 3), bgr(scaled(trees, 0.86))
    )
    raster[: level + 3] = _soften(raster[: level + 3], 6)
    rows = height - level
    lawn = gradient(rows, width, [(0, mix(grass, air, 0.25)), (0.3, grass), (1, scaled(grass, 0.72))])
    upright = cv2.transpose(noise(rng, "streak", width, rows, zoom=0.8))
    modulate(lawn, upright, 0.42)
    bloom: Rgb = [(236, 208, 70), (232, 232, 226), (198, 92, 142), (224, 86, 60)][int(rng.integers(4))]
    for _ in range(int(rng.integers(0, 90))):
        y = float(rng.uniform(0.02, 1))
        disc(
            lawn,
            (float(rng.uniform(0, width)), y * rows),
            0.8 + 2.8 * y,
            bgr(scaled(bloom, float(rng.uniform(0.75, 1.05)))),
        )
    lawn[: rows // 2] = cv2.GaussianBlur(lawn[: rows // 2], (0, 0), 2.0)
    raster[level:] = lawn
    blades = (scaled(grass, 0.7), grass, mix(grass, (214, 206, 130), 0.4))
    return Scene(
        raster,
        frozenset({"standing", "perched", "flying"}),
        _light(rng),
        air,
        AUTUMN if dry else SUMMER,
        (122, 106, 86),
        ("post", "twig", "stalk", "wire"),
        ground=Span(level + rows * 0.18, height * 0.93),
        brightness=float(rng.uniform(0.85, 1.1)),
        warmth=float(rng.uniform(-0.2, 0.7)),
        blades=blades,
    )


def snow(rng: np.random.Generator, height: int, width: int) -> Scene:
    """Snow under firs, sometimes falling."""
    level = round(height * float(rng.uniform(0.40, 0.62)))
    air: Rgb = mix((214, 222, 232), (190, 202, 222), float(rng.uniform(0, 1)))
    raster = gradient(height, width, [(0, scaled(air, 0.88)), (level / height, air), (1, air)])
    for layer in range(3):
        tone = mix((58, 78, 72), air, 0.68 - 0.22 * layer)
        for _ in range(int(rng.integers(5, 12))):
            x, tall = (
                float(rng.uniform(0, width)),
                height * float(rng.uniform(0.16, 0.5)) * (0.7 + 0.3 * layer),
            )
            base = level + 4.0
            half = tall * float(rng.uniform(0.16, 0.26))
            for step in range(5):
                top, low = base - tall + tall * 0.17 * step, base - tall + tall * (0.30 + 0.18 * step)
                wide = half * (0.25 + 0.19 * step)
                fill(
                    raster,
                    np.array([[x, top], [x + wide, low], [x, low - tall * 0.04], [x - wide, low]]),
                    bgr(tone),
                )
    raster[: level + 6] = _soften(raster[: level + 6], 9)
    rows = height - level
    ground = gradient(
        rows, width, [(0, mix(air, (240, 243, 248), 0.4)), (0.4, (236, 240, 246)), (1, (214, 222, 236))]
    )
    modulate(ground, noise(rng, "cloud", rows, width, zoom=0.9), 0.12)
    modulate(ground, noise(rng, "rough", rows, width, zoom=1.0), 0.05)
    raster[level:] = ground
    edge = slice(level - 4, level + 8)
    raster[edge] = cv2.GaussianBlur(raster[edge], (0, 0), 2.5)
    return Scene(
        raster,
        frozenset({"standing", "perched", "flying"}),
        _light(rng),
        air,
        WINTER,
        (96, 84, 74),
        ("branch", "twig", "post"),
        ground=Span(level + rows * 0.12, height * 0.94),
        brightness=float(rng.uniform(0.85, 1.0)),
        warmth=float(rng.uniform(-0.9, 0.1)),
        flakes=bool(rng.random() < 0.55),
    )


def dusk(rng: np.random.Generator, height: int, width: int) -> Scene:
    """Evening or morning: a low sun, long colours, hills in layers, sometimes over water."""
    palettes: tuple[tuple[Rgb, Rgb, Rgb], ...] = (
        ((74, 76, 122), (214, 132, 96), (250, 204, 132)),
        ((58, 70, 110), (166, 120, 140), (240, 176, 140)),
        ((96, 104, 140), (222, 164, 116), (252, 226, 170)),
    )
    high, middle, low = palettes[int(rng.integers(len(palettes)))]
    horizon = height * float(rng.uniform(0.5, 0.72))
    raster = gradient(
        height, width, [(0, high), (0.5 * horizon / height, middle), (horizon / height, low), (1, low)]
    )
    _clouds(rng, raster, float(rng.uniform(0.1, 0.6)), mix(low, (255, 236, 214), 0.4), mix(high, middle, 0.5))
    sun_x = width * float(rng.uniform(0.1, 0.9))
    sun_y = horizon - height * float(rng.uniform(0.02, 0.2))
    _glow(rng, raster, mix(low, (255, 246, 220), 0.6), sun_x, sun_y, height * 0.30)
    for k in range(3):
        tone = mix(mix(high, (40, 40, 52), 0.45), low, 0.55 - 0.24 * k)
        fill(
            raster,
            _ridge(rng, width, horizon + height * 0.06 * (k - 1), height * (0.03 + 0.01 * k), height + 4),
            bgr(tone),
        )
    raster = _soften(raster, 4)
    water, ground = None, None
    top = round(horizon + height * 0.07)
    rows = height - top
    actions: set[Action] = {"flying", "perched"}
    if rng.random() < 0.5:
        mirrored = cv2.resize(cv2.flip(raster[:top], 0), (width, rows), interpolation=cv2.INTER_AREA)
        surface = cv2.addWeighted(mirrored, 0.7, np.full_like(mirrored, bgr(scaled(high, 0.8))), 0.3, 0)
        modulate(surface, _ripples(rng, rows, width), 0.4)
        raster[top:] = surface
        water = Span(top + rows * 0.1, height * 0.93)
        actions.add("swimming")
    else:
        _floor(rng, raster, top, mix((84, 70, 60), middle, 0.25), ((96, 80, 62), (70, 62, 56), (124, 98, 70)))
        ground = Span(top + rows * 0.15, height * 0.93)
        actions.add("standing")
    side = 1.0 if sun_x > width / 2 else -1.0
    return Scene(
        raster,
        frozenset(actions),
        (0.8 * side, 0.6),
        low,
        AUTUMN,
        (74, 62, 56),
        ("branch", "twig", "wire", "post"),
        ground=ground,
        water=water,
        brightness=float(rng.uniform(0.66, 0.92)),
        warmth=float(rng.uniform(0.5, 1.2)),
    )


BACKDROPS: dict[str, tuple[Backdrop, frozenset[Action]]] = {
    "sky": (sky, frozenset({"flying", "perched"})),
    "forest": (forest, frozenset({"perched", "flying", "standing"})),
    "lake": (lake, frozenset({"swimming", "flying", "perched"})),
    "meadow": (meadow, frozenset({"standing", "perched", "flying"})),
    "snow": (snow, frozenset({"standing", "perched", "flying"})),
    "dusk": (dusk, frozenset({"flying", "perched", "swimming", "standing"})),
}
