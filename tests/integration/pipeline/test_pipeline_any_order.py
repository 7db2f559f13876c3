"""Whatever looks come, in whatever order and how often, a run ends the same way."""

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nestbox.errors import LostRaceError
from nestbox.tables import get_dataset, get_run

PHOTOS = [f"datasets/birds/images/{n}.jpg" for n in range(3)]
LOOKS = [
    "intake",
    "settle",
    "start_training",
    "record_run",
    "judge",
    "update_endpoint",
    "endpoint",
    "reconcile",
]
WORLD_MOVES = [
    "batch ends",
    "training ends",
    "answers are there",
    "scores are there",
    "endpoint rests",
    "time passes",
    "messages are lost",
    "messages come",
]


def do(world, action):
    """One thing that happens; what has nothing to act on yet does nothing."""
    runs = world.runs()
    run = runs[0].run if runs else None
    with contextlib.suppress(LostRaceError):
        if action == "intake":
            world.tell(*PHOTOS)
        elif action == "settle" and world.writes_to("birds"):
            world.start_run.look("birds")
        elif action == "reconcile":
            world.reconcile.look()
        elif action == "endpoint":
            world.update_endpoint.look_at_dataset("birds")
        elif action in ("start_training", "record_run", "judge", "update_endpoint") and run:
            getattr(world, action).look(run)
        elif action == "batch ends" and run and world.jobs_of(run):
            world.finish_preparation(run)
        elif action == "training ends" and run in world.sagemaker.trainings:
            if world.sagemaker.trainings[run]["TrainingJobStatus"] == "InProgress":
                world.finish_training(run, [0.25, 0.75, 0.5])
        elif action == "answers are there" and run:
            world.end_transforms(run)
        elif action == "scores are there" and run and world.jobs_of(run, "evaluate"):
            world.write_evaluation(run)
        elif action == "endpoint rests" and "nestbox-birds" in world.sagemaker.endpoints:
            world.sagemaker.settle_endpoint("nestbox-birds")
        elif action == "time passes":
            world.clock.advance(61)
        elif action == "messages are lost":
            world.queues.lose_all()
        elif action == "messages come":
            for url, body in world.queues.take_due():
                with contextlib.suppress(LostRaceError):
                    world.deliver(url, body)


@pytest.mark.parametrize("threshold", [50_000, 2], ids=["one-job", "slices"])
# The simulator plays many more; these are held against moto.
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(LOOKS + WORLD_MOVES), max_size=30))
def test_any_order_of_looks_ends_the_same(new_world, threshold, actions):
    with new_world(array_threshold=threshold) as world:
        world.upload(*PHOTOS, tell=False)
        for action in actions:
            do(world, action)
        # From here on AWS does its work, all events are lost, and reconcile alone carries the run.
        do(world, "intake")
        for _minute in range(11):
            world.queues.lose_all()
            for action in (
                "time passes",
                "batch ends",
                "training ends",
                "answers are there",
                "scores are there",
                "endpoint rests",
                "reconcile",
                "messages come",
            ):
                do(world, action)

        (run,) = world.runs()
        row = get_run(run.run)
        assert row.state == "SERVED"
        assert [step.to_state for step in row.history] == [
            "PREPARING",
            "TRAINING",
            "EVALUATING",
            "DEPLOYING",
            "SERVED",
        ]
        assert (row.best_epoch, row.best_map) == (1, 0.75)
        dataset = get_dataset("birds")
        assert (dataset.champion_run, dataset.active_run) == (row.run, None)
        assert list(world.sagemaker.trainings) == list(world.sagemaker.models) == [row.run]
        assert list(world.sagemaker.configs) == [row.run]
        assert world.sagemaker.endpoints["nestbox-birds"]["EndpointConfigName"] == row.run
        assert list(world.sagemaker.transforms) == [f"{row.run}-candidate"]
        assert len(world.jobs_of(row.run, "evaluate")) == 1
        counts = [len(world.jobs_of(row.run, kind)) for kind in ("plan", "slices", "prepare")]
        assert counts == ([0, 0, 1] if threshold > len(PHOTOS) else [1, 1, 1])
