"""The trained model as files: what `model.tar.gz` holds, self-describing and readable without this package.

`detector.json` describes the model. `detector.onnx` is the network as it is served, see `onnx_graph`; reading
it needs no MXNet. To train on from, `detector-symbol.json` is the network as an MXNet graph with input
`data`, and `detector-0000.params` holds its weights.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detector.description import DESCRIPTION_FILE, Description, read_description
from detector.errors import ArtefactError, ShortageError
from detector.images import INPUT_SCALE, MEAN_RGB
from detector.model_files import ONNX_FILE, PARAMETERS_FILE, SYMBOL_FILE, model_folder
from detector.mxnet_runtime import mx, plain_message
from detector.onnx_graph import to_onnx
from detector.weights import Weights


@dataclass(frozen=True)
class Artefact:
    """A model as read from its files: its description, its graph (an MXNet symbol) and its weights."""

    description: Description
    symbol: Any
    weights: Weights

    def to_onnx(self) -> bytes:
        """Return the network as ONNX, with all in its metadata that its use needs. Raises ArtefactError."""
        description = self.description
        metadata = {
            "classes": list(description.classes),
            "operating_thresholds": dict(description.operating_thresholds),
            "nms_threshold": description.nms_threshold,
            "input": {
                "size": description.plan.image_size,
                "colour": "RGB",
                "mean": [round(float(value), 3) for value in MEAN_RGB],
                "divisor": float(INPUT_SCALE),
            },
            DESCRIPTION_FILE: description.to_json(),
        }
        texts = {name: json.dumps(value) for name, value in metadata.items()}
        return bytes(to_onnx(self.symbol.tojson(), self.weights, description.plan, texts).SerializeToString())


def graph_of(network: Any) -> Any:
    """Return a network as an MXNet symbol with input `data`."""
    return mx.sym.Group(list(network(mx.sym.var("data"))))


def write_artefact(folder: Path, artefact: Artefact, onnx: bytes | None = None) -> None:
    """Write a model. Each file appears whole or not at all, the description last.

    onnx: what `Artefact.to_onnx` returned, where that has been asked before. Raises ShortageError when the
    disk does not take it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    auxiliary = set(artefact.symbol.list_auxiliary_states())
    parameters = {
        f"{'aux' if name in auxiliary else 'arg'}:{name}": mx.nd.array(value)
        for name, value in artefact.weights.items()
    }
    with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as name:
        temporary = Path(name)
        _save(temporary / PARAMETERS_FILE, parameters)
        (temporary / SYMBOL_FILE).write_text(artefact.symbol.tojson(), encoding="utf-8")
        (temporary / ONNX_FILE).write_bytes(onnx or artefact.to_onnx())
        (temporary / DESCRIPTION_FILE).write_text(
            json.dumps(artefact.description.to_json(), indent=1), encoding="utf-8"
        )
        for file in (PARAMETERS_FILE, SYMBOL_FILE, ONNX_FILE, DESCRIPTION_FILE):
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
    description = read_description(folder / DESCRIPTION_FILE)
    for file in (SYMBOL_FILE, PARAMETERS_FILE):
        if not (folder / file).is_file():
            raise ArtefactError(f"{file} is missing beside {DESCRIPTION_FILE}; use a whole model.tar.gz")
    try:
        symbol = mx.sym.load(str(folder / SYMBOL_FILE))
        parameters = mx.nd.load(str(folder / PARAMETERS_FILE))
    except mx.MXNetError as error:
        raise ArtefactError(f"the model's files are damaged: {plain_message(error)}") from error
    return Artefact(
        description, symbol, {name.split(":", 1)[1]: v.asnumpy() for name, v in parameters.items()}
    )


def read_channel(folder: Path) -> Artefact:
    """Read a model from a `model` channel: `model.tar.gz` or its content. Raises ArtefactError."""
    with model_folder(folder) as model:
        return read_artefact(model)
