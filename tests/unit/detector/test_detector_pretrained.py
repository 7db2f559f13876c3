"""Base networks started from the model zoos' weights."""

from pathlib import Path

import numpy as np
import pytest

from detector.architecture import build_network, plan_for
from detector.errors import ArtefactError
from detector.images import INPUT_SCALE
from detector.mxnet_runtime import mx
from detector.pretrained import find_in_folder, find_pretrained, read_pretrained
from detector.weights import put_weights, take_weights

LABELS = [np.float32([[0, 0.1, 0.1, 0.3, 0.3]])]


def test_layers_are_taken_by_name_and_shape_and_the_first_makes_up_for_our_scale(tmp_path: Path) -> None:
    network = build_network("resnet-50", 1, plan_for("resnet-50", LABELS, 300))
    fresh = take_weights(network)
    zoo = {
        "aux:bn_data_moving_mean": mx.nd.array([58.0, 0, -58]),
        "aux:bn_data_moving_var": mx.nd.array([58.0**2, 2 * 58.0**2, 1]),
        "arg:conv0_weight": mx.nd.ones(fresh["conv0_weight"].shape),
        "arg:fc1_weight": mx.nd.ones((1000, 2048)),
        "arg:bn1_gamma": mx.nd.ones((3,)),
    }
    mx.nd.save(str(tmp_path / "resnet-50-0000.params"), zoo)
    path = find_pretrained(tmp_path)
    assert path is not None
    weights = read_pretrained(path, "resnet-50", fresh)
    np.testing.assert_allclose(weights["bn_data_running_mean"], [1, 0, -1])
    np.testing.assert_allclose(weights["bn_data_running_var"], [1, 2, 1 / INPUT_SCALE**2], rtol=1e-6)
    assert (weights["conv0_weight"] == 1).all()
    changed = {name for name, value in weights.items() if not np.array_equal(value, fresh[name])}
    assert changed == {"bn_data_running_mean", "bn_data_running_var", "conv0_weight"}
    put_weights(network, weights)


def test_files_of_other_networks_are_refused(tmp_path: Path) -> None:
    mx.nd.save(str(tmp_path / "other.params"), {"arg:layer": mx.nd.ones((1,))})
    with pytest.raises(ArtefactError, match="no layer of base network resnet-50"):
        read_pretrained(tmp_path / "other.params", "resnet-50", {"conv0_weight": np.zeros((1,), np.float32)})
    (tmp_path / "broken.params").write_bytes(b"x")
    with pytest.raises(ArtefactError, match="no MXNet weight file"):
        read_pretrained(tmp_path / "broken.params", "resnet-50", {})


def test_a_whole_model_is_no_weight_file(tmp_path: Path) -> None:
    (tmp_path / "detector.json").touch()
    (tmp_path / "detector-0000.params").touch()
    assert find_pretrained(tmp_path) is None
    assert find_pretrained(None) is None


def test_the_folder_is_searched_for_the_networks_own_file(tmp_path: Path) -> None:
    assert find_in_folder("vgg-16", tmp_path / "none") is None
    for name in ("resnet-50-0000.params", "vgg16-0000.params", "notes.txt"):
        (tmp_path / name).touch()
    assert find_in_folder("vgg-16", tmp_path) == tmp_path / "vgg16-0000.params"
    assert find_in_folder("resnet-50", tmp_path) == tmp_path / "resnet-50-0000.params"
