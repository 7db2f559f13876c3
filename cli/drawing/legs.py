"""Legs and feet."""

from __future__ import annotations

import numpy as np

from cli.drawing.anatomy import Body
from cli.drawing.canvas import Points, Raster, Rgb, bgra, fill, scaled, smooth, stroke


def feet(body: Body) -> Points:
    """Where the near and the far foot stand: (2, 2) pixels."""
    frame = body.frame
    hips = body.pixels([(0.40, -0.80), (0.34, -0.72)], "body")
    drop = body.build.legs * frame.scale
    return hips + np.array([[frame.side * 0.16, 1.0], [frame.side * -0.14, 0.95]]) * drop


def legs_layer(body: Body, colour: Rgb, webbed: bool) -> Raster:
    """Both legs as a layer of the whole raster, the far one duller."""
    frame = body.frame
    scale, side = frame.scale, frame.side
    layer = frame.blank()
    near_foot, far_foot = feet(body)
    width = max(1.0, (0.030 + 0.05 * body.build.head) * scale)
    toe = 0.13 * scale * (1.25 if webbed else 1.0)
    for foot, hip_at, tone in ((far_foot, 0.34, scaled(colour, 0.78)), (near_foot, 0.40, colour)):
        paint = bgra(tone)
        hip = body.pixels([(hip_at, -0.62)], "body")[0]
        knee = (hip + foot) / 2 + np.array([-side * 0.05, -0.01]) * scale
        stroke(layer, smooth(np.stack([hip, knee, foot]), closed=False), paint, width)
        if webbed:
            web = np.array(
                [
                    [-side * 0.02 * scale, 0.0],
                    [side * toe, 0.02 * scale],
                    [-side * 0.03 * scale, 0.03 * scale],
                ]
            )
            fill(layer, foot + web, paint)
        for down in (-0.02, 0.035):
            stroke(
                layer, foot + np.array([[0.0, 0.0], [side * toe * 0.95, down * scale]]), paint, width * 0.8
            )
        stroke(layer, foot + np.array([[0.0, 0.0], [-side * toe * 0.55, 0.015 * scale]]), paint, width * 0.7)
    return layer
