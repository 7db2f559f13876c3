"""Sends a transform job's objects to its container, several requests at once, and puts the answers in order.

An object of which every request succeeds has an output; one that fails has none, and the others go on:
https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform.html
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.errors import InputDataError, TransferError
from local.objects import download_object
from local.sagemaker.containers import Answer, ModelContainer
from local.sagemaker.transform_inputs import MULTI_RECORD, SINGLE_RECORD, InputObject, payloads

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from local.processes import ContainerProcess

MAX_PAYLOAD_MB = 100
DEFAULT_PAYLOAD_MB = 6
# With a payload of at least 1 MB, "concurrent transforms times payload" cannot ask for more.
MAX_CONCURRENT = 100
_STRATEGIES = {"SINGLE_RECORD": SINGLE_RECORD, "MULTI_RECORD": MULTI_RECORD}

# ModelClientConfig; AWS documents these defaults.
_INVOCATION_SECONDS = 600
_MAX_RETRIES = 3
# AWS does not say how long it waits between attempts.
_BACKOFF_SECONDS = 0.2
# A process that broke its connection needs a moment to be seen as ended.
_REAPING_SECONDS = 0.5
_LOGGED_MESSAGE_CHARACTERS = 4_000


@dataclass(frozen=True)
class Parameters:
    """How requests are made: how many at once, with one record or many, of how many MB (2²⁰ bytes)."""

    concurrent: int = 1
    strategy: str = MULTI_RECORD
    payload_mb: int = DEFAULT_PAYLOAD_MB

    def __str__(self) -> str:
        strategy = next(wire for wire, name in _STRATEGIES.items() if name == self.strategy)
        return (
            f"MaxConcurrentTransforms={self.concurrent}, MaxPayloadInMB={self.payload_mb}, "
            f"BatchStrategy={strategy}"
        )


def parameters_for(request: Mapping[str, Any], answer: Answer | None) -> Parameters:
    """What the request says, else what the container answered to /execution-parameters, else the defaults.

    An answer that is none (a 404, no JSON, values out of range) counts as silence.
    """
    offered: Any = {}
    if answer is not None and answer.ok:
        try:
            offered = json.loads(answer.body)
        except ValueError:
            offered = {}
    if not isinstance(offered, dict):
        offered = {}
    strategy = offered.get("BatchStrategy")
    return Parameters(
        request.get("MaxConcurrentTransforms")
        or _whole(offered.get("MaxConcurrentTransforms"), MAX_CONCURRENT)
        or 1,
        request.get("BatchStrategy")
        or (_STRATEGIES.get(strategy) if isinstance(strategy, str) else None)
        or MULTI_RECORD,
        request.get("MaxPayloadInMB")
        or _whole(offered.get("MaxPayloadInMB"), MAX_PAYLOAD_MB)
        or DEFAULT_PAYLOAD_MB,
    )


def _whole(value: Any, most: int) -> int | None:
    return value if type(value) is int and 1 <= value <= most else None


@dataclass(frozen=True)
class Refusal:
    """Why an object has no output. `kind` is the class of FailureReason it leads to."""

    kind: str
    text: str
    message: str = ""


class Output:
    """The answers for one object, written to a file in the order of its requests."""

    def __init__(self, source: InputObject, file: Path, ending: bytes) -> None:
        self.source = source
        self.file = file
        self.refusal: Refusal | None = None
        self.requests: int | None = None  # known when the object has been read to its end
        self._ending = ending
        self._written = 0
        self._early: dict[int, bytes] = {}
        self._lock = threading.Lock()
        file.touch()

    @property
    def complete(self) -> bool:
        """Whether every request has been answered."""
        return self.refusal is None and self._written == self.requests

    def add(self, number: int, answer: bytes) -> None:
        """Takes the answer to request `number`; those that come early wait for the ones before."""
        with self._lock:
            if self.refusal is not None:
                return
            self._early[number] = answer
            with self.file.open("ab") as file:
                while self._written in self._early:
                    file.write(self._early.pop(self._written) + self._ending)
                    self._written += 1

    def fail(self, refusal: Refusal) -> bool:
        """Gives the object up; False when it had been given up already."""
        with self._lock:
            first = self.refusal is None
            self.refusal = self.refusal or refusal
            self._early.clear()
            self.file.unlink(missing_ok=True)
            return first


class Requests:
    """The requests of one job. `send` returns when all have been answered, or nothing more can be."""

    def __init__(
        self,
        job: Mapping[str, Any],
        parameters: Parameters,
        sources: Sequence[InputObject],
        s3: S3Client,
        container: ModelContainer,
        process: ContainerProcess,
        directory: Path,
        stopping: threading.Event,
        note: Callable[[str], None],
    ) -> None:
        self.outputs: list[Output] = []
        self._input: Mapping[str, Any] = job["TransformInput"]
        self._parameters = parameters
        self._sources = sources
        self._s3 = s3
        self._container = container
        self._process = process
        self._directory = directory
        self._stopping = stopping
        self._note = note
        answers: Mapping[str, Any] = job["TransformOutput"]
        self._ending = b"\n" if answers.get("AssembleWith") == "Line" else b""
        types = {"Content-Type": self._input.get("ContentType"), "Accept": answers.get("Accept")}
        self._headers = {name: value for name, value in types.items() if value}
        client: Mapping[str, Any] = job.get("ModelClientConfig") or {}
        self._seconds = float(client.get("InvocationsTimeoutInSeconds", _INVOCATION_SECONDS))
        self._retries = int(client.get("InvocationsMaxRetries", _MAX_RETRIES))
        self._lock = threading.Lock()

    def send(self) -> None:
        """Sends everything."""
        requests = self._requests()
        with ThreadPoolExecutor(self._parameters.concurrent, "local-transform") as pool:
            workers = [pool.submit(self._work, requests) for _ in range(self._parameters.concurrent)]
        for worker in workers:
            worker.result()

    @property
    def halted(self) -> bool:
        """Whether asking is of no more use: the job is being stopped, or its container is gone."""
        return self._stopping.is_set() or not self._process.running

    def _work(self, requests: Iterator[tuple[Output, int, bytes]]) -> None:
        while not self.halted:
            # One at a time reads: while it does, the others wait for answers.
            with self._lock:
                request = next(requests, None)
            if request is None:
                return
            output, number, payload = request
            answer = self._ask(payload)
            if isinstance(answer, Refusal):
                self._give_up(output, answer)
            else:
                output.add(number, answer)

    def _requests(self) -> Iterator[tuple[Output, int, bytes]]:
        """Yields (output, number within it, body), object by object."""
        downloaded = self._directory / "object"
        for position, source in enumerate(self._sources):
            output = Output(source, self._directory / f"{position}.out", self._ending)
            self.outputs.append(output)
            count = 0
            try:
                download_object(self._s3, source.bucket, source.key, downloaded)
                for payload in payloads(
                    downloaded,
                    self._input["CompressionType"],
                    self._input["SplitType"],
                    self._parameters.strategy,
                    self._parameters.payload_mb << 20,
                ):
                    if output.refusal is not None:
                        break
                    yield output, count, payload
                    count += 1
                output.requests = count
            except (TransferError, InputDataError) as error:
                self._give_up(output, Refusal("ClientError", str(error)))

    def _ask(self, payload: bytes) -> bytes | Refusal:
        """The answer to one request; failures of the algorithm, unlike refusals, are asked again."""
        problem = Refusal("AlgorithmError", "Unable to get response from algorithm")
        for attempt in range(self._retries + 1):
            if attempt and (self._stopping.wait(_BACKOFF_SECONDS * 2**attempt) or self.halted):
                break
            try:
                answer = self._container.invoke(payload, self._headers, self._seconds)
            except TransferError:
                problem = Refusal("AlgorithmError", "Unable to get response from algorithm")
                if self._process.wait(_REAPING_SECONDS) is not None:
                    break
                continue
            if answer.ok:
                return answer.body
            message = answer.body.decode("utf-8", errors="replace")
            if 400 <= answer.status < 500:
                return Refusal("ClientError", f"ClientError: {answer.status}", message)
            text = f"Bad HTTP status received from algorithm: {answer.status}"
            problem = Refusal("AlgorithmError", text, message)
        return problem

    def _give_up(self, output: Output, refusal: Refusal) -> None:
        if not output.fail(refusal) or self._stopping.is_set():
            return
        path = output.source.path
        self._note(f"{path}: {refusal.text}")
        if refusal.message:
            self._note(f"{path}: ")
            self._note(f"{path}: Message:")
            for line in refusal.message[:_LOGGED_MESSAGE_CHARACTERS].splitlines():
                self._note(f"{path}: {line}")
