"""What the scoring refuses.

EvaluationError   ground truth or detections that cannot be scored; the message says which and why
"""


class EvaluationError(Exception):
    """Ground truth or detections that cannot be scored."""
