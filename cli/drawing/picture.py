"""One labelled picture: a scene, its birds, what hides parts of them, and the camera."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from cli.drawing.camera import photograph
from cli.drawing.canvas import Raster, alpha_of, blank, faded, fill, over, ribbon
from cli.drawing.foreground import hide_partly
from cli.drawing.perches import Perch, draw_perch
from cli.drawing.placement import TRIES, PlacedBird, choose_action, place_birds
from cli.drawing.scenes import BACKDROPS, Scene
from cli.drawing.species import SPECIES

SIZES = ((480, 640), (480, 640), (640, 480), (427, 640), (540, 540))
"""Heights and widths in pixels."""


@dataclass(frozen=True)
class LabelledBox:
    """A tight box in pixels around what can be seen of a bird: x0, y0 inclusive, x1, y1 exclusive."""

    species: int
    """Index into SPECIES."""
    x0: int
    y0: int
    x1: int
    y1: int
    visible: float
    """Share of the bird inside the picture that nothing hides."""


@dataclass(frozen=True)
class Picture:
    """Pixels and labels."""

    jpeg: bytes
    height: int
    width: int
    boxes: list[LabelledBox]
    masks: list[Raster]
    """What can be seen of each bird, before the camera's blur: grey, the whole picture."""


def draw_picture(rng: np.random.Generator, main_species: int) -> Picture:
    """Draw one picture in which a bird of `main_species` (index into SPECIES) is the first."""
    height, width = SIZES[int(rng.integers(len(SIZES)))]
    action = choose_action(rng, SPECIES[main_species], frozenset(SPECIES[main_species].actions))
    assert action is not None, "every species does something"
    names = [name for name, (_, actions) in BACKDROPS.items() if action in actions]
    for _ in range(TRIES):
        scene = BACKDROPS[names[int(rng.integers(len(names)))]][0](rng, height, width)
        if action in scene.actions:
            break
    placed = place_birds(rng, scene, main_species, action, height, width)
    raster = scene.raster
    masks = _compose(rng, raster, scene, placed)
    masks = hide_partly(rng, raster, scene, placed, masks)
    raster = photograph(rng, raster, scene)
    boxes = [_tight(bird, mask, height, width) for bird, mask in zip(placed, masks, strict=True)]
    quality = int(rng.integers(80, 95))
    _, encoded = cv2.imencode(".jpg", raster, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return Picture(encoded.tobytes(), height, width, boxes, masks)


def _compose(
    rng: np.random.Generator, raster: Raster, scene: Scene, placed: list[PlacedBird]
) -> list[Raster]:
    """Paint perches and birds; returns what can be seen of each bird."""
    height, width = raster.shape[:2]
    perches: list[Perch] = []
    for bird in placed:
        if bird.perch and not any(bird.perch is known for known in perches):
            perches.append(bird.perch)
    if perches:
        layer = blank(height, width)
        for perch in perches:
            draw_perch(rng, layer, perch, scene.bark, scene.leaves, scene.flakes)
        over(raster, layer)
    masks: list[Raster] = []
    for bird in placed:
        layer = bird.bird.layer
        x, y = bird.x, bird.y
        stand = bird.bird.feet.mean(axis=0)
        if bird.action == "swimming":
            layer = _float(rng, raster, layer, x, y, round(float(stand[1])))
        elif bird.action == "standing":
            _shadow(raster, x + float(stand[0]), y + float(stand[1]), bird.body, scene)
        frame = blank(height, width)
        over(frame, layer, x, y)
        over(raster, layer, x, y)
        seen = alpha_of(frame)
        masks = [cv2.multiply(mask, cv2.bitwise_not(seen), scale=1 / 255) for mask in masks]
        masks.append(seen)
    return masks


def _shadow(raster: Raster, x: float, y: float, body: float, scene: Scene) -> None:
    height, width = raster.shape[:2]
    layer = blank(height // 2, width // 2)
    centre = np.array([x - scene.light[0] * body * 0.3, y + 0.03 * body]) / 2
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    fill(
        layer,
        centre + np.stack([np.cos(angle) * body * 0.30, np.sin(angle) * body * 0.045], axis=1),
        (0, 0, 0, 130),
    )
    layer = cv2.GaussianBlur(layer, (0, 0), max(0.8, body * 0.03))
    over(raster, cv2.resize(layer, (width, height), interpolation=cv2.INTER_LINEAR))


def _float(rng: np.random.Generator, raster: Raster, layer: Raster, x: int, y: int, line: int) -> Raster:
    """Paint the reflection and the ripples of a swimmer; returns the part of it above the water."""
    above = layer[:line].copy()
    tall, wide = above.shape[:2]
    mirrored = cv2.resize(cv2.flip(above, 0), (wide, max(2, round(tall * 0.8))), interpolation=cv2.INTER_AREA)
    rows = np.arange(len(mirrored), dtype=np.float32)
    sway = np.sin(rows / max(2.0, tall / 14) + float(rng.uniform(0, 6.3))) * (0.4 + rows * 0.05)
    across = np.arange(wide, dtype=np.float32)
    mirrored = cv2.remap(
        mirrored,
        across[None, :] + sway[:, None].astype(np.float32),
        np.repeat(rows[:, None], wide, axis=1),
        cv2.INTER_LINEAR,
    )
    mirrored = cv2.GaussianBlur(mirrored, (0, 0), 1.0)
    fade = np.linspace(0.42, 0.10, len(mirrored))[:, None, None]
    over(raster, (mirrored * fade).astype(np.uint8), x, y + line)
    ripples = blank(*raster.shape[:2])
    middle = x + wide / 2
    for k in range(4):
        half = wide * (0.34 + 0.16 * k)
        u = np.linspace(-1, 1, 13)
        path = np.stack([middle + u * half, y + line + wide * (0.012 + 0.022 * k) * (1 - u**2) + 0.6], axis=1)
        tone = (225, 222, 215, 255) if k % 2 == 0 else (90, 80, 70, 255)
        fill(ripples, ribbon(path, (1 - np.abs(u)) * max(1.0, wide * 0.012) + 0.4), tone)
    over(raster, faded(ripples, 0.34))
    return above


def _tight(bird: PlacedBird, mask: Raster, height: int, width: int) -> LabelledBox:
    solid = (mask >= 128).astype(np.uint8)
    x, y, wide, tall = cv2.boundingRect(solid)
    frame = blank(height, width)
    over(frame, bird.bird.layer, bird.x, bird.y)
    whole = cv2.sumElems(alpha_of(frame))[0]
    visible = min(1.0, cv2.sumElems(mask)[0] / whole) if whole else 0.0
    return LabelledBox(bird.species, x, y, x + wide, y + tall, visible)
