"""Whole training jobs, as processes, on drawn images."""

import io
import json
import random
import re
import resource
import shutil
import signal
import tarfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from nestbox.rules.epochs import Epoch, LogLine, best_epoch, read_log

from detector.__main__ import main
from detector.anchors import AnchorPlan
from detector.architecture import build_network, plan_for
from detector.artefact import read_artefact
from detector.batches import BatchMaker, Views
from detector.checkpoint import CheckpointFolder, fingerprint
from detector.errors import DivergedError
from detector.evaluation import Evaluator, Score
from detector.hyperparameters import Hyperparameters, parse
from detector.image_memory import ImageMemory
from detector.images import to_square
from detector.input_sizes import InputSizes
from detector.metrics_log import MetricsLog
from detector.mxnet_runtime import mx
from detector.opt_ml import OptMl
from detector.recordio_dataset import read_dataset
from detector.training import Best, Stepper, Training
from detector.training_job import run_training_job


def scores(log: str) -> list[float]:
    return [float(value) for value in re.findall(r"validation mAP <score>=\((\S+)\)", log)]


def epoch_by_the_log(*logs: str) -> Epoch:
    """The epoch that those who read the log of a job, or of its starts, take for the one in the model."""
    lines = [LogLine(datetime.now(UTC), text) for log in logs for text in log.splitlines()]
    found = best_epoch(read_log(lines).epochs)
    assert found is not None
    return found


def test_a_training_learns_and_says_so_every_epoch(trained: Any) -> None:
    course = scores(trained.log)
    assert len(course) == 20
    assert max(course) > 0.8
    assert len(re.findall(r"train smooth_l1 <loss>", trained.log)) == 40
    assert "completed 100 % of epochs" in trained.log
    assert "ERROR" not in trained.log
    assert not (trained.root / "output" / "failure").exists()


def test_the_model_is_the_best_epoch_and_describes_itself(trained: Any) -> None:
    description = json.loads((trained.root / "model" / "detector.json").read_text())
    best = epoch_by_the_log(trained.log)
    assert description["best_epoch"] == best.epoch
    assert description["validation_map"] == pytest.approx(best.validation_map, abs=1e-5)
    assert description["num_classes"] == 2
    assert description["plan"]["image_size"] == 96
    assert set(description["average_precision"]) == {"0", "1"}


def test_the_model_says_from_which_score_its_boxes_are_worth_showing(
    trained: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    description = read_artefact(trained.root / "model").description
    validation = trained.root / "input/data/validation/validation.rec"
    arguments = ("evaluate", "--model", str(trained.root / "model"), "--data", str(validation), "--json")
    assert main(arguments) == 0
    measured = json.loads(capsys.readouterr().out)
    for number, one in enumerate(measured["classes"]):
        assert 0.01 < description.operating_thresholds[str(number)] < 1
        # Measured by MXNet while training, by ONNX Runtime now.
        assert description.operating_thresholds[str(number)] == pytest.approx(
            one["operating"]["threshold"], abs=1e-3
        )
    assert description.validation["map"] == pytest.approx(measured["map"], abs=1e-6)
    assert description.validation["map"] == pytest.approx(description.validation_map, abs=1e-5)
    assert f"Operating thresholds: 0 {description.operating_thresholds['0']:g}, 1 " in trained.log


def test_a_grown_class_list_starts_from_the_previous_model(
    trained: Any, tmp_path: Path, layout: Callable[..., Path], start: Callable[..., Any]
) -> None:
    root = layout(tmp_path / "root", classes=3, epochs="2", nestbox_class_names="disc,square,cross")
    channel = root / "input/data/model"
    channel.mkdir()
    with tarfile.open(channel / "model.tar.gz", "w:gz") as archive:
        archive.add(trained.root / "model", arcname=".")
    command = start("train", "--root", str(root))
    assert command.end() == 0, command.text()
    assert "Starting from the model in channel 'model' (2 classes, 96 px)" in command.text()
    assert "New classes: cross" in command.text()
    description = read_artefact(root / "model").description
    assert description.warm_start
    assert description.classes == ("disc", "square", "cross")
    # What was known is known at once; the new class alone is still to be learnt.
    assert min(description.average_precision[c] for c in ("0", "1")) > 0.5


def test_a_model_that_is_no_start_is_named_and_left(
    trained: Any, tmp_path: Path, layout: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = layout(tmp_path / "root", epochs="1", image_shape="224")
    shutil.copytree(trained.root / "model", root / "input/data/model")
    assert run_training_job(OptMl(root)) == 0
    assert "starts fresh: it works at 96 pixels, not image_shape=224" in capsys.readouterr().out


def test_a_model_that_never_saw_images_in_full_is_a_start_for_them(
    trained: Any, tmp_path: Path, layout: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = layout(tmp_path / "root", epochs="1", image_shape="128")
    shutil.copytree(trained.root / "model", root / "input/data/model")
    assert run_training_job(OptMl(root)) == 0
    assert "Starting from the model in channel 'model' (2 classes, 128 px)" in capsys.readouterr().out
    assert read_artefact(root / "model").description.plan.image_size == 128


def test_sigterm_ends_with_the_best_model_so_far(
    tmp_path: Path, layout: Callable[..., Path], start: Callable[..., Any]
) -> None:
    root = layout(tmp_path / "root", epochs="5000", image_shape="128")
    command = start("train", "--root", str(root))
    command.wait_for(lambda text: len(scores(text)) >= 2)
    assert command.end(signal.SIGTERM) == 0, command.text()
    description = read_artefact(root / "model").description
    best = epoch_by_the_log(command.text())
    assert (description.best_epoch, best.input_size) == (best.epoch, 96)
    assert description.validation_map == pytest.approx(best.validation_map, abs=1e-5)
    # It never came to see its images in full, so it is not asked about them so.
    assert "Input 96 px for 3333 of 5000 epochs" in command.text()
    assert description.plan.image_size == 96
    assert not (root / "output/failure").exists()


def fail(root: Path) -> tuple[int, str]:
    code = run_training_job(OptMl(root))
    assert not (root / "model").exists()
    return code, (root / "output/failure").read_text()


def test_every_mistake_in_the_job_is_in_the_failure(tmp_path: Path, layout: Callable[..., Path]) -> None:
    root = layout(tmp_path / "root", learning_rate="7", colour="red")
    (root / "input/data/validation/validation.rec").unlink()
    code, reason = fail(root)
    assert code == 2
    assert reason.startswith("ClientError: ")
    assert "The value '7' is not valid for the 'learning_rate' hyperparameter" in reason
    assert "Additional hyperparameters are not allowed ('colour' was unexpected)" in reason
    assert "channel 'validation' holds no .rec file" in reason


def test_mistakes_in_the_data_are_in_the_failure(tmp_path: Path, layout: Callable[..., Path]) -> None:
    code, reason = fail(layout(tmp_path / "root", num_classes="1", label_width="5"))
    assert code == 2
    assert "channel 'train': num_classes=1 is too small: train.rec record 1 has class 1" in reason
    assert "channel 'validation': label_width=5 is too small" in reason


def test_an_unreadable_image_is_named(tmp_path: Path, layout: Callable[..., Path]) -> None:
    root = layout(tmp_path / "root")
    writer = mx.recordio.MXRecordIO(str(root / "input/data/train/train.rec"), "w")
    label = np.float32([2, 5, 0, 0, 0, 1, 1])
    writer.write(np.array([7], "<u4").tobytes() + bytes(20) + label.tobytes() + b"no image")
    writer.close()
    code, reason = fail(root)
    assert code == 2
    assert "train.rec record 0: these bytes are no JPEG or PNG image" in reason


def rewrite(path: Path, *records: bytes) -> None:
    writer = mx.recordio.MXRecordIO(str(path), "w")
    for record in records:
        writer.write(record)
    writer.close()


def record(*label: float) -> bytes:
    header = np.array([len(label)], "<u4").tobytes() + bytes(20)
    return header + np.float32(label).tobytes() + draw_nothing()


def draw_nothing() -> bytes:
    return cv2.imencode(".jpg", np.zeros((32, 32, 3), np.uint8))[1].tobytes()


@pytest.mark.parametrize(
    ("records", "told"),
    [
        ([], "train.rec: no record inside; the split is empty"),
        ([record(2, 5), record(2, 5)], "has 2 images but no box in any of them"),
        ([record(2, 5, 9, 0, 0, 1, 1)], "num_classes=2 is too small: train.rec record 0 has class 9"),
        ([record(2, 5, 0, 0, 0, 1)], "record 0: its label of 6 values does not divide into objects"),
        ([record()], "record 0: it carries a single number as label, not boxes"),
        ([b"x"], "record 0: too short to hold a label and an image"),
    ],
)
def test_records_that_cannot_be_trained_on_are_named(
    tmp_path: Path, layout: Callable[..., Path], records: list[bytes], told: str
) -> None:
    root = layout(tmp_path / "root")
    rewrite(root / "input/data/train/train.rec", *records)
    code, reason = fail(root)
    assert (code, reason.startswith("ClientError: ")) == (2, True)
    assert told in reason
    assert "channel 'train'" in reason


def test_both_channels_broken_files_are_told_at_once(tmp_path: Path, layout: Callable[..., Path]) -> None:
    root = layout(tmp_path / "root")
    for channel, content in (("train", b"PK no records"), ("validation", b"\x0a\x23\xd7\xce\xff")):
        (root / f"input/data/{channel}/{channel}.rec").write_bytes(content)
    code, reason = fail(root)
    assert code == 2
    assert "channel 'train': train.rec is no RecordIO file: no record starts at byte 0" in reason
    assert "channel 'validation': validation.rec is cut off at byte 0" in reason


def test_a_count_that_disagrees_is_warned_of(
    tmp_path: Path, layout: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_training_job(OptMl(layout(tmp_path / "root", num_training_samples="7", epochs="1"))) == 0
    warnings = [line for line in capsys.readouterr().out.splitlines() if "WARNING" in line]
    assert len(warnings) == 1
    assert "num_training_samples=7, but channel 'train' has 48 records" in warnings[0]


def test_a_loss_that_is_no_number_is_the_failure(
    tmp_path: Path, layout: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stepper, "step", lambda *_: (float("nan"), 0.0))
    code, reason = fail(layout(tmp_path / "root"))
    assert code == 2
    assert "the loss became nan in epoch 0, batch 0; lower learning_rate" in reason


# NumPy leaves its half-written archive to the garbage collector, which cannot close it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
# The weights of the small network take 2 MB, those and the optimiser's state in a checkpoint 10 MB.
@pytest.mark.parametrize(("what", "limit"), [("checkpoint of", 6 * 2**20), ("weights", 2**20)])
def test_a_full_disk_is_told_and_leaves_nothing_half_written(
    what: str, limit: int, tmp_path: Path, layout: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = layout(tmp_path / "root", epochs="1")
    if what == "checkpoint of":
        (root / "checkpoints").mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        assert run_training_job(OptMl(root)) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    reason = (root / "output/failure").read_text()
    assert reason.startswith(f"ClientError: the {what} ")
    assert reason.endswith("give the job a larger volume")
    assert "Traceback" not in capsys.readouterr().err
    left = [path for name in ("model", "checkpoints") for path in (root / name).rglob("*")]
    assert left == []


def test_memory_that_does_not_suffice_is_told(
    tmp_path: Path, layout: Callable[..., Path], start: Callable[..., Any]
) -> None:
    root = layout(tmp_path / "root", mini_batch_size="1000000")
    command = start("train", "--root", str(root), memory=8 * 2**30)
    assert command.end() == 2, command.text()
    assert (root / "output/failure").read_text() == (
        "ClientError: the machine has no memory left; "
        "lower mini_batch_size or image_shape, or take a larger one"
    )
    assert not (root / "model").exists()


def test_a_failure_that_cannot_be_written_still_ends_the_job(
    tmp_path: Path, layout: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = layout(tmp_path / "root", epochs="0")
    (root / "output").write_text("in the way")
    assert run_training_job(OptMl(root)) == 2
    log = capsys.readouterr().out
    assert "The failure file cannot be written" in log
    assert "ClientError: The value '0' is not valid for the 'epochs' hyperparameter" in log


def test_a_fault_of_ours_is_told_as_such(
    tmp_path: Path, layout: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr("detector.training_job.build_network", broken)
    assert fail(layout(tmp_path / "root")) == (1, "AlgorithmError: RuntimeError: out of luck")


class Course:
    """A training in this process that can be stopped and resumed at will."""

    def __init__(self, root: Path, **changes: str) -> None:
        self.settings: Hyperparameters = parse(
            {**OptMl(root).hyperparameters(), "mini_batch_size": "24", "epochs": "3", **changes}
        )
        self.train = read_dataset(OptMl(root).records("train"), 2, 350)
        self.validation = read_dataset(OptMl(root).records("validation"), 2, 350)

    def run(
        self, folder: Path | None, stop_after: int | None = None, poison: str | None = None
    ) -> tuple[Best, str]:
        """Run, asking for a stop once `stop_after` epochs are scored; `poison` names a layer to break."""
        stream = io.StringIO()
        labels = [sample.labels for sample in self.train]
        plan = plan_for("nestbox-small", labels, 96)
        mx.random.seed(0)
        networks = tuple(build_network("nestbox-small", 2, plan) for _ in range(2))
        if poison is not None:
            weight = networks[0].collect_params()[poison]
            weight.set_data(mx.nd.full(weight.shape, float("nan")))
        with ThreadPoolExecutor(2) as pool, ExitStack() as stack:
            images = ImageMemory(self.train, 96, pool, 10**9)
            sizes = InputSizes(64, 96, 2)
            batch_size = self.settings.mini_batch_size
            makers = [
                stack.enter_context(
                    BatchMaker(images, labels, plan, sizes, batch_size // 2, (0.5, 0.4), processes=0)
                )
                for _ in range(2)
            ]
            log = MetricsLog(stream=stream)
            training = Training(
                self.settings,
                stack.enter_context(Stepper(networks[0], self.settings, makers, log)),
                networks[1],
                Views(len(images), sizes, batch_size, 0),
                {size: self.evaluator(plan.at(size), pool) for size in (64, 96)},
                log,
                CheckpointFolder(folder, fingerprint(self.settings, self.train)),
                lambda: stop_after is not None and len(scores(stream.getvalue())) >= stop_after,
            )
            return training.run(), stream.getvalue()

    def evaluator(self, plan: AnchorPlan, pool: ThreadPoolExecutor) -> Evaluator:
        size = plan.image_size
        squares = ImageMemory(self.validation, size, pool, 10**9, lambda image: to_square(image, size))
        labels = [sample.labels for sample in self.validation]
        return Evaluator(squares, labels, plan, 0.45, 0.5, pool)


def test_a_network_ends_at_the_size_that_was_asked_for(tmp_path: Path, layout: Callable[..., Path]) -> None:
    root = layout(tmp_path / "root", epochs="6", image_shape="128")
    assert run_training_job(OptMl(root)) == 0
    description = read_artefact(root / "model").description
    assert (description.best_epoch >= 4, description.plan.image_size) == (True, 128)


def test_the_best_epoch_is_kept_and_of_those_that_differ_by_chance_the_latest(
    tmp_path: Path, layout: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    course = Course(layout(tmp_path / "root"), epochs="5")
    values = [0.2, 0.9, 0.5, 0.496, 0.494]
    told = iter([Score({0: value}) for value in values])
    monkeypatch.setattr(Evaluator, "evaluate", lambda *_: next(told))
    best, log = course.run(None)
    assert (best.epoch, best.size, best.score) == (3, 96, Score({0: 0.496}))
    assert epoch_by_the_log(log).epoch == best.epoch
    told = iter([Score({0: value}) for value in values])
    until_then, _ = course.run(None, stop_after=4)
    for name, value in until_then.weights.items():
        np.testing.assert_array_equal(best.weights[name], value)


@pytest.mark.parametrize(("stop_after", "epoch"), [(2, 1), (3, 2)])
def test_epochs_on_small_inputs_count_until_one_has_seen_images_in_full(
    stop_after: int, epoch: int, tmp_path: Path, layout: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    course = Course(layout(tmp_path / "root"), epochs="4")
    told = iter([Score({0: value}) for value in (0.2, 0.9, 0.1)])
    monkeypatch.setattr(Evaluator, "evaluate", lambda *_: next(told))
    best, _ = course.run(None, stop_after=stop_after)
    assert (best.epoch, best.size) == (epoch, 64 if epoch < 2 else 96)


def test_an_interrupted_training_ends_as_if_it_had_not_been(
    tmp_path: Path, layout: Callable[..., Path]
) -> None:
    course = Course(layout(tmp_path / "root"))
    whole, whole_log = course.run(None)
    _, first_log = course.run(tmp_path, stop_after=2)
    resumed, second_log = course.run(tmp_path)
    kept = re.search(r"Resuming from the checkpoint of epoch (\d)", second_log)
    assert kept is not None
    assert scores(first_log)[: int(kept[1]) + 1] + scores(second_log) == scores(whole_log)
    assert resumed.epoch == whole.epoch
    for name, value in whole.weights.items():
        np.testing.assert_array_equal(resumed.weights[name], value)


def files(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / "model").iterdir()}


def checkpointed(root: Path) -> Path:
    (root / "checkpoints").mkdir()
    return root


def test_jobs_stopped_and_killed_at_any_moment_end_with_the_very_same_model(
    tmp_path: Path, layout: Callable[..., Path], start: Callable[..., Any]
) -> None:
    told = {"epochs": "12", "nestbox_seed": "5", "mini_batch_size": "24"}
    whole = checkpointed(layout(tmp_path / "whole", **told))
    command = start("train", "--root", str(whole))
    assert command.end() == 0, command.text()

    moments = random.Random(1)
    root = checkpointed(layout(tmp_path / "cut", **told))
    logs: list[str] = []
    for sent in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        command = start("train", "--root", str(root))
        command.wait_for(lambda text: len(scores(text)) >= 2)
        time.sleep(moments.uniform(0, 0.2))  # the moment, not a wait for something
        assert command.end(sent) == (0 if sent is signal.SIGTERM else -signal.SIGKILL), command.text()
        logs.append(command.text())
        if sent is signal.SIGTERM:
            best = epoch_by_the_log(*logs).validation_map
            assert read_artefact(root / "model").description.validation_map == pytest.approx(best, abs=1e-5)
    command = start("train", "--root", str(root))
    assert command.end() == 0, command.text()
    assert "Resuming from the checkpoint of epoch" in command.text()
    assert files(root) == files(whole)
    assert [path.name for path in (root / "checkpoints").iterdir()] == ["detector-checkpoint.npz"]


def test_the_seed_decides_the_model_and_nothing_else_does(
    tmp_path: Path, layout: Callable[..., Path]
) -> None:
    models = []
    for number, seed in enumerate(("3", "3", "4")):
        root = layout(tmp_path / str(number), epochs="1", nestbox_seed=seed)
        assert run_training_job(OptMl(root)) == 0
        models.append(files(root))
    for name in ("detector-0000.params", "detector.json"):
        assert models[0][name] == models[1][name]
    assert models[0]["detector-0000.params"] != models[2]["detector-0000.params"]
    description = read_artefact(tmp_path / "2" / "model").description
    assert description.hyperparameters["nestbox_seed"] == "4"


def test_another_jobs_checkpoint_is_left_alone(tmp_path: Path, layout: Callable[..., Path]) -> None:
    root = layout(tmp_path / "root")
    Course(root, epochs="1").run(tmp_path)
    _, log = Course(root, epochs="2").run(tmp_path)
    assert "Resuming" not in log
    (tmp_path / "detector-checkpoint.npz").write_bytes(b"cut off")
    _, log = Course(root, epochs="1").run(tmp_path)
    assert len(scores(log)) == 1


def test_a_stop_in_the_first_epoch_still_leaves_weights(tmp_path: Path, layout: Callable[..., Path]) -> None:
    best, _ = Course(layout(tmp_path / "root")).run(None, stop_after=0)
    assert best.score is None
    assert best.weights


def test_early_stopping_ends_without_gain(tmp_path: Path, layout: Callable[..., Path]) -> None:
    changes = {"early_stopping": "True", "early_stopping_min_epochs": "2", "early_stopping_patience": "1"}
    _, log = Course(layout(tmp_path / "root"), epochs="50", early_stopping_tolerance="1", **changes).run(None)
    assert "Early stopping" in log
    assert len(scores(log)) < 50


def test_a_loss_that_is_no_number_ends_the_job_with_the_way_out(
    tmp_path: Path, layout: Callable[..., Path]
) -> None:
    course = Course(layout(tmp_path / "root"))
    with pytest.raises(DivergedError, match=r"nan in epoch 0, batch 0; lower learning_rate \(now 0.004\)"):
        course.run(None, poison="head_level0_weight")
    # Behind a ReLU a broken layer leaves the loss a number.
    with pytest.raises(DivergedError, match=r"a weight is no number after epoch 0; lower learning_rate"):
        course.run(None, poison="stem_conv_weight")


def test_frozen_layers_do_not_move(tmp_path: Path, layout: Callable[..., Path]) -> None:
    course = Course(layout(tmp_path / "root"), freeze_layer_pattern="^(stem_|stride4_).*", epochs="1")
    best, _ = course.run(None)
    mx.random.seed(0)
    labels = [sample.labels for sample in course.train]
    fresh = build_network("nestbox-small", 2, plan_for("nestbox-small", labels, 96)).collect_params()
    np.testing.assert_array_equal(
        best.weights["stem_conv_weight"], fresh["stem_conv_weight"].data().asnumpy()
    )
    assert not np.array_equal(
        best.weights["stride8_down_conv_weight"], fresh["stride8_down_conv_weight"].data().asnumpy()
    )


def test_a_pattern_that_freezes_nothing_is_told(tmp_path: Path, layout: Callable[..., Path]) -> None:
    _, log = Course(layout(tmp_path / "root"), freeze_layer_pattern="^conv1_", epochs="1").run(None)
    assert "matches no layer" in log


def test_a_pattern_that_freezes_everything_ends_the_job(tmp_path: Path, layout: Callable[..., Path]) -> None:
    code, reason = fail(layout(tmp_path / "root", freeze_layer_pattern=".*"))
    assert (code, "freezes every layer" in reason) == (2, True)


@pytest.mark.parametrize("base_network", ["resnet-50", "vgg-16"])
def test_the_built_in_networks_train(
    base_network: str, tmp_path: Path, layout: Callable[..., Path], start: Callable[..., Any]
) -> None:
    root = layout(
        tmp_path / "root",
        images=(1, 1),
        base_network=base_network,
        image_shape="300",
        epochs="1",
        mini_batch_size="1",
        learning_rate="0.0001",
        num_training_samples="1",
    )
    if base_network == "resnet-50":
        (root / "input/data/model").mkdir()
        zoo = {"arg:conv0_weight": mx.nd.ones((64, 3, 7, 7))}
        mx.nd.save(str(root / "input/data/model/resnet-50-0000.params"), zoo)
        told = "Base network starts from resnet-50-0000.params of channel 'model'"
    else:
        told = "there are none: neither channel 'model' nor /opt/nestbox/pretrained has a weight file"
    command = start("train", "--root", str(root))
    assert command.end() == 0, command.text()
    assert told in command.text()
    assert read_artefact(root / "model").description.base_network == base_network
