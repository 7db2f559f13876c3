"""A run that has a model: both models answer, the answers are scored, and the gate decides."""

import pytest
from nestbox.errors import LostRaceError
from nestbox.rows import runs
from nestbox.states import State
from nestbox.tables import DatasetRow, RunRow, get_dataset, get_run

MORE = ("birds", "datasets/birds/images/new.jpg")


@pytest.fixture
def champion(world):
    """A run that serves."""
    return world.run_to_end([0.5])


@pytest.fixture
def candidate(world, champion):
    """A run that has a model and is not yet judged."""
    return world.run_to_judging([0.6], *MORE)


def make_champion(run):
    row = get_dataset("birds")
    row.update(actions=[DatasetRow.champion_run.set(run) if run else DatasetRow.champion_run.remove()])


def transforms(world, run):
    """The transform jobs of a run: status by what follows the run in their name."""
    return {
        name.removeprefix(f"{run}-"): job["TransformJobStatus"]
        for name, job in world.sagemaker.transforms.items()
        if name.startswith(run)
    }


def failed(run):
    row = get_run(run)
    assert (row.state, row.failure.stage, row.unfinished) == ("FAILED", "evaluation", None)
    assert get_dataset("birds").active_run is None
    return row.failure.reason


def test_a_first_run_is_judged_alone(world):
    run = world.run_to_judging([0.4])
    world.judge.look(run)
    assert transforms(world, run) == {"candidate": "InProgress"}
    job = world.sagemaker.transforms[f"{run}-candidate"]
    assert job["ModelName"] == run
    assert job["TransformInput"]["ContentType"] == "image/jpeg"
    source = job["TransformInput"]["DataSource"]["S3DataSource"]
    assert source == {
        "S3DataType": "ManifestFile",
        "S3Uri": f"s3://artifacts/runs/{run}/prep/judging.manifest",
    }
    assert job["TransformOutput"]["S3OutputPath"] == f"s3://artifacts/runs/{run}/transform/candidate/"
    assert world.judge.look(run) == "the models are being judged"
    world.end_transforms(run)
    world.judge.look(run)
    [evaluation] = world.jobs_of(run, "evaluate")
    assert (evaluation["jobQueue"], evaluation["jobDefinition"]) == ("evaluate-queue", "evaluate-definition")
    assert evaluation["tags"] == {"nestbox:dataset": "birds", "nestbox:run": run}
    assert evaluation["parameters"] == {
        "run": run,
        "dataset": "birds",
        "preparation": f"s3://artifacts/runs/{run}/prep/",
        "judging": "s3://artifacts/judging/birds/",
        "answers": f"s3://artifacts/runs/{run}/transform/candidate/",
        "output": f"s3://artifacts/runs/{run}/evaluation/",
    }
    world.write_evaluation(run)
    world.judge.look(run)
    row = get_run(run)
    assert (row.state, row.decision.promote, row.decision.champion_run) == ("DEPLOYING", True, None)
    assert (row.decision.candidate_map, row.operating_thresholds) == (0.4, None)


def test_candidate_and_champion_answer_side_by_side(world, champion, candidate):
    world.judge.look(candidate)
    assert transforms(world, candidate) == {"candidate": "InProgress", "champion": "InProgress"}
    rival = world.sagemaker.transforms[f"{candidate}-champion"]
    assert rival["ModelName"] == champion
    own = world.sagemaker.transforms[f"{candidate}-candidate"]
    assert rival["TransformInput"] == own["TransformInput"], "both see the candidate's pictures"
    world.end_transforms(candidate)
    world.judge.look(candidate)
    [evaluation] = world.jobs_of(candidate, "evaluate")
    told = evaluation["parameters"]
    assert told["champion_run"] == champion
    assert told["champion_preparation"] == f"s3://artifacts/runs/{champion}/prep/"
    assert told["champion_answers"] == f"s3://artifacts/runs/{candidate}/transform/champion/"
    world.write_evaluation(candidate, split="test", pictures=60, left_out=2)
    world.judge.look(candidate)
    decision = get_run(candidate).decision
    assert (decision.promote, decision.champion_run) == (True, champion)
    assert (decision.split, decision.images, decision.images_left_out) == ("test", 60, 2)
    assert (decision.candidate_map, decision.champion_map, decision.improvement) == (0.6, 0.5, 0.1)
    assert (decision.improvement_low, decision.improvement_high, decision.confidence) == (-0.1, 0.2, 0.95)
    assert [(one.name, one.candidate_ap, one.champion_ap, one.fall) for one in decision.classes] == [
        ("cardinal", 0.6, 0.5, -0.1),
        ("wren", 0.6, 0.5, -0.1),
    ]


def test_detect_shows_each_class_from_the_threshold_that_judging_measured(world):
    run = world.run_to_judging([0.5])
    world.judge.look(run)
    world.end_transforms(run)
    world.judge.look(run)
    classes = [
        {"name": "jay", "boxes": 30, "ap": 0.5, "operating": {"threshold": 0.4, "basis": "class"}},
        {"name": "wren", "boxes": 30, "ap": 0.5, "operating": {"threshold": None, "basis": "default"}},
        {"name": "gull", "boxes": 0, "ap": None},
    ]
    world.write_evaluation(run, candidate={"map": 0.5, "classes": classes})
    world.judge.look(run)
    assert get_run(run).operating_thresholds.as_dict() == {"jay": 0.4}


def test_a_class_that_falls_too_far_rejects_a_better_mean(world, champion, candidate):
    classes = [{"name": "cardinal", "boxes": 30, "ap": 0.99}, {"name": "wren", "boxes": 30, "ap": 0.1}]
    world.judge_run(candidate, candidate={"map": 0.545, "classes": classes})
    row = get_run(candidate)
    assert row.state == "REJECTED"
    assert "'wren' fell by 0.4000 to 0.1000 on 30 boxes, more than max_class_drop 0.3" in row.decision.reason
    assert row.history[-1].why == row.decision.reason
    assert get_dataset("birds").champion_run == champion


def test_limits_of_the_dataset_hold(world, champion):
    world.upload(MORE[1])
    world.pump(62)
    run = get_dataset("birds").active_run
    gate = {"min_map": 0.1, "min_improvement": 0.2, "max_class_drop": 0.05}
    world.finish_preparation(run, config={"training": {}, "gate": gate})
    world.start_training.look(run)
    world.finish_training(run, [0.6])
    world.record_run.look(run)
    world.judge_run(run)
    decision = get_run(run).decision
    assert (decision.min_map, decision.min_improvement, decision.max_class_drop) == (0.1, 0.2, 0.05)
    assert decision.reason.startswith(
        "mAP 0.6000 against the champion's 0.5000: +0.1000 is less than min_improvement 0.2"
    )


@pytest.mark.parametrize("number", [None, float("nan"), float("inf")])
def test_a_score_that_is_no_number_never_wins(world, champion, candidate, number):
    world.judge_run(candidate, candidate={"map": number, "classes": []})
    row = get_run(candidate)
    assert (row.state, row.decision.candidate_map) == ("REJECTED", None)


# -- what goes wrong


@pytest.mark.parametrize(
    ("status", "said"), [("Failed", "ClientError: 400"), ("Stopped", "somebody stopped it")]
)
def test_a_candidate_whose_answers_fail_ends_the_run_and_stops_the_rest(
    world, champion, candidate, status, said
):
    world.judge.look(candidate)
    job = world.sagemaker.transforms[f"{candidate}-candidate"]
    job.update(TransformJobStatus=status, FailureReason="ClientError: 400. See job logs")
    world.log_of_transform_job(
        f"{candidate}-candidate",
        **{"i-1": ["loading", "ready"], "i-1/data-log": ["0001.jpg: Bad HTTP status: 400", " "]},
    )
    world.judge.look(candidate)
    reason = failed(candidate)
    assert said in reason
    assert reason.endswith("last line of its log: 0001.jpg: Bad HTTP status: 400")
    assert transforms(world, candidate)["champion"] == "Stopping"
    assert get_run(candidate).judging.champion_problem is None


def test_a_failure_without_a_log_is_told_without_one(world, champion, candidate):
    world.judge.look(candidate)
    job = world.sagemaker.transforms[f"{candidate}-candidate"]
    job.update(TransformJobStatus="Failed", FailureReason="CapacityError: no instance")
    world.judge.look(candidate)
    assert failed(candidate).endswith("CapacityError: no instance")
    run = world.run_to_judging([0.7], "birds", "datasets/birds/images/newer.jpg")
    world.judge.look(run)
    world.end_transforms(run)
    world.judge.look(run)
    world.batch.fail(world.evaluation_of(run)["jobId"], reason="Host EC2 terminated")
    world.judge.look(run)
    assert failed(run) == "the evaluation job failed: Host EC2 terminated"


def test_a_transform_job_that_vanished_ends_the_run(world, champion, candidate):
    world.judge.look(candidate)
    del world.sagemaker.transforms[f"{candidate}-candidate"]
    world.judge.look(candidate)
    assert get_run(candidate).state == "EVALUATING", "SageMaker may need a moment"
    world.clock.advance(61)
    world.judge.look(candidate)
    assert failed(candidate) == "SageMaker has lost the transform job of the candidate"
    assert transforms(world, candidate) == {"champion": "Stopping"}


def test_a_candidate_that_sagemaker_refuses_to_transform_ends_the_run(world, candidate):
    world.sagemaker.refuse["CreateTransformJob"] = ("ResourceLimitExceeded", "the account-level quota is 0")
    world.judge.look(candidate)
    assert failed(candidate) == "SageMaker refused the transform job: the account-level quota is 0"


def test_an_evaluation_that_fails_says_why(world, candidate):
    world.judge.look(candidate)
    world.end_transforms(candidate)
    world.judge.look(candidate)
    log = world.log_of_batch_job("stream", "reading", "evaluate failed: no answer for 1 of 4 pictures")
    world.batch.fail(world.evaluation_of(candidate)["jobId"], exitCode=1, **log)
    world.judge.look(candidate)
    assert failed(candidate) == (
        "the evaluation job failed: Essential container in task exited; exit code 1; "
        "last line of its log: evaluate failed: no answer for 1 of 4 pictures"
    )


def test_an_evaluation_that_vanished_or_is_refused_ends_the_run(world, candidate):
    world.judge.look(candidate)
    world.end_transforms(candidate)
    world.judge.look(candidate)
    world.batch.jobs.clear()
    world.judge.look(candidate)
    assert failed(candidate) == "AWS Batch has lost the evaluation job"
    run = world.run_to_judging([0.7], "birds", "datasets/birds/images/newer.jpg")
    world.judge.look(run)
    world.end_transforms(run)
    world.batch.refuse, world.batch.refuse_only = "JobQueue is not ENABLED", "-evaluate"
    world.judge.look(run)
    assert failed(run) == f"AWS Batch refused the job {run}-evaluate: JobQueue is not ENABLED"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (None, "the evaluation job succeeded but wrote no runs/"),
        (b"{", "it is no evaluation report"),
        (b"{}", "run: Field required"),
    ],
)
def test_an_evaluation_without_a_readable_report_ends_the_run(world, candidate, body, said):
    world.judge.look(candidate)
    world.end_transforms(candidate)
    world.judge.look(candidate)
    if body is not None:
        world.s3.put_object(Bucket="artifacts", Key=f"runs/{candidate}/evaluation/report.json", Body=body)
    world.end_evaluation(candidate)
    world.judge.look(candidate)
    assert said in failed(candidate)


def test_a_report_on_somebody_else_decides_nothing(world, champion, candidate):
    world.judge_run(candidate, champion_run=None, champion=None)
    assert failed(candidate).endswith(f"report.json is about {candidate} against nobody")


# -- a champion that cannot be judged: the run is measured, and a person decides


def rejected_unjudged(run, champion, problem):
    row = get_run(run)
    assert row.state == "REJECTED"
    assert (row.decision.candidate_map, row.decision.champion_map) == (0.6, None)
    assert row.decision.champion_run == champion
    assert f"the champion {champion} could not be judged: {problem}" in row.decision.reason
    assert get_dataset("birds").champion_run == champion


def test_a_champion_whose_model_is_gone_neither_blocks_nor_loses(world, champion, candidate):
    del world.sagemaker.models[champion]
    assert "waits for the candidate's" in world.judge.look(candidate)
    assert transforms(world, candidate) == {"candidate": "InProgress"}
    world.end_transforms(candidate)
    world.judge.look(candidate)
    assert get_run(candidate).judging.champion_problem.endswith("Could not find model")
    world.judge.look(candidate)
    told = world.evaluation_of(candidate)["parameters"]
    assert not {"champion_run", "champion_preparation", "champion_answers"} & told.keys()
    assert "Could not find model" in told["note"]
    world.write_evaluation(candidate)
    world.judge.look(candidate)
    rejected_unjudged(candidate, champion, "SageMaker refused the transform job: Could not find model")


def test_a_quota_that_the_candidate_uses_up_delays_the_champion(world, champion, candidate):
    create = world.sagemaker.create_transform_job

    def one_at_a_time(**request):
        if "InProgress" in transforms(world, candidate).values():
            world.sagemaker.refuse["CreateTransformJob"] = ("ResourceLimitExceeded", "the quota is 1")
        try:
            return create(**request)
        finally:
            world.sagemaker.refuse.clear()

    world.sagemaker.create_transform_job = one_at_a_time
    world.judge.look(candidate)
    assert transforms(world, candidate) == {"candidate": "InProgress"}
    assert "waits for the candidate's" in world.judge.look(candidate), "and so at every look"
    assert get_run(candidate).judging.champion_problem is None
    world.end_transforms(candidate)
    world.judge.look(candidate)
    assert transforms(world, candidate) == {"candidate": "Completed", "champion": "InProgress"}
    world.end_transforms(candidate)
    world.judge.look(candidate)
    world.write_evaluation(candidate)
    world.judge.look(candidate)
    assert get_run(candidate).decision.champion_map == 0.5


@pytest.mark.parametrize("status", ["Failed", "Stopped", "gone"])
def test_a_champion_whose_answers_fail_neither_blocks_nor_loses(world, champion, candidate, status):
    world.judge.look(candidate)
    name = f"{candidate}-champion"
    if status == "gone":
        del world.sagemaker.transforms[name]
        world.clock.advance(61)
    else:
        world.sagemaker.transforms[name].update(TransformJobStatus=status, FailureReason="AlgorithmError")
    assert world.judge.look(candidate) == "the models are being judged"
    world.end_transforms(candidate)
    world.judge.look(candidate)
    world.write_evaluation(candidate)
    world.judge.look(candidate)
    problem = {"Failed": "AlgorithmError", "Stopped": "somebody", "gone": "SageMaker has lost"}[status]
    assert problem in get_run(candidate).decision.reason
    rejected_unjudged(candidate, champion, "")


@pytest.mark.parametrize(
    ("damage", "problem"), [("row", "the table of runs has no row of it"), ("model", "its run has no model")]
)
def test_a_champion_without_a_row_or_model_neither_blocks_nor_loses(
    world, champion, candidate, damage, problem
):
    row = get_run(champion)
    if damage == "row":
        row.delete()
    else:
        row.update(actions=[RunRow.model.remove()])
    world.judge_run(candidate)
    assert transforms(world, candidate) == {"candidate": "Completed"}
    rejected_unjudged(candidate, champion, problem)


# -- whatever happens meanwhile


def test_a_champion_that_changes_meanwhile_is_judged_again(world, champion, candidate):
    """An operator rolls back or promotes while a run is judged: it is held against whoever serves then."""
    other = world.run_to_end([0.3], "cats")
    world.judge.look(candidate)
    make_champion(other)
    world.judge.look(candidate)
    assert transforms(world, candidate) == {
        "candidate": "InProgress",
        "champion": "Stopping",
        "champion-2": "InProgress",
    }
    assert world.sagemaker.transforms[f"{candidate}-champion-2"]["ModelName"] == other
    world.end_transforms(candidate)
    world.judge.look(candidate)
    world.write_evaluation(candidate)
    make_champion(champion)
    world.judge.look(candidate)
    assert get_run(candidate).state == "EVALUATING", "its scores are against one that serves no more"
    assert get_run(candidate).judging.round == 3
    assert world.jobs_of(candidate, "evaluate-3") == []
    world.end_transforms(candidate)
    world.judge.look(candidate)
    told = world.evaluation_of(candidate)["parameters"]
    assert told["champion_run"] == champion
    assert told["champion_answers"].endswith("/transform/champion-3/")
    world.write_evaluation(candidate)
    world.judge.look(candidate)
    assert get_run(candidate).decision.champion_run == champion


def test_the_scoring_against_a_champion_that_serves_no_more_is_ended(world, champion, candidate):
    other = world.run_to_end([0.3], "cats")
    world.judge.look(candidate)
    world.end_transforms(candidate)
    world.judge.look(candidate)
    assert world.evaluation_of(candidate)["status"] == "SUBMITTED"
    make_champion(other)
    world.judge.look(candidate)
    [scoring] = world.jobs_of(candidate, "evaluate")
    assert scoring["status"] == "FAILED"
    assert get_run(candidate).state == State.EVALUATING


def test_a_job_that_is_in_no_list_yet_is_known_by_its_id(world, champion, candidate, monkeypatch):
    world.judge.look(candidate)
    world.end_transforms(candidate)
    world.judge.look(candidate)
    monkeypatch.setattr(world.batch, "list_jobs", lambda **_request: {"jobSummaryList": []})
    assert world.judge.look(candidate) == "the models are being judged"
    assert len(world.jobs_of(candidate, "evaluate")) == 1


def test_a_champion_that_changes_at_the_last_moment_is_not_replaced_unbeaten(world, champion, candidate):
    world.judge.look(candidate)
    world.end_transforms(candidate)
    world.judge.look(candidate)
    world.write_evaluation(candidate)
    read = world.judge._artifacts.open

    def meanwhile(key):
        make_champion("birds-20261124224000-ffff")
        return read(key)

    world.judge._artifacts.open = meanwhile
    with pytest.raises(LostRaceError):
        world.judge.look(candidate)
    assert get_run(candidate).state == "EVALUATING"


def test_a_run_whose_champion_never_stays_ends(world, champion, candidate):
    for turn in range(9):
        make_champion(f"birds-20261124224000-000{turn}")
        world.judge.look(candidate)
    make_champion(champion)
    assert world.judge.look(candidate).startswith("FAILED")
    assert failed(candidate) == "the champion changed 9 times meanwhile"
    assert set(transforms(world, candidate).values()) == {"Stopping"}


def test_two_looks_at_once_agree_on_one_champion(world, champion):
    other = world.run_to_end([0.3], "cats")
    candidate = world.run_to_judging([0.6], *MORE)
    note = runs.note
    first = []

    def interrupted(row, actions, **more):
        if not first:
            first.append(True)
            make_champion(other)
            world.judge.look(candidate)
        return note(row, actions, **more)

    runs.note = interrupted
    try:
        with pytest.raises(LostRaceError):
            world.judge.look(candidate)
    finally:
        runs.note = note
    assert get_run(candidate).judging.champion_run == other
    assert world.sagemaker.transforms[f"{candidate}-champion"]["ModelName"] == other


@pytest.mark.parametrize("crash", ["create_transform_job", "submit_job"])
def test_a_step_that_crashes_after_its_deed_finds_it_done(world, champion, candidate, crash):
    """The job is there, but nobody noted it."""
    aws = world.batch if crash == "submit_job" else world.sagemaker
    deed = getattr(aws, crash)

    def crashing(**request):
        deed(**request)
        raise OSError("the function was killed")

    if crash == "submit_job":
        world.judge.look(candidate)
        world.end_transforms(candidate)
    setattr(aws, crash, crashing)
    with pytest.raises(OSError, match="killed"):
        world.judge.look(candidate)
    setattr(aws, crash, deed)
    world.judge.look(candidate)
    if crash == "create_transform_job":
        assert transforms(world, candidate) == {"candidate": "InProgress", "champion": "InProgress"}
        world.end_transforms(candidate)
        world.judge.look(candidate)
    assert len(world.jobs_of(candidate, "evaluate")) == 1
    world.write_evaluation(candidate)
    world.judge.look(candidate)
    assert get_run(candidate).state == "DEPLOYING"


def test_a_run_that_is_over_is_left_alone(world, champion):
    row = get_run(champion)
    assert row.state == State.SERVED
    before = dict(world.sagemaker.calls)
    assert world.judge.look(champion) == "nothing to do: SERVED"
    assert dict(world.sagemaker.calls) == before
