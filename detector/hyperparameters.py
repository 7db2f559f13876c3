"""The hyperparameters of SageMaker's built-in object detection algorithm: names, ranges and defaults.

Source: "Object Detection Hyperparameters" in the SageMaker developer guide. `base_network` also takes
`nestbox-small`, which trains from scratch on CPUs and has defaults of its own. SageMaker hands every value
over as a string.
"""

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

from detector.errors import HyperparameterError

SMALL_NETWORK = "nestbox-small"
BASE_NETWORKS = ("vgg-16", "resnet-50", SMALL_NETWORK)

# How many images the small network sees in a run of default length (about 900 steps train it well), and the
# epochs between which that stays: a tiny dataset gains nothing from more, a large one still needs a few.
_SMALL_VIEWS = 12_000
_SMALL_EPOCHS = (30, 200)

# Whoever starts the job may leave these to SageMaker's own machinery; they mean nothing to the algorithm.
_IGNORED = frozenset({"_tuning_objective_metric", "sagemaker_region", "sagemaker_job_name"})


@dataclass(frozen=True)
class Hyperparameters:
    """Checked values. `image_shape` is None when the network's plan is to be derived from the data."""

    num_classes: int
    num_training_samples: int
    base_network: str
    use_pretrained_model: bool
    epochs: int
    mini_batch_size: int
    image_shape: int | None
    label_width: int
    optimizer: str
    learning_rate: float
    lr_scheduler_step: tuple[int, ...]
    lr_scheduler_factor: float
    momentum: float
    weight_decay: float
    overlap_threshold: float
    nms_threshold: float
    early_stopping: bool
    early_stopping_min_epochs: int
    early_stopping_patience: int
    early_stopping_tolerance: float
    freeze_layer_pattern: str
    kv_store: str


def parse(values: Mapping[str, str]) -> Hyperparameters:
    """Check hyperparameters as SageMaker hands them over.

    Raises HyperparameterError listing every value that is missing, unknown or out of range.
    """
    problems = []
    checked: dict[str, Any] = {}
    for name, text in values.items():
        rule = _RULES.get(name)
        if rule is None:
            if name not in _IGNORED:
                problems.append(_unknown(name))
            continue
        try:
            checked[name] = rule(text.strip())
        except ValueError as error:
            problems.append(f"hyperparameter {name}={text!r}: {error}")
    problems += [
        f"hyperparameter {name} is required and missing"
        for name in ("num_classes", "num_training_samples")
        if name not in values
    ]
    small = checked.get("base_network") == SMALL_NETWORK
    size = checked.get("image_shape")
    if size is not None and size < 300 and not small:
        problems.append(f"hyperparameter image_shape='{size}': must be at least 300")
    if problems:
        raise HyperparameterError(problems)
    defaults = _small_defaults(checked["num_training_samples"]) if small else _BUILT_IN_DEFAULTS
    return Hyperparameters(**{**_COMMON_DEFAULTS, **defaults, **checked})


def default_small_epochs(training_samples: int) -> int:
    """Return how many epochs the small network trains when nobody says: fewer passes over more images.

    >>> default_small_epochs(100), default_small_epochs(1_000_000)
    (120, 30)
    """
    least, most = _SMALL_EPOCHS
    return min(max(math.ceil(_SMALL_VIEWS / training_samples), least), most)


def as_text(hyperparameters: Hyperparameters) -> dict[str, str]:
    """Return the values in the spelling in which they are given, for the log."""
    shown = {}
    for field in fields(hyperparameters):
        value = getattr(hyperparameters, field.name)
        if isinstance(value, tuple):
            value = ",".join(map(str, value))
        shown[field.name] = "" if value is None else str(value)
    return shown


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, _RULES, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"hyperparameter {name!r} is unknown to this algorithm{hint}"


def _positive_integer(text: str) -> int:
    # "16.0" is what some clients make of an integer.
    number = _number(text)
    if number != int(number) or number < 1:
        raise ValueError("must be a positive integer")
    return int(number)


def _network_size(text: str) -> int:
    size = _positive_integer(text)
    if not 64 <= size <= 2048:
        raise ValueError("must be between 64 and 2048 pixels")
    return size


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError("must be a number") from None
    if not math.isfinite(number):
        raise ValueError("must be a finite number")
    return number


def _between(low: float, high: float, *, low_open: bool, high_open: bool) -> Callable[[str], float]:
    span = f"{'(' if low_open else '['}{low:g}, {high:g}{')' if high_open else ']'}"

    def rule(text: str) -> float:
        number = _number(text)
        if number < low or number > high or (low_open and number == low) or (high_open and number == high):
            raise ValueError(f"must be a number in {span}")
        return number

    return rule


def _one_of(*choices: str) -> Callable[[str], str]:
    def rule(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return text

    return rule


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false", "0", "1"):
        raise ValueError("must be True or False")
    return text.lower() in ("true", "1")


def _epoch_list(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    try:
        epochs = tuple(_positive_integer(part) for part in parts)
    except ValueError:
        raise ValueError('must be epochs separated by commas, such as "33,67"') from None
    if any(later <= earlier for earlier, later in pairwise(epochs)):
        raise ValueError("epochs must rise")
    return epochs


def _pattern(text: str) -> str:
    # SageMaker's console sends "false" for no pattern.
    if text.lower() in ("false", "none"):
        return ""
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return text


_RULES: dict[str, Callable[[str], Any]] = {
    "num_classes": _positive_integer,
    "num_training_samples": _positive_integer,
    "base_network": _one_of(*BASE_NETWORKS),
    "use_pretrained_model": _truth,
    "epochs": _positive_integer,
    "mini_batch_size": _positive_integer,
    "image_shape": _network_size,
    "label_width": _positive_integer,
    "optimizer": _one_of("sgd", "adam", "rmsprop", "adadelta"),
    "learning_rate": _between(0, 1, low_open=True, high_open=False),
    "lr_scheduler_step": _epoch_list,
    "lr_scheduler_factor": _between(0, 1, low_open=True, high_open=True),
    "momentum": _between(0, 1, low_open=True, high_open=False),
    # The guide says (0, 1) and its own console sends 0; none is a sensible wish.
    "weight_decay": _between(0, 1, low_open=False, high_open=True),
    "overlap_threshold": _between(0, 1, low_open=True, high_open=False),
    "nms_threshold": _between(0, 1, low_open=True, high_open=False),
    "early_stopping": _truth,
    "early_stopping_min_epochs": _positive_integer,
    "early_stopping_patience": _positive_integer,
    "early_stopping_tolerance": _between(0, 1, low_open=False, high_open=False),
    "freeze_layer_pattern": _pattern,
    "kv_store": _one_of("", "dist_sync", "dist_async"),
}

_COMMON_DEFAULTS: dict[str, Any] = {
    "base_network": "vgg-16",
    "use_pretrained_model": True,
    "label_width": 350,
    "lr_scheduler_step": (),
    "lr_scheduler_factor": 0.1,
    "momentum": 0.9,
    "overlap_threshold": 0.5,
    "nms_threshold": 0.45,
    "early_stopping": False,
    "early_stopping_min_epochs": 10,
    "early_stopping_patience": 5,
    "early_stopping_tolerance": 0.0,
    "freeze_layer_pattern": "",
    "kv_store": "",
}

_BUILT_IN_DEFAULTS: dict[str, Any] = {
    "epochs": 30,
    "mini_batch_size": 32,
    "image_shape": 300,
    "optimizer": "sgd",
    "learning_rate": 0.001,
    "weight_decay": 0.0005,
}


def _small_defaults(training_samples: int) -> dict[str, Any]:
    return {
        "epochs": default_small_epochs(training_samples),
        "mini_batch_size": 16,
        "image_shape": None,
        "optimizer": "adam",
        "learning_rate": 0.004,
        "weight_decay": 0.0,
    }
