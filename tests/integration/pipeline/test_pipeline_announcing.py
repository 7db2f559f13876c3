"""How runs end is told: at least once, whatever crashes, and under one id however often."""

import pytest
from botocore.exceptions import ClientError
from nestbox.errors import LostRaceError
from nestbox.rows import runs
from nestbox.states import State
from nestbox.tables import RunRow, get_run


def untold():
    return [row.run for row in RunRow.unannounced_index.query("1")]


def test_a_run_is_announced_once_when_it_ends_and_not_before(world):
    run = world.run_to_training()
    assert world.announce.look(run) == 0
    assert (untold(), get_run(run).announced) == ([], None)
    world.sagemaker.trainings[run].update(TrainingJobStatus="Failed", FailureReason="AlgorithmError: no GPU")
    world.record_run.look(run)
    assert untold() == [run]

    assert world.announce.look(run) == 1
    assert world.announce.look(run) == 0
    assert untold() == []
    [told] = world.announcing.told
    assert (told.event, told.run, told.state) == ("failed", run, State.FAILED)
    assert told.what == "birds: a run failed (training)"
    assert "AlgorithmError: no GPU" in told.why


def test_a_crash_between_the_end_and_its_announcement_loses_nothing(world):
    run = world.run_to_end([0.9])
    # Nobody announced it: the function crashed, or its event was lost.
    assert world.reconcile.look().announced == 0, "its own event may still be under way"
    world.clock.advance(61)
    assert world.reconcile.look().announced == 1
    assert world.reconcile.look().announced == 0
    assert world.announcing.events == [(run, "promoted")]


def test_a_crash_between_the_announcement_and_its_note_repeats_the_same_id(world, monkeypatch):
    run = world.run_to_end([0.9])

    def crash(row):
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(runs, "mark_announced", crash)
        with pytest.raises(SystemExit):
            world.announce.look(run)
    world.clock.advance(61)
    world.reconcile.look()
    world.reconcile.look()
    first, again = world.announcing.told
    assert first == again


def test_what_cannot_be_published_stays_and_costs_nobody_else(world):
    world.announcing.broken = True
    first = world.run_to_end([0.9], "birds")
    second = world.run_to_end([0.9], "cats")
    with pytest.raises(ClientError):
        world.announce.look(first)
    world.clock.advance(61)
    assert len(world.reconcile.look().troubles) == 2
    assert sorted(untold()) == sorted([first, second])

    world.announcing.broken = False
    assert world.reconcile.look().announced == 2
    assert sorted(world.announcing.events) == sorted([(first, "promoted"), (second, "promoted")])


def test_an_end_that_comes_while_another_is_announced_is_announced_too(world):
    run = world.run_to_training()
    row = get_run(run)
    runs.end(row, State.CANCELLED, by="somebody", why="not now", now=world.clock())
    publish = world.announcing.publish

    def publish_while_an_operator_moves_it(announcement):
        publish(announcement)
        RunRow(row.dataset, run).update(actions=[RunRow.revision.add(1)])

    world.announcing.publish = publish_while_an_operator_moves_it
    with pytest.raises(LostRaceError):
        world.announce.look(run)
    assert untold() == [run]
    world.announcing.publish = publish
    assert world.announce.look(run) == 1
    assert world.announcing.told[0].id == world.announcing.told[1].id


@pytest.mark.parametrize(
    ("outcome", "scores", "event"),
    [("BLOCKED", [], "blocked"), ("READY", [0.1], "rejected"), ("READY", [0.95], "promoted")],
)
def test_every_end_has_its_event(world, outcome, scores, event):
    champion = world.run_to_end([0.9])
    world.announce.look(champion)
    world.upload("datasets/birds/images/more.jpg")
    world.pump(62)
    [_, run] = [row.run for row in world.runs()]
    world.finish_preparation(run, outcome=outcome, reasons=["no class is left"] if not scores else [])
    world.start_training.look(run)
    if scores:
        world.finish_training(run, scores)
        world.record_run.look(run)
        world.judge_run(run)
        world.update_endpoint.look(run)
        world.clock.advance(10)
        world.sagemaker.settle_endpoint("nestbox-birds")
        world.update_endpoint.look(run)
    assert world.announce.look(run) == 1
    assert world.announcing.events[-1] == (run, event)
