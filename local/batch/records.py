"""The rows of Batch: what it was told to set up, and its jobs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from local.batch.compute import Compute
from local.batch.definitions import JobDefinitions
from local.batch.jobs import Job, make_children
from local.persistence.store import Key, Store
from local.scope import Scope

_SET_UP, _JOBS, _PROGRESS = "batch set-up", "batch jobs", "batch progress"
# What does not change after the submission; an array job's children are made of it again.
_SUBMITTED = (
    "id",
    "arn",
    "name",
    "queue",
    "definition",
    "container",
    "parameters",
    "retry",
    "timeout_seconds",
    "depends_on",
    "created_at",
    "array_size",
    "share_identifier",
)
_MOVING = (
    "tags",
    "status",
    "status_reason",
    "started_at",
    "stopped_at",
    "attempts",
    "log_stream",
    "task_arn",
    "exit_code",
    "container_reason",
    "cancelled",
    "terminated",
    "stop_reason",
)


class BatchRecords:
    """The rows of one scope."""

    def __init__(self, store: Store, scope: Scope) -> None:
        self._store = store
        self._scope: Key = (scope.account, scope.region)

    @staticmethod
    def scopes(store: Store) -> list[Scope]:
        """Where Batch has been used."""
        return [Scope(*key) for key, _ in store.read(_SET_UP)]

    def save_set_up(self, compute: Compute, definitions: JobDefinitions) -> None:
        """Writes environments, queues and definitions."""
        self._store.put(_SET_UP, {self._scope: (compute.records(), definitions.records())})

    def restore_set_up(self, compute: Compute, definitions: JobDefinitions) -> None:
        """Puts environments, queues and definitions back."""
        for key, (environments_and_queues, revisions) in self._store.read(_SET_UP):
            if key == self._scope:
                compute.restore(*environments_and_queues)
                definitions.restore(revisions)

    def submitted(self, job: Job) -> None:
        """Writes a new job; its children follow when they move."""
        row = {name: getattr(job, name) for name in _SUBMITTED}
        key = (*self._scope, job.id)
        self._store.put_all([(_JOBS, key, row), (_PROGRESS, key, _moving(job))])

    def moved(self, job: Job) -> None:
        """Writes what has become of a job or child."""
        self._store.put(_PROGRESS, {(*self._scope, job.id): _moving(job)})

    def jobs(self, compute: Compute) -> Iterator[Job]:
        """The jobs, without the children, which are theirs. `compute` has been restored."""
        progress = {key[2]: row for key, row in self._store.read(_PROGRESS) if key[:2] == self._scope}
        queues = {queue["jobQueueArn"]: queue for queue in compute.queues()}
        for key, row in self._store.read(_JOBS):
            if key[:2] != self._scope:
                continue
            # One and the same record again: updates of the queue reach its jobs.
            queue = queues.get(row["queue"]["jobQueueArn"], row["queue"])
            job = Job(**{**row, "queue": queue}, **progress[key[2]])
            job.children = make_children(Scope(*self._scope), job)
            for child in job.children:
                for name, value in progress.get(child.id, {}).items():
                    setattr(child, name, value)
            for each in (job, *job.children):
                if each.terminated:
                    each.stopping.set()
            yield job


def _moving(job: Job) -> dict[str, Any]:
    return {name: getattr(job, name) for name in _MOVING}
