"""What hides parts of birds: leaves, twigs, grass and snow between them and the camera."""

from __future__ import annotations

import cv2
import numpy as np

from cli.drawing.canvas import Raster, alpha_of, bgra, blank, disc, faded, fill, over, ribbon, scaled, smooth
from cli.drawing.perches import scatter_leaves
from cli.drawing.placement import PlacedBird
from cli.drawing.scenes import Scene

LEAST_VISIBLE = 0.6
"""A bird of which less can be seen is not worth a label, so nothing may hide more of it."""


def hide_partly(
    rng: np.random.Generator, raster: Raster, scene: Scene, placed: list[PlacedBird], masks: list[Raster]
) -> list[Raster]:
    """Leaves, twigs, grass and snow in front, unless they would hide too much of a bird."""
    height, width = raster.shape[:2]
    for layer in _foreground(rng, scene, placed, height, width):
        left = [cv2.multiply(mask, cv2.bitwise_not(alpha_of(layer)), scale=1 / 255) for mask in masks]
        enough = all(
            cv2.sumElems(after)[0] >= LEAST_VISIBLE * cv2.sumElems(alpha_of(bird.bird.layer))[0]
            or cv2.sumElems(after)[0] >= 0.97 * cv2.sumElems(before)[0]
            for bird, before, after in zip(placed, masks, left, strict=True)
        )
        if enough:
            over(raster, layer)
            masks = left
    return masks


def _foreground(
    rng: np.random.Generator, scene: Scene, placed: list[PlacedBird], height: int, width: int
) -> list[Raster]:
    layers: list[Raster] = []
    perched = [bird for bird in placed if bird.action == "perched"]
    if perched and rng.random() < 0.5:
        target = perched[int(rng.integers(len(perched)))]
        layer = blank(height, width)
        x0, y0, x1, y1 = target.box
        start = np.array([rng.uniform(x0, x1), y1 + 0.3 * target.body])
        end = np.array([rng.uniform(x0 - 20, x1 + 20), rng.uniform((y0 + y1) / 2, y1)])
        stem = smooth(
            np.stack(
                [
                    start + np.array([rng.normal(0, 30), 60]),
                    start,
                    (start + end) / 2 + rng.normal(0, 6, 2),
                    end,
                ]
            ),
            closed=False,
        )
        fill(
            layer,
            ribbon(stem, np.linspace(0.06, 0.025, len(stem)) * target.body),
            bgra(scaled(scene.bark, 0.9)),
        )
        scatter_leaves(
            rng, layer, stem[len(stem) // 3 :], scene.leaves, int(rng.integers(4, 9)), 0.26 * target.body
        )
        layers.append(layer)
    if rng.random() < 0.3:
        # A spray of leaves close to the lens, out of focus.
        layer = blank(height // 2, width // 2)
        corner = np.array([rng.choice([0, width / 2]), rng.choice([0, height / 2])])
        reach = np.array([width, height]) * rng.uniform(0.1, 0.26, 2) / 2
        centre = np.array([width, height]) / 4
        stem = smooth(np.stack([corner, corner + np.sign(centre - corner) * reach]), closed=False)
        scatter_leaves(rng, layer, stem, scene.leaves, 12, 0.12 * width / 2)
        layer = cv2.GaussianBlur(layer, (0, 0), float(rng.uniform(1.5, 5)))
        layers.append(cv2.resize(layer, (width, height), interpolation=cv2.INTER_LINEAR))
    if scene.blades and rng.random() < 0.75:
        layers.append(_blades(rng, scene, height, width))
    standing = [bird for bird in placed if bird.action == "standing"]
    if scene.blades and standing:
        layer = blank(height, width)
        for bird in standing:
            x0, _, x1, y1 = bird.box
            for _ in range(16):
                x = float(rng.uniform(x0, x1))
                _blade(rng, layer, scene, x, y1 + 0.04 * bird.body, bird.body * float(rng.uniform(0.15, 0.5)))
        layers.append(layer)
    if scene.flakes:
        layer = blank(height, width)
        for _ in range(int(rng.integers(40, 170))):
            radius = float(rng.uniform(0.6, 2.6))
            disc(
                layer,
                (float(rng.uniform(0, width)), float(rng.uniform(0, height))),
                radius,
                bgra((244, 246, 250)),
            )
        layers.append(faded(cv2.GaussianBlur(layer, (0, 0), 0.8), 0.8))
    return layers


def _blades(rng: np.random.Generator, scene: Scene, height: int, width: int) -> Raster:
    layer = blank(height, width)
    reach = height * float(rng.uniform(0.08, 0.22))
    left = float(rng.uniform(-0.2, 0.8)) * width if rng.random() < 0.5 else 0.0
    right = left + width * float(rng.uniform(0.3, 1.0))
    for _ in range(70):
        _blade(
            rng,
            layer,
            scene,
            float(rng.uniform(left, right)),
            height + 4.0,
            reach * float(rng.uniform(0.4, 1.3)),
        )
    soft = float(rng.uniform(0, 2.2))
    return cv2.GaussianBlur(layer, (0, 0), soft) if soft > 0.7 else layer


def _blade(rng: np.random.Generator, layer: Raster, scene: Scene, x: float, y: float, tall: float) -> None:
    lean = float(rng.normal(0, 0.28)) * tall
    half = 0.024 * tall + 0.3
    bend_x, bend_y = x + lean * 0.3, y - tall * 0.55
    outline = np.array(
        [
            [x - half, y],
            [x + lean * 0.1 - half, y - tall * 0.3],
            [bend_x - half * 0.8, bend_y],
            [x + lean, y - tall],
            [bend_x + half * 0.8, bend_y],
            [x + lean * 0.1 + half, y - tall * 0.3],
            [x + half, y],
        ]
    )
    tone = scaled(scene.blades[int(rng.integers(len(scene.blades)))], float(rng.uniform(0.75, 1.2)))
    fill(layer, outline, bgra(tone))
