"""MiniStack's services: each gives its state in parts, and a part that has changed becomes a row."""

from __future__ import annotations

import hashlib
import logging
import pickle
import threading
from collections.abc import Callable, Iterable
from typing import Any

from ministack import app
from ministack.services import cloudformation, cloudwatch, lambda_svc, sts

from local.persistence.logs import Logs
from local.persistence.queues import Queues
from local.persistence.store import Store
from local.persistence.tables import Tables

logger = logging.getLogger("local.persistence")

State = dict[str, Any]

_KIND = "services"
# For the others MiniStack copies everything first, which takes longer than to write it.
_LIVE_PARTS = {
    "cloudformation": (cloudformation, ("stacks", "stack_events", "exports", "change_sets")),
    "cloudwatch": (
        cloudwatch,
        (
            "metrics",
            "alarms",
            "composite_alarms",
            "composite_triggers",
            "alarm_history",
            "dashboards",
            "resource_tags",
        ),
    ),
    "lambda": (
        lambda_svc,
        (
            "functions",
            "layers",
            "esms",
            "function_urls",
            "kinesis_positions",
            "dynamodb_stream_positions",
        ),
    ),
    "sts": (sts, ("sessions",)),
}
_INTERRUPTED = "The machine was lost while this went on"


class Services:
    """The states of MiniStack's services by the names it has for them."""

    def __init__(self, store: Store, tables: Tables, queues: Queues, logs: Logs) -> None:
        self._store = store
        self._digests: dict[tuple[str, str], bytes] = {}
        # An older state must not be written over a newer one.
        self._writing = threading.Lock()
        self._states: dict[str, Callable[[], State]] = {
            "dynamodb": tables.state,
            "sqs": queues.state,
            "cloudwatch_logs": logs.state,
            **{name: _live(module, parts) for name, (module, parts) in _LIVE_PARTS.items()},
        }
        self._restorers: dict[str, Callable[[State], None]] = {
            "dynamodb": tables.restore,
            "sqs": queues.restore,
            "cloudwatch_logs": logs.restore,
            # The poller starts later: it would call functions that cannot call this server yet.
            "lambda": lambda_svc._restore_state,
            "sts": lambda state: sts._sessions.update(state["sessions"]),
        }

    def names(self) -> list[str]:
        """The services that have any state."""
        return list(app._build_persistence_save_dict())

    def save(self, names: Iterable[str]) -> None:
        """Writes the parts that have changed, in one transaction.

        Raises RuntimeError when another thread changed a part meanwhile.
        """
        with self._writing:
            self._save(names)

    def restore(self) -> None:
        """Puts everything back, as after a restart of MiniStack that kept its state."""
        states: dict[str, State] = {}
        for (name, part), pickled in self._store.read(_KIND):
            states.setdefault(name, {})[part] = pickle.loads(pickled)  # noqa: S301
            self._digests[name, part] = hashlib.blake2b(pickled, digest_size=16).digest()
        for name, module in app._state_map.items():
            if state := states.get(name):
                restore = self._restorers.get(name) or app._get_module(module).load_persisted_state
                restore(state)
        _end_interrupted_stacks()

    @staticmethod
    def provisioning() -> bool:
        """Whether a stack is being made or changed."""
        return any(_in_progress(stack) for stack in cloudformation._stacks.all_values())

    def _save(self, names: Iterable[str]) -> None:
        known = app._build_persistence_save_dict()
        rows = []
        for name in names:
            get_state = self._states.get(name) or known.get(name)
            for part, value in ((get_state() if get_state else None) or {}).items():
                pickled = pickle.dumps(value)
                digest = hashlib.blake2b(pickled, digest_size=16).digest()
                if self._digests.get((name, part)) != digest:
                    rows.append(((name, part), digest, pickled))
        if rows:
            self._store.put(_KIND, {key: pickled for key, _, pickled in rows})
            self._digests.update((key, digest) for key, digest, _ in rows)


def _live(module: Any, parts: tuple[str, ...]) -> Callable[[], State]:
    return lambda: {part: getattr(module, f"_{part}") for part in parts}


def _in_progress(stack: State) -> bool:
    status = str(stack.get("StackStatus", ""))
    # A stack in review has a change set that nobody has executed yet.
    return status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS"


def _end_interrupted_stacks() -> None:
    """Ends what a server was told to stop in the middle of."""
    for stack in cloudformation._stacks.all_values():
        status = str(stack.get("StackStatus", ""))
        if _in_progress(stack):
            logger.warning("stack %s was lost in %s", stack.get("StackName"), status)
            stack["StackStatus"] = status.replace("_IN_PROGRESS", "_FAILED").replace("COMPLETE_CLEANUP_", "")
            stack["StackStatusReason"] = _INTERRUPTED
