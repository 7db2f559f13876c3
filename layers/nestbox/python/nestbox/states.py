"""The states of a run and the moves between them."""

from enum import StrEnum


class State(StrEnum):
    """Where a run is. The last five end it."""

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
    State.SERVED: frozenset(),
    State.BLOCKED: frozenset(),
    State.REJECTED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}

UNFINISHED = frozenset(state for state, moves in MOVES.items() if moves)
ENDED = frozenset(State) - UNFINISHED

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
    """Whether a run in this state will never move again."""
    return state in ENDED
