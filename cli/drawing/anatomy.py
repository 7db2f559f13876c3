"""The body of a bird: a spine with a thickness, a head, and the frame that places it on a raster.

The bird's own frame has x forward, y up, the body centre at the origin and the body (without head and tail)
one unit long. Two more coordinate systems follow the pose, so that plumage can be painted on it:

- body: (t, v), t along the spine from tail base (0) to head centre (1), v from belly (-1) to back (1);
- head: (x, y) in head radii, x towards the beak, y towards the crown.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from cli.drawing.canvas import Points, Raster, blank, disc, smooth

Action = Literal["perched", "standing", "flying", "swimming"]
System = Literal["body", "head", "bird"]

SPINE_STEPS = 6
BEYOND_THE_HEAD = 1.4
"""Body lengths ahead of the head centre for one unit of t above 1."""


@dataclass(frozen=True)
class Build:
    """Proportions of a species, in body lengths."""

    depth: float
    """Half the height of the body at its thickest."""
    neck: float
    head: float
    """Radius of the head."""
    beak: float
    beak_depth: float
    beak_shape: Literal["thin", "cone", "stout", "hook", "flat"]
    tail: float
    tail_width: float
    tail_notch: float
    """Share of the tail's length by which its middle is shorter (negative: longer, a rounded tail)."""
    legs: float
    wing: float
    """Length of the folded wing."""
    span: float
    """Shoulder to tip of one spread wing."""
    chord: float
    """Depth of the spread wing, as a share of its length."""


@dataclass(frozen=True)
class Pose:
    """How one bird holds itself. Angles in degrees, counter-clockwise for a bird that faces right."""

    action: Action
    tilt: float
    neck_angle: float
    """Direction of the neck against the body's axis."""
    head_angle: float
    """Direction of the beak against the horizon."""
    squeeze: float
    """Foreshortening along the body, 1 seen from the side."""
    wing_lift: float
    """Elevation of spread wings; positive is above the back."""
    roll: float
    """How far the flying bird is turned about its axis towards the viewer."""
    tail_spread: float
    faces_left: bool


@dataclass(frozen=True)
class Frame:
    """Maps the bird's frame to pixels of its raster, whose middle is the bird's origin."""

    scale: float
    """Pixels per body length."""
    pose: Pose
    width: int
    height: int

    @functools.cached_property
    def _turn(self) -> Points:
        angle = math.radians(self.pose.tilt)
        cosine, sine, squeeze = math.cos(angle), math.sin(angle), self.pose.squeeze
        turn: Points = self.scale * np.array(
            [[self.side * squeeze * cosine, -squeeze * sine], [-self.side * sine, -cosine]]
        )
        return turn

    def to_pixels(self, points: Points) -> Points:
        """(n, 2) points of the bird's frame as pixels, with the pose's tilt, squeeze and facing."""
        pixels: Points = points @ self._turn
        pixels += (self.width / 2, self.height / 2)
        return pixels

    @property
    def side(self) -> float:
        """+1 where the bird faces right, -1 where it faces left."""
        return -1.0 if self.pose.faces_left else 1.0

    def blank(self) -> Raster:
        """A transparent layer of the raster's size."""
        return blank(self.height, self.width)


class Body:
    """Torso and head of one posed bird."""

    def __init__(self, build: Build, frame: Frame) -> None:
        self.build = build
        self.frame = frame
        pose = frame.pose
        depth, head = build.depth, build.head
        neck_angle = math.radians(pose.neck_angle)
        root = np.array([0.36, 0.4 * depth])
        towards_head = np.array([math.cos(neck_angle), math.sin(neck_angle)])
        head_centre = root + (build.neck + head * 0.75) * towards_head
        middle = (root + head_centre) / 2 + np.array([0.03, -0.02])
        throat = max(head * 0.72, depth * 0.52) if build.neck < 0.2 else head * 0.74
        spine = smooth(
            np.array(
                [
                    [-0.52, 0.05, 0.055],
                    [-0.36, 0.02, depth * 0.52],
                    [-0.10, 0.00, depth * 0.94],
                    [0.14, 0.00, depth],
                    [*root, depth * 0.74],
                    [*middle, throat],
                    [*head_centre, head],
                ]
            ),
            closed=False,
            steps=SPINE_STEPS,
        )
        self.centres: Points = spine[:, :2]
        self.radii: NDArray[np.float64] = spine[:, 2]
        self.stations = np.linspace(0, 1, len(spine))
        forward = np.gradient(self.centres, axis=0)
        forward /= np.linalg.norm(forward, axis=1, keepdims=True)
        self.normals: Points = np.stack([-forward[:, 1], forward[:, 0]], axis=1)
        self.head_centre: Points = head_centre
        # The beak's direction is given against the horizon; the frame adds the tilt, so take it off here.
        beak_angle = math.radians(pose.head_angle - pose.tilt)
        self.beak_axis: Points = np.array([math.cos(beak_angle), math.sin(beak_angle)])
        self.crown_axis: Points = np.array([-self.beak_axis[1], self.beak_axis[0]])

    def at(self, t: float, v: float) -> Points:
        """One body coordinate as a (2,) point of the bird's frame."""
        point: Points = self._from_body(np.array([[t, v]]))[0]
        return point

    def _from_body(self, points: Points) -> Points:
        inside = np.clip(points[:, 0], 0, 1)
        beyond = (points[:, 0] - inside) * BEYOND_THE_HEAD
        x, y, normal_x, normal_y, radius = (
            np.interp(inside, self.stations, values)
            for values in (*self.centres.T, *self.normals.T, self.radii)
        )
        return np.stack(
            [
                x + normal_x * points[:, 1] * radius + normal_y * beyond,
                y + normal_y * points[:, 1] * radius - normal_x * beyond,
            ],
            axis=1,
        )

    def _from_head(self, points: Points) -> Points:
        radius = self.build.head
        place: Points = (
            self.head_centre
            + points[:, :1] * radius * self.beak_axis
            + points[:, 1:] * radius * self.crown_axis
        )
        return place

    def pixels(self, points: list[tuple[float, float]] | Points, system: System) -> Points:
        """(n, 2) points of any of the three systems as pixels."""
        array = np.asarray(points, dtype=np.float64)
        if system == "body":
            array = self._from_body(array)
        elif system == "head":
            array = self._from_head(array)
        return self.frame.to_pixels(array)

    def silhouette(self) -> Raster:
        """Grey mask of torso and head."""
        mask = np.zeros((self.frame.height, self.frame.width), np.uint8)
        reach = self.normals * self.radii[:, None]
        centres = self.frame.to_pixels(self.centres)
        back, belly = self.frame.to_pixels(self.centres + reach), self.frame.to_pixels(self.centres - reach)
        half = np.linalg.norm(back - belly, axis=1) / 2
        for i in range(len(centres) - 1):
            quad = np.stack([back[i], back[i + 1], belly[i + 1], belly[i]])
            cv2.fillConvexPoly(mask, np.round(quad * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
        for centre, radius in zip(centres[::2], half[::2], strict=True):
            disc(mask, centre, radius, (255,))
        return mask
