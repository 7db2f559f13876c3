"""ImageNet weights of Gluon's model zoo: fetched, proved, and put under our layers' names."""

import hashlib
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector.architecture import build_network, plan_for
from detector.images import NORMALISE
from detector.mxnet_runtime import mx
from detector.pretrained import ZooError, find_in_folder, from_gluon, read_pretrained, zoo_file
from detector.weights import put_weights, take_weights

LABELS = [np.float32([[0, 0.1, 0.1, 0.3, 0.3]])]


def gluon_network(name: str) -> Any:
    """A network of Gluon's zoo with made-up weights, and statistics that are neither 0 nor 1."""
    network = mx.gluon.model_zoo.vision.get_model(name)
    network.initialize(mx.init.MSRAPrelu("in", 0))
    network(mx.nd.zeros((1, 3, 224, 224)))
    with mx.autograd.train_mode():
        network.features[:10](mx.nd.random.normal(1, 3, (1, 3, 64, 64)))
    return network


def test_gluons_resnet_says_the_same_under_our_names_and_for_our_inputs(tmp_path: Path) -> None:
    theirs = gluon_network("resnet50_v2")
    theirs.save_parameters(str(tmp_path / "resnet50_v2-ecdde353.params"))
    ours = build_network("resnet-50", 1, plan_for("resnet-50", LABELS, 300))
    path = find_in_folder("resnet-50", tmp_path)
    assert path is not None
    put_weights(ours, read_pretrained(path, "resnet-50", take_weights(ours)))
    picture = np.random.default_rng(0).uniform(0, 255, (3, 64, 64)).astype(np.float32)
    _, features = ours.base(mx.nd.array(for_us(picture)[None]))
    expected = theirs.features[:11](mx.nd.array(for_gluon(picture)[None]))
    # The batch norms' epsilons differ: 1e-5 there, 2e-5 here.
    scale = float(expected.abs().max().asscalar())
    np.testing.assert_allclose(features.asnumpy(), expected.asnumpy(), atol=0.01 * scale)


def test_gluons_vgg_says_the_same_and_is_reduced_as_ssd_does() -> None:
    theirs = gluon_network("vgg16")
    ours = build_network("vgg-16", 1, plan_for("vgg-16", LABELS, 300))
    weights = from_gluon("vgg-16", theirs)
    put_weights(ours, {**take_weights(ours), **weights})
    assert weights["fc6_weight"].shape == (1024, 512, 3, 3)
    assert weights["fc7_weight"].shape == (1024, 1024, 1, 1)
    picture = np.random.default_rng(0).uniform(0, 255, (3, 64, 64)).astype(np.float32)
    features = ours.base.norm(after_fourth_block(ours.base, mx.nd.array(for_us(picture)[None])))
    expected = ours.base.norm(theirs.features[:23](mx.nd.array(for_gluon(picture)[None])))
    np.testing.assert_allclose(features.asnumpy(), expected.asnumpy(), atol=0.01)


def after_fourth_block(base: Any, x: Any) -> Any:
    for number, block in enumerate(base.blocks[:4]):
        x = block(x)
        if number < 3:
            x = mx.nd.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max")
    return x


def for_us(picture: np.ndarray) -> np.ndarray:
    # The matrix takes blue, green, red.
    return np.einsum("oc,chw->ohw", NORMALISE[:, :3], picture[::-1]) + NORMALISE[:, 3:, None]


def for_gluon(picture: np.ndarray) -> np.ndarray:
    mean, deviation = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    return (picture / 255 - mean[:, None, None]) / deviation[:, None, None]


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A model zoo on this machine; its folder."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("MXNET_GLUON_REPO", f"http://127.0.0.1:{server.server_port}/")
        folder = tmp_path / "gluon" / "models"
        folder.mkdir(parents=True)
        yield folder
        server.shutdown()
        thread.join()


def publish(zoo: Path, content: bytes, stem: str) -> None:
    with zipfile.ZipFile(zoo / f"{stem}.zip", "w") as archive:
        archive.writestr(f"{stem}.params", content)


def test_the_zoos_file_is_fetched_and_its_checksum_proved(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(zoo, b"weights", "vgg16-e660d456")
    with pytest.raises(ZooError, match="another checksum than MXNet knows"), zoo_file("vgg-16"):
        pass
    digest = hashlib.sha1(b"weights").hexdigest()
    monkeypatch.setitem(mx.gluon.model_zoo.model_store._model_sha1, "vgg16", digest)
    publish(zoo, b"weights", f"vgg16-{digest[:8]}")
    with zoo_file("vgg-16") as path:
        assert path.read_bytes() == b"weights"
    assert not path.exists()


def test_a_zoo_that_has_none_or_sends_rubbish_is_told(zoo: Path) -> None:
    with pytest.raises(ZooError, match=r"(?i)not found"), zoo_file("vgg-16"):
        pass
    (zoo / "vgg16-e660d456.zip").write_bytes(b"<html>sign in</html>")
    with pytest.raises(ZooError, match=r"something else than vgg16-e660d456\.zip"), zoo_file("vgg-16"):
        pass


def test_without_a_network_the_zoo_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MXNET_GLUON_REPO", "http://127.0.0.1:9")
    with pytest.raises(ZooError, match="refused"), zoo_file("resnet-50"):
        pass
