"""What random schedules (tests/simulation) found first."""

import contextlib

import pytest
from nestbox.errors import LostRaceError
from nestbox.rows import datasets, promotions
from nestbox.states import State
from nestbox.steps.operate import Operator
from nestbox.tables import get_dataset, get_run

ANNA = Operator("anna", "once more")
ENDPOINT = "nestbox-birds"


def test_an_old_snapshot_leaves_what_was_said_of_newer_uploads(new_world):
    with new_world(min_new_images=2) as world:
        served = world.run_to_end([0.5])
        world.upload("datasets/birds/images/100.jpg")
        world.pump(62)
        assert [notice.code for notice in get_dataset("birds").defects] == ["too-few-new-images"]
        world.operate.start("birds", ANNA, snapshot_run=served)
        world.pump(0)
        dataset = get_dataset("birds")
        assert get_run(dataset.active_run).snapshot_run == served
        assert [notice.code for notice in dataset.defects] == ["too-few-new-images"]


def test_two_looks_that_put_the_champion_back_are_a_race(world):
    champion = world.run_to_end([0.5])
    better = world.run_to_training("birds", *[f"datasets/birds/images/{n}.jpg" for n in (10, 11, 12)])
    world.finish_training(better, [0.75])
    world.record_run.look(better)
    world.judge_run(better)
    dataset, row = get_dataset("birds"), get_run(better)
    assert row.state == State.DEPLOYING

    def give_up():
        promotions.give_up(
            row,
            dataset,
            State.FAILED,
            by="update_endpoint",
            why="an alarm rang",
            now=world.clock(),
            restore=get_run(champion),
        )

    give_up()
    with pytest.raises(LostRaceError, match="is being put back already"):
        give_up()


def test_a_champion_whose_endpoint_somebody_deletes_serves_again(world):
    champion = world.run_to_end([0.5])
    world.sagemaker.endpoints[ENDPOINT]["EndpointStatus"] = "Deleting"
    assert world.update_endpoint.look_at_dataset("birds") == "the endpoint is Deleting"
    # No event tells that it is gone.
    del world.sagemaker.endpoints[ENDPOINT]
    world.pump(16)
    assert get_dataset("birds").wanted_run == champion
    world.pump(16)
    assert world.sagemaker.endpoints[ENDPOINT]["EndpointConfigName"] == champion


def upload_and_lose_its_settling(world):
    """Something is uploaded, and whoever settles it crashes after taking its message off the row."""
    world.clock.advance(1)
    world.upload("datasets/birds/images/100.jpg")
    datasets.disarm(get_dataset("birds"))
    world.queues.lose_all()


@pytest.mark.parametrize("changed", [True, False], ids=["a run starts", "nothing changed"])
def test_an_older_listing_does_not_take_newer_uploads_off(world, monkeypatch, changed):
    served = world.run_to_end([0.5])
    world.upload("datasets/birds/images/50.jpg", content=b"new")
    if not changed:
        world.s3.delete_object(Bucket="uploads", Key="datasets/birds/images/50.jpg")
    world.clock.advance(61)
    world.queues.lose_all()
    listed = world.start_run._uploads.list

    def list_slowly(dataset):
        listing = listed(dataset)
        upload_and_lose_its_settling(world)
        return listing

    with monkeypatch.context() as slow:
        slow.setattr(world.start_run._uploads, "list", list_slowly)
        with contextlib.suppress(LostRaceError):
            world.start_run.look("birds")
    assert get_dataset("birds").pending == "1", "the newest upload is in no listing that counted"
    if changed:
        world.operate.cancel(get_dataset("birds").active_run, ANNA)
    for _minute in range(3):
        world.clock.advance(61)
        world.reconcile.look()
        world.pump(0)
    last = get_run(get_dataset("birds").last_run)
    assert last.run != served
    assert last.snapshot_objects == (5 if changed else 4)
    assert get_dataset("birds").pending is None
