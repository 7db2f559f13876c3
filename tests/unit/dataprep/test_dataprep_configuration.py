"""nestbox.yaml: what it may hold, and that every mistake names its key and line."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataprep_job.check import CheckReport
from dataprep_job.configuration import _TRAINING, Configuration, read_configuration
from dataprep_job.defects import DefectLog
from detector.hyperparameters import SMALL_NETWORK, parse

Files = dict[str, bytes]
Check = Callable[..., CheckReport]


def read(text: str | bytes) -> tuple[Configuration, list[tuple[str, str | None, str]]]:
    log = DefectLog()
    data = text.encode() if isinstance(text, str) else text
    configuration = read_configuration(data, "nestbox.yaml", log)
    return configuration, [(defect.code, defect.place.where, defect.message) for defect in log.listed()]


def test_everything_that_is_allowed() -> None:
    configuration, defects = read(
        """
        classes: {rename: {old: new}, ignore: [junk]}
        split: {validation: 0.3}
        images: {resize: 300, flip: false, quality: 90}
        training: {epochs: 30, base_network: resnet-50, learning_rate: 1e-3, lr_scheduler_step: [10, 20],
          mini_batch_size: 16, optimizer: adam, warm_start: false, use_pretrained_model: 1}
        gate: {min_map: 0.5, min_improvement: -0.01, max_class_drop: 0.1}
        quiet_period: 120
        """
    )
    assert defects == []
    assert configuration == Configuration(
        rename={"old": "new"},
        ignore=frozenset({"junk"}),
        validation=0.3,
        resize=300,
        flip=False,
        quality=90,
        training={
            "epochs": 30,
            "base_network": "resnet-50",
            "learning_rate": 0.001,
            "lr_scheduler_step": "10,20",
            "mini_batch_size": 16,
            "optimizer": "adam",
            "warm_start": False,
            "use_pretrained_model": 1,
        },
        gate={"min_map": 0.5, "min_improvement": -0.01, "max_class_drop": 0.1},
        quiet_period=120,
    )


@pytest.mark.parametrize("text", ["", "# nothing\n", "images:\n", "{}"])
def test_nothing_means_defaults(text: str) -> None:
    assert read(text) == (Configuration(), [])


def test_an_unknown_key_is_named_with_its_line_and_the_likely_one() -> None:
    configuration, defects = read("images: {resize: 300}\ntraining:\n  epocs: 3\n  momentum: 0.8\n")
    assert defects == [
        ("config.unknown-key", "line 3", "'training.epocs' is no key of nestbox.yaml. Did you mean 'epochs'?")
    ]
    assert configuration.training == {"momentum": 0.8}
    assert configuration.resize == 300


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("classes: [a]", "classes"),
        ("classes: {rename: [a]}", "classes.rename"),
        ("classes: {rename: {a: 1}}", "classes.rename"),
        ("classes: {ignore: a}", "classes.ignore"),
        ("split: {validation: 1.5}", "split.validation"),
        ("split: {validation: 0}", "split.validation"),
        ("split: {validation: .nan}", "split.validation"),
        ("images: {resize: big}", "images.resize"),
        ("images: {resize: true}", "images.resize"),
        ("images: {resize: 5}", "images.resize"),
        ("images: {flip: 1}", "images.flip"),
        ("images: {quality: 101}", "images.quality"),
        ("training: {epochs: 0}", "training.epochs"),
        ("training: {epochs: 1.5}", "training.epochs"),
        ("training: {base_network: resnet-18}", "training.base_network"),
        ("training: {learning_rate: -1}", "training.learning_rate"),
        ("training: {lr_scheduler_step: [20, 10]}", "training.lr_scheduler_step"),
        ("training: {freeze_layer_pattern: '('}", "training.freeze_layer_pattern"),
        ("training: {nestbox_loss: hinge}", "training.nestbox_loss"),
        ("training: {nestbox_seed: -1}", "training.nestbox_seed"),
        ("gate: {min_map: [1]}", "gate.min_map"),
        ("quiet_period: soon", "quiet_period"),
    ],
)
def test_a_bad_value_is_named_and_the_default_holds(text: str, key: str) -> None:
    configuration, defects = read(text)
    ((code, where, message),) = defects
    assert (code, where) == ("config.bad-value", "line 1")
    assert f"'{key}'" in message
    assert configuration == Configuration()


@pytest.mark.parametrize(
    ("training", "left", "bad"),
    [
        ({"image_shape": 256, "base_network": "vgg-16"}, {"base_network": "vgg-16"}, "image_shape"),
        *[
            (
                {"nestbox_schedule": kind, "lr_scheduler_step": "3"},
                {"nestbox_schedule": kind},
                "lr_scheduler_step",
            )
            for kind in ("cosine", "trapezoid")
        ],
    ],
)
def test_values_that_do_not_go_together_are_told(
    training: dict[str, object], left: dict[str, object], bad: str
) -> None:
    configuration, ((code, _, message),) = read(json.dumps({"training": training}))
    assert code == "config.bad-value"
    assert f"'training.{bad}' must be" in message
    assert configuration.training == left


@pytest.mark.parametrize("key", sorted(set(_TRAINING) - {"warm_start"}))
def test_the_detector_takes_whatever_is_taken_here(key: str) -> None:
    """Held for a stack whose own base network is ours, the default where our detector trains."""
    candidates = [*range(-1, 4), 63, 64, 2048, 2049, 2**31 - 1, 2**31, 0.0, 0.5, 1.0, 1e-9, True, False]
    candidates += [
        "3,4",
        "^conv1_",
        "(",
        "false",
        "",
        "sgd",
        "adam",
        "cosine",
        "trapezoid",
        "focal",
        "vgg-16",
        "1.0",
        "x",
    ]
    accepted = 0
    for candidate in candidates:
        training = read(json.dumps({"training": {key: candidate}}))[0].training
        told = {"base_network": SMALL_NETWORK, **{name: str(value) for name, value in training.items()}}
        parse({"num_classes": "2", "num_training_samples": "5", **told})
        accepted += len(training)
    assert accepted


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "- a\n- b",
        "text",
        "a: !!python/object/apply:os.system ['id']",
        b"\xff\xff",
        "[" * 60_000,
        "- " * 30_000,
    ],
)
def test_what_is_no_yaml_mapping_is_one_defect(text: str | bytes) -> None:
    configuration, defects = read(text)
    assert [code for code, _, _ in defects] == ["config.unreadable"]
    assert configuration == Configuration()


def test_a_huge_file_is_refused() -> None:
    assert read("# " + "x" * 70_000)[1][0][0] == "config.unreadable"


def test_classes_are_renamed_and_ignored(voc: Files, xml: Callable[..., bytes], checked: Check) -> None:
    voc["Annotations/a1.xml"] = xml([("Dog ", 11, 21, 60, 70), ("junk", 1, 1, 9, 9)])
    voc["Annotations/a2.xml"] = xml([("junk", 1, 1, 9, 9)])
    voc["nestbox.yaml"] = b"classes: {rename: {Dog: dog, gone: dog}, ignore: [junk]}"
    report = checked(voc)
    assert report.classes == {"dog": 9}
    assert sorted(defect.code for defect in report.defects) == ["config.unknown-class", "image.background"]


def test_names_that_look_alike_are_pointed_out(voc: Files, xml: Callable[..., bytes], checked: Check) -> None:
    voc["Annotations/a1.xml"] = xml([("DOG", 11, 21, 60, 70), ("dog", 1, 1, 9, 9)])
    messages = [defect.message for defect in checked(voc).defects if defect.code == "class.similar-names"]
    assert messages == ["Are these one class? DOG, dog."]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    read(data)
