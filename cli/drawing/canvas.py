"""Raster primitives: smooth outlines, antialiased layers, and the noise that textures are made of.

Colours are RGB tuples of 0..255 while they are reasoned about and become BGR only when they touch a raster.
Layers are premultiplied BGRA, so drawing antialiased shapes one over the other composes exactly.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Rgb = tuple[float, float, float]
Raster = NDArray[np.uint8]
Points = NDArray[np.float64]

SUBPIXEL_BITS = 4
TILE = 1024


def mix(a: Rgb, b: Rgb, share: float) -> Rgb:
    """Blend of two colours; share 0 is `a`, 1 is `b`."""
    return (
        a[0] + (b[0] - a[0]) * share,
        a[1] + (b[1] - a[1]) * share,
        a[2] + (b[2] - a[2]) * share,
    )


def scaled(colour: Rgb, factor: float) -> Rgb:
    """The colour made lighter (factor > 1) or darker."""
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)


def bgr(colour: Rgb) -> tuple[float, float, float]:
    """OpenCV's order, clipped to what a byte holds."""
    red, green, blue = (min(255.0, max(0.0, channel)) for channel in colour)
    return (blue, green, red)


def bgra(colour: Rgb) -> tuple[float, float, float, float]:
    """OpenCV's order, fully opaque."""
    return (*bgr(colour), 255.0)


@functools.cache
def _spline_basis(steps: int) -> Points:
    """Catmull-Rom weights of the four neighbours at `steps` places between two points: (steps, 4)."""
    u = np.linspace(0.0, 1.0, steps, endpoint=False)
    basis: Points = 0.5 * np.stack(
        [-u + 2 * u**2 - u**3, 2 - 5 * u**2 + 3 * u**3, u + 4 * u**2 - 3 * u**3, -(u**2) + u**3], axis=1
    )
    return basis


def smooth(points: Sequence[tuple[float, float]] | Points, closed: bool = True, steps: int = 8) -> Points:
    """Catmull-Rom curve through (n, d) points, `steps` samples between neighbours."""
    control = np.asarray(points, dtype=np.float64)
    if closed:
        padded = np.concatenate([control[-1:], control, control[:2]])
    else:
        padded = np.concatenate([control[:1], control, control[-1:]])
    count = len(padded) - 3
    neighbours = np.stack([padded[k : k + count] for k in range(4)], axis=1)
    curve: Points = (_spline_basis(steps) @ neighbours).reshape(-1, control.shape[1])
    return curve if closed else np.concatenate([curve, control[-1:]])


def _fixed(points: Points) -> NDArray[np.int32]:
    fixed: NDArray[np.int32] = np.rint(points * (1 << SUBPIXEL_BITS)).astype(np.int32)
    return fixed


def fill(raster: Raster, outline: Points, colour: Sequence[float]) -> None:
    """Fill a polygon of (n, 2) pixel coordinates, antialiased, in place."""
    cv2.fillPoly(raster, [_fixed(outline)], colour, cv2.LINE_AA, SUBPIXEL_BITS)


def stroke(raster: Raster, line: Points, colour: Sequence[float], width: float) -> None:
    """Draw an open line `width` pixels wide, antialiased, in place; thinner than a pixel becomes a pixel."""
    strokes(raster, line[None], colour, width)


def strokes(raster: Raster, lines: Points, colour: Sequence[float], width: float) -> None:
    """Draw many open lines, (n, points, 2), of one colour and width."""
    cv2.polylines(
        raster, list(_fixed(lines)), False, colour, max(1, round(width)), cv2.LINE_AA, SUBPIXEL_BITS
    )


def disc(raster: Raster, centre: Sequence[float], radius: float, colour: Sequence[float]) -> None:
    """Fill a circle, antialiased, in place."""
    x, y = (round(value * (1 << SUBPIXEL_BITS)) for value in centre)
    cv2.circle(raster, (x, y), round(radius * (1 << SUBPIXEL_BITS)), colour, -1, cv2.LINE_AA, SUBPIXEL_BITS)


def ribbon(line: Points, widths: Points) -> Points:
    """Outline of a line of (n, 2) points whose width changes along it."""
    along = np.gradient(line, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    across /= np.linalg.norm(across, axis=1, keepdims=True) + 1e-9
    half = widths[:, None] / 2
    return np.concatenate([line + across * half, (line - across * half)[::-1]])


def over(below: Raster, layer: Raster, x: int = 0, y: int = 0) -> None:
    """Compose a premultiplied BGRA layer over a BGR or BGRA raster at (x, y), clipped, in place."""
    height, width = below.shape[:2]
    x0, y0 = max(0, x), max(0, y)
    x1, y1 = min(width, x + layer.shape[1]), min(height, y + layer.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    part = layer[y0 - y : y1 - y, x0 - x : x1 - x]
    target = below[y0:y1, x0:x1]
    channels = below.shape[2]
    inverse = cv2.bitwise_not(alpha_of(part))
    kept = cv2.multiply(target, cv2.merge([inverse] * channels), scale=1 / 255)
    target[...] = cv2.add(kept, part if channels == 4 else colours_of(part))


def alpha_of(layer: Raster) -> Raster:
    """The opacity of a BGRA layer as a grey raster."""
    alpha: Raster = cv2.extractChannel(layer, 3)
    return alpha


def colours_of(layer: Raster) -> Raster:
    """The (premultiplied) colours of a BGRA layer."""
    colours: Raster = cv2.cvtColor(layer, cv2.COLOR_BGRA2BGR)
    return colours


def blank(height: int, width: int) -> Raster:
    """A fully transparent premultiplied BGRA layer."""
    return np.zeros((height, width, 4), np.uint8)


def faded(layer: Raster, share: float) -> Raster:
    """The layer at `share` of its opacity."""
    thinner: Raster = cv2.convertScaleAbs(layer, alpha=share)
    return thinner


@functools.cache
def noise_tile(kind: str) -> Raster:
    """A grey tile, mean 128: `cloud` (soft), `rough` (all scales), `streak` (along x) or `grain`."""
    source = np.random.default_rng(sum(kind.encode()))
    if kind == "grain":
        return np.clip(source.normal(128, 40, (TILE, TILE)), 0, 255).astype(np.uint8)
    shapes = {
        "cloud": [(4, 4, 1.0), (8, 8, 0.6), (16, 16, 0.35), (32, 32, 0.2), (64, 64, 0.1), (128, 128, 0.05)],
        "rough": [(8, 8, 0.5), (32, 32, 0.5), (128, 128, 0.5), (512, 512, 0.5)],
        "streak": [(64, 8, 0.6), (256, 32, 0.6), (512, 64, 0.4)],
    }[kind]
    total = np.zeros((TILE, TILE), np.float32)
    for rows, columns, weight in shapes:
        grid = source.normal(0, 1, (rows, columns)).astype(np.float32)
        total += weight * cv2.resize(grid, (TILE, TILE), interpolation=cv2.INTER_CUBIC)
    total /= total.std()
    return np.clip(128 + 42 * total, 0, 255).astype(np.uint8)


def noise(rng: np.random.Generator, kind: str, height: int, width: int, zoom: float = 1.0) -> Raster:
    """A random cut of a noise tile, enlarged `zoom` times."""
    tile = noise_tile(kind)
    rows = min(TILE, max(2, round(height / zoom)))
    columns = min(TILE, max(2, round(width / zoom)))
    y = int(rng.integers(0, TILE - rows + 1))
    x = int(rng.integers(0, TILE - columns + 1))
    cut = tile[y : y + rows, x : x + columns]
    if rng.random() < 0.5:
        cut = cv2.flip(cut, 1)
    enlarged: Raster = cv2.resize(cut, (width, height), interpolation=cv2.INTER_LINEAR)
    return enlarged


def modulate(raster: Raster, tile: Raster, strength: float) -> None:
    """Lighten and darken a BGR raster by a grey tile around 128, in place; strength 1 doubles at white."""
    gain = cv2.LUT(tile, np.clip(128 + (np.arange(256) - 128) * strength, 0, 255).astype(np.uint8))
    raster[...] = cv2.multiply(raster, cv2.merge([gain] * 3), scale=1 / 128)


def blend(raster: Raster, colour: Rgb, mask: Raster) -> None:
    """Paint a colour over a BGR raster where a grey mask says so, in place."""
    inverse = cv2.bitwise_not(mask)
    kept = cv2.multiply(raster, cv2.merge([inverse] * 3), scale=1 / 255)
    paint = cv2.merge([cv2.convertScaleAbs(mask, alpha=channel / 255) for channel in bgr(colour)])
    raster[...] = cv2.add(kept, paint)


def gradient(height: int, width: int, stops: Sequence[tuple[float, Rgb]]) -> Raster:
    """A vertical colour gradient; stops are (position 0..1 from the top, colour)."""
    at = np.linspace(0, 1, height)
    places = [place for place, _ in stops]
    columns = [np.interp(at, places, [colour[channel] for _, colour in stops]) for channel in (2, 1, 0)]
    column = np.clip(np.stack(columns, axis=1), 0, 255).astype(np.uint8)
    raster: Raster = cv2.repeat(column[:, None, :], 1, width)
    return raster
