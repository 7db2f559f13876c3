"""Looks at a run that has a model: does it replace the champion?"""

from collections.abc import Callable
from datetime import datetime

from nestbox import timestamps
from nestbox.errors import NestboxError
from nestbox.events import run_message
from nestbox.gateways.queues import Queues
from nestbox.rows import promotions, runs
from nestbox.rules.gate import Limits, Verdict, judge
from nestbox.settings import JudgeSettings
from nestbox.states import State
from nestbox.steps.endings import end_run
from nestbox.tables import Decision, find_run, get_dataset, get_run, plain_map

BY = "judge"


class Judge:
    """The step."""

    def __init__(
        self, settings: JudgeSettings, queues: Queues, clock: Callable[[], datetime] = timestamps.now
    ) -> None:
        self._settings = settings
        self._queues = queues
        self._clock = clock

    def look(self, run: str) -> str:
        """Look at a run; returns what was done."""
        row = get_run(run)
        if runs.state_of(row) is not State.EVALUATING:
            return f"nothing to do: {row.state}"
        if row.best_map is None:
            raise NestboxError(
                f"run {run} is {row.state} without a recorded mAP: its row was changed by hand"
            )
        dataset = get_dataset(row.dataset)
        if dataset.wanted_run is not None:
            # Whom to judge against is known when that run serves, or does not.
            return f"waits until {dataset.wanted_run} is deployed"
        champion = find_run(dataset.champion_run) if dataset.champion_run else None
        verdict = judge(
            float(row.best_map),
            champion_run=champion.run if champion else None,
            champion_map=float(champion.best_map) if champion and champion.best_map is not None else None,
            limits=Limits.from_config(plain_map(row.gate)),
            pinned=bool(dataset.pinned),
        )
        facts = {"decision": _decision(verdict)}
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
            judged_against=dataset.champion_run,
            by=BY,
            why=verdict.reason,
            now=self._clock(),
            facts=facts,
        )
        self._queues.send(self._settings.endpoint_queue_url, run_message(run))
        return f"promoted: {verdict.reason}"


def _decision(verdict: Verdict) -> Decision:
    return Decision(
        promote=verdict.promote,
        reason=verdict.reason,
        candidate_map=verdict.candidate_map,
        champion_map=verdict.champion_map,
        champion_run=verdict.champion_run,
        min_map=verdict.limits.min_map,
        min_improvement=verdict.limits.min_improvement,
    )
