"""The hyperparameters of a training job from what was prepared and what ``nestbox.yaml`` asks for.

Of the built-in algorithm: names and ranges at
docs.aws.amazon.com/sagemaker/latest/dg/object-detection-api-config.html; values as in AWS's public notebook
``object_detection_birds``. Our own detector derives what it is not told from the data; what only it knows
begins with ``nestbox_``.
"""

import json
from collections.abc import Mapping
from typing import Any

from nestbox.errors import UntrainableError
from nestbox.prep_summary import PrepSummary
from nestbox.settings import DetectorKind

BUILT_IN_BASE_NETWORKS = ("resnet-50", "vgg-16")
_BUILT_IN_EPOCHS = 100
_BUILT_IN_BATCH = 16
_NOT_HYPERPARAMETERS = frozenset({"warm_start"})
_OURS = "nestbox_"
_BUILT_IN_LEAST_SIZE = 300
# CreateTrainingJob takes no longer value.
_MOST_CHARACTERS = 2500


def hyperparameters(
    kind: DetectorKind, base_network: str, default_epochs: int, summary: PrepSummary
) -> dict[str, str]:
    """All that CreateTrainingJob is told, as texts.

    ``base_network`` and ``default_epochs`` (0: the detector's own default) are the stack's; the section
    ``training`` of nestbox.yaml wins over them. Raises UntrainableError.
    """
    wishes = {
        name: value for name, value in summary.config["training"].items() if name not in _NOT_HYPERPARAMETERS
    }
    network = str(wishes.get("base_network", base_network))
    if (
        network in BUILT_IN_BASE_NETWORKS
        and int(wishes.get("image_shape", _BUILT_IN_LEAST_SIZE)) < _BUILT_IN_LEAST_SIZE
    ):
        raise UntrainableError(
            f"training.image_shape is {wishes['image_shape']}, but {network} takes at least "
            f"{_BUILT_IN_LEAST_SIZE} pixels; raise it, or choose the base_network nestbox-small"
        )
    values: dict[str, Any] = {"base_network": network}
    if kind is DetectorKind.BUILT_IN:
        if network not in BUILT_IN_BASE_NETWORKS:
            raise UntrainableError(
                f"base_network {network!r} needs Nestbox's own detector; this stack trains with SageMaker's "
                f"built-in algorithm, which has {' and '.join(BUILT_IN_BASE_NETWORKS)} "
                "(set training.base_network in nestbox.yaml, or the stack's BaseNetwork or DetectorImage)"
            )
        if ours := sorted(name for name in wishes if name.startswith(_OURS)):
            raise UntrainableError(
                f"training.{ours[0]} is for Nestbox's own detector; this stack trains with SageMaker's "
                "built-in algorithm (leave it out of nestbox.yaml, or set the stack's DetectorImage)"
            )
        values |= _built_in(int(wishes.get("epochs", default_epochs or _BUILT_IN_EPOCHS)))
    else:
        if default_epochs:
            values["epochs"] = default_epochs
        names = json.dumps(summary.classes, ensure_ascii=False)
        if len(names) <= _MOST_CHARACTERS:
            values["nestbox_class_names"] = names
    values |= wishes
    values |= {
        "num_classes": len(summary.classes),
        "num_training_samples": summary.train_samples,
        "label_width": summary.label_width,
    }
    if "mini_batch_size" in values:
        values["mini_batch_size"] = max(1, min(int(values["mini_batch_size"]), summary.train_samples))
    return {name: _text(value) for name, value in sorted(values.items())}


def _built_in(epochs: int) -> dict[str, Any]:
    steps = sorted({step for step in (round(epochs / 3), round(epochs * 2 / 3)) if 0 < step < epochs})
    values: dict[str, Any] = {
        "use_pretrained_model": 1,
        "mini_batch_size": _BUILT_IN_BATCH,
        "epochs": epochs,
        "learning_rate": 0.001,
        "optimizer": "sgd",
        "momentum": 0.9,
        "weight_decay": 0.0005,
        "overlap_threshold": 0.5,
        "nms_threshold": 0.45,
        "image_shape": 512,
    }
    if steps:
        values |= {"lr_scheduler_step": steps, "lr_scheduler_factor": 0.1}
    return values


def _text(value: Any) -> str:
    if isinstance(value, float):
        return format(value, ".10g")
    if isinstance(value, list | tuple):
        return ",".join(_text(one) for one in value)
    return str(value)


def may_warm_start(
    kind: DetectorKind,
    wanted: Mapping[str, str],
    summary: PrepSummary,
    champion_classes: list[str],
    champion_hyperparameters: Mapping[str, str],
) -> bool:
    """Whether training can start from the champion's weights (channel ``model``).

    Only the same network fits, and class ids must mean the same. Ours grows new classes at the end of the
    list; the built-in algorithm needs the same number of classes (its documentation of incremental training).
    """
    if summary.config["training"].get("warm_start", True) is False or not champion_classes:
        return False
    if champion_hyperparameters.get("base_network") != wanted["base_network"]:
        return False
    if kind is DetectorKind.BUILT_IN:
        return champion_classes == summary.classes
    return champion_classes == summary.classes[: len(champion_classes)]
