"""What a model says about itself: `detector.json`, which lies beside its network and weights."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detector.anchors import AnchorPlan
from detector.errors import ArtefactError
from detector.hyperparameters import BASE_NETWORKS

FORMAT = "nestbox-detector"
FORMAT_VERSION = 2
"""2 brought `detector.onnx`; models of version 1 are read as well."""
_READABLE = (1, FORMAT_VERSION)

DESCRIPTION_FILE = "detector.json"


@dataclass(frozen=True)
class Description:
    """What a model is and how it came to be. It has no scores when the job was stopped before the first.

    average_precision: by class id, as text, of the validation set at `overlap_threshold`. classes: names by
    class id, empty when nobody told them. hyperparameters: all values, as they may be given again.
    operating_thresholds: by class id, as text, the score from which a detection is worth showing.
    validation: everything measured on the validation set, see `evaluation.summary.Summary.to_json`.
    """

    base_network: str
    num_classes: int
    plan: AnchorPlan
    nms_threshold: float
    overlap_threshold: float
    training_samples: int
    best_epoch: int
    validation_map: float | None = None
    average_precision: Mapping[str, float] = field(default_factory=dict)
    warm_start: bool = False
    classes: tuple[str, ...] = ()
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    operating_thresholds: Mapping[str, float] = field(default_factory=dict)
    validation: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the content of `detector.json`."""
        content: dict[str, Any] = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "base_network": self.base_network,
            "num_classes": self.num_classes,
            "plan": self.plan.to_json(),
            "nms_threshold": self.nms_threshold,
            "overlap_threshold": self.overlap_threshold,
            "training_samples": self.training_samples,
            "best_epoch": self.best_epoch,
            "warm_start": self.warm_start,
            "classes": list(self.classes),
            "hyperparameters": dict(self.hyperparameters),
            "operating_thresholds": dict(self.operating_thresholds),
            "validation": dict(self.validation),
        }
        if self.validation_map is not None:
            content["validation_map"] = self.validation_map
            content["average_precision"] = dict(self.average_precision)
        return content


def read_description(path: Path) -> Description:
    """Read `detector.json`. Raises ArtefactError if it is missing, damaged or foreign."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtefactError(f"no model in {path.parent}: {path.name} is missing") from None
    except ValueError as error:
        raise ArtefactError(f"{path.name} is no JSON: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ArtefactError(f"{path.name} describes no {FORMAT} model")
    if content.get("format_version") not in _READABLE:
        raise ArtefactError(
            f"the model has format version {content.get('format_version')}; this reads up to {FORMAT_VERSION}"
        )
    try:
        description = Description(
            base_network=str(content["base_network"]),
            num_classes=int(content["num_classes"]),
            plan=AnchorPlan.from_json(content["plan"]),
            nms_threshold=float(content["nms_threshold"]),
            overlap_threshold=float(content["overlap_threshold"]),
            training_samples=int(content["training_samples"]),
            best_epoch=int(content["best_epoch"]),
            validation_map=content.get("validation_map"),
            average_precision=content.get("average_precision", {}),
            warm_start=bool(content["warm_start"]),
            classes=tuple(map(str, content.get("classes", ()))),
            hyperparameters=dict(content.get("hyperparameters", {})),
            operating_thresholds=dict(content.get("operating_thresholds", {})),
            validation=dict(content.get("validation", {})),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(f"{path.name} is incomplete: {error!r}") from error
    if description.classes and len(description.classes) != description.num_classes:
        raise ArtefactError(
            f"{path.name} names {len(description.classes)} classes of {description.num_classes}"
        )
    if description.base_network not in BASE_NETWORKS:
        raise ArtefactError(f"{path.name} names an unknown base network {description.base_network!r}")
    return description
