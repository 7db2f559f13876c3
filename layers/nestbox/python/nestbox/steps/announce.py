"""Tells people and programs how a run ended.

The write that ends a run marks it as unannounced, and only what was told takes the mark away: whatever
crashes in between, the mark stays and reconcile finds it. So every end is told at least once, under one id.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from nestbox import timestamps
from nestbox.gateways.announcing import Announcing
from nestbox.rows import runs
from nestbox.rules.announcements import Move, announcements
from nestbox.states import State
from nestbox.tables import Transition, get_run


class Announce:
    """The step."""

    def __init__(self, announcing: Announcing, clock: Callable[[], datetime] = timestamps.now) -> None:
        self._announcing = announcing
        self._clock = clock

    def look(self, run: str, patience: timedelta | None = None) -> int:
        """Announce the ends of a run that nobody has been told of; returns how many.

        Leaves a run alone that has moved within ``patience``: somebody else is about to announce it. Raises
        LostRaceError where the run moved meanwhile.
        """
        row = get_run(run)
        if row.unannounced is None:
            return 0
        if patience and timestamps.from_text(row.updated_at) + patience > self._clock():
            return 0
        untold = announcements(run, [_move(step) for step in row.history], int(row.announced or 0))
        for announcement in untold:
            self._announcing.publish(announcement)
        runs.mark_announced(row)
        return len(untold)


def _move(step: Transition) -> Move:
    return Move(
        before=State(step.from_state) if step.from_state else None,
        after=State(step.to_state),
        at=timestamps.from_text(step.at),
        by=step.by,
        why=step.why,
    )
