"""What must hold once everything has come to rest, whatever went wrong before."""

import json
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nestbox import bucket_layout, names
from nestbox.rules.snapshots import SnapshotEntry, changes
from nestbox.states import MOVES, State, has_ended
from nestbox.tables import DatasetRow, RunRow

from simulation.containers import snapshot

if TYPE_CHECKING:
    from simulation.world import World

LEFTOVER_SECONDS = 300.0
"""How long after everything has come to rest a second copy of a job may still run."""


def broken(world: "World") -> list[str]:
    """Every promise that this world breaks, in words; none: all hold."""
    checks = (
        _functions_stumble_over_nothing_but_faults,
        _nothing_is_stuck,
        _every_upload_is_in_a_run,
        _strays_are_told,
        _history_is_possible,
        _one_champion_that_serves,
        _nothing_is_promoted_twice,
        _no_worse_model_is_promoted,
        _no_job_runs_for_an_ended_run,
        _every_end_is_announced,
    )
    return [
        f"{check.__name__.strip('_').replace('_', ' ')}: {told}" for check in checks for told in check(world)
    ]


def runs_of(world: "World") -> list[RunRow]:
    """All runs, oldest first."""
    return [_model(RunRow, item) for _key, item in sorted(world.rows("RunsTable").items())]


def datasets_of(world: "World") -> dict[str, DatasetRow]:
    """All datasets."""
    return {key[0]: _model(DatasetRow, item) for key, item in world.rows("DatasetsTable").items()}


def _model(model: Any, item: dict[str, Any]) -> Any:
    return model.from_raw_data(item)


def _functions_stumble_over_nothing_but_faults(world: "World") -> Iterator[str]:
    yield from world.lambda_.errors


def _nothing_is_stuck(world: "World") -> Iterator[str]:
    for run in runs_of(world):
        if not has_ended(State(run.state)):
            yield f"run {run.run} is {run.state} for ever"
        elif run.unfinished is not None:
            yield f"run {run.run} is {run.state} and in the index of the unfinished"
    for name, row in datasets_of(world).items():
        if row.active_run is not None:
            yield f"dataset {name} belongs to {row.active_run} for ever"
        if row.first_pending_at is not None or row.pending is not None:
            yield f"dataset {name} waits for a run for ever"
    if world.sqs.waiting():
        yield f"{world.sqs.waiting()} messages circle for ever"
    for name, endpoint in world.sagemaker.endpoints.items():
        if endpoint.record["EndpointStatus"] not in ("InService", "Failed", "UpdateRollbackFailed"):
            yield f"endpoint {name} is {endpoint.record['EndpointStatus']} for ever"


def _listing(world: "World", dataset: str) -> list[SnapshotEntry]:
    bucket = world.s3.buckets[world.wiring.uploads_bucket]
    prefix = bucket_layout.dataset_prefix(dataset)
    return [
        SnapshotEntry(key, newest.id, newest.etag.strip('"'), len(newest.content or b""))
        for key in sorted(bucket)
        if key.startswith(prefix)
        and not key.endswith("/")
        and not bucket_layout.is_ready_marker(key)
        and (newest := world.s3.newest(world.wiring.uploads_bucket, key))
    ]


def _every_upload_is_in_a_run(world: "World") -> Iterator[str]:
    rows = datasets_of(world)
    for dataset in world.people.datasets:
        row, there = rows.get(dataset), _listing(world, dataset)
        # A run on an old snapshot, which an operator may ask for, has seen nothing new.
        fresh = [run for run in runs_of(world) if run.dataset == dataset and run.snapshot_run is None]
        seen: list[SnapshotEntry] = []
        if fresh:
            key = bucket_layout.snapshot_key(max(fresh, key=lambda run: world.started[run.run]).run)
            seen = snapshot(world, bucket_layout.s3_uri(world.wiring.artifacts_bucket, key))
        missing = changes(seen, there)
        if any(missing) and not (row is not None and row.defects):
            yield f"dataset {dataset}: {missing} in no run's snapshot, and nothing says why"


def _strays_are_told(world: "World") -> Iterator[str]:
    told = {notice.file for notice in (datasets_of(world).get("_rejected") or DatasetRow("_")).defects or []}
    for key in world.s3.buckets[world.wiring.uploads_bucket]:
        folder = bucket_layout.folder_of_upload(key)
        stray = folder is None or not names.is_dataset_name(folder)
        # Audits look at datasets: a stray that no event tells of is told of with the next one there.
        if (
            stray
            and key not in world.s3.untold
            and not any(key.startswith(one) or one == "/" for one in told)
        ):
            yield f"{key} belongs to no dataset and nobody is told"


def _history_is_possible(world: "World") -> Iterator[str]:
    clocks_agree = not any(one.name.startswith("clock jumps") for one in world.chance.incidents)
    for run in runs_of(world):
        steps, state = list(run.history), None
        latest: dict[str, str] = {}
        for step in steps:
            if clocks_agree and step.at < latest.get(step.by, ""):
                yield f"run {run.run}: {step.by} wrote {step.to_state} at {step.at}, after {latest[step.by]}"
            latest[step.by] = step.at
        for step in steps:
            if step.from_state != state:
                yield f"run {run.run} was {state} and then left {step.from_state}"
            elif state is not None and State(step.to_state) not in MOVES[State(state)]:
                yield f"run {run.run} went from {state} to {step.to_state}"
            if not step.by or not step.why:
                yield f"run {run.run}: nobody says who or why {step.to_state}"
            state = step.to_state
        if not steps or state != run.state:
            yield f"run {run.run} is {run.state} and its history ends with {state}"


def _one_champion_that_serves(world: "World") -> Iterator[str]:
    runs = {run.run: run for run in runs_of(world)}
    for name, row in datasets_of(world).items():
        endpoint = world.sagemaker.endpoints.get(names.endpoint_name(name))
        if row.wanted_run is not None:
            yield f"{row.wanted_run} is on its way in for ever"
        if row.champion_run is None:
            if endpoint is not None and endpoint.record["EndpointStatus"] == "InService":
                serving = endpoint.record["EndpointConfigName"]
                yield f"endpoint of {name} serves {serving}, and there is no champion"
            continue
        champion = runs[row.champion_run]
        if champion.state == State.FAILED and champion.failure is not None:
            # It could not be put back, and says so; an operator must promote a run.
            continue
        if champion.state != State.SERVED:
            yield f"the champion {row.champion_run} is {champion.state}"
        if endpoint is None:
            if world.people.deletions:
                # Serves again with the next run or the next promotion; see services/sagemaker.py.
                continue
            yield f"the champion {row.champion_run} has no endpoint"
        elif endpoint.record["EndpointStatus"] != "InService":
            yield f"endpoint of {name} is {endpoint.record['EndpointStatus']}"
        elif endpoint.record["EndpointConfigName"] != names.endpoint_config_name(row.champion_run):
            yield (
                f"endpoint of {name} serves {endpoint.record['EndpointConfigName']}, "
                f"the champion is {row.champion_run}"
            )


def _nothing_is_promoted_twice(world: "World") -> Iterator[str]:
    for run in runs_of(world):
        promotions = [step for step in run.history if step.to_state == State.DEPLOYING]
        judged = sum(1 for step in promotions if step.by == "judge")
        if judged > 1:
            yield f"run {run.run} was promoted by its verdict {judged} times"
        served = sum(1 for _at, _name, config in world.sagemaker.served if config == run.run)
        if served > len(promotions) + world.people.deletions:
            yield f"the endpoint was moved to {run.run} {served} times for {len(promotions)} promotions"
    yield from world.sagemaker.misuses


def _no_worse_model_is_promoted(world: "World") -> Iterator[str]:
    runs = {run.run: run for run in runs_of(world)}
    before: dict[str, str | None] = {}
    for _at, dataset, champion in world.champions:
        old, before[dataset] = before.get(dataset), champion
        if champion is None:
            continue
        run = runs[champion]
        wish = next(step for step in reversed(run.history) if step.to_state == State.DEPLOYING)
        if wish.by != "judge":
            continue
        logged = float(run.best_map) if run.best_map is not None else math.nan
        if not any(math.isclose(logged, true, abs_tol=1e-6) for true in world.containers.scores[champion]):
            yield f"run {champion} says mAP {logged}, its training {world.containers.scores[champion]}"
        score = world.containers.true_score(champion, champion)
        gate = run.gate.as_dict() if run.gate is not None else {}
        if score is None or score < gate.get("min_map", 0.0):
            yield f"run {champion} with mAP {score} was promoted, min_map is {gate.get('min_map')}"
        rival = world.containers.true_score(old, champion) if old is not None else None
        if score is not None and rival is not None:
            gain, least = score - rival, gate.get("min_improvement", 0.0)
            if gain < least - 1e-6 or (least == 0 and gain <= 0):
                yield f"run {champion} replaced {old} with a gain of {gain:+.4f}, {least} is the least"


def _no_job_runs_for_an_ended_run(world: "World") -> Iterator[str]:
    now = world.timeline.now
    world.timeline.run(now + LEFTOVER_SECONDS)
    by_hand = {run.run for run in runs_of(world) if _promoted_while_it_was_judged(run)}
    for job in world.batch.jobs.values():
        run = names.run_of_prepare_job(job.name) or names.run_of_judging_job(job.name)
        if run is None or run in by_hand or job.ended or job.parent is not None or run not in world.ended:
            continue
        # Batch knows no idempotency token: a second copy may run until it is done or its time is up.
        if sum(1 for one in world.batch.jobs.values() if one.name == job.name and one.parent is None) == 1:
            yield f"Batch job {job.id} ({job.name}) goes on, though its run ended at {world.ended[run]:.0f}"
    for name, transform in world.sagemaker.transforms.items():
        run = names.run_of_judging_job(name)
        going = transform.record["TransformJobStatus"] in ("InProgress", "Stopping")
        if going and run in world.ended and run not in by_hand:
            yield f"transform job {name} goes on, though its run ended at {world.ended[run]:.0f}"
    for name, training in world.sagemaker.trainings.items():
        if training.record["TrainingJobStatus"] in ("InProgress", "Stopping") and name in world.ended:
            yield f"training job {name} goes on, though its run ended at {world.ended[name]:.0f}"


def _promoted_while_it_was_judged(run: RunRow) -> bool:
    """Whether a person cut a run's judging short: its answers come to an end by themselves."""
    return any(
        step.from_state == State.EVALUATING and step.to_state == State.DEPLOYING and step.by != "judge"
        for step in run.history
    )


def _every_end_is_announced(world: "World") -> Iterator[str]:
    told = {json.loads(entry["Detail"])["id"] for entry in world.bus.put}
    written = {json.loads(json.loads(one["Message"])["default"])["id"] for one in world.sns.published}
    for run in runs_of(world):
        for number, step in enumerate(run.history):
            if not has_ended(State(step.to_state)):
                continue
            for whom, known in (("programs", told), ("people", written)):
                if f"{run.run}/{number}" not in known:
                    yield f"no {whom} are told that run {run.run} is {step.to_state}"
