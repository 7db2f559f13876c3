"""Looks at a run that has a model: has it scored beside the champion, and decides whether it replaces it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path

from nestbox import bucket_layout, names, timestamps
from nestbox.errors import AwsRefusedError, BadArtifactError
from nestbox.events import run_message
from nestbox.gateways.artifacts import Artifacts
from nestbox.gateways.batch_jobs import BatchJobs
from nestbox.gateways.evaluation_reports import EvaluationReport
from nestbox.gateways.job_logs import JobLogs
from nestbox.gateways.queues import Queues
from nestbox.gateways.transforms import Transforms
from nestbox.rows import promotions, runs
from nestbox.rows.decisions import decision_of
from nestbox.rules import gate
from nestbox.rules.batch_job import BatchJob, failure_reason
from nestbox.rules.gate import Limits, Rival
from nestbox.rules.judging import Judging, JudgingJobs, NotJudged, Standing, TransformJob, decide_judging
from nestbox.rules.training_request import tags
from nestbox.rules.transform_request import transform_request
from nestbox.settings import JudgeSettings
from nestbox.states import State
from nestbox.steps.endings import end_run
from nestbox.steps.judging import find_judging_jobs, stop_judging_jobs, submit_evaluation
from nestbox.tables import DatasetRow, RunRow, find_run, get_dataset, get_run, plain_map
from nestbox.tables import Judging as JudgingNote

BY = "judge"


class Judge:
    """The step."""

    def __init__(
        self,
        settings: JudgeSettings,
        artifacts: Artifacts,
        transforms: Transforms,
        jobs: BatchJobs,
        logs: JobLogs,
        queues: Queues,
        clock: Callable[[], datetime] = timestamps.now,
    ) -> None:
        self._settings = settings
        self._artifacts = artifacts
        self._transforms = transforms
        self._jobs = jobs
        self._logs = logs
        self._queues = queues
        self._clock = clock

    def look(self, run: str) -> str:
        """Look at a run; returns what was done."""
        row = get_run(run)
        if runs.is_judged_no_more(row):
            # Cancelled or promoted by hand: a step that was overtaken may have asked for these after it.
            found = find_judging_jobs(row, self._transforms, self._jobs)
            stop_judging_jobs(found, self._transforms, self._jobs, f"run {run} is {row.state}")
        if runs.state_of(row) is not State.EVALUATING:
            return f"nothing to do: {row.state}"
        dataset = get_dataset(row.dataset)
        if dataset.wanted_run is not None:
            # Whom to judge against is known when that run serves, or does not.
            return f"waits until {dataset.wanted_run} is deployed"
        if row.judging is None or row.judging.champion_run != dataset.champion_run:
            refused = self._begin_round(row, dataset.champion_run)
            if refused is not None:
                return refused
        found = find_judging_jobs(row, self._transforms, self._jobs)
        decision = decide_judging(found, _standing(row), self._clock())
        if isinstance(decision, NotJudged) and decision.of_champion:
            self._note(row, champion_problem=self._told(decision))
            decision = decide_judging(found, _standing(row), self._clock())
        if isinstance(decision, NotJudged):
            return self._fail(row, found, self._told(decision))
        if decision is Judging.ASK:
            return self._ask(row, found)
        if decision is Judging.EVALUATE:
            return self._evaluate(row, found)
        if decision is Judging.READ:
            return self._read(row, dataset, found)
        return "the models are being judged"

    def _begin_round(self, row: RunRow, champion: str | None) -> str | None:
        """Note whom the run is held against, before anything is asked for; returns why that is refused.

        Whoever else looks at the same time notes another champion only in another round, whose jobs have
        other names: no answers of one champion are taken for those of another.
        """
        before = row.judging
        round_ = 1 if before is None else int(before.round) + 1
        if before is not None:
            why = f"the champion is {champion or 'gone'} now, no longer {before.champion_run or 'none'}"
            found = find_judging_jobs(row, self._transforms, self._jobs)
            if round_ > names.MAX_ROUND:
                return self._fail(row, found, f"the champion changed {names.MAX_ROUND} times meanwhile")
            # The candidate's answers hold against whomever.
            stop_judging_jobs(
                JudgingJobs(champion=found.champion, evaluation=found.evaluation),
                self._transforms,
                self._jobs,
                why,
            )
        note = JudgingNote(round=round_, champion_run=champion, champion_problem=_problem(champion))
        as_read = RunRow.judging.does_not_exist() if before is None else _in_round(before)
        runs.note(row, [RunRow.judging.set(note)], only_if=as_read)
        return None

    def _ask(self, row: RunRow, found: JudgingJobs) -> str:
        try:
            if found.candidate is None:
                self._transform(row, "candidate", names.model_name(row.run))
        except AwsRefusedError as error:
            return self._fail(row, found, str(error))
        champion = row.judging.champion_run
        if _standing(row).with_champion:
            try:
                self._transform(row, "champion", names.model_name(champion))
            except AwsRefusedError as error:
                if found.candidate is None or found.candidate.going:
                    # It may be a quota, which the candidate's own job uses up.
                    return f"the champion's transform job waits for the candidate's: {error}"
                self._note(row, champion_problem=str(error))
        self._note(row, asked_at=timestamps.to_text(self._clock()))
        return "asked for answers to the held-out images" + (f", of {champion} too" if champion else "")

    def _transform(self, row: RunRow, model: names.JudgedModel, model_name: str) -> None:
        self._transforms.ensure(
            transform_request(
                row.run,
                model,
                int(row.judging.round),
                model_name=model_name,
                artifacts_bucket=self._settings.artifacts_bucket,
                instance_type=self._settings.transform_instance_type,
                tags=tags(row.run),
            )
        )

    def _evaluate(self, row: RunRow, found: JudgingJobs) -> str:
        try:
            job_id = submit_evaluation(row, self._jobs, self._settings.artifacts_bucket)
        except AwsRefusedError as error:
            return self._fail(row, found, str(error))
        self._note(row, evaluate_job_id=job_id)
        return f"evaluation job {job_id} submitted"

    def _read(self, row: RunRow, dataset: DatasetRow, found: JudgingJobs) -> str:
        key = bucket_layout.evaluation_key(row.run, "json")
        stream = self._artifacts.open(key)
        if stream is None:
            return self._fail(row, found, f"the evaluation job succeeded but wrote no {key}")
        with stream:
            text = stream.read()
        judging = row.judging
        try:
            report = EvaluationReport.from_json(text)
        except BadArtifactError as error:
            return self._fail(row, found, f"{key}: {error}")
        against = judging.champion_run if _standing(row).with_champion else None
        if (report.run, report.champion_run) != (row.run, against):
            about = f"{report.run} against {report.champion_run or 'nobody'}"
            return self._fail(row, found, f"{key} is about {about}")
        return self._decide(row, dataset, report)

    def _decide(self, row: RunRow, dataset: DatasetRow, report: EvaluationReport) -> str:
        judging = row.judging
        verdict = gate.judge(
            report.scores,
            champion=Rival(judging.champion_run, judging.champion_problem) if judging.champion_run else None,
            limits=Limits.from_config(plain_map(row.gate)),
            pinned=bool(dataset.pinned),
        )
        facts = {
            "decision": decision_of(verdict),
            "operating_thresholds": report.operating_thresholds or None,
        }
        if not verdict.promote:
            return end_run(
                row,
                State.REJECTED,
                by=BY,
                why=verdict.reason,
                now=self._clock(),
                queues=self._queues,
                settle_queue_url=self._settings.settle_queue_url,
                facts=facts,
            )
        promotions.promote_candidate(
            row,
            judged_against=judging.champion_run,
            by=BY,
            why=verdict.reason,
            now=self._clock(),
            facts=facts,
        )
        self._queues.send(self._settings.endpoint_queue_url, run_message(row.run))
        return f"promoted: {verdict.reason}"

    def _told(self, failed: NotJudged) -> str:
        """For people: what went wrong, with the last line of the log."""
        if isinstance(failed.job, BatchJob):
            job = failed.job
            line = (
                self._logs.last_line_of_batch_job(job.log_group, job.log_stream) if job.log_stream else None
            )
            return f"{failed.reason}: {failure_reason(job, line)}"
        if isinstance(failed.job, TransformJob):
            line = self._logs.last_line_of_transform_job(failed.job.name)
            return f"{failed.reason}; last line of its log: {line}" if line else failed.reason
        return failed.reason

    def _fail(self, row: RunRow, found: JudgingJobs, failure: str) -> str:
        # Before the run ends, as nobody looks at the jobs of an ended run.
        stop_judging_jobs(found, self._transforms, self._jobs, failure)
        return end_run(
            row,
            State.FAILED,
            by=BY,
            why="the model could not be judged",
            now=self._clock(),
            queues=self._queues,
            settle_queue_url=self._settings.settle_queue_url,
            failure=failure,
        )

    def _note(self, row: RunRow, **facts: Any) -> None:
        note = JudgingNote(**{**plain_map(row.judging), **facts})
        runs.note(row, [RunRow.judging.set(note)], only_if=_in_round(row.judging))


def _standing(row: RunRow) -> Standing:
    judging = row.judging
    return Standing(
        with_champion=judging.champion_run is not None and judging.champion_problem is None,
        asked_at=timestamps.from_text(judging.asked_at) if judging.asked_at else None,
        submitted=judging.evaluate_job_id is not None,
    )


def _in_round(judging: JudgingNote) -> Condition:
    """That nobody has begun another round meanwhile."""
    condition: Condition = Path("judging.round") == judging.round
    return condition


def _problem(champion: str | None) -> str | None:
    """Why a champion cannot be judged, as far as the table tells."""
    if champion is None:
        return None
    row = find_run(champion)
    if row is None:
        return "the table of runs has no row of it"
    return None if row.model else "its run has no model"
