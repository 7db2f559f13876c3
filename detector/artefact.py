"""The trained model as files: what `model.tar.gz` holds, self-describing and readable without this package.

`detector.json` describes the model, `detector-symbol.json` is the network as an MXNet graph with input
`data`, and `detector-0000.params` holds its weights.
"""

import json
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detector.anchors import AnchorPlan
from detector.errors import ArtefactError, ShortageError
from detector.hyperparameters import BASE_NETWORKS
from detector.mxnet_runtime import mx, plain_message
from detector.weights import Weights

FORMAT = "nestbox-detector"
FORMAT_VERSION = 1

DESCRIPTION_FILE = "detector.json"
_SYMBOL = "detector-symbol.json"
_PARAMETERS = "detector-0000.params"
_ARCHIVE = "model.tar.gz"


@dataclass(frozen=True)
class Description:
    """What a model is and how it came to be. It has no scores when the job was stopped before the first.

    average_precision: by class id, as text, of the validation set at `overlap_threshold`. classes: names by
    class id, empty when nobody told them. hyperparameters: all values, as they may be given again.
    operating_thresholds: by class id, as text, the score from which a detection is worth showing.
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
        }
        if self.validation_map is not None:
            content["validation_map"] = self.validation_map
            content["average_precision"] = dict(self.average_precision)
        return content


@dataclass(frozen=True)
class Artefact:
    """A model as read from its files: its description, its graph (an MXNet symbol) and its weights."""

    description: Description
    symbol: Any
    weights: Weights


def write_artefact(folder: Path, description: Description, network: Any, weights: Weights) -> None:
    """Write a model. Each file appears whole or not at all, the description last.

    Raises ShortageError when the disk does not take it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    symbol = mx.sym.Group(list(network(mx.sym.var("data"))))
    auxiliary = set(symbol.list_auxiliary_states())
    parameters = {
        f"{'aux' if name in auxiliary else 'arg'}:{name}": mx.nd.array(value)
        for name, value in weights.items()
    }
    with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as name:
        temporary = Path(name)
        _save(temporary / _PARAMETERS, parameters)
        (temporary / _SYMBOL).write_text(symbol.tojson(), encoding="utf-8")
        (temporary / DESCRIPTION_FILE).write_text(
            json.dumps(description.to_json(), indent=1), encoding="utf-8"
        )
        for file in (_PARAMETERS, _SYMBOL, DESCRIPTION_FILE):
            (temporary / file).replace(folder / file)


def _save(path: Path, parameters: Mapping[str, Any]) -> None:
    try:
        mx.nd.save(str(path), parameters)
        # MXNet does not notice when a file's last bytes find no place, so the file is read back.
        mx.nd.load(str(path))
    except mx.MXNetError as error:
        raise ShortageError(
            f"the weights cannot be written ({plain_message(error)}); give the job a larger volume"
        ) from error


def read_artefact(folder: Path) -> Artefact:
    """Read a model from its folder. Raises ArtefactError if a file is missing, damaged or foreign."""
    description = _read_description(folder / DESCRIPTION_FILE)
    for file in (_SYMBOL, _PARAMETERS):
        if not (folder / file).is_file():
            raise ArtefactError(f"{file} is missing beside {DESCRIPTION_FILE}; use a whole model.tar.gz")
    try:
        symbol = mx.sym.load(str(folder / _SYMBOL))
        parameters = mx.nd.load(str(folder / _PARAMETERS))
    except mx.MXNetError as error:
        raise ArtefactError(f"the model's files are damaged: {plain_message(error)}") from error
    return Artefact(
        description, symbol, {name.split(":", 1)[1]: v.asnumpy() for name, v in parameters.items()}
    )


def read_channel(folder: Path) -> Artefact:
    """Read a model from a `model` channel: `model.tar.gz` or its content. Raises ArtefactError."""
    archives = sorted(folder.rglob(_ARCHIVE))
    if not archives:
        descriptions = sorted(folder.rglob(DESCRIPTION_FILE))
        if not descriptions:
            raise ArtefactError(f"channel 'model' holds neither {_ARCHIVE} nor {DESCRIPTION_FILE}")
        return read_artefact(descriptions[0].parent)
    with tempfile.TemporaryDirectory() as name:
        try:
            with tarfile.open(archives[0], "r:gz") as archive:
                members = [
                    m for m in archive if Path(m.name).name in (DESCRIPTION_FILE, _SYMBOL, _PARAMETERS)
                ]
                archive.extractall(name, members, filter="data")
        except (tarfile.TarError, OSError, EOFError) as error:
            raise ArtefactError(f"{_ARCHIVE} cannot be unpacked: {error}") from error
        found = sorted(Path(name).rglob(DESCRIPTION_FILE))
        if not found:
            raise ArtefactError(f"{_ARCHIVE} was made by another algorithm: it holds no {DESCRIPTION_FILE}")
        return read_artefact(found[0].parent)


def _read_description(path: Path) -> Description:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtefactError(f"no model in {path.parent}: {path.name} is missing") from None
    except ValueError as error:
        raise ArtefactError(f"{path.name} is no JSON: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ArtefactError(f"{path.name} describes no {FORMAT} model")
    if content.get("format_version") != FORMAT_VERSION:
        raise ArtefactError(
            f"the model has format version {content.get('format_version')}; this reads {FORMAT_VERSION}"
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
