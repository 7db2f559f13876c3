"""What the data preparation job tells the pipeline about one run: `summary.json`.

Written by `dataprep_job` as the last object of a preparation, read by the functions. Standard library only,
because both sides import it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

SCHEMA = 1
Outcome = Literal["READY", "BLOCKED"]


class PrepSummaryError(ValueError):
    """A summary that `dataprep_job` cannot have written. The message names the field."""


@dataclass(frozen=True, kw_only=True)
class PrepSummary:
    """Counts and choices of one prepared dataset. Every count is of the whole dataset unless named otherwise.

    `classes` lists names in id order (ids are 0-based and never change their meaning). `label_width` is the
    hyperparameter of that name: the longest label over all splits, header included. `image_size` is the
    length in pixels that the shorter edge of packed photos was reduced to. `validation_is_test` says that the
    dataset names no separate test split, so the validation split both chooses the best epoch and judges the
    run. `config` holds the checked `training` and `gate` sections of `nestbox.yaml`. `quiet_period` is the
    seconds without uploads that it asks for, None where it does not.
    """

    run: str
    dataset: str
    outcome: Outcome
    reasons: list[str] = field(default_factory=list)
    images: int = 0
    usable_images: int = 0
    boxes: int = 0
    train_images: int = 0
    train_samples: int = 0
    validation_images: int = 0
    test_images: int = 0
    classes: list[str] = field(default_factory=list)
    class_boxes: dict[str, int] = field(default_factory=dict)
    label_width: int = 0
    defects: dict[str, int] = field(default_factory=lambda: {"error": 0, "warning": 0})
    image_size: int = 0
    validation_is_test: bool = True
    config: dict[str, dict[str, Any]] = field(default_factory=lambda: {"training": {}, "gate": {}})
    quiet_period: float | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> str:
        """The text of `summary.json`: one JSON object, `schema` first."""
        return (
            json.dumps({"schema": SCHEMA, **asdict(self)}, indent=2, ensure_ascii=False, allow_nan=False)
            + "\n"
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> PrepSummary:
        """Read and check `summary.json`.

        Unknown fields are ignored (a newer job may say more); `test_images` and `quiet_period` may be absent.

        Raises:
            PrepSummaryError: no JSON object, another schema, or a field that is missing or ill-typed.
        """
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise PrepSummaryError(f"The preparation summary is no JSON: {error}") from error
        if not isinstance(document, dict):
            raise PrepSummaryError(
                f"The preparation summary is no JSON object but {type(document).__name__}."
            )
        if document.get("schema") != SCHEMA:
            raise PrepSummaryError(
                f"The preparation summary has schema {document.get('schema')!r}, this code reads {SCHEMA}: "
                "deploy functions and dataprep_job of the same release."
            )
        values: dict[str, Any] = {}
        for name in (one.name for one in fields(cls)):
            if name not in document:
                if name in _OPTIONAL:
                    continue
                raise PrepSummaryError(f"The preparation summary lacks the field {name!r}.")
            expected, holds = _RULES[name]
            if not holds(document[name]):
                raise PrepSummaryError(
                    f"Field {name!r} of the summary must be {expected}, not {document[name]!r:.80}"
                )
            values[name] = document[name]
        return cls(**values)


_OPTIONAL = {"test_images", "quiet_period"}


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_counts(value: object) -> bool:
    return isinstance(value, dict) and all(_is_count(one) for one in value.values())


def _is_severities(value: object) -> bool:
    return _is_counts(value) and isinstance(value, dict) and set(value) >= {"error", "warning"}


def _is_config(value: object) -> bool:
    return (
        isinstance(value, dict)
        and set(value) >= {"training", "gate"}
        and all(isinstance(section, dict) for section in value.values())
    )


def _is_duration(value: object) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    )


def _is_durations(value: object) -> bool:
    return isinstance(value, dict) and all(_is_duration(one) for one in value.values())


_COUNT: tuple[str, Callable[[object], bool]] = ("a whole number, 0 or more", _is_count)

_RULES: dict[str, tuple[str, Callable[[object], bool]]] = {
    "run": ("a text", _is_text),
    "dataset": ("a text", _is_text),
    "outcome": (" or ".join(get_args(Outcome)), lambda value: value in get_args(Outcome)),
    "reasons": ("a list of texts", _is_texts),
    "images": _COUNT,
    "usable_images": _COUNT,
    "boxes": _COUNT,
    "train_images": _COUNT,
    "train_samples": _COUNT,
    "validation_images": _COUNT,
    "test_images": _COUNT,
    "classes": ("a list of texts", _is_texts),
    "class_boxes": ("an object of whole numbers", _is_counts),
    "label_width": _COUNT,
    "defects": ("an object with the whole numbers error and warning", _is_severities),
    "image_size": _COUNT,
    "validation_is_test": ("true or false", lambda value: isinstance(value, bool)),
    "config": ("an object with the objects training and gate", _is_config),
    "quiet_period": ("a number of seconds or null", lambda value: value is None or _is_duration(value)),
    "seconds": ("an object of finite numbers", _is_durations),
}
