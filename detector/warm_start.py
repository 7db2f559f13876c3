"""Starting from a model that was trained before, whose class list may have changed since.

Classes are told apart by name where both models have names: a class keeps what was learned about it wherever
it stands now. Without names an id keeps its meaning, and classes are only ever appended.
"""

from collections.abc import Sequence

import numpy as np

from detector.anchors import AnchorPlan, poorly_covered
from detector.artefact import Artefact
from detector.boxes import Labels
from detector.description import Description
from detector.errors import ArtefactError
from detector.hyperparameters import Hyperparameters
from detector.weights import Weights

_OFFSETS = 4
# How many more boxes than with freshly derived anchors may lack a fitting anchor before starting anew is
# better.
_TOLERATED_MISFIT = 0.1


def check_reusable(
    previous: Artefact, hyperparameters: Hyperparameters, fresh_plan: AnchorPlan, labels: Sequence[Labels]
) -> None:
    """Raise ArtefactError saying why a previous model is no start for this training; return if it is one."""
    old = previous.description
    if old.base_network != hyperparameters.base_network:
        raise ArtefactError(f"it has base network {old.base_network}, not {hyperparameters.base_network}")
    named = old.classes and hyperparameters.nestbox_class_names
    if old.num_classes > hyperparameters.num_classes and not named:
        raise ArtefactError(
            f"it knows {old.num_classes} classes, more than num_classes={hyperparameters.num_classes}"
        )
    size = hyperparameters.image_shape
    if size is not None and size != old.plan.image_size:
        raise ArtefactError(f"it works at {old.plan.image_size} pixels, not image_shape={size}")
    misfit = poorly_covered(old.plan, labels)
    if misfit > poorly_covered(fresh_plan, labels) + _TOLERATED_MISFIT:
        raise ArtefactError(
            f"its anchors fit {misfit:.0%} of the present boxes badly; the data has changed too much"
        )


def known_classes(previous: Description, hyperparameters: Hyperparameters) -> list[int | None]:
    """Return for each class to train its id in the previous model; None for one that is new."""
    names = hyperparameters.nestbox_class_names
    if previous.classes and names:
        ids = {name: number for number, name in enumerate(previous.classes)}
        return [ids.get(name) for name in names]
    return [
        number if number < previous.num_classes else None for number in range(hyperparameters.num_classes)
    ]


def unlearnt_share(previous: Description, known: Sequence[int | None], training_samples: int) -> float:
    """Return how much of what is to be trained a previous model has not seen, from 0 to 1.

    That is the share of images by which the data has grown, or everything once a class is new.
    """
    if None in known:
        return 1.0
    return min(1.0, max(0.0, 1 - previous.training_samples / training_samples))


def grow(previous: Artefact, fresh: Weights, known: Sequence[int | None]) -> Weights:
    """Return the previous weights for a network of the classes `known` (see `known_classes`).

    Rows of new classes come from `fresh`. Raises ArtefactError when a parameter is missing or of another
    shape.
    """
    old_classes = previous.description.num_classes
    grown = {}
    for name, value in fresh.items():
        before = previous.weights.get(name)
        if before is None:
            raise ArtefactError(f"it lacks the parameter {name}")
        if name.startswith("head_"):
            shapes = len(previous.description.plan.levels[_level_number(name)].shapes)
            before = _grow_head(before, value, shapes, old_classes, known)
        if before.shape != value.shape:
            raise ArtefactError(f"its parameter {name} has shape {before.shape}, not {value.shape}")
        grown[name] = before
    return grown


def _level_number(name: str) -> int:
    return int(name.removeprefix("head_level").split("_")[0])


def _grow_head(
    before: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    fresh: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    shapes: int,
    old_classes: int,
    known: Sequence[int | None],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Copy the rows of a head (see `MultiBoxHead`) to where they lie with more classes."""
    grown = fresh.copy()
    old_width, new_width = (classes + 1 + _OFFSETS for classes in (old_classes, len(known)))
    if len(before) < shapes * old_width or len(fresh) < shapes * new_width:
        raise ArtefactError("its head does not fit its own description")
    for shape in range(shapes):
        old, new = shape * old_width, shape * new_width
        grown[new] = before[old]
        for number, source in enumerate(known):
            if source is not None:
                grown[new + 1 + number] = before[old + 1 + source]
        grown[new + new_width - _OFFSETS : new + new_width] = before[
            old + old_width - _OFFSETS : old + old_width
        ]
    return grown
