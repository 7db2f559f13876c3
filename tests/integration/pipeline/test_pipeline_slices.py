"""Preparations dealt out to several jobs: submitted once whatever happens, and what their ends mean."""

import contextlib

import pytest
from botocore.exceptions import ClientError
from nestbox.errors import LostRaceError
from nestbox.rows import runs
from nestbox.states import State
from nestbox.tables import get_dataset, get_run

PHOTOS = [f"datasets/birds/images/{n}.jpg" for n in range(5)]
KINDS = ("plan", "slices", "prepare")


@pytest.fixture
def world(new_world):
    """Two images a slice: five images are three slices."""
    with new_world(array_threshold=2) as one:
        yield one


def start(world, dataset="birds"):
    """Upload and settle; returns the run."""
    world.upload(*(key.replace("birds", dataset) for key in PHOTOS), f"datasets/{dataset}/labels.txt")
    world.pump(62)
    return get_dataset(dataset).active_run


def job(world, run, kind):
    [found] = world.jobs_of(run, kind)
    return found


def assert_submitted_once(world, run):
    plan, slices, merge = (job(world, run, kind) for kind in KINDS)
    assert "dependsOn" not in plan
    assert slices["dependsOn"] == [{"jobId": plan["jobId"]}]
    assert slices["arrayProperties"] == {"size": 3}
    assert merge["dependsOn"] == [{"jobId": slices["jobId"]}]
    assert "arrayProperties" not in merge


def test_a_large_run_is_a_plan_an_array_of_slices_and_a_merge(world):
    run = start(world)
    assert_submitted_once(world, run)
    row = get_run(run)
    assert (row.slices, row.plan_job_id, row.slices_job_id, row.prepare_job_id) == (
        3,
        *(job(world, run, kind)["jobId"] for kind in KINDS),
    )
    told = [job(world, run, kind)["parameters"] for kind in KINDS]
    assert [one.pop("command") for one in told] == ["plan", "slice", "merge"]
    assert told[0] == told[1] == told[2]
    assert (told[0]["slices"], told[0]["previous"]) == ("3", "-")

    world.finish_preparation(run)
    world.start_training.look(run)
    assert get_run(run).state == "TRAINING"


def test_as_many_images_as_the_threshold_are_one_job(world):
    world.upload(*PHOTOS[:2], "datasets/birds/labels.txt")
    world.pump(62)
    run = get_dataset("birds").active_run
    assert get_run(run).slices is None
    assert job(world, run, "prepare")["parameters"]["command"] == "prepare"
    assert not world.jobs_of(run, "plan")
    assert not world.jobs_of(run, "slices")


def test_a_large_archive_is_dealt_out_by_its_size(world):
    world.upload("datasets/birds/photos.zip", content=bytes(900_000))
    world.upload("datasets/birds/labels.txt")
    world.pump(62)
    [run] = world.runs()
    assert run.slices == 2, "900 kB are about four images"


def gone(**_request):
    raise OSError("gone")


class Crash:
    """Fails at the n-th of the calls that change something, before it or after it has had its effect."""

    def __init__(self, world, monkeypatch, at, *, after):
        self.left, self.after = at, after
        monkeypatch.setattr(world.batch, "submit_job", self.wrap(world.batch.submit_job))
        monkeypatch.setattr(runs, "note", self.wrap(runs.note))

    def wrap(self, call):
        def wrapped(*args, **kwargs):
            self.left -= 1
            if self.left == 0 and not self.after:
                raise OSError("the function was killed")
            answer = call(*args, **kwargs)
            if self.left == 0:
                raise OSError("the function was killed")
            return answer

        return wrapped


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, 7))
def test_a_crash_at_any_point_of_the_submission_is_mended_by_the_next_look(world, monkeypatch, at, after):
    Crash(world, monkeypatch, at, after=after)
    with pytest.raises(OSError, match="killed"):
        start(world)
    [row] = world.runs()
    assert row.state == "PREPARING"
    world.queues.lose_all()

    world.reconcile.look()
    world.pump()
    assert_submitted_once(world, row.run)
    world.start_training.look(row.run)
    assert_submitted_once(world, row.run)
    world.finish_preparation(row.run)
    world.start_training.look(row.run)
    assert get_run(row.run).state == "TRAINING"


def test_a_crash_while_the_crash_is_mended_is_mended_too(world, monkeypatch):
    Crash(world, monkeypatch, 2, after=False)
    with pytest.raises(OSError, match="killed"):
        start(world)
    [row] = world.runs()
    Crash(world, monkeypatch, 2, after=True)
    with pytest.raises(OSError, match="killed"):
        world.start_training.look(row.run)
    world.start_training.look(row.run)
    assert_submitted_once(world, row.run)


def test_jobs_that_ended_before_the_next_one_was_submitted_are_not_run_again(world, monkeypatch):
    Crash(world, monkeypatch, 3, after=False)
    with pytest.raises(OSError, match="killed"):
        start(world)
    [row] = world.runs()
    world.batch.succeed(job(world, row.run, "plan")["jobId"])
    world.start_training.look(row.run)
    assert_submitted_once(world, row.run)


def test_jobs_that_batch_has_forgotten_are_only_missed_where_nothing_came_of_them(world):
    run = start(world)
    for kind in KINDS:
        world.batch.succeed(job(world, run, kind)["jobId"])
    merge = job(world, run, "prepare")
    merge["status"] = "RUNNING"
    del world.batch.jobs[job(world, run, "plan")["jobId"]]
    assert "being prepared" in world.start_training.look(run)
    assert not world.jobs_of(run, "plan")

    world.batch.jobs.clear()
    world.start_training.look(run)
    assert_submitted_once(world, run)


def test_looks_while_the_jobs_go_on_change_nothing(world):
    run = start(world)
    before = dict(world.batch.jobs)
    slices = job(world, run, "slices")["jobId"]
    world.batch.succeed(job(world, run, "plan")["jobId"])
    for child in world.batch.children_of(slices)[:2]:
        child["status"] = "SUCCEEDED"
        assert "being prepared" in world.start_training.look(run)
    world.batch.succeed(slices)
    assert "being prepared" in world.start_training.look(run)
    assert world.batch.jobs.keys() == before.keys()
    assert not world.batch.terminated


def test_the_newest_of_two_copies_counts(world, monkeypatch):
    run = start(world)
    row = get_run(run)
    row.update(actions=[type(row).plan_job_id.remove()])
    copy = world.batch.submit_job(**world_request(job(world, run, "plan")))["jobId"]
    monkeypatch.setattr(world.batch, "submit_job", gone)
    world.batch.fail(copy)
    assert "FAILED" in world.start_training.look(run)


def world_request(submitted):
    keys = ("jobName", "jobQueue", "jobDefinition", "parameters", "tags", "propagateTags")
    return {key: submitted[key] for key in keys}


def failed(world, run):
    world.start_training.look(run)
    row = get_run(run)
    assert (row.state, row.failure.stage) == ("FAILED", "prepare")
    assert get_dataset("birds").active_run is None
    going = [one for one in world.batch.jobs.values() if one["status"] not in ("SUCCEEDED", "FAILED")]
    assert not going, "nothing runs for a run that has ended"
    return row.failure.reason


def test_a_plan_that_fails_is_named_though_all_jobs_have_failed(world):
    run = start(world)
    log = world.log_of_batch_job("plan", "reading", "plan failed: there is no snapshot")
    world.batch.fail(job(world, run, "plan")["jobId"], exitCode=1, **log)
    assert job(world, run, "prepare")["statusReason"] == "Dependent Job failed"
    assert failed(world, run) == (
        f"job {run}-plan: Essential container in task exited; exit code 1; "
        "last line of its log: plan failed: there is no snapshot"
    )
    assert not world.batch.terminated, "AWS Batch has ended the others itself"


def test_a_child_that_fails_ends_the_run_without_waiting_for_the_others(world):
    run = start(world)
    world.batch.succeed(job(world, run, "plan")["jobId"])
    slices = job(world, run, "slices")["jobId"]
    first, second, _third = world.batch.children_of(slices)
    first["status"] = second["status"] = "RUNNING"
    log = world.log_of_batch_job("child", "slice failed: the disk is full")
    world.batch.fail(second["jobId"], exitCode=1, **log)
    assert failed(world, run) == (
        f"job {run}-slices, child 1: Essential container in task exited; exit code 1; "
        "last line of its log: slice failed: the disk is full"
    )
    assert {one for one, _reason in world.batch.terminated} == {slices, job(world, run, "prepare")["jobId"]}
    assert f"{run}-slices, child 1" in first["statusReason"], "whoever looks at a child sees why it was ended"


def test_a_child_is_named_too_where_the_array_has_ended(world):
    run = start(world)
    world.batch.succeed(job(world, run, "plan")["jobId"])
    slices = job(world, run, "slices")["jobId"]
    world.batch.fail(f"{slices}:2", "OutOfMemoryError: container killed", exitCode=137)
    world.batch.end_array(slices)
    reason = failed(world, run)
    assert reason == f"job {run}-slices, child 2: OutOfMemoryError: container killed; exit code 137"


def test_of_many_failed_children_the_first_one_is_told(world):
    run = start(world)
    slices = job(world, run, "slices")["jobId"]
    for at, index in enumerate((2, 0, 1)):
        world.batch.fail(f"{slices}:{index}", f"reason {index}")
        world.batch.jobs[f"{slices}:{index}"]["stoppedAt"] = 1000 + at
    assert failed(world, run) == f"job {run}-slices, child 2: reason 2"


def test_a_merge_that_fails_is_named(world):
    run = start(world)
    for kind in ("plan", "slices"):
        world.batch.succeed(job(world, run, kind)["jobId"])
    world.batch.fail(job(world, run, "prepare")["jobId"], exitCode=1)
    assert failed(world, run).startswith(f"job {run}-prepare: ")


def test_whoever_terminates_one_job_of_a_run_has_terminated_all(world):
    run = start(world)
    world.batch.terminate_job(jobId=job(world, run, "prepare")["jobId"], reason="not needed")
    assert failed(world, run) == f"job {run}-prepare: not needed"
    assert job(world, run, "plan")["statusReason"] == f"job {run}-prepare: not needed"


def test_the_reason_survives_a_crash_between_ending_the_jobs_and_the_run(world, monkeypatch):
    run = start(world)
    world.batch.succeed(job(world, run, "plan")["jobId"])
    slices = job(world, run, "slices")["jobId"]
    world.batch.fail(f"{slices}:1", "OutOfMemoryError: container killed")
    world.batch.jobs[f"{slices}:1"]["stoppedAt"] = 1
    with monkeypatch.context() as patch:
        patch.setattr(runs, "end", lambda *_args, **_kwargs: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(OSError, match="killed"):
            world.start_training.look(run)
    for child in (0, 2):
        world.batch.jobs[f"{slices}:{child}"]["stoppedAt"] = 2
    assert failed(world, run) == f"job {run}-slices, child 1: OutOfMemoryError: container killed"


@pytest.mark.parametrize("kind", KINDS)
def test_a_submission_that_is_refused_leaves_no_job_running(world, kind):
    world.batch.refuse, world.batch.refuse_only = "JobQueue is not ENABLED", f"-{kind}"
    world.upload(*PHOTOS)
    world.pump(62)
    [row] = world.runs()
    assert row.failure.reason == f"AWS Batch refused the job {row.run}-{kind}: JobQueue is not ENABLED"
    assert all(one["status"] == "FAILED" for one in world.batch.jobs.values())
    assert len(world.batch.terminated) == KINDS.index(kind)


def test_events_of_an_ended_run_change_nothing(world):
    run = start(world)
    world.batch.fail(job(world, run, "plan")["jobId"])
    failed(world, run)
    before = get_run(run).revision
    for _child in range(3):
        assert "nothing to do" in world.start_training.look(run)
    assert get_run(run).revision == before


def test_two_looks_at_once_submit_what_is_missing_and_harm_nothing(world, monkeypatch):
    with monkeypatch.context() as patch:
        Crash(world, patch, 1, after=False)
        with pytest.raises(OSError, match="killed"):
            start(world)
    [row] = world.runs()
    submit = world.batch.submit_job
    inner = []

    def submit_and_be_overtaken(**request):
        if not inner:
            inner.append(True)
            with contextlib.suppress(LostRaceError):
                world.start_training.look(row.run)
        return submit(**request)

    monkeypatch.setattr(world.batch, "submit_job", submit_and_be_overtaken)
    world.start_training.look(row.run)
    noted = get_run(row.run)
    merge = world.batch.jobs[noted.prepare_job_id]
    slices = world.batch.jobs[noted.slices_job_id]
    assert merge["dependsOn"] == [{"jobId": slices["jobId"]}], "the run follows one whole chain"
    assert slices["dependsOn"] == [{"jobId": noted.plan_job_id}]
    world.finish_preparation(row.run)
    world.start_training.look(row.run)
    assert get_run(row.run).state == "TRAINING"


def test_a_run_that_was_ended_meanwhile_gets_no_more_jobs_and_keeps_none(world, monkeypatch):
    submit = world.batch.submit_job

    def submit_and_cancel(**request):
        answer = submit(**request)
        [row] = world.runs()
        runs.end(row, State.CANCELLED, by="test", why="test", now=world.clock())
        return answer

    monkeypatch.setattr(world.batch, "submit_job", submit_and_cancel)
    with pytest.raises(LostRaceError):
        start(world)
    [only] = world.batch.jobs.values()
    assert only["status"] == "FAILED"


def test_batch_that_cannot_be_reached_is_asked_again(world, monkeypatch):
    run = start(world)
    error = ClientError({"Error": {"Code": "TooManyRequestsException", "Message": "slow"}}, "DescribeJobs")
    with monkeypatch.context() as patch:
        patch.setattr(world.batch, "describe_jobs", lambda **_: (_ for _ in ()).throw(error))
        with pytest.raises(ClientError):
            world.start_training.look(run)
    assert get_run(run).state == "PREPARING"


def test_each_of_its_jobs_may_take_its_time(world):
    run = start(world)
    world.clock.advance(3 * 3600)
    assert world.reconcile.look().stuck == 0
    assert get_run(run).state == "PREPARING"
    world.clock.advance(2 * 3600)
    assert world.reconcile.look().stuck == 1
    assert get_run(run).state == "FAILED"
