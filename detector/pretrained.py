"""Starting a built-in base network from ImageNet weights, as MXNet's two model zoos publish them.

They are looked for in channel `model`, then in /opt/nestbox/pretrained (or the folder that
`NESTBOX_PRETRAINED` names), and last in Gluon's zoo where there is a network (`MXNET_GLUON_REPO` names a
mirror). The image itself brings none.
"""

import http.client
import os
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.description import DESCRIPTION_FILE
from detector.errors import ArtefactError
from detector.images import INPUT_SCALE
from detector.mxnet_runtime import mx, plain_message
from detector.weights import Weights

Tensor = npt.NDArray[np.float32]

PRETRAINED_FOLDER = Path("/opt/nestbox/pretrained")
_FOLDER_VARIABLE = "NESTBOX_PRETRAINED"

# By base network: what the weight files' names begin with, and the network's name in Gluon's zoo.
_FILE_PREFIXES = {"resnet-50": ("resnet-50-", "resnet50_v2-"), "vgg-16": ("vgg16",)}
_GLUON_NAMES = {"resnet-50": "resnet50_v2", "vgg-16": "vgg16"}

_store = mx.gluon.model_zoo.model_store
_SECONDS_TO_ANSWER = 10.0
_SECONDS_TO_LOAD = 600.0
_CHUNK = 2**20

# The symbol zoo's networks were trained on RGB with the mean taken off but not scaled; ours see it divided.
_FIRST_CONVOLUTION = "conv1_1_weight"
_INPUT_NORM = "bn_data_running_"
# Gluon's were trained on RGB in 0..1, less the mean and divided by this.
_GLUON_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32) * 255

_VGG_LAYERS = tuple(
    f"conv{block}_{layer}" for block, n in enumerate((2, 2, 3, 3, 3), 1) for layer in range(1, n + 1)
)
_VGG_GRID = 7
_UNIT_LAYERS = ("bn1", "conv1", "bn2", "conv2", "bn3", "conv3")


class ZooError(Exception):
    """The model zoo cannot be reached, or sends something else than it should."""


def find_pretrained(channel: Path | None) -> Path | None:
    """Return the weight file in a `model` channel; None if it has none, or a whole model of this detector."""
    if channel is None or any(channel.rglob(DESCRIPTION_FILE)):
        return None
    return next(iter(sorted(channel.rglob("*.params"))), None)


def pretrained_folder() -> Path:
    """Return the folder in which weight files may lie ready."""
    return Path(os.environ.get(_FOLDER_VARIABLE) or PRETRAINED_FOLDER)


def find_in_folder(base_network: str, folder: Path) -> Path | None:
    """Return the folder's weight file of a base network, whichever zoo it is of."""
    found = sorted(folder.glob("*.params")) if folder.is_dir() else []
    return next((path for path in found if path.name.startswith(_FILE_PREFIXES[base_network])), None)


@contextmanager
def zoo_file(base_network: str) -> Iterator[Path]:
    """Fetch a base network's weights from Gluon's model zoo; the file is gone afterwards.

    Raises ZooError, at the latest after ten minutes.
    """
    name = _GLUON_NAMES[base_network]
    stem = f"{name}-{_store.short_hash(name)}"
    repository = (os.environ.get("MXNET_GLUON_REPO") or _store.apache_repo_url).rstrip("/")
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / f"{stem}.zip"
        try:
            _download(f"{repository}/gluon/models/{stem}.zip", archive)
            with zipfile.ZipFile(archive) as content:
                file = Path(content.extract(f"{stem}.params", folder))
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            raise ZooError(str(getattr(error, "reason", error))) from error
        except (zipfile.BadZipFile, KeyError) as error:
            raise ZooError(f"it sent something else than {stem}.zip") from error
        if not mx.gluon.utils.check_sha1(str(file), _store._model_sha1[name]):
            raise ZooError(f"{stem}.params has another checksum than MXNet knows")
        yield file


def _download(url: str, path: Path) -> None:
    end = time.monotonic() + _SECONDS_TO_LOAD
    with urllib.request.urlopen(url, timeout=_SECONDS_TO_ANSWER) as answer, path.open("wb") as file:  # noqa: S310
        while chunk := answer.read(_CHUNK):
            file.write(chunk)
            if time.monotonic() > end:
                raise TimeoutError(f"not whole after {_SECONDS_TO_LOAD:.0f} s")


def read_pretrained(path: Path, base_network: str, fresh: Weights) -> Weights:
    """Return `fresh` with every base layer that the file has in the same shape.

    Raises ArtefactError when the file cannot be read or has no layer of this network.
    """
    try:
        content = mx.nd.load(str(path))
    except mx.MXNetError as error:
        raise ArtefactError(f"{path.name} is no MXNet weight file: {plain_message(error)}") from error
    if not isinstance(content, dict):
        raise ArtefactError(f"{path.name} has weights without names")
    found = {name.split(":", 1)[-1].replace("_moving_", "_running_"): v for name, v in content.items()}
    layers = {name: _rescaled(name, found[name].asnumpy()) for name in fresh if name in found} or _read_gluon(
        path, base_network
    )
    fitting = {
        name: value for name, value in layers.items() if name in fresh and fresh[name].shape == value.shape
    }
    if not fitting:
        raise ArtefactError(f"{path.name} has no layer of base network {base_network}")
    return {**fresh, **fitting}


def _rescaled(name: str, value: Tensor) -> Tensor:
    """Return a tensor for inputs divided by our scale: the first layer makes up for it exactly."""
    if name == _FIRST_CONVOLUTION:
        return value * INPUT_SCALE
    if name.startswith(_INPUT_NORM):
        return value / (INPUT_SCALE if name.endswith("mean") else INPUT_SCALE**2)
    return value


def _read_gluon(path: Path, base_network: str) -> Mapping[str, Tensor]:
    """Read a file of Gluon's zoo by way of Gluon's own network, which knows both its spellings."""
    network = mx.gluon.model_zoo.vision.get_model(_GLUON_NAMES[base_network])
    try:
        network.load_parameters(str(path))
    except (AssertionError, KeyError, ValueError, mx.MXNetError):
        return {}
    return from_gluon(base_network, network)


def from_gluon(base_network: str, network: Any) -> dict[str, Tensor]:
    """Return the weights of a network of Gluon's zoo under our layers' names, for our inputs."""
    scale = INPUT_SCALE / _GLUON_DEVIATION
    if base_network == "vgg-16":
        weights = _from_vgg(network.features)
        weights[_FIRST_CONVOLUTION] *= scale[None, :, None, None]
    else:
        weights = _from_resnet(network.features)
        weights[f"{_INPUT_NORM}mean"] /= scale
        weights[f"{_INPUT_NORM}var"] /= scale**2
    return weights


def _from_vgg(features: Any) -> dict[str, Tensor]:
    layers = [layer for layer in features if hasattr(layer, "weight")]
    weights: dict[str, Tensor] = {}
    for name, layer in zip((*_VGG_LAYERS, "fc6", "fc7"), layers, strict=True):
        weights[f"{name}_weight"] = layer.weight.data().asnumpy()
        weights[f"{name}_bias"] = layer.bias.data().asnumpy()
    # SSD's reduced VGG keeps every fourth unit of the dense layers, and 3 x 3 of their 7 x 7 inputs.
    fc6, fc7 = weights["fc6_weight"], weights["fc7_weight"]
    grid = fc6.reshape(len(fc6), -1, _VGG_GRID, _VGG_GRID)
    weights["fc6_weight"], weights["fc6_bias"] = grid[::4, :, ::3, ::3], weights["fc6_bias"][::4]
    weights["fc7_weight"], weights["fc7_bias"] = fc7[::4, ::4, None, None], weights["fc7_bias"][::4]
    return weights


def _from_resnet(features: Any) -> dict[str, Tensor]:
    input_norm, convolution, norm, _, _, *stages, last_norm, _, _, _ = features
    layers = {"bn_data": input_norm, "conv0": convolution, "bn0": norm, "bn1": last_norm}
    for stage_number, stage in enumerate(stages, 1):
        for unit_number, unit in enumerate(stage, 1):
            for ours, theirs in (("sc", "downsample"), *((n, n) for n in _UNIT_LAYERS)):
                if (layer := getattr(unit, theirs)) is not None:
                    layers[f"stage{stage_number}_unit{unit_number}_{ours}"] = layer
    return {
        f"{name}_{kind}": getattr(layer, kind).data().asnumpy()
        for name, layer in layers.items()
        for kind in ("weight", "gamma", "beta", "running_mean", "running_var")
        if hasattr(layer, kind)
    }
