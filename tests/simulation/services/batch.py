"""AWS Batch: jobs and array jobs that wait for each other; names are not unique, and listings lag behind."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simulation.services.paging import page_of
from simulation.services.refusal import RefusedError, only
from simulation.wiring import Definition

if TYPE_CHECKING:
    from simulation.world import World

ENDED = ("SUCCEEDED", "FAILED")


@dataclass
class Job:
    """A job, an array job (with children), or a child."""

    id: str
    name: str
    request: dict[str, Any]
    created_at: float
    listed_at: float
    status: str = "SUBMITTED"
    reason: str | None = None
    exit_code: int | None = None
    index: int | None = None
    attempts: int = 0
    forgotten: bool = False
    ended_at: float | None = None
    children: list["Job"] = field(default_factory=list)
    parent: "Job | None" = None
    stream: str | None = None

    @property
    def ended(self) -> bool:
        return self.status in ENDED


class Batch:
    """One account's jobs. ``work`` does what a job's container does: exit code and last line of its log."""

    def __init__(self, world: "World", definitions: Mapping[str, Definition]) -> None:
        self._world = world
        self._definitions = definitions
        self.jobs: dict[str, Job] = {}
        self.work: Callable[[Job], tuple[int, str]] = lambda _job: (0, "done")

    # -- operations

    def submit_job(self, request: Mapping[str, Any]) -> dict[str, Any]:
        only(
            request,
            "jobName",
            "jobQueue",
            "jobDefinition",
            "parameters",
            "tags",
            "propagateTags",
            "arrayProperties",
            "dependsOn",
            "containerOverrides",
        )
        world = self._world
        number = sum(1 for job in self.jobs.values() if job.parent is None) + 1
        now = world.timeline.now
        job = Job(f"job-{number}", request["jobName"], dict(request), now, now)
        if world.mishap("listing lags", f"of Batch job {world.alias(job.name)} {job.id}"):
            job.listed_at = now + world.chance.between(f"listed {job.id}", 1.0, 40.0)
        if request["jobDefinition"] not in self._definitions:
            raise RefusedError("ClientException", f"JobDefinition {request['jobDefinition']} not found")
        for other in request.get("dependsOn", []):
            if other["jobId"] not in self.jobs:
                raise RefusedError("ClientException", f"Job {other['jobId']} does not exist")
        self.jobs[job.id] = job
        size = request.get("arrayProperties", {}).get("size")
        if size is not None and not 2 <= size <= 10_000:
            raise RefusedError("ClientException", "Array size must be between 2 and 10000")
        for index in range(size or 0):
            child = Job(f"{job.id}:{index}", job.name, dict(request), now, now, index=index, parent=job)
            job.children.append(child)
            self.jobs[child.id] = child
        world.timeline.after(0.5, lambda: self._advance(job))
        return {"jobName": job.name, "jobId": job.id}

    def describe_jobs(self, request: Mapping[str, Any]) -> dict[str, Any]:
        only(request, "jobs")
        found = [self.jobs[one] for one in request["jobs"] if one in self.jobs]
        return {"jobs": [self._detail(job) for job in found if not job.forgotten]}

    def list_jobs(self, request: Mapping[str, Any]) -> dict[str, Any]:
        only(request, "jobQueue", "filters", "arrayJobId", "jobStatus", "maxResults", "nextToken")
        now = self._world.timeline.now
        known = [job for job in self.jobs.values() if job.listed_at <= now and not job.forgotten]
        if "arrayJobId" in request:
            status = request.get("jobStatus", "RUNNING")
            found = [
                job
                for job in known
                if job.parent is not None and job.parent.id == request["arrayJobId"] and job.status == status
            ]
        elif "filters" in request:
            [wanted] = request["filters"]
            if wanted["name"] != "JOB_NAME":
                raise NotImplementedError(f"filter {wanted['name']}")
            queue = request["jobQueue"]
            found = [
                job
                for job in known
                if job.parent is None and job.name in wanted["values"] and job.request["jobQueue"] == queue
            ]
        else:
            status = request.get("jobStatus", "RUNNING")
            found = [job for job in known if job.parent is None and job.status == status]
        page, token = page_of(found, request.get("nextToken"))
        return {
            **({"nextToken": token} if token else {}),
            "jobSummaryList": [
                {
                    "jobId": job.id,
                    "jobName": job.name,
                    "status": job.status,
                    "createdAt": int(job.created_at * 1000),
                    **({"stoppedAt": int(job.ended_at * 1000)} if job.ended_at is not None else {}),
                }
                for job in page
            ],
        }

    def terminate_job(self, request: Mapping[str, Any]) -> dict[str, Any]:
        only(request, "jobId", "reason")
        job = self.jobs.get(request["jobId"])
        if job is not None and not job.ended:
            name = self._world.chance.numbered(f"termination of {job.id}")
            took = self._world.chance.between(name, 0.1, 10.0)
            self._world.timeline.after(took, lambda: self._terminated(job, request["reason"]))
        return {}

    # -- the life of a job

    def fail(self, job: Job, reason: str) -> None:
        """End a job that has not ended, as a failure."""
        self._end(job, "FAILED", reason)

    def _definition(self, job: Job) -> Definition:
        return self._definitions[job.request["jobDefinition"]]

    def _terminated(self, job: Job, reason: str) -> None:
        for child in job.children:
            if not child.ended:
                self._end(child, "FAILED", reason)
        if not job.ended:
            self._end(job, "FAILED", reason)

    def _advance(self, job: Job) -> None:
        """Start a job that waits, once what it waits for is there."""
        if job.ended:
            return
        before = [self.jobs[one["jobId"]] for one in job.request.get("dependsOn", [])]
        if any(one.status == "FAILED" for one in before):
            self._end(job, "FAILED", "Dependent Job failed")
        elif all(one.status == "SUCCEEDED" for one in before):
            job.status = "PENDING" if job.children else "RUNNABLE"
            for one in job.children or [job]:
                self._start(one)
        else:
            job.status = "PENDING"

    def _start(self, job: Job) -> None:
        world = self._world
        if job.ended:
            return
        job.attempts += 1
        label = f"{world.alias(job.name)} {job.id} attempt {job.attempts}"
        job.status = "RUNNABLE"
        begin = world.chance.between(f"{label} waits", 0.5, 15.0)
        world.timeline.after(begin, lambda: self._run(job, label))

    def _run(self, job: Job, label: str) -> None:
        world = self._world
        if job.ended:
            return
        job.status = "RUNNING"
        job.stream = f"prepare/default/{job.id.replace(':', '-')}-{job.attempts}"
        took = world.chance.between(f"{label} takes", 3.0, 60.0)
        if world.mishap("job killed", label):
            world.timeline.after(took / 2, lambda: self._again(job, "Host EC2 was terminated", 137))
        elif world.mishap("job hangs", label):
            world.timeline.after(
                self._definition(job).seconds,
                lambda: self._end(job, "FAILED", "Job attempt duration exceeded timeout"),
            )
        else:
            world.timeline.after(took, lambda: self._finish(job, label))

    def _finish(self, job: Job, label: str) -> None:
        if job.ended:
            return
        if self._world.mishap("job fails", label):
            code, line = 1, "MemoryError"
        else:
            code, line = self.work(job)
        group = "/aws/batch/nestbox-prepare"
        if job.stream is not None:
            self._world.logs.write(group, job.stream, line)
        if code == 0:
            self._end(job, "SUCCEEDED", "Essential container in task exited", code)
        else:
            self._again(job, "Essential container in task exited", code)

    def _again(self, job: Job, reason: str, code: int) -> None:
        if job.ended:
            return
        if job.attempts < self._definition(job).attempts and code != 2:
            self._start(job)
        else:
            self._end(job, "FAILED", reason, code)

    def _end(self, job: Job, status: str, reason: str, code: int | None = None) -> None:
        world = self._world
        if job.ended:
            return
        job.status, job.reason, job.exit_code, job.ended_at = status, reason, code, world.timeline.now
        about = f"of Batch job {world.alias(job.name)} {job.id} {status}"
        world.note(f"Batch job {job.id} ({job.name}) is {status}: {reason}")
        world.bus.emit("aws.batch", "Batch Job State Change", self._detail(job), about)
        if job.parent is not None and all(one.ended for one in job.parent.children):
            well = all(one.status == "SUCCEEDED" for one in job.parent.children)
            self._end(
                job.parent,
                "SUCCEEDED" if well else "FAILED",
                "Array job ended" if well else "Array child failed",
            )
        for other in list(self.jobs.values()):
            if (
                any(one["jobId"] == job.id for one in other.request.get("dependsOn", []))
                and other.parent is None
            ):
                self._advance(other)
        if job.parent is None and world.mishap("job forgotten", about):
            job.forgotten = True

    def _detail(self, job: Job) -> dict[str, Any]:
        detail: dict[str, Any] = {
            "jobId": job.id,
            "jobName": job.name,
            "jobQueue": job.request["jobQueue"],
            "jobDefinition": job.request["jobDefinition"],
            "status": job.status,
            "createdAt": int(job.created_at * 1000),
            "startedAt": int(job.created_at * 1000),
            "parameters": job.request.get("parameters", {}),
            "tags": job.request.get("tags", {}),
        }
        if job.reason is not None:
            detail["statusReason"] = job.reason
        container: dict[str, Any] = {
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {"awslogs-group": "/aws/batch/nestbox-prepare"},
            }
        }
        if job.stream is not None and not job.children:
            container["logStreamName"] = job.stream
        if job.exit_code is not None:
            container["exitCode"] = job.exit_code
        detail["container"] = container
        if job.children:
            summary: dict[str, int] = {}
            for child in job.children:
                summary[child.status] = summary.get(child.status, 0) + 1
            detail["arrayProperties"] = {"size": len(job.children), "statusSummary": summary}
        elif job.index is not None:
            detail["arrayProperties"] = {"index": job.index}
        return detail
