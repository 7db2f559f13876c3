"""What people and programs are told when a run ends: what happened, why, and what to do next.

All wording is here. It is told as text (an e-mail) and as JSON; both say the same.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from nestbox import bucket_layout, timestamps
from nestbox.names import dataset_of_run, endpoint_name
from nestbox.states import STAGES, State

_SUBJECT_LENGTH = 99
"""SNS takes subjects of less than 100 characters of ASCII."""
_LINE = 78


class RunEvent(StrEnum):
    """What became of a run."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    REJECTED = "rejected"
    BLOCKED = "blocked"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Move:
    """One entry of a run's history."""

    before: State | None
    after: State
    at: datetime
    by: str
    why: str


@dataclass(frozen=True)
class Announcement:
    """One end of a run, as people and programs are told of it."""

    id: str
    """The same whenever this end is announced: who gets it twice knows it again."""
    event: RunEvent
    dataset: str
    run: str
    state: State
    at: datetime
    by: str
    what: str
    why: str
    advice: str
    """What to do next."""
    command: str
    """The command that does it, or shows more."""

    @property
    def subject(self) -> str:
        """The subject of an e-mail: one line of ASCII, at most 99 characters."""
        plain = f"Nestbox: {self.what}".encode("ascii", "replace").decode()
        return plain if len(plain) <= _SUBJECT_LENGTH else plain[: _SUBJECT_LENGTH - 3] + "..."

    @property
    def text(self) -> str:
        """The body of an e-mail."""
        return "\n".join(
            [
                *_wrapped(f"{self.what}."),
                "",
                *_wrapped(f"Why:  {self.why}"),
                *_wrapped(f"Next: {self.advice}"),
                "",
                f"    {self.command}",
                "",
                f"Run   {self.run}",
                f"When  {timestamps.to_text(self.at)}",
                f"By    {self.by}",
                f"Id    {self.id}",
                "",
            ]
        )

    @property
    def fields(self) -> dict[str, Any]:
        """The same for programs."""
        return {**asdict(self), "at": timestamps.to_text(self.at)}


def announcements(run: str, history: Sequence[Move], announced: int) -> list[Announcement]:
    """The ends of a run that nobody has been told of, oldest first.

    ``announced`` is how many moves of the history were there when its ends were last announced.
    """
    told = []
    for number, move in enumerate(history):
        event = _event_of(move, history[:number])
        if number < announced or event is None:
            continue
        # Why a model serves, and who wanted it to, is said where it was sent on its way.
        cause = history[number - 1] if number and move.after is State.SERVED else move
        told.append(_announcement(run, number, event, move, cause))
    return told


def _event_of(move: Move, earlier: Sequence[Move]) -> RunEvent | None:
    if move.after is State.SERVED:
        again = any(one.after is State.SERVED for one in earlier)
        return RunEvent.ROLLED_BACK if again else RunEvent.PROMOTED
    return {
        State.REJECTED: RunEvent.REJECTED,
        State.BLOCKED: RunEvent.BLOCKED,
        State.FAILED: RunEvent.FAILED,
        State.CANCELLED: RunEvent.CANCELLED,
    }.get(move.after)


def _announcement(run: str, number: int, event: RunEvent, move: Move, cause: Move) -> Announcement:
    dataset = dataset_of_run(run)
    what, advice, command = _words(event, move, run, dataset)
    return Announcement(
        id=f"{run}/{number}",
        event=event,
        dataset=dataset,
        run=run,
        state=move.after,
        at=move.at,
        by=cause.by,
        what=what,
        why=cause.why,
        advice=advice,
        command=command,
    )


def _words(event: RunEvent, move: Move, run: str, dataset: str) -> tuple[str, str, str]:
    """What happened, what to do next, and the command for it."""
    if event is RunEvent.PROMOTED:
        return (
            f"{dataset}: a new model serves",
            "nothing has to be done. Should it do worse on your own pictures, put the model before it back:",
            f"nestbox rollback {dataset}",
        )
    if event is RunEvent.ROLLED_BACK:
        return (
            f"{dataset}: an earlier model serves again",
            "the next run that the gate lets through replaces it. To keep it whatever comes:",
            f"nestbox pin {dataset}",
        )
    if event is RunEvent.REJECTED:
        return (
            f"{dataset}: the new model was not good enough",
            "the model that serves goes on serving. To put the rejected one into service all the same:",
            f"nestbox promote {run}",
        )
    if event is RunEvent.BLOCKED:
        return (
            f"{dataset}: the data allows no training",
            f"mend what {bucket_layout.report_key(run)} in the artifacts bucket lists, and upload again:",
            f"nestbox push FOLDER {dataset}",
        )
    if event is RunEvent.CANCELLED:
        return (
            f"{dataset}: a run was cancelled",
            "what was serving goes on serving, and the next upload starts a run. What this one had done:",
            f"nestbox run {run}",
        )
    stage = STAGES[move.before] if move.before else "start"
    return f"{dataset}: a run failed ({stage})", _after_failure(move.before, dataset), f"nestbox run {run}"


def _after_failure(before: State | None, dataset: str) -> str:
    goes_on = "what was serving goes on serving, and no upload is lost"
    if before is State.PREPARING:
        return (
            f"{goes_on}: the next upload, or an object named _READY, starts a run with all of them. Where it "
            "fails again, the log of its job says more. The whole story:"
        )
    if before is State.TRAINING:
        return (
            f"{goes_on}. Where the reason names a setting, mend it in nestbox.yaml or in the stack's "
            "parameters; then upload an object named _READY to train again. The whole story:"
        )
    if before is State.DEPLOYING:
        return (
            f"{goes_on}. The log group /aws/sagemaker/Endpoints/{endpoint_name(dataset)} says why the model "
            "did not come up. The whole story:"
        )
    return f"{goes_on}. The whole story:"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _LINE, subsequent_indent="      " if text[:6].endswith(" ") else "")
