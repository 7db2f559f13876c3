"""Whole runs through the steps, with everything that everyday life does to them."""

import contextlib
import json
from datetime import timedelta

import pytest
from nestbox import bucket_layout, timestamps
from nestbox.errors import BadArtifactError, LostRaceError
from nestbox.rows import runs
from nestbox.settings import DetectorKind
from nestbox.states import State
from nestbox.steps.operate import Operator
from nestbox.tables import REJECTED_ROW, RunRow, epochs_of, find_dataset, get_dataset, get_run
from pynamodb.exceptions import UpdateError

PHOTOS = [f"datasets/birds/images/{n}.jpg" for n in range(3)]


def test_upload_becomes_a_served_run(world):
    run = world.run_to_end([0.2, 0.9, 0.8])

    row = get_run(run)
    assert row.state == "SERVED"
    assert [(step.from_state, step.to_state) for step in row.history] == [
        (None, "PREPARING"),
        ("PREPARING", "TRAINING"),
        ("TRAINING", "EVALUATING"),
        ("EVALUATING", "DEPLOYING"),
        ("DEPLOYING", "SERVED"),
    ]
    assert row.unfinished is None
    assert (row.best_epoch, row.best_map) == (1, 0.9)
    assert row.decision.promote
    assert row.classes == ["cardinal", "wren"]
    assert set(row.timings.as_dict()) == {"prepare", "training", "evaluation", "deploy"}
    dataset = get_dataset("birds")
    assert (dataset.champion_run, dataset.active_run, dataset.first_pending_at) == (run, None, None)
    assert world.sagemaker.endpoints["nestbox-birds"]["EndpointConfigName"] == run
    variant = world.sagemaker.configs[run]["ProductionVariants"][0]
    assert (variant["VariantName"], variant["ModelName"]) == (run, run)


def test_epochs_are_recorded_while_the_run_trains(world):
    run = world.run_to_training()
    world.log_epochs(run, [0.1, 0.2, None], total=10)
    world.pump(20)
    assert [(e.epoch, e.validation_map) for e in epochs_of(run)] == [(0, 0.1), (1, 0.2), (2, None)]
    assert get_run(run).state == "TRAINING"

    world.log_epochs(run, [0.3, 0.4], first=2, total=4)
    world.end_training(run)
    world.record_run.look(run)

    epochs = epochs_of(run)
    assert [e.validation_map for e in epochs] == [0.1, 0.2, 0.3, 0.4]
    assert all(e.train_cross_entropy and e.train_smooth_l1 and e.images_per_second for e in epochs)
    assert [e.seconds for e in epochs] == [None, 1.0, 1.0, 1.0]


def test_reading_a_log_on_keeps_what_was_recorded_before(world):
    run = world.run_to_training()
    for epoch in range(6):
        world.log_epochs(run, [epoch / 10], first=epoch)
        world.record_run.look(run)
    live = [e.to_simple_dict() for e in epochs_of(run)]
    world.log_epochs(run, [], first=6, total=6)
    world.end_training(run)
    world.record_run.look(run)
    assert [e.to_simple_dict() for e in epochs_of(run)] == live


def waiting_records(world):
    return [one for one in world.queues.waiting if one[1] == "record"]


def test_a_follow_look_goes_on_only_while_the_run_trains(world):
    run = world.run_to_training()
    for _minute in range(3):
        assert len(waiting_records(world)) == 1
        world.pump(15)
    world.finish_training(run, [0.5])
    world.pump(15)
    assert not waiting_records(world)
    assert get_run(run).state == "EVALUATING"


def test_a_look_that_is_not_asked_to_follow_leaves_no_message(world):
    run = world.run_to_training()
    for prepare in (lambda: None, lambda: world.end_training(run)):
        # Trained, but its log is not there: the second time round.
        prepare()
        world.queues.lose_all()
        world.record_run.look(run)
        assert waiting_records(world) == []
        world.record_run.look(run, follow=True)
        assert len(waiting_records(world)) == 1
    assert get_run(run).state == "TRAINING"


def test_of_the_log_of_a_job_that_goes_on_only_what_is_new_is_read(world, monkeypatch):
    run = world.run_to_training()
    since = []
    read = world.record_run._logs.training_lines

    def note(job, begin):
        since.append(begin)
        return read(job, begin)

    monkeypatch.setattr(world.record_run._logs, "training_lines", note)
    for epoch, score in enumerate([0.1, 0.2, 0.3, None]):
        world.record_run.look(run)
        world.log_epochs(run, [score], first=epoch)
    world.record_run.look(run)
    world.record_run.look(run)
    # From the last epoch but one that is all there; what has no score yet may still get one.
    ends = [timestamps.from_text(row.at) for row in epochs_of(run)]
    assert since == [None, None, None, ends[0], ends[1], ends[1]]
    world.end_training(run)
    world.record_run.look(run)
    assert since[-1] is None, "once more all of it at the end"


def test_every_message_twice_changes_nothing(world):
    deliver = world.deliver

    def twice(url, body):
        first = deliver(url, body)
        with contextlib.suppress(LostRaceError):
            deliver(url, body)
        return first

    world.deliver = twice
    world.upload(*PHOTOS)
    world.tell(*PHOTOS)
    world.pump(62)
    run = get_dataset("birds").active_run
    world.finish_preparation(run)
    world.reconcile.look()
    world.pump()
    world.finish_training(run, [0.7])
    world.pump(15)
    for end in (world.end_transforms, world.write_evaluation):
        end(run)
        world.reconcile.look()
        world.pump()
    world.clock.advance(10)
    world.sagemaker.settle_endpoint("nestbox-birds")
    world.reconcile.look()
    world.pump()

    assert [one.state for one in world.runs()] == ["SERVED"]
    assert [job["jobName"] for job in world.batch.jobs.values()] == [f"{run}-prepare", f"{run}-evaluate"]
    assert len(get_run(run).history) == 5


def test_lost_messages_are_found_by_reconcile(world):
    world.upload(*PHOTOS)
    world.queues.lose_all()
    assert world.reconcile.look().datasets == 0, "the settle message may still be under way"
    world.clock.advance(200)
    assert world.reconcile.look().datasets == 1
    world.pump()
    run = get_dataset("birds").active_run

    def lose_and_reconcile():
        world.queues.lose_all()
        world.clock.advance(60)
        assert world.reconcile.look().runs == 1
        world.pump()

    world.finish_preparation(run)
    lose_and_reconcile()
    world.finish_training(run, [0.7])
    world.queues.lose_all()
    for done in (None, None, world.end_transforms, world.write_evaluation):
        if done is not None:
            done(run)
        world.clock.advance(60)
        world.reconcile.look()
        for url, body in world.queues.take_due():
            world.deliver(url, body)
        world.queues.lose_all()
    assert get_run(run).state == "DEPLOYING"
    lose_and_reconcile()
    world.sagemaker.settle_endpoint("nestbox-birds")
    lose_and_reconcile()
    assert get_run(run).state == "SERVED"
    assert world.reconcile.look().runs == 0


def test_a_batch_job_that_was_never_submitted_is_submitted(world):
    world.upload(*PHOTOS)
    submit, world.batch.submit_job = (
        world.batch.submit_job,
        lambda **_: (_ for _ in ()).throw(OSError("gone")),
    )
    with pytest.raises(OSError, match="gone"):
        world.pump(62)
    world.batch.submit_job = submit
    row = world.runs()[0]
    assert (row.state, row.prepare_job_id) == ("PREPARING", None)

    world.queues.lose_all()
    world.reconcile.look()
    world.pump()
    assert get_run(row.run).prepare_job_id == "job-1"
    world.reconcile.look()
    world.pump()
    assert len(world.batch.jobs) == 1


def test_the_preparation_job_is_told_where_everything_is(world):
    first = world.run_to_end([0.5])
    assert world.jobs_of(first)[0]["parameters"]["previous"] == "-"
    world.upload("datasets/birds/images/9.jpg")
    world.pump(62)
    second = get_dataset("birds").active_run
    assert world.jobs_of(second)[0]["parameters"] == {
        "run": second,
        "dataset": "birds",
        "source": "s3://uploads/datasets/birds/",
        "snapshot": f"s3://artifacts/runs/{second}/snapshot.jsonl.gz",
        "output": f"s3://artifacts/runs/{second}/prep/",
        "previous": f"s3://artifacts/runs/{first}/prep/",
        "judging": "s3://artifacts/judging/birds/",
        "command": "prepare",
        "slices": "1",
    }


def test_an_upload_during_a_run_starts_the_next_run_once_by_itself(world):
    first = world.run_to_training()
    for n in range(5):
        world.upload(f"datasets/birds/images/more-{n}.jpg")
        world.pump(70)
    assert [one.run for one in world.runs()] == [first]

    world.finish_training(first, [0.7])
    world.pump(15)
    world.judge_run(first)
    world.pump()
    world.clock.advance(10)
    world.sagemaker.settle_endpoint("nestbox-birds")
    world.update_endpoint.look(first)
    world.pump()

    assert len(world.runs()) == 2
    second = get_dataset("birds").active_run
    assert second != first
    assert get_run(second).snapshot_objects == 8
    world.pump(1000)
    assert len(world.runs()) == 2


def test_2000_objects_are_one_run_and_a_few_writes(world):
    keys = [f"datasets/birds/images/{n}.jpg" for n in range(2000)]
    world.upload(*keys, tell=False)
    for begin in range(0, len(keys), 50):
        world.tell(*keys[begin : begin + 50])
    assert world.writes_to("birds") == 1
    world.pump(62)
    assert [one.snapshot_objects for one in world.runs()] == [2000]
    assert world.writes_to("birds") == 3, "armed, disarmed, given to the run"


def test_the_same_data_again_is_no_run(world):
    run = world.run_to_end([0.5])
    world.upload(*PHOTOS)
    outcomes = world.pump(62)
    assert any("nothing changed" in one for one in outcomes)
    assert [one.run for one in world.runs()] == [run]
    row = get_dataset("birds")
    assert (row.first_pending_at, row.defects) == (None, None)
    assert world.reconcile.look().datasets == 0


def test_a_look_before_the_message_is_due_changes_nothing(world):
    world.upload(*PHOTOS)
    before = world.writes_to("birds")
    assert world.start_run.look("birds") == "a later settle message is under way"
    assert world.writes_to("birds") == before


def test_two_looks_at_once_start_one_run(world, monkeypatch):
    world.upload(*PHOTOS)
    world.clock.advance(62)
    put = world.start_run._artifacts.put_new

    def put_while_another_look_comes(key, content):
        monkeypatch.setattr(world.start_run._artifacts, "put_new", put)
        # Intake writes as well, so that the row stands as it did before the first look took its message off.
        world.upload("datasets/birds/images/late.jpg")
        world.clock.advance(62)
        assert "started" in world.start_run.look("birds")
        put(key, content)

    monkeypatch.setattr(world.start_run._artifacts, "put_new", put_while_another_look_comes)
    with pytest.raises(LostRaceError, match="has started meanwhile"):
        world.start_run.look("birds")
    [run] = world.runs()
    assert get_dataset("birds").active_run == run.run


def test_a_snapshot_that_is_gone_is_told_as_such(world):
    run = world.run_to_end([0.5])
    world.s3.delete_object(Bucket="artifacts", Key=bucket_layout.snapshot_key(run))
    world.upload("datasets/birds/images/new.jpg")
    world.clock.advance(62)
    with pytest.raises(BadArtifactError, match=f"the snapshot of run {run} is gone"):
        world.start_run.look("birds")


def test_a_run_that_is_to_be_cancelled_is_not_trained(world):
    world.upload(*PHOTOS)
    world.pump(62)
    run = get_dataset("birds").active_run
    world.operate.cancel(run, Operator("anna", "a mistake"))
    world.finish_preparation(run)
    assert world.start_training.look(run) == "to be cancelled"
    assert world.sagemaker.trainings == {}


def test_replaced_bytes_and_removed_objects_are_changes(world):
    world.run_to_end([0.5])
    world.upload(PHOTOS[0], content=b"other bytes")
    world.pump(62)
    run = get_dataset("birds").active_run
    assert "1 image changed" in get_run(run).history[0].why
    world.s3.delete_object(Bucket="uploads", Key=PHOTOS[1])
    world.tell(PHOTOS[1])
    runs.end(get_run(run), State.CANCELLED, by="test", why="test", now=world.clock())
    world.pump(62)
    world.start_run.look("birds")
    assert get_run(get_dataset("birds").active_run).snapshot_objects == 2


def test_uploads_that_go_on_start_a_run_after_the_longest_wait(new_world):
    with new_world(quiet_seconds=60, max_wait_seconds=120) as world:
        world.upload(*PHOTOS)
        world.clock.advance(62)
        # moto stamps objects with the real time: these uploads are "now" only while the clock is not ahead.
        world.start_run._clock = lambda: world.clock() - world.clock.ahead
        outcomes = [world.deliver(url, body) for url, body in world.queues.take_due()]
        assert ["later settle" in one or "not quiet" in one for one in outcomes] == [True]
        assert not world.runs()
        row = get_dataset("birds")
        row.first_pending_at = "2020-01-01T00:00:00.000Z"
        row.settle_at = None
        row.save()
        world.start_run.look("birds")
        assert "gone on for 120 s" in world.runs()[0].history[0].why


def test_ready_starts_at_once_and_only_once(world):
    world.upload(*PHOTOS)
    world.upload("datasets/birds/_READY")
    world.pump()
    run = world.runs()[0]
    assert run.snapshot_objects == 3
    assert "_READY" in run.history[0].why
    runs.end(get_run(run.run), State.FAILED, by="test", why="test", now=world.clock())
    world.clock.advance(5)
    world.upload(PHOTOS[0])
    world.pump(62)
    assert len(world.runs()) == 1, "the old _READY has had its effect"


def test_ready_tries_a_failed_run_again(world):
    run = world.run_to_training()
    world.end_training(run, "Failed", FailureReason="AlgorithmError: out of memory")
    world.record_run.look(run)
    world.upload(*PHOTOS)
    world.pump(62)
    assert len(world.runs()) == 1
    row = get_run(run)
    row.update(actions=[RunRow.created_at.set("2020-01-01T00:00:00.000Z")])
    world.upload("datasets/birds/_READY")
    world.pump()
    assert len(world.runs()) == 2


def test_a_training_job_that_fails_leaves_the_endpoint_alone(world):
    champion = world.run_to_end([0.5])
    run = world.run_to_training("birds", "datasets/birds/images/new.jpg")
    world.end_training(run, "Failed", FailureReason="AlgorithmError: loss is not finite in epoch 3")
    updates = world.sagemaker.calls["UpdateEndpoint"]
    world.record_run.look(run)

    row = get_run(run)
    assert (row.state, row.failure.stage) == ("FAILED", "training")
    assert row.failure.reason == "AlgorithmError: loss is not finite in epoch 3"
    assert world.sagemaker.calls["UpdateEndpoint"] == updates
    assert get_dataset("birds").champion_run == champion


@pytest.mark.parametrize("maps", [[0.4], [0.5]])
def test_a_model_that_is_not_better_is_rejected(world, maps):
    champion = world.run_to_end([0.5])
    run = world.run_to_end(maps, "birds", "datasets/birds/images/new.jpg")
    row = get_run(run)
    assert row.state == "REJECTED"
    assert not row.decision.promote
    assert row.decision.champion_run == champion
    assert (row.decision.candidate_map, row.decision.champion_map) == (maps[0], 0.5)
    assert world.sagemaker.endpoints["nestbox-birds"]["EndpointConfigName"] == champion
    assert get_dataset("birds").champion_run == champion
    assert get_dataset("birds").active_run is None


def test_a_better_model_starts_from_the_champion_and_replaces_it(world):
    champion = world.run_to_end([0.5])
    run = world.run_to_end([0.6], "birds", "datasets/birds/images/new.jpg")
    row = get_run(run)
    assert (row.state, row.previous_run) == ("SERVED", champion)
    channels = {one["ChannelName"]: one for one in world.sagemaker.trainings[run]["InputDataConfig"]}
    assert channels["model"]["DataSource"]["S3DataSource"]["S3Uri"] == get_run(champion).model_data
    assert get_dataset("birds").champion_run == run
    assert champion in world.sagemaker.configs, "the old one stays for rolling back"


def test_a_champion_without_weights_is_no_start(world):
    champion = world.run_to_end([0.5])
    get_run(champion).update(actions=[RunRow.model_data.remove()])
    run = world.run_to_training("birds", "datasets/birds/images/new.jpg")
    row = get_run(run)
    assert (row.state, row.previous_run) == ("TRAINING", None)
    channels = world.sagemaker.trainings[run]["InputDataConfig"]
    assert "model" not in [channel["ChannelName"] for channel in channels]


def test_a_champion_of_another_network_is_no_start(world):
    champion = get_run(world.run_to_end([0.5]))
    wanted = {**champion.hyperparameters.as_dict(), "base_network": "vgg-16"}
    champion.update(actions=[RunRow.hyperparameters.set(wanted)])
    run = world.run_to_training("birds", "datasets/birds/images/new.jpg")
    assert get_run(run).previous_run is None


def test_a_champion_whose_classes_nobody_noted_stops_nobody(world):
    get_run(world.run_to_end([0.5])).update(actions=[RunRow.classes.remove()])
    run = world.run_to_training("birds", "datasets/birds/images/new.jpg")
    assert get_run(run).state == "TRAINING"


def test_a_pinned_dataset_keeps_its_champion(world):
    champion = world.run_to_end([0.5])
    dataset = get_dataset("birds")
    dataset.pinned = True
    dataset.save()
    run = world.run_to_end([0.9], "birds", "datasets/birds/images/new.jpg")
    assert get_run(run).state == "REJECTED"
    assert "pinned" in get_run(run).decision.reason
    assert get_dataset("birds").champion_run == champion


def test_an_update_that_is_rolled_back_fails_the_run_and_keeps_the_champion(world):
    champion = world.run_to_end([0.5])
    run = world.run_to_end([0.6], "birds", "datasets/birds/images/new.jpg", well=False)
    row = get_run(run)
    assert (row.state, row.failure.stage) == ("FAILED", "deploy")
    assert "health check failed" in row.failure.reason
    assert world.sagemaker.endpoints["nestbox-birds"]["EndpointConfigName"] == champion
    assert get_dataset("birds").champion_run == champion


def test_a_first_endpoint_that_fails_is_removed(world):
    run = world.run_to_end([0.5], well=False)
    assert get_run(run).state == "FAILED"
    assert get_dataset("birds").champion_run is None
    assert world.sagemaker.endpoints == {}


def test_an_endpoint_that_an_earlier_run_left_failed_is_replaced(world):
    run = world.run_to_training()
    world.finish_training(run, [0.5])
    world.record_run.look(run)
    world.judge_run(run)
    world.sagemaker.endpoints["nestbox-birds"] = {"EndpointStatus": "Failed", "EndpointConfigName": "other"}
    world.update_endpoint.look(run)
    world.update_endpoint.look(run)
    world.sagemaker.settle_endpoint("nestbox-birds")
    world.update_endpoint.look(run)
    assert get_run(run).state == "SERVED"


@pytest.mark.parametrize(
    ("operation", "stage"),
    [("CreateTrainingJob", "prepare"), ("CreateModel", "training"), ("CreateEndpointConfig", "deploy")],
)
def test_what_aws_refuses_fails_the_run_with_its_words(world, operation, stage):
    world.sagemaker.refuse[operation] = ("ValidationException", "the account-level quota is 0")
    run = world.run_to_training()
    if run in world.sagemaker.trainings:
        world.finish_training(run, [0.5])
        world.record_run.look(run)
        if get_run(run).state == "EVALUATING":
            world.judge_run(run)
        world.update_endpoint.look(run)
    row = get_run(run)
    assert (row.state, row.failure.stage) == ("FAILED", stage)
    assert "the account-level quota is 0" in row.failure.reason
    assert get_dataset("birds").active_run is None


def test_a_batch_queue_that_refuses_fails_the_run(world):
    world.batch.refuse = "JobDefinition not found"
    world.upload(*PHOTOS)
    world.pump(62)
    assert (
        world.runs()[0].failure.reason
        == f"AWS Batch refused the job {world.runs()[0].run}-prepare: JobDefinition not found"
    )


def test_a_preparation_that_fails_says_why(world):
    world.upload(*PHOTOS)
    world.pump(62)
    run = world.runs()[0].run
    log = world.log_of_batch_job("stream", "MemoryError", "  ")
    world.batch.fail(world.jobs_of(run)[0]["jobId"], exitCode=137, **log)
    world.start_training.look(run)
    row = get_run(run)
    assert (row.state, row.failure.stage) == ("FAILED", "prepare")
    assert row.failure.reason == (
        "Essential container in task exited; exit code 137; last line of its log: MemoryError"
    )


def test_data_that_allows_no_training_blocks_the_run(world):
    world.upload(*PHOTOS)
    world.pump(62)
    run = world.runs()[0].run
    world.finish_preparation(run, outcome="BLOCKED", reasons=["the validation split is empty"])
    world.start_training.look(run)
    row = get_run(run)
    assert (row.state, row.failure.reason) == ("BLOCKED", "the validation split is empty")
    assert row.images == 12
    assert get_dataset("birds").last_prepared_run is None
    assert not world.sagemaker.trainings


@pytest.mark.parametrize("body", [None, b"{", b'{"schema": 9}'])
def test_a_preparation_without_a_readable_result_fails_the_run(world, body):
    world.upload(*PHOTOS)
    world.pump(62)
    run = world.runs()[0].run
    if body is not None:
        world.s3.put_object(Bucket="artifacts", Key=f"runs/{run}/prep/summary.json", Body=body)
    world.jobs_of(run)[0]["status"] = "SUCCEEDED"
    world.start_training.look(run)
    assert get_run(run).state == "FAILED"
    assert "summary.json" in get_run(run).failure.reason


def test_a_completed_job_waits_for_its_log_but_not_for_ever(world):
    run = world.run_to_training()
    world.end_training(run)
    assert "not all there" in world.record_run.look(run)
    assert get_run(run).state == "TRAINING"
    world.clock.advance(200)
    world.record_run.look(run)
    assert get_run(run).state == "FAILED"
    assert "validation mAP" in get_run(run).failure.reason


def test_a_stopped_job_with_a_model_goes_on_and_one_without_ends(world):
    run = world.run_to_training()
    world.end_training(run, "Stopped")
    world.record_run.look(run)
    assert get_run(run).state == "CANCELLED"

    run = world.run_to_training("cats")
    world.log_epochs(run, [0.3], total=1)
    world.end_training(run, "Stopped", ModelArtifacts={"S3ModelArtifacts": "s3://artifacts/model.tar.gz"})
    world.record_run.look(run)
    assert get_run(run).state == "EVALUATING"


def test_annotations_without_images_wait_for_images_and_say_so(world):
    world.upload("datasets/birds/images.txt", "datasets/birds/classes.txt")
    world.pump(62)
    assert not world.runs()
    notice = get_dataset("birds").defects[0]
    assert (notice.code, notice.file) == ("no-images", "datasets/birds/")
    world.upload(*PHOTOS)
    world.pump(62)
    assert len(world.runs()) == 1
    assert not get_dataset("birds").defects


def test_too_few_new_images_wait_for_more(new_world):
    with new_world(min_new_images=3) as world:
        world.run_to_end([0.5])
        world.upload("datasets/birds/images/a.jpg", "datasets/birds/labels.txt")
        world.pump(62)
        assert len(world.runs()) == 1
        assert get_dataset("birds").defects[0].code == "too-few-new-images"
        world.upload("datasets/birds/images/b.jpg", "datasets/birds/images/c.jpg")
        world.pump(62)
        assert len(world.runs()) == 2


def test_labels_alone_are_worth_a_run(new_world):
    with new_world(min_new_images=3) as world:
        world.run_to_end([0.5])
        world.upload("datasets/birds/labels.txt")
        world.pump(62)
        assert len(world.runs()) == 2


def test_a_dataset_of_archives_becomes_a_run(world):
    world.upload("datasets/birds/batch.tar")
    world.pump(62)
    assert [one.code for one in get_dataset("birds").defects] == ["no-images"]
    assert ".zip" in get_dataset("birds").defects[0].hint
    world.upload("datasets/birds/batch1.zip", "datasets/birds/Batch2.ZIP")
    world.pump(62)
    [run] = world.runs()
    assert "2 archives and 1 other file changed" in run.history[0].why
    assert run.images is None, "nobody knows yet"
    world.finish_preparation(run.run)
    world.start_training.look(run.run)
    assert get_run(run.run).images == 12


def test_archives_count_by_their_size_towards_the_fewest_new_images(new_world):
    with new_world(min_new_images=3) as world:
        world.run_to_end([0.5])
        world.upload("datasets/birds/more.zip", content=bytes(300_000))
        world.pump(62)
        assert len(world.runs()) == 1
        [notice] = get_dataset("birds").defects
        assert (notice.code, "1 archive (about 2 images by size)" in notice.message) == (
            "too-few-new-images",
            True,
        )
        world.upload("datasets/birds/more.zip", content=bytes(600_000))
        world.pump(62)
        assert len(world.runs()) == 2


@pytest.mark.parametrize("outcome", ["READY", "BLOCKED"])
def test_a_quiet_period_of_its_own_holds_from_the_next_upload_on(world, outcome):
    world.upload(*PHOTOS, "datasets/birds/nestbox.yaml")
    assert world.queues.sent[-1][2] == 60
    world.pump(62)
    run = get_dataset("birds").active_run
    world.finish_preparation(run, outcome=outcome, quiet_period=150.0)
    world.start_training.look(run)
    assert get_dataset("birds").quiet_period == 150
    if outcome == "READY":
        runs.end(get_run(run), State.CANCELLED, by="test", why="test", now=world.clock())
    world.pump()

    world.upload("datasets/birds/images/more.jpg")
    assert world.queues.sent[-1][2] == 150
    world.pump(62)
    assert len(world.runs()) == 1
    world.pump(90)
    assert "quiet for 150 s" in world.runs()[1].history[0].why

    # Without the key in nestbox.yaml the stack's own holds again.
    world.finish_preparation(world.runs()[1].run)
    world.start_training.look(world.runs()[1].run)
    assert get_dataset("birds").quiet_period is None


def test_a_quiet_period_longer_than_any_delay_and_than_the_longest_wait_is_kept(world):
    world.upload(*PHOTOS)
    row = get_dataset("birds")
    row.quiet_period = 3600
    row.save()
    for _quarter in range(4):
        assert not world.runs()
        world.pump(901)
    assert "quiet for 3600 s" in world.runs()[0].history[0].why


def test_uploads_that_belong_nowhere_are_told_once(world):
    keys = [f"datasets/My Birds/{n}.jpg" for n in range(200)]
    world.tell(*keys)
    world.tell(*keys, "readme.txt", "photos/1.jpg", "datasets/loose.jpg")
    world.tell(*keys)
    row = find_dataset(REJECTED_ROW)
    assert [(one.code, one.file) for one in row.defects] == [
        ("bad-dataset-name", "datasets/My Birds/"),
        ("outside-datasets", "/"),
        ("outside-datasets", "photos/"),
        ("no-dataset-folder", "datasets/"),
    ]
    assert world.writes_to(REJECTED_ROW) == 2
    assert not world.queues.sent


def test_rejected_uploads_stay_bounded(world):
    for begin in range(0, 80, 10):
        world.tell(*(f"datasets/Bad {n}/1.jpg" for n in range(begin, begin + 10)))
    assert len(find_dataset(REJECTED_ROW).defects) == 50
    assert world.writes_to(REJECTED_ROW) == 5
    world.clock.advance(8 * 24 * 3600)
    world.tell("datasets/Bad 99/1.jpg")
    assert [one.file for one in find_dataset(REJECTED_ROW).defects] == ["datasets/Bad 99/"]


def test_an_upload_while_settling_is_not_lost(world):
    world.upload(*PHOTOS)
    listing = world.start_run._uploads.list

    def list_then_upload(dataset):
        found = listing(dataset)
        if not world.batch.jobs and len(found.entries) == 3:
            world.upload("datasets/birds/images/late.jpg")
        return found

    world.start_run._uploads.list = list_then_upload
    world.pump(62)
    first = get_dataset("birds").active_run
    assert get_run(first).snapshot_objects == 3
    assert get_dataset("birds").first_pending_at is not None
    runs.end(get_run(first), State.FAILED, by="test", why="test", now=world.clock())
    world.pump(100)
    world.reconcile.look()
    world.pump()
    assert [one.snapshot_objects for one in world.runs()] == [3, 4]


def test_the_built_in_algorithm_gets_its_own_hyperparameters(new_world):
    with new_world(kind=DetectorKind.BUILT_IN) as world:
        run = world.run_to_training()
        request = world.sagemaker.trainings[run]
        assert request["HyperParameters"] == {
            "base_network": "resnet-50",
            "epochs": "100",
            "image_shape": "512",
            "label_width": "12",
            "learning_rate": "0.001",
            "lr_scheduler_factor": "0.1",
            "lr_scheduler_step": "33,67",
            "mini_batch_size": "16",
            "momentum": "0.9",
            "nms_threshold": "0.45",
            "num_classes": "2",
            "num_training_samples": "16",
            "optimizer": "sgd",
            "overlap_threshold": "0.5",
            "use_pretrained_model": "1",
            "weight_decay": "0.0005",
        }
        assert "MetricDefinitions" not in request["AlgorithmSpecification"]
        assert get_run(run).hyperparameters.as_dict() == request["HyperParameters"]


def test_a_transition_is_written_by_one_of_two(world):
    run = world.run_to_training()
    one, other = get_run(run), get_run(run)
    now = world.clock()
    runs.move(one, State.EVALUATING, by="one", why="first", now=now)
    with pytest.raises(LostRaceError):
        runs.move(other, State.EVALUATING, by="other", why="second", now=now)
    with pytest.raises(LostRaceError):
        runs.end(other, State.FAILED, by="other", why="second", now=now)
    assert get_run(run).history[-1].by == "one"
    assert get_dataset("birds").active_run == run


def test_a_write_that_is_refused_for_another_reason_is_no_lost_race(world, monkeypatch):
    run = get_run(world.run_to_training())
    monkeypatch.setenv("RUNS_TABLE", "NoSuchTable")
    with pytest.raises(UpdateError):
        runs.move(run, State.EVALUATING, by="test", why="test", now=world.clock())


def test_the_last_upload_stays_the_last_whatever_order_events_come_in(world):
    times = [world.clock() + timedelta(seconds=seconds) for seconds in (0, 20, 10)]
    for uploaded_at in times:
        told = world.intake.pend("birds", uploaded_at=uploaded_at, ready=False)
        assert told.startswith("to be settled")
        world.queues.lose_all()
        world.clock.advance(3600)
    assert get_dataset("birds").last_upload_at == timestamps.to_text(times[1])


def test_rows_can_be_read_by_people(world):
    run = world.run_to_end([0.5])
    item = get_run(run).to_simple_dict()
    assert json.loads(json.dumps(item))["history"][-1] == {
        "from": "DEPLOYING",
        "to": "SERVED",
        "at": item["updated_at"],
        "by": "update_endpoint",
        "why": "endpoint nestbox-birds serves it",
    }
    assert item["gate"] == {"min_map": 0.0, "min_improvement": 0.0, "max_class_drop": 0.3}
