"""Names, ranges, defaults and messages of the built-in algorithm's hyperparameters, and ours beside them."""

import math

import pytest

from detector.errors import HyperparameterError
from detector.hyperparameters import as_text, default_small_epochs, parse

REQUIRED = {"num_classes": "3", "num_training_samples": "90"}


def problems(**values: str) -> tuple[str, ...]:
    with pytest.raises(HyperparameterError) as caught:
        parse({**REQUIRED, **values})
    return caught.value.problems


def test_defaults_are_the_built_in_algorithms() -> None:
    parsed = parse(REQUIRED)
    assert (parsed.base_network, parsed.epochs, parsed.mini_batch_size, parsed.image_shape) == (
        "vgg-16",
        30,
        32,
        300,
    )
    assert (parsed.optimizer, parsed.learning_rate, parsed.momentum, parsed.weight_decay) == (
        "sgd",
        0.001,
        0.9,
        0.0005,
    )
    assert (parsed.label_width, parsed.nms_threshold, parsed.overlap_threshold) == (350, 0.45, 0.5)
    assert (parsed.lr_scheduler_step, parsed.lr_scheduler_factor, parsed.use_pretrained_model) == (
        (),
        0.1,
        True,
    )
    assert not parsed.early_stopping
    assert (parsed.early_stopping_min_epochs, parsed.early_stopping_patience) == (10, 5)
    assert parsed.early_stopping_tolerance == 0


def test_the_birds_notebooks_values_are_taken() -> None:
    parsed = parse(
        {
            "base_network": "resnet-50",
            "use_pretrained_model": "1",
            "num_classes": "5",
            "mini_batch_size": "16",
            "epochs": "100",
            "learning_rate": "0.001",
            "lr_scheduler_step": "33,67",
            "lr_scheduler_factor": "0.1",
            "optimizer": "sgd",
            "momentum": "0.9",
            "weight_decay": "0.0005",
            "overlap_threshold": "0.5",
            "nms_threshold": "0.45",
            "image_shape": "512",
            "label_width": "350",
            "num_training_samples": "300",
        }
    )
    assert parsed.lr_scheduler_step == (33, 67)
    assert parsed.image_shape == 512


def test_the_small_network_has_its_own_defaults_and_yields_to_what_is_given() -> None:
    parsed = parse({**REQUIRED, "base_network": "nestbox-small", "epochs": "7"})
    assert (parsed.optimizer, parsed.learning_rate, parsed.mini_batch_size) == ("adam", 0.004, 16)
    assert parsed.image_shape is None
    assert parsed.epochs == 7


def test_default_epochs_fall_with_the_dataset() -> None:
    counts = [default_small_epochs(n) for n in (1, 100, 400, 1000, 10**6)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] >= 30


def test_weights_decay_as_much_over_a_long_run_as_over_a_short_one() -> None:
    small = {**REQUIRED, "num_training_samples": "160", "base_network": "nestbox-small"}
    decays = [parse({**small, "epochs": epochs}).nestbox_weight_decay for epochs in ("800", "80", "5")]
    assert decays == [0.05, 0.3, 0.3]
    assert parse({**small, "epochs": "800", "mini_batch_size": "32"}).nestbox_weight_decay == 0.1
    assert parse({**small, "epochs": "400"}, 0.5).nestbox_weight_decay == 0.05
    assert parse({**small, "nestbox_weight_decay": "0"}).nestbox_weight_decay == 0


def test_mosaics_are_for_images_with_few_boxes() -> None:
    small = {**REQUIRED, "base_network": "nestbox-small"}
    shares = [parse(small, boxes_per_image=boxes).nestbox_mosaic for boxes in (1.0, 5.0, 5.1)]
    assert shares == [0.5, 0.5, 0]
    assert parse({**small, "nestbox_mosaic": "1"}, boxes_per_image=14).nestbox_mosaic == 1
    assert parse({**REQUIRED, "base_network": "resnet-50"}).nestbox_mosaic == 0


def test_default_epochs_show_small_inputs_more_often_and_large_ones_not_less() -> None:
    small = {**REQUIRED, "num_training_samples": "400", "base_network": "nestbox-small"}
    epochs = [parse(small, image_size=size).epochs for size in (128, 192, 352)]
    assert epochs == [64, 43, 43]


def test_all_problems_are_told_at_once_in_the_built_in_algorithms_words() -> None:
    rate, loss, unknown, epochs = problems(
        learning_rate="2", nestbox_loss="x", batch_size="8", epochs="y" * 3000
    )
    assert rate == (
        "The value '2' is not valid for the 'learning_rate' hyperparameter which expects a number in (0, 1]"
    )
    assert loss.endswith("hyperparameter which accepts one of the following: 'cross_entropy', 'focal'")
    assert unknown == (
        "Additional hyperparameters are not allowed ('batch_size' was unexpected); "
        "did you mean 'mini_batch_size'?"
    )
    assert f"'{'y' * 80}…'" in epochs


def test_required_ones_are_missed() -> None:
    with pytest.raises(HyperparameterError) as caught:
        parse({})
    (problem,) = caught.value.problems
    assert problem.startswith("No value(s) were specified for 'num_classes', 'num_training_samples'")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_classes", "0"),
        ("num_classes", "2.5"),
        ("epochs", "-1"),
        ("epochs", "many"),
        ("image_shape", "299"),
        ("learning_rate", "0"),
        ("learning_rate", "nan"),
        ("momentum", "1.5"),
        ("weight_decay", "1"),
        ("lr_scheduler_factor", "1"),
        ("lr_scheduler_step", "33,a"),
        ("lr_scheduler_step", "67,33"),
        ("early_stopping", "maybe"),
        ("early_stopping_tolerance", "-0.1"),
        ("base_network", "resnet-101"),
        ("freeze_layer_pattern", "("),
        ("kv_store", "local"),
        ("nestbox_seed", "-1"),
        ("nestbox_seed", "2147483648"),
        ("nestbox_loss", "hinge"),
        ("nestbox_schedule", "linear"),
        ("nestbox_weight_decay", "-0.1"),
        ("nestbox_weight_decay", "1.1"),
        ("nestbox_mosaic", "-0.1"),
        ("nestbox_mosaic", "1.1"),
        ("nestbox_class_names", "a,b"),
        ("nestbox_class_names", "a,b,b"),
        ("nestbox_class_names", "a,,b"),
        ("nestbox_class_names", '["a", "b", 3]'),
        ("nestbox_class_names", '["a", "b", "c"'),
        ("nestbox_colour", "red"),
    ],
)
def test_values_out_of_range_are_refused(name: str, value: str) -> None:
    assert len(problems(**{name: value})) == 1


@pytest.mark.parametrize(
    ("name", "value", "parsed"),
    [
        ("mini_batch_size", "16.0", 16),
        ("early_stopping", "true", True),
        ("early_stopping", "False", False),
        ("lr_scheduler_step", "", ()),
        ("lr_scheduler_step", " 10 , 20 ", (10, 20)),
        ("freeze_layer_pattern", "false", ""),
        ("learning_rate", "1", 1.0),
        ("weight_decay", "0", 0.0),
        ("kv_store", "device", "device"),
        ("nestbox_seed", "7", 7),
        ("nestbox_class_names", '["wren", "great tit", "a, b"]', ("wren", "great tit", "a, b")),
        ("nestbox_class_names", "wren, great tit,robin", ("wren", "great tit", "robin")),
        ("nestbox_class_names", "", ()),
    ],
)
def test_spellings_that_clients_use(name: str, value: str, parsed: object) -> None:
    assert getattr(parse({**REQUIRED, name: value}), name) == parsed


def test_sagemakers_own_additions_are_ignored() -> None:
    assert parse({**REQUIRED, "_tuning_objective_metric": "validation:mAP"}).num_classes == 3


def test_ours_have_defaults_that_change_nothing() -> None:
    parsed = parse(REQUIRED)
    assert (parsed.nestbox_seed, parsed.nestbox_loss, parsed.nestbox_schedule) == (0, "cross_entropy", "auto")
    assert parsed.nestbox_progressive
    assert parsed.nestbox_weight_decay == 0
    assert parsed.nestbox_class_names == ()


@pytest.mark.parametrize("kind", ["cosine", "trapezoid"])
def test_a_smooth_schedule_has_no_steps(kind: str) -> None:
    (problem,) = problems(nestbox_schedule=kind, lr_scheduler_step="10,20")
    assert f"'{kind}' knows no steps; leave lr_scheduler_step out" in problem
    assert parse({**REQUIRED, "nestbox_schedule": kind}).nestbox_schedule == kind


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"base_network": "nestbox-small", "lr_scheduler_step": "3,6", "early_stopping": "true"},
        {
            "nestbox_class_names": "wren,great tit,robin",
            "freeze_layer_pattern": "^conv1_",
            "image_shape": "512",
        },
    ],
)
def test_the_text_of_the_values_says_them_again(values: dict[str, str]) -> None:
    parsed = parse({**REQUIRED, **values})
    assert parse(as_text(parsed)) == parsed


def test_a_run_that_starts_from_a_model_is_as_long_as_there_is_to_learn() -> None:
    small = {**REQUIRED, "base_network": "nestbox-small"}
    fresh, half, little = (parse(small, unlearnt) for unlearnt in (1.0, 0.5, 0.01))
    assert half.epochs == math.ceil(fresh.epochs / 2)
    assert half.learning_rate == fresh.learning_rate / 2
    assert little.epochs == math.ceil(fresh.epochs * 0.3), "never less than three tenths"
    assert little.learning_rate == fresh.learning_rate * 0.3
    wished = parse(small | {"epochs": "7", "learning_rate": "0.1"}, 0.01)
    assert (wished.epochs, wished.learning_rate) == (7, 0.1), "what is wished for holds"
