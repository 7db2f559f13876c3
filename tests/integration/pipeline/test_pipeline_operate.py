"""What operators do, at any moment, and what becomes of the endpoint."""

from unittest.mock import Mock

import boto3
import pytest
from nestbox import timestamps
from nestbox.errors import ActionRefusedError, LostRaceError
from nestbox.rows import promotions
from nestbox.rules.deploying import ASKING_LIVES
from nestbox.rules.endpoint_alarms import alarm_names
from nestbox.settings import EndpointType
from nestbox.states import State
from nestbox.steps.operate import Operator
from nestbox.tables import RunRow, get_dataset, get_run

ANNA = Operator("anna", "the customer needs it")
BEN = Operator("ben", "it misses every wren")
ENDPOINT = "nestbox-birds"


def photos(start):
    return [f"datasets/birds/images/{n}.jpg" for n in range(start, start + 3)]


def serving(world):
    """Whose configuration the endpoint serves."""
    endpoint = world.sagemaker.endpoints[ENDPOINT]
    assert endpoint["EndpointStatus"] == "InService"
    return endpoint["EndpointConfigName"]


def states(run):
    return [step.to_state for step in get_run(run).history]


def settle(world, *, well=True):
    """Let everything that was asked for happen, by messages and by the endpoint coming to rest."""
    for _round in range(9):
        world.pump(16)
        if get_dataset("birds").wanted_run is None:
            return
        if ENDPOINT in world.sagemaker.endpoints:
            world.sagemaker.settle_endpoint(ENDPOINT, well=well)
    raise AssertionError(f"{get_dataset('birds').wanted_run} is still on its way in")


def check_whole(world):
    """What holds whenever nothing is under way."""
    dataset = get_dataset("birds")
    assert (dataset.wanted_run, dataset.rollback_from, dataset.asked_run) == (None, None, None)
    assert not [row.run for row in world.runs() if row.unfinished]
    assert serving(world) == dataset.champion_run
    assert dataset.champion_run in world.sagemaker.configs


PHOTOS_OF_SERVED = [f"datasets/birds/images/{number}.jpg" for number in range(3)]


def hang_before(world, request, run):
    """Look at a run with a function that hangs between its note and its request to SageMaker."""
    with pytest.MonkeyPatch.context() as hanging:
        hanging.setattr(world.sagemaker, request, Mock(side_effect=TimeoutError))
        with pytest.raises(TimeoutError):
            world.update_endpoint.look(run)


def check_that_a_late_request_moves_nothing(world, run, champion):
    """The request of a function that hung arrives after all; in the end the champion serves."""
    world.sagemaker.update_endpoint(EndpointName=ENDPOINT, EndpointConfigName=run)
    settle(world)
    world.clock.advance(ASKING_LIVES.total_seconds())
    world.reconcile.look()
    settle(world)
    check_whole(world)
    assert serving(world) == champion


@pytest.fixture
def served(world):
    """A run that serves."""
    return world.run_to_end([0.5])


@pytest.fixture
def rejected(world, served):
    """A worse run behind it."""
    run = world.run_to_end([0.4], "birds", *photos(10))
    assert get_run(run).state == State.REJECTED
    return run


def test_the_story_of_a_dataset_reads_like_a_logbook(world, served, rejected):
    done = world.operate.promote(rejected, ANNA)
    assert (done.changed, done.run) == (True, rejected)
    assert done.told == f"{rejected} is being deployed instead of {served}"
    settle(world)
    check_whole(world)
    assert serving(world) == rejected

    done = world.operate.rollback("birds", BEN)
    assert (done.changed, done.run) == (True, served)
    settle(world)
    check_whole(world)
    assert serving(world) == served

    told = [(step.to_state, step.by, step.why) for step in get_run(rejected).history[3:]]
    assert [one[0] for one in told] == ["REJECTED", "DEPLOYING", "SERVED"]
    assert told[1][1:] == ("anna", "the customer needs it")
    assert states(served)[-4:] == ["DEPLOYING", "SERVED", "DEPLOYING", "SERVED"]
    assert [(r.run, r.by, r.why, r.back_from) for r in get_dataset("birds").champions] == [
        (served, "judge", get_run(served).decision.reason, None),
        (rejected, "anna", "the customer needs it", None),
        (served, "ben", "it misses every wren", rejected),
    ]


def test_everything_twice_does_it_once(world, served, rejected):
    for _twice in range(2):
        world.operate.promote(rejected, ANNA)
    assert not world.operate.promote(rejected, ANNA).changed
    settle(world)
    assert not world.operate.promote(rejected, ANNA).changed
    first = world.operate.rollback("birds", BEN, leave=rejected)
    again = world.operate.rollback("birds", BEN, leave=rejected)
    assert (first.changed, again.changed) == (True, False)
    settle(world)
    late = world.operate.rollback("birds", BEN, leave=rejected)
    assert (late.changed, late.run) == (False, served)
    check_whole(world)
    assert world.sagemaker.calls["UpdateEndpoint"] == 2
    assert states(rejected).count("DEPLOYING") == 1


def test_rolling_back_twice_goes_back_two_champions(world):
    first, second, third = (
        world.run_to_end([score], "birds", *photos(10 * n)) for n, score in enumerate((0.3, 0.4, 0.5))
    )
    for expected in (second, first):
        world.operate.rollback("birds", BEN)
        settle(world)
        assert serving(world) == expected
    with pytest.raises(ActionRefusedError, match=f"served before {first}") as caught:
        world.operate.rollback("birds", BEN)
    assert caught.value.code == "nothing_to_roll_back_to"
    assert get_run(third).state == State.SERVED, "it has served; that stays true"


def test_a_rollback_while_another_run_trains_takes_effect_at_once(world, served, rejected):
    world.operate.promote(rejected, ANNA)
    settle(world)
    training = world.run_to_training("birds", *photos(20))
    world.operate.rollback("birds", BEN)
    settle(world)
    assert serving(world) == served
    assert get_dataset("birds").active_run == training
    assert get_run(training).state == State.TRAINING
    # And it is judged against the one that serves when its turn comes.
    world.finish_training(training, [0.45])
    world.record_run.look(training)
    world.judge_run(training)
    assert get_run(training).state == State.REJECTED
    assert get_run(training).decision.champion_run == served
    check_whole(world)


def pruned_at(run):
    return timestamps.from_text(get_run(run).pruned_at)


def deploying(world, score=0.6, start=30):
    """A better run that is on its way in: SageMaker has been asked."""
    run = world.run_to_training("birds", *photos(start))
    world.finish_training(run, [score])
    world.record_run.look(run)
    world.judge_run(run)
    world.update_endpoint.look(run)
    assert get_run(run).state == State.DEPLOYING
    return run


@pytest.mark.parametrize("rests_first", [True, False])
def test_a_promotion_while_another_run_is_on_its_way_in(world, served, rejected, rests_first):
    better = deploying(world)
    if rests_first:
        world.sagemaker.settle_endpoint(ENDPOINT)
    done = world.operate.promote(rejected, ANNA)
    assert done.told == f"{rejected} is being deployed instead of {better}"
    assert get_run(better).state == State.CANCELLED
    assert get_dataset("birds").active_run is None
    settle(world)
    check_whole(world)
    assert serving(world) == rejected
    assert get_run(better).history[-1].by == "anna"
    assert rejected in get_run(better).history[-1].why


def test_two_promotions_at_once_cancel_what_they_replace_once(world, served, rejected, monkeypatch):
    """The second reads the dataset before the first has written, and the run to be replaced after it."""
    coming = world.run_to_end([0.3], "birds", *photos(20))
    world.operate.promote(coming, ANNA)
    read = promotions.get_run

    def read_late(run):
        monkeypatch.setattr(promotions, "get_run", read)
        assert world.operate.promote(rejected, ANNA).changed
        return read(run)

    monkeypatch.setattr(promotions, "get_run", read_late)
    done = world.operate.promote(rejected, BEN)
    assert (done.changed, done.run) == (False, rejected)
    settle(world)
    check_whole(world)
    assert serving(world) == rejected
    assert states(coming)[-2:] == ["DEPLOYING", "CANCELLED"]
    assert states(rejected).count("DEPLOYING") == 1


def test_a_rollback_calls_off_what_is_on_its_way_in(world, served):
    better = deploying(world)
    done = world.operate.rollback("birds", BEN)
    assert done.run == served
    assert not world.operate.rollback("birds", BEN).changed
    settle(world)
    check_whole(world)
    assert serving(world) == served
    assert get_run(better).state == State.CANCELLED
    assert [reign.run for reign in get_dataset("birds").champions] == [served]


def test_a_cancelled_deployment_that_may_still_begin_has_the_champion_put_back(world, served):
    """A function that hangs between its note and UpdateEndpoint, and whose run is cancelled meanwhile."""
    better = world.run_to_judging([0.6], "birds", *photos(30))
    world.judge_run(better)
    hang_before(world, "update_endpoint", better)
    world.operate.cancel(better, BEN)
    world.update_endpoint.look(better)
    # The endpoint looks right, and may still change.
    assert (get_run(better).state, get_run(served).state) == (State.CANCELLED, State.DEPLOYING)
    check_that_a_late_request_moves_nothing(world, better, served)


def test_promoting_the_champion_calls_off_what_is_on_its_way_in(world, served):
    better = deploying(world)
    assert world.operate.promote(served, ANNA).changed
    assert get_run(better).state == State.CANCELLED
    settle(world)
    check_whole(world)
    assert serving(world) == served


def test_a_rollback_away_from_the_champion_goes_to_the_one_before_whatever_is_coming(world, served):
    second = world.run_to_end([0.55], "birds", *photos(20))
    better = deploying(world)
    done = world.operate.rollback("birds", BEN, leave=second)
    assert (done.changed, done.run) == (True, served)
    assert get_run(better).state == State.CANCELLED
    settle(world)
    assert serving(world) == served


def test_a_rollback_to_what_is_promoted_already_is_under_way(world, served):
    second = world.run_to_end([0.55], "birds", *photos(20))
    world.operate.promote(served, ANNA)
    done = world.operate.rollback("birds", BEN, leave=second)
    assert (done.changed, done.run, done.told) == (False, served, f"{served} is being put back already")
    assert states(served).count("DEPLOYING") == 2


def test_a_rollback_while_the_champion_is_put_back_goes_to_the_one_before(world, served):
    second = world.run_to_end([0.55], "birds", *photos(20))
    better = deploying(world)
    world.sagemaker.settle_endpoint(ENDPOINT)
    world.operate.cancel(better, BEN)
    world.pump()
    assert get_dataset("birds").wanted_run == second
    done = world.operate.rollback("birds", BEN)
    assert (done.changed, done.run) == (True, served)
    settle(world)
    check_whole(world)
    assert serving(world) == served


def test_a_champion_that_is_put_back_is_not_cancelled(world, served):
    better = deploying(world)
    world.sagemaker.settle_endpoint(ENDPOINT)
    world.operate.cancel(better, BEN)
    world.pump()
    with pytest.raises(ActionRefusedError, match="is the champion that is being put back") as caught:
        world.operate.cancel(served, BEN)
    assert caught.value.code == "is_champion"
    assert get_run(served).cancel is None


def test_what_is_pinned_is_said(world):
    world.upload(*photos(0))
    told = [world.operate.pin("birds", pinned, ANNA).told for pinned in (True, True, False, False)]
    assert told == [
        "birds is pinned",
        "birds is pinned already",
        "birds is not pinned",
        "birds is not pinned already",
    ]
    champion = world.run_to_end([0.5])
    told = [world.operate.pin("birds", pinned, ANNA).told for pinned in (True, False)]
    assert told == [f"birds is pinned to {champion}", "birds is not pinned"]


def test_a_late_request_cannot_move_an_endpoint_that_is_declared_served(world, served):
    """A function that hangs between its note and UpdateEndpoint, and is overtaken by a rollback."""
    better = world.run_to_training("birds", *photos(30))
    world.finish_training(better, [0.6])
    world.record_run.look(better)
    world.judge_run(better)
    hang_before(world, "update_endpoint", better)
    world.operate.rollback("birds", BEN)
    world.pump(5)
    # The endpoint looks right, and may still change.
    assert get_run(served).state == State.DEPLOYING
    check_that_a_late_request_moves_nothing(world, better, served)


def test_any_run_with_a_model_may_be_promoted(world, served):
    failed = world.run_to_end([0.9], "birds", *photos(40), well=False)
    assert get_run(failed).state == State.FAILED
    assert "health check failed" in get_run(failed).history[-1].why
    world.operate.promote(failed, ANNA)
    assert get_run(failed).failure is None
    settle(world)
    check_whole(world)
    assert serving(world) == failed

    world.operate.promote(served, ANNA)
    settle(world)
    assert serving(world) == served
    # That is a promotion, not a way back: what served before it is the run it replaced.
    assert world.operate.rollback("birds", BEN).run == failed


def test_a_run_that_is_being_judged_may_be_promoted(world, served):
    run = world.run_to_training("birds", *photos(50))
    with pytest.raises(ActionRefusedError, match="TRAINING and has no model") as caught:
        world.operate.promote(run, ANNA)
    assert caught.value.code == "no_model"
    world.finish_training(run, [0.1])
    world.record_run.look(run)
    world.operate.promote(run, ANNA)
    world.judge.look(run)
    settle(world)
    check_whole(world)
    assert serving(world) == run
    assert get_dataset("birds").active_run is None


@pytest.mark.parametrize("lost", [False, True])
def test_a_run_that_is_promoted_while_it_is_judged_is_judged_no_more(world, served, lost):
    run = world.run_to_judging([0.1], "birds", *photos(50))
    world.judge.look(run)
    going = [job for name, job in world.sagemaker.transforms.items() if name.startswith(run)]
    assert [job["TransformJobStatus"] for job in going] == ["InProgress"] * 2
    world.operate.promote(run, ANNA)
    if lost:
        world.queues.lose_all()
        world.reconcile.look()
    settle(world)
    assert [job["TransformJobStatus"] for job in going] == ["Stopping"] * 2
    check_whole(world)
    assert serving(world) == run
    assert "judged no more" in world.cancel_run.look(run), "twice does no harm"
    assert not world.operate.promote(run, ANNA).changed


def test_a_promotion_asks_by_itself_for_the_judging_to_be_stopped(world, served):
    run = world.run_to_judging([0.1], "birds", *photos(50))
    world.judge.look(run)
    world.queues.lose_all()
    world.operate.promote(run, ANNA)
    settle(world)
    going = [job for name, job in world.sagemaker.transforms.items() if name.startswith(run)]
    assert [job["TransformJobStatus"] for job in going] == ["Stopping"] * 2


def test_the_scoring_of_a_run_that_is_promoted_is_stopped(world, served):
    run = world.run_to_judging([0.1], "birds", *photos(50))
    world.judge.look(run)
    world.end_transforms(run)
    world.judge.look(run)
    world.operate.promote(run, ANNA)
    settle(world)
    assert world.evaluation_of(run)["status"] == "FAILED"
    assert serving(world) == run


def test_blocked_runs_have_no_model(world):
    world.upload(*photos(0))
    world.pump(62)
    run = get_dataset("birds").active_run
    world.finish_preparation(run, outcome="BLOCKED", reasons=["no boxes"])
    world.start_training.look(run)
    with pytest.raises(ActionRefusedError, match="BLOCKED"):
        world.operate.promote(run, ANNA)
    with pytest.raises(ActionRefusedError, match="No model of birds has served") as caught:
        world.operate.rollback("birds", ANNA)
    assert caught.value.hint == "The first run that passes the gate serves by itself."


def test_pinned_means_that_no_run_gets_in_by_itself(world, served):
    assert world.operate.pin("birds", True, ANNA).changed
    assert not world.operate.pin("birds", True, BEN).changed
    run = world.run_to_end([0.9], "birds", *photos(60))
    assert get_run(run).state == State.REJECTED
    assert "pinned" in get_run(run).decision.reason
    world.operate.promote(run, ANNA)
    settle(world)
    assert serving(world) == run, "operators still may"
    assert world.operate.pin("birds", False, BEN).changed
    assert [(p.pinned, p.by, p.why) for p in get_dataset("birds").pins] == [
        (True, "anna", ANNA.why),
        (False, "ben", BEN.why),
    ]


def judged(world, start, score=0.9):
    run = world.run_to_training("birds", *photos(start))
    world.finish_training(run, [score])
    world.record_run.look(run)
    return get_run(run)


@pytest.mark.parametrize("meanwhile", ["pinned", "another champion", "another on its way", "cancelled"])
def test_a_verdict_holds_only_while_nothing_changed(world, served, rejected, meanwhile):
    row = judged(world, 70)
    if meanwhile == "pinned":
        world.operate.pin("birds", True, ANNA)
    elif meanwhile == "cancelled":
        world.operate.cancel(row.run, ANNA)
        row.refresh(consistent_read=True)
    else:
        world.operate.promote(rejected, ANNA)
        if meanwhile == "another champion":
            settle(world)
            row.refresh(consistent_read=True)
    with pytest.raises(LostRaceError):
        promotions.promote_candidate(
            row, judged_against=served, by="judge", why="better", now=world.clock(), facts={}
        )
    assert get_run(row.run).state in (State.EVALUATING, State.DEPLOYING, State.SERVED)


def test_judging_waits_for_who_is_on_the_way_in(world, served, rejected):
    row = judged(world, 80)
    world.queues.lose_all()
    world.operate.promote(rejected, ANNA)
    assert world.judge.look(row.run) == f"waits until {rejected} is deployed"
    settle(world)
    world.judge_run(row.run)
    assert get_run(row.run).decision.champion_run == rejected


def test_cancelling_stops_the_judging(world, served):
    run = world.run_to_judging([0.9], "birds", *photos(95))
    world.judge.look(run)
    assert world.operate.cancel(run, ANNA).changed
    world.pump(1)
    assert get_run(run).state == State.CANCELLED
    jobs = {name: world.sagemaker.transforms[name] for name in (f"{run}-candidate", f"{run}-champion")}
    assert {job["TransformJobStatus"] for job in jobs.values()} == {"Stopping"}


def test_cancelling_stops_the_scoring(world, served):
    run = world.run_to_judging([0.9], "birds", *photos(97))
    world.judge.look(run)
    world.end_transforms(run)
    world.judge.look(run)
    assert world.operate.cancel(run, ANNA).changed
    world.pump(1)
    assert get_run(run).state == State.CANCELLED
    assert world.evaluation_of(run)["status"] == "FAILED"


@pytest.mark.parametrize("action", ["cancel", "promote"])
def test_jobs_that_an_overtaken_step_asked_for_are_stopped(world, served, action):
    run = world.run_to_judging([0.9], "birds", *photos(99))
    world.judge.look(run)
    getattr(world.operate, action)(run, ANNA)
    world.pump(1)
    job = world.sagemaker.transforms[f"{run}-champion"]
    job["TransformJobStatus"] = "InProgress"
    world.judge.look(run)
    assert job["TransformJobStatus"] == "Stopping"


def test_cancelling_stops_what_goes_on(world, served):
    run = world.run_to_training("birds", *photos(90))
    assert world.operate.cancel(run, ANNA).changed
    assert not world.operate.cancel(run, BEN).changed
    world.pump(1)
    row = get_run(run)
    assert row.state == State.CANCELLED
    assert (row.history[-1].by, row.history[-1].why) == ("anna", ANNA.why)
    assert world.sagemaker.trainings[run]["TrainingJobStatus"] == "Stopping"
    assert get_dataset("birds").active_run is None
    assert row.cancel is None
    assert not world.operate.cancel(run, BEN).changed
    with pytest.raises(ActionRefusedError, match="ended SERVED"):
        world.operate.cancel(served, ANNA)
    check_whole(world)


def test_cancelling_a_preparation_ends_its_jobs_and_starts_what_waits(world):
    world.upload(*photos(0))
    world.pump(62)
    run = get_dataset("birds").active_run
    world.upload(*photos(5))
    world.operate.cancel(run, ANNA)
    world.pump(62)
    (job,) = world.jobs_of(run)
    assert job["status"] == "FAILED"
    assert "anna cancelled" in job["statusReason"]
    assert get_run(run).state == State.CANCELLED
    assert get_dataset("birds").active_run not in (None, run)


def test_a_step_that_is_overtaken_by_a_cancellation_leaves_no_job(world):
    world.upload(*photos(0))
    world.pump(62)
    run = get_dataset("birds").active_run
    world.finish_preparation(run)
    ensure = world.sagemaker.create_training_job

    def cancelled_meanwhile(**request):
        world.operate.cancel(run, ANNA)
        world.cancel_run.look(run)
        ensure(**request)
        # Crashed: nobody is left who could stop what it has started.
        raise SystemExit

    world.sagemaker.create_training_job = cancelled_meanwhile
    with pytest.raises(SystemExit):
        world.start_training.look(run)
    assert get_run(run).state == State.CANCELLED
    assert world.sagemaker.trainings[run]["TrainingJobStatus"] == "InProgress"
    # SageMaker tells of the job as it starts; that look finds that nobody wants it.
    world.record_run.look(run)
    assert world.sagemaker.trainings[run]["TrainingJobStatus"] == "Stopping"


def test_a_run_that_nobody_cancelled_is_left_alone(world, served):
    run = world.run_to_judging([0.1], "birds", *photos(50))
    world.judge.look(run)
    assert world.cancel_run.look(run) == "nothing to do: EVALUATING"
    going = [job for name, job in world.sagemaker.transforms.items() if name.startswith(run)]
    assert [job["TransformJobStatus"] for job in going] == ["InProgress"] * 2
    assert get_run(run).state == State.EVALUATING


def test_a_late_message_leaves_a_deployment_to_who_knows_the_endpoint(world, served):
    run = world.run_to_judging([0.9], "birds", *photos(50))
    world.judge_run(run)
    world.operate.cancel(run, ANNA)
    assert world.cancel_run.look(run) == "left to update_endpoint: it is being deployed"
    assert get_run(run).state == State.DEPLOYING
    settle(world)
    assert get_run(run).state == State.CANCELLED
    check_whole(world)
    assert world.cancel_run.look(run) == "nothing to do: CANCELLED"


def test_every_end_is_announced_once(world, served, rejected):
    for run in (served, rejected):
        assert world.announce.look(run) == 1
    world.operate.promote(rejected, ANNA)
    settle(world)
    assert [world.announce.look(run) for run in (served, rejected, rejected)] == [0, 1, 0]
    assert world.announcing.events == [(served, "promoted"), (rejected, "rejected"), (rejected, "promoted")]


def test_reconcile_carries_a_cancellation_whose_message_is_lost(world):
    run = world.run_to_training()
    world.operate.cancel(run, ANNA)
    world.queues.lose_all()
    # No step moves it on meanwhile.
    world.finish_training(run, [0.5])
    with pytest.raises(LostRaceError, match="to be cancelled"):
        world.record_run.look(run)
    world.reconcile.look()
    world.pump()
    assert get_run(run).state == State.CANCELLED


def test_cancelling_what_is_on_its_way_in_puts_the_champion_back(world, served):
    better = deploying(world)
    world.sagemaker.settle_endpoint(ENDPOINT)
    world.operate.cancel(better, ANNA)
    settle(world)
    check_whole(world)
    assert serving(world) == served
    assert get_run(better).state == State.CANCELLED
    assert get_run(better).history[-1].by == "anna"
    assert world.sagemaker.calls["DeleteEndpoint"] == 0


def test_cancelling_the_first_deployment_takes_its_endpoint_away(world):
    run = world.run_to_training()
    world.finish_training(run, [0.5])
    world.record_run.look(run)
    world.judge_run(run)
    world.update_endpoint.look(run)
    world.operate.cancel(run, ANNA)
    with pytest.raises(ActionRefusedError, match="cancel it"):
        world.operate.rollback("birds", ANNA)
    world.pump(10)
    assert get_run(run).state == State.DEPLOYING, "SageMaker refuses to delete what it is making"
    world.sagemaker.settle_endpoint(ENDPOINT)
    world.update_endpoint.look_at_dataset("birds")
    assert ENDPOINT not in world.sagemaker.endpoints
    world.reconcile.look()
    world.pump(10)
    assert get_run(run).state == State.CANCELLED
    dataset = get_dataset("birds")
    assert (dataset.champion_run, dataset.wanted_run, dataset.active_run) == (None, None, None)


def test_a_first_deployment_that_may_have_been_asked_for_is_cancelled_later(world):
    run = world.run_to_judging([0.5])
    world.judge_run(run)
    hang_before(world, "create_endpoint", run)
    world.operate.cancel(run, ANNA)
    assert world.update_endpoint.look(run) == "to be cancelled once the endpoint has come to rest"
    assert get_run(run).state == State.DEPLOYING
    world.clock.advance(ASKING_LIVES.total_seconds())
    world.update_endpoint.look(run)
    assert get_run(run).state == State.CANCELLED
    assert world.sagemaker.endpoints == {}


def test_start_now_does_not_wait_and_asks_for_no_change(world, served):
    assert world.operate.start("birds", ANNA).changed
    world.operate.start("birds", ANNA)
    world.pump(0)
    run = get_dataset("birds").active_run
    assert run not in (None, served)
    first = get_run(run).history[0]
    assert first.by == "anna"
    assert first.why.startswith(ANNA.why)
    dataset = get_dataset("birds")
    assert (dataset.start_asked, dataset.pending) == (None, None)
    with pytest.raises(ActionRefusedError, match=f"{run} of birds has not ended") as caught:
        world.operate.start("birds", ANNA)
    assert caught.value.code == "run_under_way"
    assert len(world.runs()) == 2


def test_start_now_takes_the_uploads_that_wait(world):
    world.upload(*photos(0))
    world.operate.start("birds", ANNA)
    world.pump(0)
    run = get_dataset("birds").active_run
    assert get_run(run).snapshot_objects == 3
    dataset = get_dataset("birds")
    assert (dataset.first_pending_at, dataset.pending, dataset.settle_at) == (None, None, None)


def test_a_snapshot_of_another_dataset_is_refused(world, served):
    other = world.run_to_end([0.5], "cats", "datasets/cats/1.jpg")
    with pytest.raises(ActionRefusedError, match="is of dataset cats"):
        world.operate.start("birds", ANNA, snapshot_run=other)


def test_an_old_snapshot_is_worked_on_again_and_uploads_keep_waiting(world, served):
    world.upload(*photos(100))
    world.operate.start("birds", ANNA, snapshot_run=served)
    with pytest.raises(ActionRefusedError, match="anna has just asked"):
        world.operate.start("birds", BEN)
    world.pump(0)
    dataset = get_dataset("birds")
    again = get_run(dataset.active_run)
    assert again.snapshot_run == served
    assert again.snapshot_version == get_run(served).snapshot_version
    assert served in again.history[0].why
    assert dataset.first_pending_at
    assert dataset.pending == "1"
    # The uploads get their run when this one has ended.
    world.operate.cancel(again.run, ANNA)
    world.pump(62)
    third = get_run(get_dataset("birds").active_run)
    assert third.snapshot_objects == 6


def test_a_wish_that_cannot_be_met_is_told_and_dropped(world, served):
    world.s3.delete_object(Bucket="artifacts", Key=f"runs/{served}/snapshot.jsonl.gz")
    world.operate.start("birds", ANNA, snapshot_run=served)
    world.pump(0)
    dataset = get_dataset("birds")
    assert (dataset.start_asked, dataset.pending, dataset.active_run) == (None, None, None)
    assert dataset.defects[0].code == "snapshot-gone"


def test_nothing_is_started_where_nothing_is_uploaded(world, served):
    for key in PHOTOS_OF_SERVED:
        world.s3.delete_object(Bucket="uploads", Key=key)
    world.operate.start("birds", ANNA)
    world.pump()
    row = get_dataset("birds")
    assert (row.start_asked, row.active_run, [one.code for one in row.defects]) == (None, None, ["no-images"])
    assert [run.run for run in world.runs()] == [served]


def test_a_preparation_that_an_overtaken_step_submitted_is_ended(world):
    world.upload(*photos(0))
    world.pump(62)
    run = get_dataset("birds").active_run
    # It was cut off before it noted the job, and before the job was there.
    world.batch.jobs.clear()
    get_run(run).update(actions=[RunRow.prepare_job_id.remove()])
    world.operate.cancel(run, ANNA)
    world.pump()
    late = world.batch.submit_job(jobName=f"{run}-prepare", jobQueue="queue", jobDefinition="definition")
    assert world.start_training.look(run) == "nothing to do: CANCELLED"
    assert world.batch.jobs[late["jobId"]]["status"] == "FAILED"


def test_reconcile_starts_a_run_whose_message_is_lost(world, served):
    world.operate.start("birds", ANNA)
    world.queues.lose_all()
    world.reconcile.look()
    world.pump(0)
    assert get_dataset("birds").active_run not in (None, served)


def test_a_model_whose_alarm_goes_off_is_replaced_by_the_champion(new_world):
    with new_world(bake_seconds=300) as world:
        served = world.run_to_end([0.5])
        assert get_run(served).state == State.SERVED, "the first model has nothing to go back to"
        better = deploying(world)
        world.sagemaker.settle_endpoint(ENDPOINT, at=world.clock())
        world.pump(16)
        assert get_run(better).state == State.DEPLOYING
        assert get_dataset("birds").champion_run == served
        cloudwatch = boto3.client("cloudwatch", region_name="us-east-1")
        errors = alarm_names(better)[0]
        cloudwatch.set_alarm_state(AlarmName=errors, StateValue="ALARM", StateReason="9 of 10 failed")
        settle(world)
        check_whole(world)
        assert serving(world) == served
        assert get_run(better).state == State.FAILED
        assert "9 of 10 failed" in get_run(better).failure.reason
        assert get_run(served).history[-2].why == f"put back, as {better} is FAILED"

        # The operator who wants it all the same is not held up by yesterday's alarm.
        world.operate.promote(better, ANNA)
        world.pump(1)
        world.sagemaker.settle_endpoint(ENDPOINT, at=world.clock())
        for _minute in range(6):
            world.pump(60)
        check_whole(world)
        assert serving(world) == better


def test_a_rollback_is_not_baked(new_world):
    with new_world(bake_seconds=3600) as world:
        served = world.run_to_end([0.5])
        better = deploying(world)
        world.sagemaker.settle_endpoint(ENDPOINT, at=world.clock())
        world.pump(3601)
        assert get_dataset("birds").champion_run == better
        world.operate.rollback("birds", BEN)
        world.pump(1)
        world.sagemaker.settle_endpoint(ENDPOINT, at=world.clock())
        world.pump(16)
        assert get_dataset("birds").champion_run == served


@pytest.mark.parametrize("status", ["Failed", "UpdateRollbackFailed"])
def test_an_endpoint_that_broke_is_brought_back_without_a_person(world, served, status):
    world.sagemaker.endpoints[ENDPOINT].update(EndpointStatus=status, FailureReason="no capacity")
    world.sagemaker.refuse["UpdateEndpoint"] = ("ValidationException", "Cannot update it")
    world.update_endpoint.look_at_dataset("birds")
    for _look in range(6):
        world.pump(16)
        if ENDPOINT in world.sagemaker.endpoints:
            world.sagemaker.settle_endpoint(ENDPOINT)
    world.sagemaker.refuse.clear()
    settle(world)
    check_whole(world)
    assert serving(world) == served
    assert "though this run is the champion" in get_run(served).history[-2].why


def test_a_champion_that_cannot_be_put_back_is_left_to_a_person(world, served):
    world.sagemaker.endpoints[ENDPOINT].update(EndpointStatus="Failed", FailureReason="no capacity")
    world.update_endpoint.look_at_dataset("birds")
    settle(world, well=False)
    assert get_run(served).state == State.FAILED
    assert "an operator must promote" in world.update_endpoint.look_at_dataset("birds")
    world.operate.promote(served, ANNA)
    settle(world)
    check_whole(world)


def test_an_endpoint_that_somebody_changed_is_put_back(world, served, rejected):
    world.sagemaker.create_endpoint_config(
        EndpointConfigName="by-hand", ProductionVariants=[{"VariantName": "x", "ModelName": rejected}]
    )
    world.sagemaker.update_endpoint(EndpointName=ENDPOINT, EndpointConfigName="by-hand")
    world.sagemaker.settle_endpoint(ENDPOINT)
    world.update_endpoint.look_at_dataset("birds")
    assert get_run(served).history[-1].why.startswith("the endpoint serves by-hand, though")
    settle(world)
    check_whole(world)


def test_a_look_that_is_not_asked_to_follow_leaves_no_message(world, served):
    better = deploying(world)
    world.queues.lose_all()
    assert world.update_endpoint.look(better) == "the endpoint is Updating"
    assert world.queues.waiting == []
    world.update_endpoint.look(better, follow=True)
    assert len(world.queues.waiting) == 1


def test_a_former_champion_whose_row_is_gone_stops_nobody(world, served):
    second = world.run_to_end([0.55], "birds", *photos(20))
    get_run(served).delete()
    third = world.run_to_end([0.6], "birds", *photos(30))
    assert [get_run(run).state for run in (second, third)] == ["SERVED", "SERVED"]
    assert serving(world) == third


def test_an_update_that_aws_refuses_leaves_the_champion_alone(world, served, rejected):
    world.sagemaker.refuse["UpdateEndpoint"] = ("ValidationException", "no such instance type")
    world.operate.promote(rejected, ANNA)
    world.pump(1)
    assert get_run(rejected).state == State.FAILED
    assert "no such instance type" in get_run(rejected).failure.reason
    assert states(served)[-1] == "SERVED"
    assert len(states(served)) == 5
    dataset = get_dataset("birds")
    assert (dataset.wanted_run, dataset.champion_run) == (None, served)


def test_old_models_are_pruned_and_promoted_all_the_same(new_world):
    with new_world(keep_models=1) as world:
        runs = [
            world.run_to_end([score], "birds", *photos(10 * n))
            for n, score in enumerate((0.3, 0.4, 0.35, 0.5, 0.6))
        ]
        champion = runs[-1]
        kept = {champion, runs[-2]}
        assert set(world.sagemaker.configs) == kept
        assert kept <= set(world.sagemaker.models)
        assert runs[2] not in world.sagemaker.models
        assert get_run(runs[0]).pruned_at
        alarms = boto3.client("cloudwatch", region_name="us-east-1").describe_alarms()["MetricAlarms"]
        assert {alarm["AlarmName"] for alarm in alarms} == set(alarm_names(champion))

        (just_pruned,) = [run for run in runs[:3] if world.clock() - pruned_at(run) < ASKING_LIVES / 2]
        for run in (just_pruned, runs[0]):
            world.operate.promote(run, ANNA)
            if run == just_pruned:
                assert "just being deleted" in world.update_endpoint.look(run)
                world.clock.advance(ASKING_LIVES.total_seconds())
            settle(world)
            check_whole(world)
            assert serving(world) == run
            assert get_run(run).pruned_at is None


def test_a_former_champion_is_pruned_though_newer_runs_were_before_it(new_world):
    with new_world(keep_models=1) as world:
        first = world.run_to_end([0.5])
        second = world.run_to_end([0.4], "birds", *photos(10))
        third = world.run_to_end([0.6], "birds", *photos(20))
        world.operate.promote(first, ANNA)
        settle(world)
        assert [bool(get_run(run).pruned_at) for run in (first, second, third)] == [False, True, False]
        world.clock.advance(ASKING_LIVES.total_seconds())
        world.run_to_end([0.7], "birds", *photos(30))
        assert [bool(get_run(run).pruned_at) for run in (first, second, third)] == [True, True, False]


def test_serverless_is_a_parameter(new_world):
    with new_world(endpoint_type=EndpointType.SERVERLESS) as world:
        run = world.run_to_end([0.5])
        (variant,) = world.sagemaker.configs[run]["ProductionVariants"]
        assert variant["ServerlessConfig"] == {"MemorySizeInMB": 3072, "MaxConcurrency": 5}
        assert "InstanceType" not in variant
