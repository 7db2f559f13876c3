"""The torso's feathers: patches and markings painted in body coordinates, cut out and shaded."""

from __future__ import annotations

import cv2
import numpy as np

from cli.drawing.anatomy import Body, System
from cli.drawing.canvas import (
    Raster,
    Rgb,
    alpha_of,
    bgr,
    colours_of,
    fill,
    modulate,
    noise,
    smooth,
    stroke,
    strokes,
)


class Plumage:
    """Paints the torso's colours; the silhouette cuts them out afterwards."""

    def __init__(self, body: Body, base: Rgb) -> None:
        self.body = body
        self.colours: Raster = np.zeros((body.frame.height, body.frame.width, 3), np.uint8)
        cv2.rectangle(self.colours, (0, 0), (body.frame.width, body.frame.height), bgr(base), cv2.FILLED)

    def patch(self, outline: list[tuple[float, float]], colour: Rgb, system: System = "body") -> None:
        """Fill a smooth outline."""
        fill(self.colours, self.body.pixels(smooth(outline), system), bgr(colour))

    def line(
        self, path: list[tuple[float, float]], colour: Rgb, width: float, system: System = "body"
    ) -> None:
        """A smooth line, `width` in body lengths."""
        curve = self.body.pixels(smooth(path, closed=False), system)
        stroke(self.colours, curve, bgr(colour), width * self.body.frame.scale)

    def mottle(
        self,
        rng: np.random.Generator,
        colour: Rgb,
        count: int,
        t: tuple[float, float],
        v: tuple[float, float],
    ) -> None:
        """Scatter short dark crescents, as on a young gull or a hen duck."""
        scale = self.body.frame.scale
        count = count if scale > 24 else count // 3
        centres = np.stack([rng.uniform(*t, count), rng.uniform(*v, count)], axis=1)
        crescent = np.array([(0.02, -0.10), (-0.012, 0.0), (0.02, 0.10)])
        pixels = self.body.pixels((centres[:, None] + crescent).reshape(-1, 2), "body")
        strokes(self.colours, pixels.reshape(count, 3, 2), bgr(colour), 0.016 * scale)


def inflate(layer: Raster, light: tuple[float, float], strength: float) -> None:
    """Shade a premultiplied layer as if it were round, in place; `light` is its direction (x right, y up)."""
    x, y, width, height = cv2.boundingRect(alpha_of(layer))
    if not width:
        return
    part = layer[y : y + height, x : x + width]
    alpha = alpha_of(part)
    small = (max(4, width // 6), max(4, height // 6))
    sigma = max(0.8, min(small) / 6)
    relief = cv2.resize(alpha, small, interpolation=cv2.INTER_AREA)
    # Nothing lies beyond the layer's edge, so the relief falls off there too.
    relief = cv2.GaussianBlur(relief, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT).astype(np.float32) / 255
    across = cv2.Sobel(relief, cv2.CV_32F, 1, 0, ksize=3, borderType=cv2.BORDER_REPLICATE)
    down = cv2.Sobel(relief, cv2.CV_32F, 0, 1, ksize=3, borderType=cv2.BORDER_REPLICATE)
    lit = (down * light[1] - across * light[0]) * sigma
    gain = np.clip(128 * (1 + strength * lit / 4), 48, 190).astype(np.uint8)
    gain = cv2.resize(gain, (width, height), interpolation=cv2.INTER_LINEAR)
    shaded = cv2.multiply(colours_of(part), cv2.merge([gain] * 3), scale=1 / 128)
    part[...] = cv2.merge([*cv2.split(cv2.min(shaded, cv2.merge([alpha] * 3))), alpha])


def torso_layer(rng: np.random.Generator, plumage: Plumage, light: tuple[float, float]) -> Raster:
    """Cut the painted colours out along the silhouette, with soft feather edges and a round look."""
    body = plumage.body
    scale = body.frame.scale
    mask = body.silhouette()
    x, y, width, height = cv2.boundingRect(mask)
    cut = (slice(y, y + height), slice(x, x + width))
    soft = cv2.GaussianBlur(plumage.colours[cut], (0, 0), max(0.6, scale * 0.014))
    modulate(soft, noise(rng, "streak", height, width, zoom=max(0.2, scale / 620)), 0.20)
    layer = body.frame.blank()
    inside = np.ascontiguousarray(mask[cut])
    premultiplied = cv2.multiply(soft, cv2.merge([inside] * 3), scale=1 / 255)
    layer[cut] = cv2.merge([*cv2.split(premultiplied), inside])
    inflate(layer, light, 1.0)
    return layer
