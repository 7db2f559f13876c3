"""The two forms in which an answer leaves the server."""

from typing import Any

import numpy as np

from detector.inference import Answer

# What more than this many boxes would add lies below any threshold people use.
_MOST_BOXES = 200
_DECIMALS = 6


def prediction(answer: Answer) -> dict[str, Any]:
    """Return the built-in algorithm's answer: class, score and relative corners, best first."""
    rows = answer.detections[:_MOST_BOXES].astype(np.float64)
    return {"prediction": rows.round(_DECIMALS).tolist()}


def annotation(answer: Answer) -> dict[str, Any]:
    """Return the form that `Accept: application/json;annotation=1` asks for: boxes in pixels."""
    rows = []
    for class_id, score, xmin, ymin, xmax, ymax in answer.detections[:_MOST_BOXES].tolist():
        left, top = round(xmin * answer.width), round(ymin * answer.height)
        rows.append(
            {
                "class_id": int(class_id),
                "score": round(score, _DECIMALS),
                "left": left,
                "top": top,
                "width": round(xmax * answer.width) - left,
                "height": round(ymax * answer.height) - top,
            }
        )
    return {"image_size": [{"width": answer.width, "height": answer.height, "depth": 3}], "annotations": rows}
