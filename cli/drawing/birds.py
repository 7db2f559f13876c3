"""One bird as a premultiplied layer: pose chosen, parts drawn in order, shaded and textured."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from cli.drawing.anatomy import Action, Body, Frame, Pose
from cli.drawing.canvas import Points, Raster, alpha_of, over
from cli.drawing.face import beak_layer, crest_layer, draw_eye
from cli.drawing.feathers import folded_wing, spread_wing, tail_layer
from cli.drawing.legs import feet, legs_layer
from cli.drawing.plumage import Plumage, inflate, torso_layer
from cli.drawing.species import Species


@dataclass(frozen=True)
class DrawnBird:
    """A bird ready to be placed."""

    layer: Raster
    """Premultiplied BGRA, cut to the bird."""
    feet: Points
    """(2, 2): where the near and the far foot stand, in pixels of the layer; for a swimmer the water line."""


def choose_pose(rng: np.random.Generator, species: Species, action: Action) -> Pose:
    """A pose that suits the action and the species' build."""
    faces_left = bool(rng.random() < 0.5)
    long_neck = species.build.neck > 0.15
    if action == "flying":
        gliding = species.name == "Gull" and rng.random() < 0.5
        return Pose(
            action=action,
            tilt=float(rng.normal(6, 12)),
            neck_angle=float(rng.uniform(4, 16)),
            head_angle=float(rng.normal(0, 8)),
            squeeze=float(rng.uniform(0.78, 1.0)),
            wing_lift=float(rng.uniform(10, 28) if gliding else rng.choice([1, 1, -1]) * rng.uniform(25, 62)),
            roll=float(rng.uniform(25, 65) if gliding else rng.uniform(-14, 38)),
            tail_spread=float(rng.uniform(0.4, 1.0)),
            faces_left=faces_left,
        )
    if action == "swimming":
        return Pose(
            action=action,
            tilt=float(rng.normal(4, 2.5)),
            neck_angle=float(rng.uniform(58, 84) if long_neck else rng.uniform(48, 72)),
            head_angle=float(rng.normal(-4, 9)),
            squeeze=float(rng.uniform(0.74, 1.0)),
            wing_lift=0.0,
            roll=0.0,
            tail_spread=float(rng.uniform(0.1, 0.4)),
            faces_left=faces_left,
        )
    stooped = action == "standing" and rng.random() < 0.22
    horizontal = species.webbed
    if stooped:
        tilt, neck = float(rng.uniform(-22, -10)), float(rng.uniform(-28, 0))
        head = float(rng.uniform(-55, -25))
    else:
        tilt = float(rng.uniform(2, 14) if horizontal else rng.uniform(18, 52))
        neck = float(rng.uniform(50, 76) if horizontal else rng.uniform(14, 44))
        head = float(rng.normal(0, 11))
    return Pose(
        action=action,
        tilt=tilt,
        neck_angle=neck,
        head_angle=head,
        squeeze=float(rng.uniform(0.76, 1.0)),
        wing_lift=0.0,
        roll=0.0,
        tail_spread=float(rng.uniform(0.1, 0.55)),
        faces_left=faces_left,
    )


def _half_size(species: Species, pose: Pose) -> tuple[float, float]:
    """Half width and height, in body lengths, of a raster that surely holds the bird."""
    build = species.build
    # A body length is 0.5 to either side of the middle; the neck's root lies well inside of it.
    long = 0.52 + max(build.tail, build.neck + build.head * 1.9 + build.beak)
    if pose.action == "flying":
        return long + 0.35 * build.span, max(0.9, build.span * 1.25 + 0.3)
    return long, long + build.legs * 0.6


def draw_bird(
    rng: np.random.Generator, species: Species, pose: Pose, length: float, light: tuple[float, float]
) -> DrawnBird:
    """Draw one bird whose body is `length` pixels long, lit from direction `light` (x right, y up)."""
    # Twice the size and then averaged down, except where the bird is so large that edges are fine anyway.
    oversample = 2.0 if length < 64 else 1.5 if length < 120 else 1.0
    scale = length * oversample
    half_width, half_height = _half_size(species, pose)
    frame = Frame(scale, pose, 2 * math.ceil(half_width * scale), 2 * math.ceil(half_height * scale))
    body = Body(species.build, frame)
    dress = species.dress(rng)
    plumage = Plumage(body, dress.base)
    dress.paint(plumage, rng)
    torso = torso_layer(rng, plumage, light)
    draw_eye(torso, body, dress.face, light)

    flying = pose.action == "flying"
    whole = frame.blank()
    if flying:
        over(whole, spread_wing(body, dress.spread, near=False))
    over(whole, tail_layer(body, dress.tail))
    if pose.action in ("perched", "standing"):
        over(whole, legs_layer(body, dress.legs, species.webbed))
    over(whole, beak_layer(body, dress.face))
    if dress.crest:
        over(whole, crest_layer(body, *dress.crest))
    over(whole, torso)
    wing = spread_wing(body, dress.spread, near=True) if flying else folded_wing(body, dress.folded, rng)
    inflate(wing, light, 0.3 if flying else 0.6)
    over(whole, wing)

    stands = body.pixels([(0.35, -0.52)] * 2, "body") if pose.action == "swimming" else feet(body)
    if oversample != 1.0:
        size = (round(frame.width / oversample), round(frame.height / oversample))
        whole = cv2.resize(whole, size, interpolation=cv2.INTER_AREA)
        stands = stands / oversample
    x, y, width, height = cv2.boundingRect(alpha_of(whole))
    return DrawnBird(np.ascontiguousarray(whole[y : y + height, x : x + width]), stands - np.array([x, y]))
