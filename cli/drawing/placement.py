"""Which birds a picture holds, what they do, how large they are and where they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cli.drawing.anatomy import Action
from cli.drawing.birds import DrawnBird, choose_pose, draw_bird
from cli.drawing.perches import Perch, place_perch
from cli.drawing.scenes import Scene
from cli.drawing.species import SPECIES, Species

LARGEST = 0.60
SMALLEST = 0.08
"""Size of a bird: square root of its box's share of the picture."""
TRIES = 40


@dataclass
class PlacedBird:
    """A bird with its layer's corner at (x, y) of the picture."""

    species: int
    action: Action
    bird: DrawnBird
    x: int
    y: int
    body: float
    perch: Perch | None

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Corners of the layer: x0, y0, x1, y1."""
        height, width = self.bird.layer.shape[:2]
        return (self.x, self.y, self.x + width, self.y + height)


def choose_action(rng: np.random.Generator, species: Species, possible: frozenset[Action]) -> Action | None:
    actions: list[Action] = [action for action in species.actions if action in possible]
    if not actions:
        return None
    weights = np.array([species.actions[action] for action in actions])
    return actions[int(rng.choice(len(actions), p=weights / weights.sum()))]


def place_birds(
    rng: np.random.Generator, scene: Scene, main: int, action: Action, height: int, width: int
) -> list[PlacedBird]:
    count = int(rng.choice([1, 2, 3, 4], p=[0.46, 0.30, 0.15, 0.09]))
    extent = float(np.sqrt(height * width))
    low, high = {1: (0.25, 0.58), 2: (0.22, 0.47), 3: (0.20, 0.38), 4: (0.19, 0.32)}[count]
    typical = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    flock = rng.random() < 0.5
    placed: list[PlacedBird] = []
    for number in range(count):
        species = main if number == 0 or flock else int(rng.integers(len(SPECIES)))
        doing = action if number == 0 else choose_action(rng, SPECIES[species], scene.actions)
        if doing is None:
            continue
        bird = _find_place(rng, scene, placed, species, doing, typical * extent, height, width)
        if bird:
            placed.append(bird)
    # Far birds first: what stands lower in the picture is nearer.
    return sorted(placed, key=lambda bird: bird.box[3])


def _find_place(
    rng: np.random.Generator,
    scene: Scene,
    placed: list[PlacedBird],
    species: int,
    action: Action,
    size: float,
    height: int,
    width: int,
) -> PlacedBird | None:
    kind = SPECIES[species]
    pose = choose_pose(rng, kind, action)
    extent = float(np.sqrt(height * width))
    wanted = size * kind.size * float(np.exp(rng.normal(0, 0.14)))
    body = wanted / 1.45
    bird = draw_bird(rng, kind, pose, body, scene.light)
    for _ in range(TRIES):
        tall, wide = bird.layer.shape[:2]
        ratio = float(np.sqrt(tall * wide)) / extent
        if not SMALLEST < ratio < LARGEST or tall > 0.92 * height or wide > 0.92 * width:
            body *= 0.85 if ratio >= SMALLEST else 1.3
            bird = draw_bird(rng, kind, pose, body, scene.light)
            continue
        found = _candidate(rng, scene, placed, species, action, bird, body, height, width)
        if found and not any(_crowded(found, other) for other in placed):
            return found
    if placed:
        return None
    # The first bird must be there: in the middle it always fits.
    tall, wide = bird.layer.shape[:2]
    return PlacedBird(
        species,
        "flying" if action == "flying" else action,
        bird,
        (width - wide) // 2,
        (height - tall) // 2,
        body,
        None,
    )


def _candidate(
    rng: np.random.Generator,
    scene: Scene,
    placed: list[PlacedBird],
    species: int,
    action: Action,
    bird: DrawnBird,
    body: float,
    height: int,
    width: int,
) -> PlacedBird | None:
    tall, wide = bird.layer.shape[:2]
    stand = bird.feet.mean(axis=0)
    # Now and then the frame cuts a bird off.
    margin = -0.18 if rng.random() < 0.08 else 0.02
    x = int(rng.uniform(margin * wide, max(margin * wide + 1, width - wide - margin * wide)))
    perch: Perch | None = None
    if action == "flying":
        y = int(rng.uniform(0.02 * height, max(0.02 * height + 1, 0.90 * height - tall)))
    elif action == "perched":
        shared = [other.perch for other in placed if other.perch and other.perch.seats_several]
        if shared:
            perch = shared[0]
            y = round(perch.top_at(x + stand[0]) - stand[1])
        else:
            y = int(rng.uniform(0.04 * height, max(0.04 * height + 1, 0.86 * height - tall)))
            kind = scene.perches[int(rng.integers(len(scene.perches)))]
            perch = place_perch(rng, kind, (x + float(stand[0]), y + float(stand[1])), body, height, width)
    else:
        rows = scene.ground if action == "standing" else scene.water
        if rows is None:
            return None
        y = round(float(rng.uniform(rows.top, rows.bottom)) - stand[1])
    inside = y > -0.15 * tall and y + tall < height + 0.15 * tall
    return PlacedBird(species, action, bird, x, y, body, perch) if inside else None


def _crowded(a: PlacedBird, b: PlacedBird) -> bool:
    """Whether two birds' boxes overlap so much that one would hide the other."""
    ax0, ay0, ax1, ay1 = a.box
    bx0, by0, bx1, by1 = b.box
    common = max(0, min(ax1, bx1) - max(ax0, bx0)) * max(0, min(ay1, by1) - max(ay0, by0))
    return common > 0.12 * min((ax1 - ax0) * (ay1 - ay0), (bx1 - bx0) * (by1 - by0))
