"""The states of a run and the moves between them.

A run that has ended stays as it is until an operator (or a rollback) wants its model served: then it is
DEPLOYING again, and ends again. So its history reads from its snapshot to the last time its model served.
"""

from enum import StrEnum


class State(StrEnum):
    """Where a run is. The last five end it; only to be served (again) does an ended run move."""

    PREPARING = "PREPARING"
    TRAINING = "TRAINING"
    EVALUATING = "EVALUATING"
    DEPLOYING = "DEPLOYING"
    SERVED = "SERVED"
    BLOCKED = "BLOCKED"
    REJECTED = "REJECTED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


_STOPS = frozenset({State.FAILED, State.CANCELLED})

MOVES: dict[State, frozenset[State]] = {
    State.PREPARING: _STOPS | {State.TRAINING, State.BLOCKED},
    State.TRAINING: _STOPS | {State.EVALUATING},
    State.EVALUATING: _STOPS | {State.DEPLOYING, State.REJECTED},
    State.DEPLOYING: _STOPS | {State.SERVED},
    State.SERVED: frozenset({State.DEPLOYING}),
    State.BLOCKED: frozenset(),
    State.REJECTED: frozenset({State.DEPLOYING}),
    State.FAILED: frozenset({State.DEPLOYING}),
    State.CANCELLED: frozenset({State.DEPLOYING}),
}

ENDED = frozenset({State.SERVED, State.BLOCKED, State.REJECTED, State.FAILED, State.CANCELLED})
UNFINISHED = frozenset(State) - ENDED

STAGES = {
    State.PREPARING: "prepare",
    State.TRAINING: "training",
    State.EVALUATING: "evaluation",
    State.DEPLOYING: "deploy",
}
"""The word for what a run does while in a state: the keys of a run's timings, and where a failure was."""


def may_move(before: State, after: State) -> bool:
    """Whether a run may go from one state to the other in one step."""
    return after in MOVES[before]


def has_ended(state: State) -> bool:
    """Whether a run in this state moves no more by itself."""
    return state in ENDED
