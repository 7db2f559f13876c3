"""Networks answer for their anchors; models survive being written, read, grown and served."""

import json
import resource
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from detector.anchors import AnchorPlan, Level, derive_plan
from detector.architecture import build_network, plan_for
from detector.artefact import Artefact, graph_of, read_artefact, read_channel, write_artefact
from detector.description import Description
from detector.detections import select, select_decoded
from detector.errors import ArtefactError, ShortageError
from detector.hyperparameters import SMALL_NETWORK, parse
from detector.images import fill_planes
from detector.inference import Detector
from detector.mxnet_runtime import mx
from detector.onnx_check import TOLERANCE, greatest_difference
from detector.warm_start import check_reusable, grow, known_classes, unlearnt_share
from detector.weights import put_weights, take_weights

PLAN = AnchorPlan(96, (Level(16, ((0.2, 0.2), (0.3, 0.15))), Level(32, ((0.5, 0.5),))))
LABELS = [np.float32([[0, 0.1, 0.1, 0.3, 0.3], [1, 0.2, 0.2, 0.7, 0.7]])]


def describe(num_classes: int = 2, plan: AnchorPlan = PLAN) -> Description:
    return Description(SMALL_NETWORK, num_classes, plan, 0.45, 0.5, 10, 3, 0.75, {"0": 0.5, "1": 1.0})


GIVEN = {"num_classes": "2", "num_training_samples": "10", "base_network": SMALL_NETWORK}
KNOWN_OF_FIVE = [0, 1, None, None, None]


def images(size: int = 96, count: int = 2) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 3, size, size)).astype(np.float32)


@pytest.mark.parametrize("size", [96, 100, 104, 127])
def test_the_small_network_answers_for_every_anchor_at_any_size(size: int) -> None:
    plan = AnchorPlan(
        size, (Level(8, ((0.1, 0.1),)), Level(16, ((0.2, 0.2), (0.3, 0.15))), Level(32, ((0.5, 0.5),)))
    )
    classes, offsets = build_network(SMALL_NETWORK, 4, plan)(mx.nd.array(images(size, 1)))
    assert classes.shape == (1, len(plan.corners()), 5)
    assert offsets.shape == (1, len(plan.corners()), 4)


def test_levels_need_not_be_neighbours() -> None:
    plan = AnchorPlan(96, (Level(8, ((0.1, 0.1),)), Level(32, ((0.5, 0.5),))))
    classes, _ = build_network(SMALL_NETWORK, 1, plan)(mx.nd.array(images(96, 1)))
    assert classes.shape == (1, len(plan.corners()), 2)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    network = build_network(SMALL_NETWORK, 2, PLAN)
    weights = take_weights(network)
    write_artefact(tmp_path, Artefact(describe(), graph_of(network), weights))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "detector-0000.params",
        "detector-symbol.json",
        "detector.json",
        "detector.onnx",
    ]
    artefact = read_artefact(tmp_path)
    assert artefact.description == describe()
    assert artefact.weights.keys() == weights.keys()
    for name, value in weights.items():
        np.testing.assert_array_equal(artefact.weights[name], value)


def test_what_a_model_says_about_itself_is_read_again(tmp_path: Path) -> None:
    network = build_network(SMALL_NETWORK, 2, PLAN)
    told = replace(
        describe(),
        classes=("wren", "great tit"),
        hyperparameters={"nestbox_seed": "7"},
        operating_thresholds={"0": 0.4, "1": 0.25},
        validation={"map": 0.5, "classes": []},
    )
    write_artefact(tmp_path, Artefact(told, graph_of(network), take_weights(network)))
    assert read_artefact(tmp_path).description == told


def test_a_model_that_the_disk_does_not_take_whole_leaves_nothing(tmp_path: Path) -> None:
    network = build_network(SMALL_NETWORK, 2, PLAN)
    weights = take_weights(network)
    write_artefact(tmp_path / "whole", Artefact(describe(), graph_of(network), weights))
    size = (tmp_path / "whole" / "detector-0000.params").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The last bytes are those of which MXNet does not notice that they are lost.
    for limit in (size - 1, size // 2, 0):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(ShortageError, match="give the job a larger volume"):
                write_artefact(tmp_path / "model", Artefact(describe(), graph_of(network), weights))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert list((tmp_path / "model").iterdir()) == []


def trained_a_little(base_network: str, plan: AnchorPlan) -> Any:
    """A network whose statistics are not 0 and 1, so that leaving out a normalisation shows."""
    network = build_network(base_network, 2, plan)
    with mx.autograd.train_mode():
        network(mx.nd.array(images(plan.image_size)))
    return network


def spread(size: int, *strides: int) -> AnchorPlan:
    return AnchorPlan(size, tuple(Level(stride, ((0.1, 0.2), (0.3, 0.1))) for stride in strides))


@pytest.mark.parametrize(
    ("base_network", "plan"),
    [
        (SMALL_NETWORK, PLAN),
        (SMALL_NETWORK, spread(96, 8)),
        # Grids that do not nest.
        (SMALL_NETWORK, spread(100, 8, 16, 32)),
        (SMALL_NETWORK, spread(96, 8, 32)),
        ("vgg-16", plan_for("vgg-16", LABELS, 128)),
        ("resnet-50", plan_for("resnet-50", LABELS, 128)),
    ],
)
def test_the_served_network_answers_as_the_trained_one(base_network: str, plan: AnchorPlan) -> None:
    network = trained_a_little(base_network, plan)
    description = replace(describe(plan=plan), base_network=base_network)
    artefact = Artefact(description, graph_of(network), take_weights(network))
    difference, allowed = greatest_difference(
        network, Detector(description, artefact.to_onnx()), plan, images(plan.image_size)
    )
    assert difference <= allowed


def test_a_difference_is_seen() -> None:
    network = trained_a_little(SMALL_NETWORK, PLAN)
    weights = take_weights(network)
    weights["head_level1_bias"] = weights["head_level1_bias"] + np.float32(0.01)
    served = Detector(describe(), Artefact(describe(), graph_of(network), weights).to_onnx())
    difference, allowed = greatest_difference(network, served, PLAN, images())
    assert difference > allowed >= TOLERANCE


def test_serving_selects_as_evaluation_does() -> None:
    network = trained_a_little(SMALL_NETWORK, PLAN)
    served = Detector(describe(), Artefact(describe(), graph_of(network), take_weights(network)).to_onnx())
    class_logits, offsets = (value.asnumpy() for value in network(mx.nd.array(images())))
    scores, boxes = served.forward(images())
    for row in range(len(scores)):
        expected = select(class_logits[row], offsets[row], PLAN.corners(), 0.45)
        assert len(expected)
        np.testing.assert_allclose(select_decoded(scores[row], boxes[row], 0.45), expected, atol=1e-4)


def test_the_onnx_file_says_all_that_its_use_needs(tmp_path: Path) -> None:
    network = build_network(SMALL_NETWORK, 2, PLAN)
    told = replace(describe(), classes=("wren", "tit"), operating_thresholds={"0": 0.4, "1": 0.3})
    write_artefact(tmp_path, Artefact(told, graph_of(network), take_weights(network)))
    model = onnx.load(tmp_path / "detector.onnx")
    onnx.checker.check_model(model, full_check=True)
    metadata = {one.key: json.loads(one.value) for one in model.metadata_props}
    assert metadata["classes"] == ["wren", "tit"]
    assert metadata["operating_thresholds"] == {"0": 0.4, "1": 0.3}
    assert metadata["detector.json"] == told.to_json()
    size, mean, divisor = (metadata["input"][name] for name in ("size", "mean", "divisor"))
    image = np.random.default_rng(3).integers(0, 256, (size, size, 3), np.uint8)
    planes = np.empty((3, size, size), np.float32)
    fill_planes(planes, image)
    np.testing.assert_allclose(planes, ((image[..., ::-1] - mean) / divisor).transpose(2, 0, 1), atol=1e-5)


def test_a_model_without_an_onnx_file_is_served_all_the_same(tmp_path: Path) -> None:
    network = trained_a_little(SMALL_NETWORK, PLAN)
    write_artefact(tmp_path, Artefact(describe(), graph_of(network), take_weights(network)))
    expected = Detector.load(tmp_path).forward(images())
    (tmp_path / "detector.onnx").unlink()
    content = json.loads((tmp_path / "detector.json").read_text())
    del content["validation"]
    (tmp_path / "detector.json").write_text(json.dumps({**content, "format_version": 1}))
    for ours, theirs in zip(Detector.load(tmp_path).forward(images()), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_damaged_onnx_file_is_named(tmp_path: Path) -> None:
    network = build_network(SMALL_NETWORK, 2, PLAN)
    write_artefact(tmp_path, Artefact(describe(), graph_of(network), take_weights(network)))
    (tmp_path / "detector.onnx").write_bytes(b"no network")
    with pytest.raises(ArtefactError, match=r"detector\.onnx cannot be loaded"):
        Detector.load(tmp_path)


def test_a_channel_may_hold_the_archive_or_its_content(tmp_path: Path) -> None:
    network = build_network(SMALL_NETWORK, 2, PLAN)
    write_artefact(tmp_path / "model", Artefact(describe(), graph_of(network), take_weights(network)))
    assert read_channel(tmp_path).description == describe()
    (tmp_path / "channel").mkdir()
    with tarfile.open(tmp_path / "channel" / "model.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "model", arcname=".")
    assert read_channel(tmp_path / "channel").description == describe()


def test_foreign_and_damaged_models_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="neither"):
        read_channel(tmp_path)
    (tmp_path / "model.tar.gz").write_bytes(b"no archive")
    with pytest.raises(ArtefactError, match="cannot be unpacked"):
        read_channel(tmp_path)
    (tmp_path / "hyperparams.json").write_text("{}")
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "hyperparams.json", arcname="hyperparams.json")
    with pytest.raises(ArtefactError, match="another algorithm"):
        read_channel(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "no nestbox-detector model"),
        ({"format_version": 3}, "format version 3"),
        ({"plan": {}}, "incomplete"),
        ({"base_network": "alexnet"}, "unknown base network"),
        ({"classes": ["wren"]}, "names 1 classes of 2"),
    ],
)
def test_descriptions_are_checked(tmp_path: Path, change: dict[str, object], message: str) -> None:
    (tmp_path / "detector.json").write_text(json.dumps({**describe().to_json(), **change}))
    with pytest.raises(ArtefactError, match=message):
        read_artefact(tmp_path)


def test_a_grown_network_says_the_same_of_the_old_classes() -> None:
    old = build_network(SMALL_NETWORK, 2, PLAN)
    new = build_network(SMALL_NETWORK, 5, PLAN)
    put_weights(new, grow(Artefact(describe(), None, take_weights(old)), take_weights(new), KNOWN_OF_FIVE))
    batch = mx.nd.array(images())
    (old_classes, old_offsets), (new_classes, new_offsets) = old(batch), new(batch)
    np.testing.assert_allclose(new_classes.asnumpy()[..., :3], old_classes.asnumpy(), atol=1e-5)
    np.testing.assert_allclose(new_offsets.asnumpy(), old_offsets.asnumpy(), atol=1e-5)


def test_what_was_learned_of_a_class_follows_its_name() -> None:
    old, new = build_network(SMALL_NETWORK, 2, PLAN), build_network(SMALL_NETWORK, 3, PLAN)
    previous = replace(describe(), classes=("wren", "robin"))
    settings = parse({**GIVEN, "num_classes": "3", "nestbox_class_names": "robin,tit,wren"})
    known = known_classes(previous, settings)
    assert known == [1, None, 0]
    put_weights(new, grow(Artefact(previous, None, take_weights(old)), take_weights(new), known))
    batch = mx.nd.array(images())
    (old_classes, old_offsets), (new_classes, new_offsets) = old(batch), new(batch)
    np.testing.assert_allclose(new_classes.asnumpy()[..., [0, 3, 1]], old_classes.asnumpy(), atol=1e-5)
    np.testing.assert_allclose(new_offsets.asnumpy(), old_offsets.asnumpy(), atol=1e-5)


def test_without_names_an_id_keeps_its_meaning() -> None:
    named = replace(describe(), classes=("wren", "robin"))
    assert known_classes(named, parse({**GIVEN, "num_classes": "3"})) == [0, 1, None]
    told = parse({**GIVEN, "num_classes": "3", "nestbox_class_names": "robin,tit,wren"})
    assert known_classes(describe(), told) == [0, 1, None]
    # A class that is gone is known only where names tell which.
    fewer = parse({**GIVEN, "num_classes": "1", "nestbox_class_names": "robin"})
    check_reusable(Artefact(named, None, {}), fewer, PLAN, LABELS)
    assert known_classes(named, fewer) == [1]
    with pytest.raises(ArtefactError, match="more than num_classes=1"):
        check_reusable(Artefact(describe(), None, {}), fewer, PLAN, LABELS)


def test_what_is_left_to_learn_is_what_the_data_has_grown_by() -> None:
    previous = replace(describe(), training_samples=80)
    assert unlearnt_share(previous, [0, 1], 100) == pytest.approx(0.2)
    assert unlearnt_share(previous, [0, 1], 60) == 0, "fewer images than before"
    assert unlearnt_share(previous, [0, 1, None], 100) == 1, "a class is new"


def test_only_a_fitting_model_is_a_start() -> None:
    plan = derive_plan(LABELS, None)
    previous = Artefact(describe(2, plan), None, {})
    check_reusable(previous, parse(GIVEN), plan, LABELS)
    check_reusable(previous, parse({**GIVEN, "num_classes": "3"}), plan, LABELS)
    for change, message in (
        ({"num_classes": "1"}, "more than num_classes=1"),
        ({"image_shape": "512"}, "not image_shape=512"),
        ({"base_network": "resnet-50"}, "not resnet-50"),
    ):
        with pytest.raises(ArtefactError, match=message):
            check_reusable(previous, parse({**GIVEN, **change}), plan, LABELS)
    tiny = [np.float32([[0, 0.1, 0.1, 0.12, 0.12]] * 10)]
    with pytest.raises(ArtefactError, match="fit 100% of the present boxes badly"):
        check_reusable(previous, parse(GIVEN), derive_plan(tiny, None), tiny)


def test_built_in_networks_name_their_layers_as_their_weight_files_do() -> None:
    resnet = build_network("resnet-50", 1, plan_for("resnet-50", LABELS, 300))
    names = set(resnet.collect_params())
    assert {"conv0_weight", "bn_data_beta", "stage1_unit1_sc_weight", "stage4_unit3_conv3_weight"} <= names
    classes, _ = resnet(mx.nd.zeros((1, 3, 300, 300)))
    assert classes.shape[1] == len(plan_for("resnet-50", LABELS, 300).corners())


@pytest.mark.parametrize("base_network", [SMALL_NETWORK, "resnet-50", "vgg-16"])
def test_networks_for_training_compute_the_same(base_network: str) -> None:
    plan = plan_for(base_network, LABELS, 96)
    plain, trained = (build_network(base_network, 2, plan, for_training=how) for how in (False, True))
    assert list(plain.collect_params()) == list(trained.collect_params())
    put_weights(trained, take_weights(plain))
    gradients = []
    for network in (plain, trained):
        with mx.autograd.record():
            classes, offsets = network(mx.nd.array(images()))
            total = (classes**2).sum() + offsets.sum()
        total.backward()
        found = {
            name: parameter.grad().asnumpy()
            for name, parameter in network.collect_params().items()
            if parameter.grad_req != "null"
        }
        gradients.append((classes.asnumpy(), found, take_weights(network)))
    np.testing.assert_equal(*gradients)
