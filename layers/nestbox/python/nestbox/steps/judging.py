"""The jobs that judge a run: each asked for once, found again by its name."""

from nestbox import bucket_layout, names
from nestbox.gateways.batch_jobs import BatchJobs
from nestbox.gateways.transforms import Transforms
from nestbox.rules.judging import JudgingJobs
from nestbox.tables import RunRow

_LONGEST_NOTE = 500


def find_judging_jobs(row: RunRow, transforms: Transforms, jobs: BatchJobs) -> JudgingJobs:
    """The jobs of the round that the row tells of (there must be one); those never asked for are None."""
    judging = row.judging
    round_ = int(judging.round)
    known = jobs.describe([judging.evaluate_job_id]) if judging.evaluate_job_id else {}
    return JudgingJobs(
        candidate=transforms.describe(names.transform_job_name(row.run, "candidate")),
        champion=transforms.describe(names.transform_job_name(row.run, "champion", round_))
        if judging.champion_run
        else None,
        evaluation=known.get(judging.evaluate_job_id or "")
        or jobs.find(names.evaluate_job_name(row.run, round_)),
    )


def stop_judging_jobs(found: JudgingJobs, transforms: Transforms, jobs: BatchJobs, reason: str) -> None:
    """End those of a run's jobs that still go on: nobody will read what they make."""
    if found.evaluation is not None and found.evaluation.going:
        jobs.terminate(found.evaluation.id, reason)
    for job in (found.champion, found.candidate):
        if job is not None and job.going:
            transforms.stop(job.name)


def submit_evaluation(row: RunRow, jobs: BatchJobs, artifacts_bucket: str) -> str:
    """Have the answers of both models scored; returns the id of the Batch job. Raises AwsRefusedError."""
    judging = row.judging
    round_ = int(judging.round)
    parameters = {
        "run": row.run,
        "dataset": row.dataset,
        "preparation": bucket_layout.prep_prefix(row.run),
        "judging": bucket_layout.judging_prefix(row.dataset),
        "answers": bucket_layout.answers_prefix(row.run, "candidate"),
        "output": bucket_layout.evaluation_prefix(row.run),
    }
    champion = judging.champion_run
    if champion and not judging.champion_problem:
        parameters["champion_preparation"] = bucket_layout.prep_prefix(champion)
        parameters["champion_answers"] = bucket_layout.answers_prefix(row.run, "champion", round_)
    for name in parameters.keys() - {"run", "dataset"}:
        parameters[name] = bucket_layout.s3_uri(artifacts_bucket, parameters[name])
    if champion and not judging.champion_problem:
        parameters["champion_run"] = champion
    elif champion:
        problem = f"The champion {champion} could not be judged: {judging.champion_problem}"
        parameters["note"] = problem[:_LONGEST_NOTE]
    return jobs.submit(
        names.evaluate_job_name(row.run, round_),
        parameters,
        {"nestbox:dataset": row.dataset, "nestbox:run": row.run},
    )
