"""Hyperparameters, and what to do about jobs and endpoints."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nestbox.errors import SettingsError, UntrainableError
from nestbox.prep_summary import PrepSummary
from nestbox.rules.batch_job import BatchJob
from nestbox.rules.epochs import Epoch, TrainingLog
from nestbox.rules.hyperparameters import hyperparameters, may_warm_start
from nestbox.rules.preparing import Preparing, decide_preparing
from nestbox.rules.recording import (
    UNSEEN,
    LogIncomplete,
    NotTrained,
    StillTraining,
    Trained,
    TrainingJob,
    decide_recording,
)
from nestbox.rules.training_request import Champion, training_request
from nestbox.settings import DetectorKind, JudgeSettings, StartTrainingSettings, read_settings
from nestbox.states import ENDED, MOVES, STAGES, UNFINISHED, State, may_move

NOW = datetime(2026, 11, 24, 22, 40, tzinfo=UTC)
RUN = "birds-20261124224000-abcd"
OURS, BUILT_IN = DetectorKind.NESTBOX, DetectorKind.BUILT_IN


def summary(**changes):
    return PrepSummary(
        **{
            "run": RUN,
            "dataset": "birds",
            "outcome": "READY",
            "train_samples": 200,
            "classes": ["cardinal", "wren"],
            "label_width": 12,
            **changes,
        }
    )


def with_training(**training):
    return summary(config={"training": training, "gate": {}})


def test_only_the_built_in_base_networks_need_large_images():
    small = hyperparameters(OURS, "nestbox-small", 0, with_training(image_shape=128))
    assert small["image_shape"] == "128"
    with pytest.raises(UntrainableError, match="takes at least 300 pixels"):
        hyperparameters(OURS, "resnet-50", 0, with_training(image_shape=128))


def test_our_detector_is_told_only_what_it_cannot_know():
    assert hyperparameters(OURS, "nestbox-small", 0, summary()) == {
        "base_network": "nestbox-small",
        "num_classes": "2",
        "num_training_samples": "200",
        "label_width": "12",
        "nestbox_class_names": '["cardinal", "wren"]',
    }
    assert hyperparameters(OURS, "nestbox-small", 30, summary())["epochs"] == "30"


def test_what_the_dataset_asks_for_wins():
    found = hyperparameters(
        OURS,
        "nestbox-small",
        30,
        with_training(
            epochs=5, learning_rate=1e-05, warm_start=True, lr_scheduler_step="2,4", early_stopping=True
        ),
    )
    assert (found["epochs"], found["learning_rate"], found["lr_scheduler_step"]) == ("5", "1e-05", "2,4")
    assert found["early_stopping"] == "True"
    assert "warm_start" not in found


@pytest.mark.parametrize(("classes", "told"), [(312, True), (313, False)])
def test_class_names_that_sagemaker_would_not_carry_stay_at_home(classes, told):
    # Each takes 8 characters of JSON.
    found = hyperparameters(OURS, "nestbox-small", 0, summary(classes=[f"{n:04d}" for n in range(classes)]))
    assert ("nestbox_class_names" in found) == told
    assert all(len(value) <= 2500 for value in found.values())


def test_ours_are_not_told_to_the_built_in_algorithm():
    with pytest.raises(UntrainableError, match=r"training\.nestbox_loss is for Nestbox's own detector"):
        hyperparameters(BUILT_IN, "resnet-50", 0, with_training(nestbox_loss="focal"))
    assert hyperparameters(OURS, "resnet-50", 0, with_training(nestbox_seed=7))["nestbox_seed"] == "7"
    assert "nestbox_class_names" not in hyperparameters(BUILT_IN, "resnet-50", 0, summary())


@pytest.mark.parametrize("kind", [OURS, BUILT_IN])
def test_a_size_that_the_base_network_does_not_take_is_told_before_training(kind):
    with pytest.raises(UntrainableError, match=r"image_shape is 256, but vgg-16 takes at least 300 pixels"):
        hyperparameters(kind, "vgg-16", 0, with_training(image_shape=256))


@given(st.integers(1, 500), st.integers(0, 400), st.one_of(st.none(), st.integers(1, 64)))
def test_built_in_hyperparameters_hold_together(samples, epochs, batch):
    wishes = {"mini_batch_size": batch} if batch else {}
    found = hyperparameters(
        BUILT_IN,
        "resnet-50",
        epochs,
        summary(train_samples=samples, config={"training": wishes, "gate": {}}),
    )
    assert 1 <= int(found["mini_batch_size"]) <= samples
    assert int(found["epochs"]) == (epochs or 100)
    steps = [int(step) for step in found.get("lr_scheduler_step", "").split(",") if step]
    assert steps == sorted(set(steps))
    assert all(0 < step < int(found["epochs"]) for step in steps)
    assert all(isinstance(value, str) and len(value) < 2500 for value in found.values())


def test_our_network_cannot_be_trained_by_the_built_in_algorithm():
    with pytest.raises(UntrainableError, match="resnet-50 and vgg-16"):
        hyperparameters(BUILT_IN, "resnet-50", 0, with_training(base_network="nestbox-small"))


@pytest.mark.parametrize(
    ("kind", "champion", "training", "network", "warm"),
    [
        (OURS, ["cardinal", "wren"], {}, "nestbox-small", True),
        (OURS, ["cardinal"], {}, "nestbox-small", True),
        (OURS, ["wren"], {}, "nestbox-small", False),
        (OURS, ["cardinal", "wren", "robin"], {}, "nestbox-small", False),
        (OURS, [], {}, "nestbox-small", False),
        (OURS, ["cardinal"], {"warm_start": False}, "nestbox-small", False),
        (OURS, ["cardinal"], {}, "resnet-50", False),
        (BUILT_IN, ["cardinal"], {}, "nestbox-small", False),
        (BUILT_IN, ["cardinal", "wren"], {}, "nestbox-small", True),
    ],
)
def test_warm_start(kind, champion, training, network, warm):
    wanted = {"base_network": "nestbox-small"}
    assert (
        may_warm_start(kind, wanted, with_training(**training), champion, {"base_network": network}) == warm
    )


SETTINGS = StartTrainingSettings(
    uploads_bucket="u",
    artifacts_bucket="a",
    settle_queue_url="s",
    record_queue_url="r",
    batch_job_queue="q",
    prepare_job_definition="d",
    detector_image="image",
    detector_kind=OURS,
    base_network="nestbox-small",
    training_role_arn="arn:aws:iam::000000000000:role/training",
    training_instance_type="ml.m5.large",
    training_max_seconds=3600,
)


def test_training_request():
    request = training_request(RUN, {"epochs": "3"}, None, SETTINGS)
    assert request["TrainingJobName"] == RUN
    assert [one["ChannelName"] for one in request["InputDataConfig"]] == ["train", "validation"]
    assert request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] == (
        f"s3://a/runs/{RUN}/prep/channels/train/"
    )
    assert request["OutputDataConfig"] == {"S3OutputPath": f"s3://a/runs/{RUN}/output"}
    assert "CheckpointConfig" not in request


@pytest.mark.parametrize("kind", [OURS, BUILT_IN])
def test_only_our_own_container_says_what_its_metrics_look_like(kind):
    told = training_request(RUN, {}, None, replace(SETTINGS, detector_kind=kind))["AlgorithmSpecification"]
    assert ("MetricDefinitions" in told) == (kind is OURS)


def test_training_goes_on_after_its_machine_was_lost():
    request = training_request(RUN, {}, None, SETTINGS)
    assert request["RetryStrategy"] == {"MaximumRetryAttempts": 2}


def test_spot_training_keeps_checkpoints_and_waits_longer_than_it_runs():
    request = training_request(
        RUN, {}, Champion("old", "s3://a/model.tar.gz"), replace(SETTINGS, training_spot=True)
    )
    assert request["EnableManagedSpotTraining"]
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200}
    assert request["CheckpointConfig"] == {"S3Uri": f"s3://a/runs/{RUN}/checkpoints/"}
    assert request["InputDataConfig"][-1]["ChannelName"] == "model"


@pytest.mark.parametrize(
    ("status", "decision"),
    [
        (None, Preparing.SUBMIT),
        *[(s, Preparing.WAIT) for s in ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")],
        ("SUCCEEDED", Preparing.READ),
        ("FAILED", Preparing.FAIL),
    ],
)
def test_preparing(status, decision):
    assert decide_preparing([BatchJob("id", "name", status) if status else None]) is decision


def job(status="Completed", **changes):
    facts = {
        "status": status,
        "secondary_status": status,
        "image": "image",
        "hyperparameters": {},
        "model_data": "s3://a/model.tar.gz",
        "ended_at": NOW,
    }
    return TrainingJob(**{**facts, **changes})


EPOCHS = (Epoch(0, NOW, 0.5), Epoch(1, NOW, 0.4))
FINISHED = TrainingLog(EPOCHS, finished=True)
GOING = TrainingLog(EPOCHS, finished=False)
EMPTY = TrainingLog((), finished=False)


@pytest.mark.parametrize(
    ("training", "log", "kind"),
    [
        (job("InProgress"), GOING, StillTraining),
        (job("Stopping"), GOING, StillTraining),
        (job(), FINISHED, Trained),
        (job(), GOING, LogIncomplete),
        (job(hyperparameters={"epochs": "2"}), GOING, Trained),
        (job(hyperparameters={"epochs": "3"}), GOING, LogIncomplete),
        (job(ended_at=NOW - timedelta(seconds=121)), GOING, Trained),
        (job(), EMPTY, LogIncomplete),
        (job(), TrainingLog((), finished=True), LogIncomplete),
        (job(ended_at=NOW - timedelta(seconds=121)), EMPTY, NotTrained),
        (job("Failed", failure_reason="why"), FINISHED, NotTrained),
        (job("Stopped"), FINISHED, Trained),
        (job("Stopped", model_data=None), FINISHED, NotTrained),
        (job(model_data=None), FINISHED, NotTrained),
        (job("Exploded"), FINISHED, NotTrained),
        (None, FINISHED, NotTrained),
    ],
)
def test_recording(training, log, kind):
    assert isinstance(decide_recording(training, log, NOW - UNSEEN, NOW), kind)


def test_a_built_in_learning_rate_falls_where_there_are_epochs_enough():
    wanted = hyperparameters(BUILT_IN, "resnet-50", 30, summary())
    assert wanted["lr_scheduler_step"] == "10,20"
    assert "lr_scheduler_step" not in hyperparameters(BUILT_IN, "resnet-50", 1, summary())


def test_fractions_are_told_without_their_rounding_errors():
    wanted = hyperparameters(OURS, "nestbox-small", 0, with_training(learning_rate=0.1 + 0.2))
    assert wanted["learning_rate"] == "0.3"


def test_a_job_that_says_little_is_waited_for_and_then_told_of():
    assert isinstance(decide_recording(job(ended_at=None), GOING, NOW - UNSEEN, NOW), LogIncomplete)
    assert "names no model" in decide_recording(job(model_data=None), FINISHED, NOW - UNSEEN, NOW).reason
    assert isinstance(decide_recording(job(), FINISHED, NOW, NOW), Trained)


def test_a_training_job_may_not_be_seen_at_once():
    just_asked = NOW - UNSEEN + timedelta(seconds=1)
    assert isinstance(decide_recording(None, EMPTY, just_asked, NOW), StillTraining)


def test_recording_names_the_best_epoch_and_the_reason():
    assert decide_recording(job(), FINISHED, NOW - UNSEEN, NOW).best.epoch == 0
    failed = job("Failed", failure_reason="out of memory")
    assert decide_recording(failed, EMPTY, NOW - UNSEEN, NOW).reason == "out of memory"
    stopped = decide_recording(job("Stopped", model_data=None), EMPTY, NOW - UNSEEN, NOW)
    limited = job("Stopped", model_data=None, secondary_status="MaxRuntimeExceeded")
    assert stopped.stopped
    assert not decide_recording(limited, EMPTY, NOW - UNSEEN, NOW).stopped
    assert "TrainingMaxSeconds" in decide_recording(limited, EMPTY, NOW - UNSEEN, NOW).reason


def test_states():
    assert frozenset(State) == UNFINISHED | ENDED
    assert set(STAGES) == UNFINISHED
    assert all(may_move(state, State.FAILED) and may_move(state, State.CANCELLED) for state in UNFINISHED)
    # An ended run moves only to be served, and only where it can have a model.
    assert {state: set(MOVES[state]) for state in ENDED} == {
        state: {State.DEPLOYING} if state is not State.BLOCKED else set() for state in ENDED
    }


def test_settings_name_every_bad_key():
    with pytest.raises(SettingsError, match="SETTLE_QUEUE_URL is not set; ENDPOINT_QUEUE_URL is not set; "):
        read_settings(JudgeSettings, {"SETTLE_QUEUE_URL": ""})
    environment = {name.upper(): str(getattr(SETTINGS, name)) for name in SETTINGS.__dataclass_fields__}
    assert read_settings(StartTrainingSettings, environment) == SETTINGS
    bad = {
        "DETECTOR_KIND": "mine",
        "TRAINING_MAX_SECONDS": "soon",
        "TRAINING_SPOT": "perhaps",
        "DEFAULT_EPOCHS": "-1",
    }
    with pytest.raises(SettingsError) as caught:
        read_settings(StartTrainingSettings, environment | bad)
    assert all(f"{key}='{value}'" in str(caught.value) for key, value in bad.items())
