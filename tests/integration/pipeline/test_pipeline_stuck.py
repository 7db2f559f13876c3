"""Every way to be stuck, and how reconcile ends it."""

import pytest
from botocore.exceptions import ClientError
from nestbox import timestamps
from nestbox.errors import LostRaceError
from nestbox.rows import runs
from nestbox.states import State
from nestbox.steps.operate import Operator
from nestbox.tables import DatasetRow, RunRow, get_dataset, get_run

from benchmarks.runs.reading import reads_counted

HOUR = 3600


@pytest.fixture
def started(world):
    """A world, and its run that prepares."""
    world.upload("datasets/birds/a.jpg")
    world.pump(62)
    return world, get_dataset("birds").active_run


def reconcile(world):
    done = world.reconcile.look()
    world.pump()
    return done


def test_a_run_within_its_deadline_is_looked_at_and_no_more(started):
    world, run = started
    world.clock.advance(HOUR)
    assert reconcile(world).stuck == 0
    assert get_run(run).state == "PREPARING"


def test_a_preparation_that_never_ends_is_ended_with_its_jobs(started):
    world, run = started
    world.clock.advance(2 * HOUR)
    done = reconcile(world)
    assert (done.stuck, done.runs, done.troubles) == (1, 0, [])
    row = get_run(run)
    assert (row.state, row.failure.stage) == ("FAILED", "prepare")
    assert f"the Batch job {run}-prepare" in row.failure.reason
    assert "RUNNABLE" in row.failure.reason
    assert row.history[-1].by == "reconcile"
    [(_, reason)] = world.batch.terminated
    assert reason == row.failure.reason
    assert get_dataset("birds").active_run is None
    assert reconcile(world).stuck == 0


def test_a_training_that_never_ends_is_stopped(world):
    run = world.run_to_training()
    world.clock.advance(2 * HOUR)
    assert reconcile(world).stuck == 0, "training may take its time"
    world.clock.advance(HOUR)
    reconcile(world)
    assert world.sagemaker.trainings[run]["TrainingJobStatus"] == "Stopping"
    assert (get_run(run).state, get_run(run).failure.stage) == ("FAILED", "training")


def test_a_training_job_that_a_crash_left_unnoted_is_stopped_too(started):
    world, run = started
    world.finish_preparation(run)
    world.sagemaker.create_training_job(
        TrainingJobName=run,
        RoleArn="arn:aws:iam::000000000000:role/training",
        OutputDataConfig={"S3OutputPath": "s3://artifacts/"},
    )
    world.clock.advance(2 * HOUR)
    world.reconcile.look()
    assert world.sagemaker.trainings[run]["TrainingJobStatus"] == "Stopping"


def test_a_run_that_ends_while_its_training_job_is_made_leaves_no_job_running(started):
    world, run = started
    world.finish_preparation(run)
    create = world.sagemaker.create_training_job

    def create_while_somebody_cancels(**request):
        runs.end(get_run(run), State.CANCELLED, by="test", why="test", now=world.clock())
        return create(**request)

    world.sagemaker.create_training_job = create_while_somebody_cancels
    with pytest.raises(LostRaceError):
        world.start_training.look(run)
    assert world.sagemaker.trainings[run]["TrainingJobStatus"] == "Stopping"


def test_a_lost_race_about_a_run_that_goes_on_stops_nothing(started):
    world, run = started
    world.finish_preparation(run)
    create = world.sagemaker.create_training_job

    def create_while_the_same_look_comes_twice(**request):
        create(**request)
        world.sagemaker.create_training_job = create
        world.start_training.look(run)

    world.sagemaker.create_training_job = create_while_the_same_look_comes_twice
    with pytest.raises(LostRaceError):
        world.start_training.look(run)
    assert get_run(run).state == "TRAINING"
    assert world.sagemaker.trainings[run]["TrainingJobStatus"] == "InProgress"


def test_a_run_that_nobody_judges_ends(world):
    run = world.run_to_training()
    world.finish_training(run, [0.5])
    world.record_run.look(run)
    world.queues.lose_all()
    world.clock.advance(3 * HOUR)
    world.reconcile.look()
    row = get_run(run)
    assert (row.state, row.failure.stage) == ("FAILED", "evaluation")
    assert "nestbox redrive" in row.failure.reason


def test_what_has_moved_on_since_it_was_found_overdue_is_not_ended(started):
    world, run = started
    assert not world.overdue.end(run)
    world.finish_preparation(run)
    world.start_training.look(run)
    world.operate.cancel(run, Operator("anna", "a mistake"))
    world.pump()
    world.clock.advance(9 * HOUR)
    assert not world.overdue.end(run)
    assert get_run(run).state == "CANCELLED"
    assert len(get_run(run).history) == 3


def test_a_training_that_never_ends_is_stopped_whatever_the_endpoint_does(world):
    world.run_to_end([0.5])
    run = world.run_to_training("birds", "datasets/birds/images/new.jpg")
    world.sagemaker.endpoints["nestbox-birds"]["EndpointStatus"] = "Updating"
    world.clock.advance(3 * HOUR)
    assert world.reconcile.look().stuck == 1
    assert (get_run(run).state, get_run(run).failure.stage) == ("FAILED", "training")


class TestDeploying:
    @pytest.fixture
    def deploying(self, world):
        run = world.run_to_training()
        world.finish_training(run, [0.5])
        world.record_run.look(run)
        world.judge_run(run)
        assert get_run(run).state == "DEPLOYING"
        world.queues.lose_all()
        return world, run

    def test_a_deployment_that_never_began_ends(self, deploying):
        world, run = deploying
        world.clock.advance(HOUR)
        assert world.reconcile.look().stuck == 1
        assert get_run(run).failure.stage == "deploy"

    @pytest.mark.parametrize("come_to_serve", [False, True])
    def test_a_run_whose_model_may_come_to_serve_is_not_ended(self, deploying, come_to_serve):
        world, run = deploying
        world.update_endpoint.look(run)
        if come_to_serve:
            world.sagemaker.settle_endpoint("nestbox-birds")
        world.clock.advance(HOUR)
        done = world.reconcile.look()
        assert (done.stuck, done.runs) == (1, 1), "told as stuck, and looked at"
        assert get_run(run).state == "DEPLOYING"
        world.sagemaker.settle_endpoint("nestbox-birds")
        world.pump()
        assert get_run(run).state == "SERVED"


@pytest.mark.parametrize(("asked", "state"), [(False, "FAILED"), (True, "DEPLOYING")])
def test_a_better_run_that_never_comes_to_serve_ends_unless_the_endpoint_moves(world, asked, state):
    champion = world.run_to_end([0.5])
    run = world.run_to_judging([0.6], "birds", "datasets/birds/images/new.jpg")
    world.judge_run(run)
    if asked:
        world.update_endpoint.look(run)
        # While it moves, it shows what it served before.
        assert world.sagemaker.endpoints["nestbox-birds"]["EndpointStatus"] == "Updating"
        assert world.sagemaker.endpoints["nestbox-birds"]["EndpointConfigName"] == champion
    world.queues.lose_all()
    world.clock.advance(HOUR)
    assert world.reconcile.look().stuck == 1
    assert get_run(run).state == state


def test_a_run_that_is_on_its_way_in_though_nobody_wants_it_ends(world):
    """As after a table was restored, or edited by hand."""
    champion = world.run_to_end([0.5])
    run = world.run_to_judging([0.6], "birds", "datasets/birds/images/new.jpg")
    world.judge_run(run)
    get_dataset("birds").update(actions=[DatasetRow.wanted_run.remove()])
    assert "no longer wanted" in world.update_endpoint.look(run)
    assert get_run(run).state == "CANCELLED"
    assert world.sagemaker.endpoints["nestbox-birds"]["EndpointConfigName"] == champion


def test_a_batch_job_that_batch_has_forgotten_is_submitted_again(started):
    world, run = started
    world.batch.jobs.clear()
    world.clock.advance(61)
    reconcile(world)
    [job] = world.jobs_of(run)
    assert get_run(run).prepare_job_id == job["jobId"]


def test_a_batch_job_that_is_in_no_list_yet_is_known_by_its_id(started, monkeypatch):
    world, run = started
    monkeypatch.setattr(world.batch, "list_jobs", lambda **_request: {"jobSummaryList": []})
    assert world.start_training.look(run) == "the data is being prepared"
    assert len(world.jobs_of(run)) == 1


def test_a_run_that_only_a_lagging_index_calls_unfinished_is_left_alone(world, monkeypatch):
    run = world.run_to_end([0.5])
    world.announce.look(run)
    world.queues.lose_all()
    monkeypatch.setattr(RunRow.unfinished_index, "query", lambda _key: [get_run(run)])
    done = world.reconcile.look()
    assert (done.runs, done.troubles) == (0, [])
    assert world.pump() == []


def test_a_run_that_a_lagging_index_does_not_show_yet_keeps_its_dataset(started, monkeypatch):
    world, run = started
    world.upload("datasets/birds/b.jpg")
    monkeypatch.setattr(RunRow.unfinished_index, "query", lambda _key: [])
    assert world.reconcile.look().datasets == 0
    assert get_dataset("birds").active_run == run


def test_a_training_job_that_is_gone_ends_the_run(world):
    run = world.run_to_training()
    world.sagemaker.trainings.clear()
    world.queues.lose_all()
    reconcile(world)
    assert get_run(run).state == "TRAINING", "SageMaker may not tell of it yet"
    world.clock.advance(121)
    reconcile(world)
    assert get_run(run).state == "FAILED"
    assert "no training job" in get_run(run).failure.reason


@pytest.mark.parametrize("gone", [True, False])
def test_a_dataset_that_a_run_holds_which_is_over_is_freed(started, gone):
    """As after a table was restored, or edited by hand."""
    world, run = started
    row = get_run(run)
    if gone:
        row.delete()
    else:
        runs.end(row, State.CANCELLED, by="test", why="test", now=world.clock())
        DatasetRow("birds").update(actions=[DatasetRow.active_run.set(run)])
    world.upload("datasets/birds/b.jpg")
    world.clock.advance(200)
    assert reconcile(world).troubles == []
    reconcile(world)
    world.pump(62)
    assert get_dataset("birds").active_run not in (None, run)


def test_uploads_that_wait_with_no_run_and_no_message_are_settled(started):
    world, run = started
    world.upload("datasets/birds/b.jpg")
    runs.end(get_run(run), State.CANCELLED, by="test", why="test", now=world.clock())
    # Whoever ended it crashed before asking for the dataset to be settled.
    world.queues.lose_all()
    world.clock.advance(61)
    assert reconcile(world).datasets == 1
    assert get_dataset("birds").active_run is not None


@pytest.fixture
def audited(new_world):
    """A world in which every pass of reconcile audits every dataset."""
    with new_world(audit_minutes=1, min_new_images=2) as world:
        yield world


def fail_run(world):
    """Start the run that is due, and end it."""
    world.pump(62)
    run = get_dataset("birds").active_run
    runs.end(get_run(run), State.FAILED, by="test", why="test", now=world.clock())
    return run


def test_uploads_that_no_event_told_of_are_found(audited):
    audited.upload("datasets/birds/a.jpg", "datasets/birds/b.jpg", "datasets/My Birds/a.jpg", tell=False)
    assert reconcile(audited).audits == 1
    assert get_dataset("birds").active_run is None, "they may still be coming in"
    first = fail_run(audited)
    assert int(get_run(first).snapshot_objects) == 2


def test_an_audit_notes_when_the_newest_upload_came(audited):
    audited.upload("datasets/birds/a.jpg", "datasets/birds/b.jpg", tell=False)
    audited.start_run.audit("birds")
    listed = audited.s3.list_objects_v2(Bucket="uploads")["Contents"]
    newest = max(one["LastModified"] for one in listed)
    assert get_dataset("birds").last_upload_at == timestamps.to_text(newest)
    assert audited.start_run.audit("birds") == "to be settled anyway"
    fail_run(audited)
    for one in listed:
        versions = audited.s3.list_object_versions(Bucket="uploads", Prefix=one["Key"])["Versions"]
        for version in versions:
            audited.s3.delete_object(Bucket="uploads", Key=one["Key"], VersionId=version["VersionId"])
    before = timestamps.to_text(audited.clock())
    audited.start_run.audit("birds")
    # Of what is gone for good no time is known.
    assert get_dataset("birds").last_upload_at >= before


def test_an_audit_leaves_uploads_to_their_quiet_period(audited):
    audited.upload("datasets/birds/a.jpg", "datasets/birds/b.jpg")
    before = audited.writes_to("birds")
    assert audited.start_run.audit("birds") == "to be settled anyway"
    assert audited.writes_to("birds") == before


def test_uploads_during_a_run_that_no_event_told_of_are_found_after_it(audited):
    audited.upload("datasets/birds/a.jpg", "datasets/birds/b.jpg")
    audited.pump(62)
    run = get_dataset("birds").active_run
    audited.upload("datasets/birds/c.jpg", "datasets/birds/d.jpg", tell=False)
    reconcile(audited)
    assert get_dataset("birds").first_pending_at is None
    runs.end(get_run(run), State.FAILED, by="test", why="test", now=audited.clock())
    reconcile(audited)
    audited.pump(62)
    assert int(get_run(get_dataset("birds").active_run).snapshot_objects) == 4


@pytest.mark.parametrize("more", [[], ["datasets/birds/c.jpg"]], ids=["nothing new", "too few to start"])
def test_an_audit_that_finds_nothing_new_writes_nothing(audited, more):
    audited.upload("datasets/birds/a.jpg", "datasets/birds/b.jpg")
    fail_run(audited)
    audited.upload(*more)
    audited.pump(62)
    before = get_dataset("birds")
    assert reconcile(audited).audits == 1
    audited.pump(62)
    assert get_dataset("birds").revision == before.revision


def test_a_deletion_of_everything_that_no_event_told_of_is_found(audited):
    audited.upload("datasets/birds/a.jpg", "datasets/birds/b.jpg")
    fail_run(audited)
    for key in ("a", "b"):
        audited.s3.delete_object(Bucket="uploads", Key=f"datasets/birds/{key}.jpg")
    reconcile(audited)
    audited.pump(62)
    assert [notice.code for notice in get_dataset("birds").defects] == ["no-images"]


def test_one_row_that_cannot_be_dealt_with_costs_no_other(world):
    bad = world.run_to_training("bad", "datasets/bad/a.jpg")
    good = world.run_to_training("good", "datasets/good/a.jpg")
    RunRow("bad", bad).update(actions=[RunRow.state.set("NO_STATE")])
    world.queues.lose_all()
    done = world.reconcile.look()
    assert [trouble.split(":")[0] for trouble in done.troubles] == [f"run {bad}"]
    assert "NO_STATE" in done.troubles[0]
    assert [body for _, _, body in world.queues.waiting if good in body]


def test_a_batch_that_refuses_to_stop_a_job_is_asked_again(started):
    world, run = started
    terminate = world.batch.terminate_job
    world.clock.advance(2 * HOUR)

    def refuse(**request):
        raise ClientError({"Error": {"Code": "ServerException", "Message": "later"}}, "TerminateJob")

    world.batch.terminate_job = refuse
    done = world.reconcile.look()
    assert (done.stuck, len(done.troubles)) == (1, 1)
    assert get_run(run).state == "PREPARING", "ended only when its jobs are"
    world.batch.terminate_job = terminate
    world.reconcile.look()
    assert get_run(run).state == "FAILED"


def test_a_pass_reads_the_unfinished_runs_alone_however_many_have_ended(world):
    for number in range(4):
        world.run_to_training(f"cats-{number}", f"datasets/cats-{number}/a.jpg")
    with reads_counted() as before:
        assert world.reconcile.look().runs == 4
    ended = world.run_to_end([0.9])
    world.announce.look(ended)
    with RunRow.batch_write() as batch:
        for number in range(50):
            row = get_run(ended)
            row.run = f"birds-20251124{number:06}-1a2b"
            batch.save(row)
    with reads_counted() as after:
        assert world.reconcile.look().runs == 4
    assert (after.requests, after.items) == (before.requests, before.items)
    assert after.items == 4
