"""Puts our Batch and SageMaker into MiniStack: routing, identity, dispatch, CloudFormation types, mends.

Requests are authenticated by MiniStack (signature, session token, expiry); our services then ask its policy
evaluator themselves, because one call may need several actions on several resources.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ministack import app
from ministack.core import iam_actions, router

from local import mends, protocol
from local.authorization import Caller
from local.batch.records import BatchRecords
from local.batch.service import Batch
from local.capacity import Capacity
from local.cloudformation import batch_types
from local.errors import AwsError
from local.ministack_version import check_version
from local.persistence.keeper import Keeper
from local.platform import Platform
from local.sagemaker.records import SageMakerRecords
from local.sagemaker.service import SageMaker, job_capacity
from local.scope import Scope

logger = logging.getLogger("local")

_THREADS = 32


class Services:
    """Our services, made for an account and region when it first calls them."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self._vcpus = Capacity.of_machine()
        self._training = job_capacity()
        self._transforming = job_capacity()
        self._batch: dict[Scope, Batch] = {}
        self._sagemaker: dict[Scope, SageMaker] = {}
        self._lock = threading.Lock()
        # Not MiniStack's own pool: its Lambdas wait in it for the answers given here.
        self._pool = ThreadPoolExecutor(_THREADS, "local-api")

    def batch(self, scope: Scope) -> Batch:
        """Batch in a scope."""
        with self._lock:
            if scope not in self._batch:
                self._batch[scope] = Batch(scope, self.platform, self._vcpus)
                self._batch[scope].start()
            return self._batch[scope]

    def sagemaker(self, scope: Scope) -> SageMaker:
        """SageMaker in a scope."""
        with self._lock:
            if scope not in self._sagemaker:
                self._sagemaker[scope] = SageMaker(scope, self.platform, self._training, self._transforming)
            return self._sagemaker[scope]

    def restore(self) -> None:
        """Puts back what an earlier server kept, and goes on with it once this one answers."""
        for scope in BatchRecords.scopes(self.platform.store):
            self._batch[scope] = Batch(scope, self.platform, self._vcpus)
            self._batch[scope].restore()
        for scope in SageMakerRecords.scopes(self.platform.store):
            self._sagemaker[scope] = SageMaker(scope, self.platform, self._training, self._transforming)
            self._sagemaker[scope].restore()

    def resume(self) -> None:
        """Runs jobs and endpoints from here on: the server answers now, and they will call it."""
        for batch in self._batch.values():
            batch.start()
        for sagemaker in self._sagemaker.values():
            sagemaker.resume()
        self.platform.events.resume()

    async def handle(
        self,
        service: str,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        query: dict[str, list[str]],
    ) -> protocol.Response:
        """Answers one request of `batch`, `sagemaker` or `sagemaker-runtime`, on a thread of our own."""

        def answer() -> protocol.Response:
            try:
                call = protocol.parse(service, method, path, headers, body, query)
                scope = Scope.current()
                caller = Caller(router.extract_access_key_id(headers, query), scope)
                serve: Callable[..., dict[str, Any]] = (
                    self.batch(scope).call if service == "batch" else self.sagemaker(scope).call
                )
                return protocol.answer(call, serve(call.name, call.parameters, caller))
            except AwsError as error:
                return protocol.refuse(service, error)

        # A copy of the context carries MiniStack's idea of the request (caller, account, region) along.
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._pool, context.run, answer)


def install(platform: Platform) -> Services:
    """Installs everything into the imported MiniStack. Call once, before it serves."""
    check_version()
    services = Services(platform)

    async def batch(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> protocol.Response:
        return await services.handle("batch", method, path, headers, body, query)

    async def sagemaker(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> protocol.Response:
        # The runtime signs as `sagemaker` too, but names its operation in the path.
        service = "sagemaker" if "x-amz-target" in headers else "sagemaker-runtime"
        return await services.handle(service, method, path, headers, body, query)

    app.SERVICE_HANDLERS["batch"] = batch
    app.SERVICE_HANDLERS["sagemaker"] = sagemaker
    router.SERVICE_PATTERNS["sagemaker"] = {
        "target_prefixes": ["SageMaker."],
        "host_patterns": [r"^(api|runtime)\.sagemaker\."],
        "credential_scope": "sagemaker",
    }
    # Without a namespace MiniStack checks the signature and leaves authorization to the service.
    iam_actions.SERVICE_TO_IAM_NAMESPACE.pop("batch")
    batch_types.install(services.batch)
    mends.install()
    keeper = Keeper(platform.store, platform.outbox)

    def resume() -> None:
        platform.endpoint.wait_until_open()
        services.resume()
        keeper.resume()

    def restored() -> None:
        services.restore()
        threading.Thread(target=resume, daemon=True, name="local-resume").start()

    keeper.install(restored)
    return services
