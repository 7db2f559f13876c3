"""The rows of SageMaker: one for each resource."""

from __future__ import annotations

from typing import Any

from local.persistence.store import Store
from local.scope import Scope


class SageMakerRecords:
    """The rows of one kind of resource (`model`, `training-job` …) in one scope, by name."""

    def __init__(self, store: Store, scope: Scope, kind: str) -> None:
        self._store = store
        self._scope = scope
        self._kind = f"{_PREFIX}{kind}"

    @staticmethod
    def scopes(store: Store) -> set[Scope]:
        """Where SageMaker has been used."""
        return {Scope(*key[:2]) for kind in KINDS for key, _ in store.read(f"{_PREFIX}{kind}")}

    def put(self, name: str, *members: Any) -> None:
        """Writes what is known of a resource."""
        self._store.put(self._kind, {(self._scope.account, self._scope.region, name): members})

    def remove(self, name: str) -> None:
        """Forgets a resource."""
        self._store.put(self._kind, {(self._scope.account, self._scope.region, name): None})

    def read(self) -> list[tuple[Any, ...]]:
        """The members of every resource, oldest first."""
        scope = (self._scope.account, self._scope.region)
        return [members for key, members in self._store.read(self._kind) if key[:2] == scope]


_PREFIX = "sagemaker "
KINDS = ("training-job", "transform-job", "model", "endpoint-config", "endpoint")
