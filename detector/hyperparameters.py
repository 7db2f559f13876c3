"""The hyperparameters of SageMaker's built-in object detection algorithm, and a few of ours.

Names, ranges and defaults: "Object Detection Hyperparameters" in the SageMaker developer guide; what is wrong
is told in the words of SageMaker's own algorithms. `base_network` also takes `nestbox-small`, which trains
from scratch on CPUs and has defaults of its own. Ours begin with `nestbox_`, so that they collide with no
name of the built-in algorithm. SageMaker hands every value over as a string.
"""

import difflib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

from detector.errors import HyperparameterError

SMALL_NETWORK = "nestbox-small"
BASE_NETWORKS = ("vgg-16", "resnet-50", SMALL_NETWORK)

# How many images the small network sees in a run of default length (about 1,050 steps, two thirds of them on
# small inputs, train it well), and the epochs between which that stays: a tiny dataset gains nothing from
# more, a large one still needs a few. An input smaller than this many pixels a side costs less (though not by
# its area: small inputs have the finest cells), so more of them are seen in the same time.
_SMALL_VIEWS = 17_000
_SMALL_VIEWS_SIZE = 192
_SMALL_EPOCHS = (30, 200)
_SMALL_RATE = 0.004
# Weights decay as much in a long run as in one of so many steps at a decay of 1, so less in each of its
# steps, but in none by more than this. (arXiv:2405.13698 asks for less where there is more data.)
_DECAY_STEPS = 400
_MOST_DECAY = 0.3
# The share of views that are mosaics, unless images show more boxes than this on average: where they are
# crowded anyway, a mosaic adds little but boxes that its edges cut.
_SMALL_MOSAIC = 0.5
_MOST_BOXES_FOR_MOSAICS = 5.0
# A run that starts from a model is shortened to this share at most: below, it does not reach what a run from
# scratch reaches. Its learning rate is lower by the same share, as at the full one it first forgets.
_LEAST_SHARE = 0.3

# Told by SageMaker's own machinery, or known to the built-in algorithm's default configuration but not to its
# guide; they mean nothing here.
_IGNORED = frozenset(
    {
        "_kvstore",
        "_num_kv_servers",
        "_tuning_objective_metric",
        "nms_topk",
        "sagemaker_job_name",
        "sagemaker_region",
    }
)
_LEAST_BUILT_IN_SIZE = 300
_SHOWN_CHARACTERS = 80
# These follow one course from the first step to the last.
_SMOOTH_SCHEDULES = ("trapezoid", "cosine")
_REQUIRED = ("num_classes", "num_training_samples")
# MXNet seeds its generators with a C int.
_MOST_SEED = 2**31 - 1


@dataclass(frozen=True)
class Hyperparameters:
    """Checked values, named as they are given.

    `image_shape` is None when the network's plan is to be derived from the data. `nestbox_class_names` is
    empty when nobody told them.
    """

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
    nestbox_seed: int
    nestbox_loss: str
    nestbox_schedule: str
    nestbox_progressive: bool
    nestbox_weight_decay: float
    nestbox_mosaic: float
    nestbox_class_names: tuple[str, ...]


def parse(
    values: Mapping[str, str],
    unlearnt: float = 1.0,
    image_size: int = _SMALL_VIEWS_SIZE,
    boxes_per_image: float = 1.0,
) -> Hyperparameters:
    """Check hyperparameters as SageMaker hands them over.

    `unlearnt`: how much there is to learn beyond what a model to start from knows, 0 ... 1 (see
    `warm_start.unlearnt_share`). `image_size`: the input's side in pixels. `boxes_per_image`: how many the
    training images have on average. Defaults follow from these.

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
            problems.append(_invalid(name, text, str(error)))
    if missing := [repr(name) for name in _REQUIRED if name not in values]:
        problems.append(
            f"No value(s) were specified for {', '.join(missing)} which are required hyperparameter(s)"
        )
    problems += _contradictions(checked)
    if problems:
        raise HyperparameterError(problems)
    small = checked.get("base_network") == SMALL_NETWORK
    defaults = (
        _small_defaults(checked, unlearnt, image_size, boxes_per_image) if small else _BUILT_IN_DEFAULTS
    )
    return Hyperparameters(**{**_COMMON_DEFAULTS, **defaults, **checked})


def _contradictions(checked: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with values that are right one by one."""
    problems = []
    size = checked.get("image_shape")
    if size is not None and size < _LEAST_BUILT_IN_SIZE and checked.get("base_network") != SMALL_NETWORK:
        problems.append(
            _invalid(
                "image_shape", str(size), f"expects a positive integer of at least {_LEAST_BUILT_IN_SIZE}"
            )
        )
    names, count = checked.get("nestbox_class_names", ()), checked.get("num_classes")
    if names and count is not None and len(names) != count:
        problems.append(f"nestbox_class_names has {len(names)} names, but num_classes={count}")
    schedule = checked.get("nestbox_schedule")
    if schedule in _SMOOTH_SCHEDULES and checked.get("lr_scheduler_step"):
        problems.append(
            f"nestbox_schedule='{schedule}' knows no steps; leave lr_scheduler_step out, or ask for 'step'"
        )
    return problems


def default_small_epochs(
    training_samples: int, unlearnt: float = 1.0, image_size: int = _SMALL_VIEWS_SIZE
) -> int:
    """Return how many epochs the small network trains when nobody says: fewer passes over more images.

    >>> default_small_epochs(100), default_small_epochs(1_000_000), default_small_epochs(100, 0.1)
    (170, 30, 51)
    >>> default_small_epochs(400), default_small_epochs(400, image_size=128)
    (43, 64)
    """
    least, most = _SMALL_EPOCHS
    views = _SMALL_VIEWS * max(1.0, _SMALL_VIEWS_SIZE / image_size)
    epochs = min(max(math.ceil(views / training_samples), least), most)
    return math.ceil(epochs * _share_to_train(unlearnt))


def _share_to_train(unlearnt: float) -> float:
    return max(unlearnt, _LEAST_SHARE)


def as_text(hyperparameters: Hyperparameters) -> dict[str, str]:
    """Return the values in the spelling in which they are given, without what is derived from the data."""
    shown = {}
    for field in fields(hyperparameters):
        value = getattr(hyperparameters, field.name)
        if value is None or value == ():
            continue
        if field.name == "nestbox_class_names":
            value = json.dumps(value, ensure_ascii=False)
        elif isinstance(value, tuple):
            value = ",".join(map(str, value))
        shown[field.name] = str(value)
    return shown


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, _RULES, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"Additional hyperparameters are not allowed ({name!r} was unexpected){hint}"


def _invalid(name: str, text: str, expected: str) -> str:
    return f"The value {_shortened(text)!r} is not valid for the '{name}' hyperparameter which {expected}"


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _integer(low: int, high: float = math.inf) -> Callable[[str], int]:
    if high == math.inf:
        expected = "a positive integer" if low == 1 else f"an integer of at least {low}"
    else:
        expected = f"an integer between {low} and {high}"

    def rule(text: str) -> int:
        # "16.0" is what some clients make of an integer.
        number = _number(text, expected)
        if number != int(number) or not low <= number <= high:
            raise ValueError(f"expects {expected}")
        return int(number)

    return rule


def _number(text: str, expected: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"expects {expected}")
    return number


def _between(low: float, high: float, *, low_open: bool, high_open: bool) -> Callable[[str], float]:
    expected = f"a number in {'(' if low_open else '['}{low:g}, {high:g}{')' if high_open else ']'}"

    def rule(text: str) -> float:
        number = _number(text, expected)
        if number < low or number > high or (low_open and number == low) or (high_open and number == high):
            raise ValueError(f"expects {expected}")
        return number

    return rule


def _one_of(*choices: str) -> Callable[[str], str]:
    def rule(text: str) -> str:
        if text not in choices:
            raise ValueError(f"accepts one of the following: {', '.join(map(repr, choices))}")
        return text

    return rule


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false", "0", "1"):
        raise ValueError("accepts one of the following: 'True', 'False', '1', '0'")
    return text.lower() in ("true", "1")


def _epoch_list(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    try:
        epochs = tuple(map(_integer(1), parts))
    except ValueError:
        raise ValueError('expects epochs separated by commas, such as "33,67"') from None
    if any(later <= earlier for earlier, later in pairwise(epochs)):
        raise ValueError("expects epochs that rise")
    return epochs


def _pattern(text: str) -> str:
    # SageMaker's console sends "false" for no pattern.
    if text.lower() in ("false", "none"):
        return ""
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"expects a regular expression: {error}") from None
    return text


def _class_names(text: str) -> tuple[str, ...]:
    """Read a JSON list, or names separated by commas."""
    names: Any = text.split(",") if text else []
    if text.startswith("["):
        try:
            names = json.loads(text)
        except ValueError as error:
            raise ValueError(f"expects a JSON list of names: {error}") from None
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise ValueError('expects names, such as ["cardinal", "wren"]')
    stripped = tuple(name.strip() for name in names)
    if len(set(stripped)) < len(stripped):
        raise ValueError("expects every name once")
    return stripped


_RULES: dict[str, Callable[[str], Any]] = {
    "num_classes": _integer(1),
    "num_training_samples": _integer(1),
    "base_network": _one_of(*BASE_NETWORKS),
    "use_pretrained_model": _truth,
    "epochs": _integer(1),
    "mini_batch_size": _integer(1),
    "image_shape": _integer(64, 2048),
    "label_width": _integer(1),
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
    "early_stopping_min_epochs": _integer(1),
    "early_stopping_patience": _integer(1),
    "early_stopping_tolerance": _between(0, 1, low_open=False, high_open=False),
    "freeze_layer_pattern": _pattern,
    # "device" is what the built-in algorithm itself means by none.
    "kv_store": _one_of("", "device", "dist_sync", "dist_async"),
    "nestbox_seed": _integer(0, _MOST_SEED),
    "nestbox_loss": _one_of("cross_entropy", "focal"),
    "nestbox_schedule": _one_of("auto", *_SMOOTH_SCHEDULES, "step"),
    "nestbox_progressive": _truth,
    "nestbox_weight_decay": _between(0, 1, low_open=False, high_open=False),
    "nestbox_mosaic": _between(0, 1, low_open=False, high_open=False),
    "nestbox_class_names": _class_names,
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
    "nestbox_seed": 0,
    "nestbox_loss": "cross_entropy",
    "nestbox_schedule": "auto",
    "nestbox_progressive": True,
    "nestbox_class_names": (),
}

_BUILT_IN_DEFAULTS: dict[str, Any] = {
    "epochs": 30,
    "mini_batch_size": 32,
    "image_shape": 300,
    "optimizer": "sgd",
    "learning_rate": 0.001,
    "weight_decay": 0.0005,
    "nestbox_weight_decay": 0.0,
    "nestbox_mosaic": 0.0,
}


def _small_defaults(
    checked: Mapping[str, Any], unlearnt: float, image_size: int, boxes_per_image: float
) -> dict[str, Any]:
    samples = checked["num_training_samples"]
    epochs = default_small_epochs(samples, unlearnt, image_size)
    batch_size = 16
    steps = checked.get("epochs", epochs) * math.ceil(samples / checked.get("mini_batch_size", batch_size))
    return {
        "epochs": epochs,
        "mini_batch_size": batch_size,
        "image_shape": None,
        "optimizer": "adam",
        "learning_rate": _SMALL_RATE * _share_to_train(unlearnt),
        "weight_decay": 0.0,
        "nestbox_weight_decay": min(_DECAY_STEPS * _share_to_train(unlearnt) / steps, _MOST_DECAY),
        "nestbox_mosaic": _SMALL_MOSAIC if boxes_per_image <= _MOST_BOXES_FOR_MOSAICS else 0.0,
    }
