"""Holding the network as it is served against the network that was trained."""

from typing import Any

import numpy as np
import numpy.typing as npt

from detector.anchors import AnchorPlan
from detector.boxes import decode
from detector.inference import Detector
from detector.mxnet_runtime import mx
from detector.onnx_graph import anchors_last

TOLERANCE = 1e-4
"""The most that scores and relative corners may differ."""
# float32 has so many digits, and beyond this logit fewer of them are decimals.
_USUAL_LOGIT = 20.0


def greatest_difference(
    network: Any, served: Detector, plan: AnchorPlan, planes: npt.NDArray[np.float32]
) -> tuple[float, float]:
    """Return by how much any score or corner differs between two runtimes, and how much it may.

    network: MXNet's. planes: network input (batch, 3, size, size).
    """
    class_logits, offsets = (value.asnumpy() for value in network(mx.nd.array(planes)))
    likelihoods = mx.nd.softmax(mx.nd.array(class_logits), axis=2).asnumpy()[..., 1:]
    anchors = plan.corners()
    boxes = np.stack([decode(anchors, one).clip(0, 1) for one in offsets])
    scores, corners = served.forward(planes)
    difference = max(
        float(np.abs(scores - anchors_last(likelihoods, plan)).max()),
        float(np.abs(corners - anchors_last(boxes, plan)).max()),
    )
    largest = max(float(np.abs(class_logits).max()), float(np.abs(offsets).max()))
    return difference, TOLERANCE * max(1.0, largest / _USUAL_LOGIT)
