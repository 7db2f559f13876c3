"""The camera: light, haze, lens and sensor."""

from __future__ import annotations

import cv2
import numpy as np

from cli.drawing.canvas import Raster, noise
from cli.drawing.scenes import Scene


def photograph(rng: np.random.Generator, raster: Raster, scene: Scene) -> Raster:
    """The scene as a photo: graded, now and then hazy or unsharp, with grain."""
    height, width = raster.shape[:2]
    haze = float(rng.uniform(0.08, 0.36)) if rng.random() < 0.15 else 0.0
    saturation = float(rng.uniform(0.8, 1.12))
    gain = scene.brightness * float(rng.uniform(0.9, 1.1))
    warmth = scene.warmth + float(rng.normal(0, 0.2))
    balance = np.diag([1 - 0.10 * warmth, 1.0, 1 + 0.08 * warmth])
    grey = np.array([[0.114, 0.587, 0.299]] * 3)
    colour = balance @ (saturation * np.eye(3) + (1 - saturation) * grey) * gain * (1 - haze)
    offset = np.array(scene.air[::-1]) * haze
    raster = cv2.transform(raster, np.column_stack([colour, offset]).astype(np.float32))
    chance = rng.random()
    if chance < 0.10:
        reach = int(rng.integers(3, 6))
        kernel = np.zeros((reach, reach), np.float32)
        cv2.line(kernel, (0, int(rng.integers(reach))), (reach - 1, int(rng.integers(reach))), 1.0)
        raster = cv2.filter2D(raster, -1, kernel / kernel.sum())
    elif chance < 0.45:
        raster = cv2.GaussianBlur(raster, (0, 0), float(rng.uniform(0.4, 1.2)))
    strength = float(rng.uniform(0.02, 0.16))
    grain = noise(rng, "grain", height, width, zoom=float(rng.choice([1.0, 1.4])))
    lift = cv2.LUT(grain, np.clip((np.arange(256) - 128.0) * strength, 0, 255).astype(np.uint8))
    drop = cv2.LUT(grain, np.clip((128.0 - np.arange(256)) * strength, 0, 255).astype(np.uint8))
    raster = cv2.subtract(cv2.add(raster, cv2.merge([lift] * 3)), cv2.merge([drop] * 3))
    if rng.random() < 0.35:
        x = np.linspace(-1, 1, width // 8)[None, :] ** 2
        y = np.linspace(-1, 1, height // 8)[:, None] ** 2
        fall = np.clip(255 * (1 - float(rng.uniform(0.1, 0.3)) * (x + y) / 1.4), 0, 255).astype(np.uint8)
        fall = cv2.resize(fall, (width, height), interpolation=cv2.INTER_LINEAR)
        raster = cv2.multiply(raster, cv2.merge([fall] * 3), scale=1 / 255)
    return raster
