"""From a model's answer to the boxes a caller asked for (pure).

Models answer ``[class, score, xmin, ymin, xmax, ymax]`` with corners relative to the picture as a person
sees it; callers get pixels of that picture, its left edge at 0 and its right edge at the width.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nestbox.api.errors import BadParameterError, ModelAnswerError

DEFAULT_THRESHOLD = 0.25
"""For classes whose operating threshold was not measured."""
DEFAULT_MAX_BOXES = 100


@dataclass(frozen=True)
class Wanted:
    """What the caller asked for; ``threshold`` None means each class's own, ``classes`` None means all."""

    threshold: float | None = None
    max_boxes: int = DEFAULT_MAX_BOXES
    classes: frozenset[str] | None = None


@dataclass(frozen=True)
class Box:
    """Corners in pixels (xmin < xmax <= width, ymin < ymax <= height), to a tenth of a pixel."""

    xmin: float
    ymin: float
    xmax: float
    ymax: float


@dataclass(frozen=True)
class Detection:
    """One object; score from 0 to 1."""

    class_name: str
    score: float
    box: Box


def check_classes(wanted: Wanted, known: Collection[str]) -> None:
    """Raises BadParameterError where the caller asks for a class that the model does not know."""
    strangers = sorted((wanted.classes or frozenset()) - frozenset(known))
    if strangers:
        raise BadParameterError(
            f"classes: the model knows no {', '.join(map(repr, strangers))}.",
            f"It knows: {', '.join(known)}.",
        )


@dataclass(frozen=True)
class ModelClasses:
    """A model's classes: names in id order, and by name the score from which one is worth showing."""

    names: Sequence[str]
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def threshold(self, name: str) -> float:
        """The operating threshold of a class, or the default where none was measured."""
        return self.thresholds.get(name, DEFAULT_THRESHOLD)


def detections(
    answer: Any, classes: ModelClasses, width: int, height: int, wanted: Wanted
) -> list[Detection]:
    """The boxes of a model's answer that are wanted, clipped to the picture, best first.

    Boxes that are empty once clipped are left out. Raises ModelAnswerError where the answer is not
    ``{"prediction": [[class, score, xmin, ymin, xmax, ymax], …]}``.
    """
    rows = answer.get("prediction") if isinstance(answer, dict) else None
    if not isinstance(rows, list):
        raise _unreadable("it holds no list 'prediction'")
    found = []
    for row in rows:
        number, score, *corners = _six_numbers(row)
        if number < 0:  # A negative class pads the output of some containers.
            continue
        if number != int(number) or number >= len(classes.names):
            raise _unreadable(f"class {number:g} is none of the run's {len(classes.names)}")
        name = classes.names[int(number)]
        if wanted.classes is not None and name not in wanted.classes:
            continue
        if score < (classes.threshold(name) if wanted.threshold is None else wanted.threshold):
            continue
        box = _in_pixels(corners, width, height)
        if box.xmin < box.xmax and box.ymin < box.ymax:
            found.append(Detection(name, round(score, 4), box))
    found.sort(key=lambda detection: -detection.score)
    return found[: wanted.max_boxes]


def _six_numbers(row: Any) -> list[float]:
    if (
        not isinstance(row, list)
        or len(row) != 6
        or not all(isinstance(value, int | float) and math.isfinite(value) for value in row)
    ):
        raise _unreadable(f"{row!r:.80} is not six numbers")
    return row


def _in_pixels(corners: Sequence[float], width: int, height: int) -> Box:
    xmin, ymin, xmax, ymax = corners
    return Box(_place(xmin, width), _place(ymin, height), _place(xmax, width), _place(ymax, height))


def _place(relative: float, length: int) -> float:
    return round(min(max(relative, 0.0), 1.0) * length, 1)


def _unreadable(why: str) -> ModelAnswerError:
    return ModelAnswerError(
        f"The model's answer cannot be read: {why}.",
        "The container breaks its contract; the operator should look at the run that is serving.",
    )
