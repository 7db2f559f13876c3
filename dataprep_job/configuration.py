"""`nestbox.yaml`: what a dataset's owner may choose.

Unknown keys and bad values are defects that name the key; its default then holds.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import yaml

from dataprep_job.defects import DefectLog, Place
from dataprep_job.yaml_depth import refuse_deep

FILE_NAME = "nestbox.yaml"
MAX_BYTES = 64 << 10

DEFAULT_VALIDATION = 0.2
DEFAULT_RESIZE = 512
"""The notebook trains at 512 px; smaller networks scale down while they read."""
DEFAULT_QUALITY = 95


@dataclass(frozen=True, slots=True)
class Configuration:
    """The checked choices of one dataset.

    Attributes:
        rename: class names to replace, old to new.
        ignore: class names (after renaming) whose boxes are dropped.
        validation: share of pictures that is held out where the data names no split, 0 < share < 1.
        resize: pixels that the shorter edge of packed photos is reduced to.
        flip: whether the train split gets mirrored copies.
        quality: JPEG quality of packed photos, 1 to 100.
        training: hyperparameters for the training job, by the built-in algorithm's names.
        gate: limits for the decision whether a model is served.
        quiet_period: seconds without uploads before a run starts; None: the stack's own.
    """

    rename: dict[str, str] = field(default_factory=dict)
    ignore: frozenset[str] = frozenset()
    validation: float = DEFAULT_VALIDATION
    resize: int = DEFAULT_RESIZE
    flip: bool = True
    quality: int = DEFAULT_QUALITY
    training: dict[str, Any] = field(default_factory=dict)
    gate: dict[str, Any] = field(default_factory=dict)
    quiet_period: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {**asdict(self), "ignore": sorted(self.ignore)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Configuration:
        """From what `to_dict` gave."""
        return cls(**{**values, "ignore": frozenset(values["ignore"])})


@dataclass(frozen=True, slots=True)
class _Rule:
    """What one key may hold. `read` gives the value to use and raises ValueError for what it may not hold."""

    expected: str
    read: Callable[[object], Any]


def _whole(low: int, high: int) -> _Rule:
    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError
        return value

    return _Rule(f"a whole number from {low} to {high}", read)


def _number(low: float, high: float, *, above: bool = False, below: bool = False) -> _Rule:
    """`above`, `below`: without that end itself."""

    def read(value: object) -> float:
        # YAML 1.1 takes 1e-3 (without a point) for a text.
        number = (
            float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
        )
        if not low <= number <= high or (above and number == low) or (below and number == high):
            raise ValueError
        return number

    return _Rule(
        f"a number {'above' if above else 'from'} {low:g} {'and below' if below else 'to'} {high:g}", read
    )


def _one_of(*choices: str) -> _Rule:
    def read(value: object) -> str:
        if value not in choices:
            raise ValueError
        return str(value)

    return _Rule("one of " + ", ".join(choices), read)


def _read_bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _read_steps(value: object) -> str:
    steps = str(value).split(",") if isinstance(value, str | int) and not isinstance(value, bool) else value
    if not isinstance(steps, list) or not steps:
        raise ValueError
    numbers = [int(str(step)) for step in steps]
    if any(number < 1 for number in numbers) or sorted(set(numbers)) != numbers:
        raise ValueError
    return ",".join(map(str, numbers))


def _read_pattern(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError from error
    return value


def _read_names(value: object) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) and name.strip() for name in value):
        raise ValueError
    return frozenset(name.strip() for name in value)


def _read_renames(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise TypeError
    for old, new in value.items():
        if not isinstance(old, str) or not isinstance(new, str) or not new.strip():
            raise ValueError
    return {old.strip(): new.strip() for old, new in value.items()}


_BOOL = _Rule("true or false", _read_bool)

# Names, types and ranges of the built-in Object Detection algorithm's hyperparameters (SageMaker developer
# guide) and of our detector's own; num_classes, num_training_samples, label_width and the class names are
# absent: they are computed. A test holds that the detector takes whatever is taken here.
_BUILT_IN_LEAST_SIZE = 300
_SMOOTH_SCHEDULES = ("trapezoid", "cosine")
_TRAINING: dict[str, _Rule] = {
    "base_network": _one_of("nestbox-small", "resnet-50", "vgg-16"),
    "early_stopping": _BOOL,
    "early_stopping_min_epochs": _whole(1, 100_000),
    "early_stopping_patience": _whole(1, 100_000),
    "early_stopping_tolerance": _number(0, 1),
    "epochs": _whole(1, 100_000),
    "freeze_layer_pattern": _Rule("a regular expression", _read_pattern),
    "image_shape": _whole(64, 2048),
    "learning_rate": _number(0, 1, above=True),
    "lr_scheduler_factor": _number(0, 1, above=True, below=True),
    "lr_scheduler_step": _Rule("rising epochs, such as [33, 67]", _read_steps),
    "mini_batch_size": _whole(1, 4096),
    "momentum": _number(0, 1, above=True),
    "nestbox_loss": _one_of("cross_entropy", "focal"),
    "nestbox_mosaic": _number(0, 1),
    "nestbox_progressive": _BOOL,
    "nestbox_schedule": _one_of("auto", *_SMOOTH_SCHEDULES, "step"),
    "nestbox_seed": _whole(0, 2**31 - 1),
    "nestbox_weight_decay": _number(0, 1),
    "nms_threshold": _number(0, 1, above=True),
    "optimizer": _one_of("sgd", "adam", "rmsprop", "adadelta"),
    "overlap_threshold": _number(0, 1, above=True),
    "use_pretrained_model": _Rule("0 or 1", lambda value: _read_flag(value)),
    "warm_start": _BOOL,
    "weight_decay": _number(0, 1, below=True),
}

_GATE: dict[str, _Rule] = {
    "min_map": _number(0, 1),
    "min_improvement": _number(-1, 1),
    "max_class_drop": _number(0, 1),
}

_SECTIONS: dict[str, dict[str, _Rule]] = {
    "classes": {
        "rename": _Rule("class names, old: new", _read_renames),
        "ignore": _Rule("a list of class names", _read_names),
    },
    "split": {"validation": _number(0, 0.9, above=True, below=True)},
    "images": {"resize": _whole(32, 4096), "flip": _BOOL, "quality": _whole(1, 100)},
    "training": _TRAINING,
    "gate": _GATE,
}

_TOP: dict[str, _Rule] = {"quiet_period": _number(0, 43_200)}


def _read_flag(value: object) -> int:
    if value not in (0, 1):
        raise ValueError
    return int(bool(value))


def read_configuration(data: bytes, path: str, log: DefectLog) -> Configuration:
    """Read `nestbox.yaml`; every mistake becomes a defect that names its key and line."""
    if len(data) > MAX_BYTES:
        log.add(
            "config.unreadable", Place(path), f"The file has {len(data):,} bytes; {MAX_BYTES:,} are allowed."
        )
        return Configuration()
    try:
        refuse_deep(data)
        document = yaml.safe_load(data)
        lines = _key_lines(yaml.compose(data, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark is not None else None
        log.add(
            "config.unreadable", Place(path, where), f"Not YAML: {getattr(error, 'problem', None) or error}."
        )
        return Configuration()
    except (RecursionError, ValueError) as error:  # nesting bombs; dates that do not exist
        log.add("config.unreadable", Place(path), f"Not YAML that can be read: {error}.")
        return Configuration()
    if document is None:
        return Configuration()
    if not isinstance(document, dict):
        log.add(
            "config.unreadable", Place(path), "The file must hold keys, such as 'training: {epochs: 30}'."
        )
        return Configuration()
    return _Checker(path, lines, log).check(document)


class _Checker:
    def __init__(self, path: str, lines: dict[str, int], log: DefectLog) -> None:
        self._path = path
        self._lines = lines
        self._log = log

    def check(self, document: dict[Any, Any]) -> Configuration:
        sections: dict[str, dict[str, Any]] = {name: {} for name in _SECTIONS}
        top: dict[str, Any] = {}
        for key, value in document.items():
            if key in _SECTIONS:
                if isinstance(value, dict):
                    sections[key] = self._values(value, _SECTIONS[key], f"{key}.")
                elif value is not None:
                    self._bad(str(key), "a section with keys of its own", value)
            elif key in _TOP:
                top |= self._values({key: value}, _TOP, "")
            else:
                self._unknown(str(key), str(key), [*_SECTIONS, *_TOP])
        self._check_together(sections["training"])
        classes, images = sections["classes"], sections["images"]
        return Configuration(
            rename=classes.get("rename", {}),
            ignore=classes.get("ignore", frozenset()),
            validation=sections["split"].get("validation", DEFAULT_VALIDATION),
            resize=images.get("resize", DEFAULT_RESIZE),
            flip=images.get("flip", True),
            quality=images.get("quality", DEFAULT_QUALITY),
            training=sections["training"],
            gate=sections["gate"],
            quiet_period=top.get("quiet_period"),
        )

    def _values(self, found: dict[Any, Any], rules: dict[str, _Rule], prefix: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in found.items():
            if key not in rules:
                self._unknown(f"{prefix}{key}", str(key), list(rules))
                continue
            try:
                values[key] = rules[key].read(value)
            except (ValueError, TypeError):
                self._bad(f"{prefix}{key}", rules[key].expected, value)
        return values

    def _check_together(self, training: dict[str, Any]) -> None:
        """Take out values that are right by themselves but not beside another; the other one holds."""
        size, network = training.get("image_shape"), training.get("base_network")
        if size is not None and size < _BUILT_IN_LEAST_SIZE and network in ("resnet-50", "vgg-16"):
            expected = f"at least {_BUILT_IN_LEAST_SIZE} for base_network {network}"
            self._bad("training.image_shape", expected, training.pop("image_shape"))
        schedule = training.get("nestbox_schedule")
        if schedule in _SMOOTH_SCHEDULES and "lr_scheduler_step" in training:
            expected = f"left out where nestbox_schedule is {schedule}"
            self._bad("training.lr_scheduler_step", expected, training.pop("lr_scheduler_step"))

    def _unknown(self, full: str, key: str, known: list[str]) -> None:
        close = difflib.get_close_matches(key, known, 1)
        meant = f" Did you mean {close[0]!r}?" if close else f" Known here: {', '.join(known)}."
        self._log.add(
            "config.unknown-key", self._place(full), f"{full!r:.120} is no key of nestbox.yaml.{meant}"
        )

    def _bad(self, full: str, expected: str, value: object) -> None:
        is_long = isinstance(value, dict | list) or (isinstance(value, int) and abs(value) >> 64)
        shown = f"a {type(value).__name__}" if is_long else repr(value)
        self._log.add("config.bad-value", self._place(full), f"{full!r} must be {expected}, not {shown:.80}.")

    def _place(self, full: str) -> Place:
        line = self._lines.get(full)
        return Place(self._path, f"line {line}" if line else None)


def _key_lines(root: yaml.Node | None) -> dict[str, int]:
    """Lines (1-based) of the keys of the first two levels, by dotted name."""
    lines: dict[str, int] = {}
    if isinstance(root, yaml.MappingNode):
        for key, value in root.value:
            lines[str(key.value)] = key.start_mark.line + 1
            if isinstance(value, yaml.MappingNode):
                for inner, _ in value.value:
                    lines[f"{key.value}.{inner.value}"] = inner.start_mark.line + 1
    return lines
