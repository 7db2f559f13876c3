"""Moves jobs through their states and runs them.

    SUBMITTED → PENDING (dependencies) → RUNNABLE (a place) → STARTING → RUNNING → SUCCEEDED or FAILED

A failed attempt that is to be retried goes back to RUNNABLE. Every move after the submission is an event.
https://docs.aws.amazon.com/batch/latest/userguide/job_states.html
"""

from __future__ import annotations

import logging
import threading
import uuid
from typing import Any

from local import protocol, roles
from local.batch.compute import Compute
from local.batch.definitions import should_retry
from local.batch.jobs import Job, now_ms
from local.batch.records import BatchRecords
from local.capacity import Capacity
from local.endpoint import Credentials
from local.errors import ImagePullError, RoleError
from local.platform import Platform
from local.processes import ContainerProcess
from local.scope import Scope
from local.scratch import process_environment

logger = logging.getLogger("local.batch")

_EXITED = "Essential container in task exited"
_TIMED_OUT = "Job attempt duration exceeded timeout"
# https://docs.aws.amazon.com/batch/latest/userguide/spot_instance_FAQ.html
_HOST_TERMINATED = "Host EC2 (instance i-00000000000000000) terminated."
_DEPENDENCY_FAILED = "Dependent Job failed"
_CHILD_FAILED = "Array Child Job failed"
# ECS gives a container this long between SIGTERM and SIGKILL.
_STOP_SECONDS = 30.0


class Scheduler:
    """The jobs of one scope, and the thread that places them."""

    def __init__(
        self,
        scope: Scope,
        compute: Compute,
        platform: Platform,
        capacity: Capacity,
        records: BatchRecords,
    ) -> None:
        self._scope = scope
        self._records = records
        self._compute = compute
        self._platform = platform
        self._capacity = capacity
        self._jobs: dict[str, Job] = {}
        self._changed = threading.Condition(threading.RLock())
        self._shape = protocol.service_model("batch").shape_for("JobDetail")

    def restore(self) -> None:
        """Takes the jobs of an earlier server as they were."""
        for job in self._records.jobs(self._compute):
            for each in (job, *job.children):
                self._jobs[each.id] = each

    def start(self) -> None:
        """Places jobs from here on. Those that an earlier server ran have lost their machine."""
        with self._changed:
            for job in list(self._jobs.values()):
                if job.status in ("STARTING", "RUNNING"):
                    self._finish(job, None, None, _HOST_TERMINATED)
                elif job.ended:
                    self._end_parent(job)
        threading.Thread(target=self._place_for_ever, daemon=True, name="local-batch").start()

    def submit(self, job: Job) -> None:
        """Takes a job that has been checked."""
        with self._changed:
            self._records.submitted(job)
            for each in (job, *job.children):
                self._jobs[each.id] = each
            self._changed.notify_all()

    def find(self, job_id: str) -> Job | None:
        """The job of this id."""
        with self._changed:
            return self._jobs.get(job_id)

    def of_queue(self, queue_arn: str) -> list[Job]:
        """The queue's jobs, without the children of array jobs."""
        with self._changed:
            return [
                j for j in self._jobs.values() if j.queue["jobQueueArn"] == queue_arn and j.parent_id is None
            ]

    def cancel(self, job: Job, reason: str) -> None:
        """Ends a job that has not been placed; a placed one goes on, as with CancelJob."""
        with self._changed:
            for each in job.children or [job]:
                if each.waiting:
                    each.cancelled = True
                    self._end(each, "FAILED", reason)
            self._changed.notify_all()

    def terminate(self, job: Job, reason: str) -> None:
        """Ends a job whatever it is doing: SIGTERM, and SIGKILL after ECS's grace period."""
        with self._changed:
            for each in job.children or [job]:
                if each.ended:
                    continue
                each.terminated = True
                each.stop_reason = reason
                each.stopping.set()
                self._records.moved(each)
                if each.waiting:
                    self._end(each, "FAILED", reason)
                elif each.process is not None:
                    each.process.stop(_STOP_SECONDS)
            self._changed.notify_all()

    def _place_for_ever(self) -> None:
        with self._changed:
            while True:
                try:
                    self._place()
                except Exception:
                    logger.exception("the scheduler stumbled")
                # Capacity comes back from other scopes too, which notify nobody here.
                self._changed.wait(0.5)

    def _place(self) -> None:
        for job in list(self._jobs.values()):
            if job.status in ("SUBMITTED", "PENDING"):
                self._look_at_dependencies(job)
        runnable = [j for j in self._jobs.values() if j.status == "RUNNABLE" and j.array_size is None]
        runnable.sort(key=lambda j: (-int(j.queue["priority"]), j.created_at, j.array_index or 0))
        for job in runnable:
            units = self._capacity.cost(job.vcpus)
            if not self._capacity.try_take(units):
                break
            self._move(job, "STARTING")
            threading.Thread(
                target=self._run, args=(job, units), daemon=True, name=f"local-job-{job.id[:8]}"
            ).start()

    def _look_at_dependencies(self, job: Job) -> None:
        needed: list[Job | None] = []
        for dependency in job.depends_on:
            if dependency.get("type") == "SEQUENTIAL":
                if job.array_index:
                    needed.append(self._jobs.get(f"{job.parent_id}:{job.array_index - 1}"))
            elif dependency.get("type") == "N_TO_N" and job.array_index is not None:
                needed.append(self._jobs.get(f"{dependency['jobId']}:{job.array_index}"))
            elif dependency.get("type") != "N_TO_N":
                needed.append(self._jobs.get(dependency["jobId"]))
        if any(other is not None and other.status == "FAILED" for other in needed):
            self._end(job, "FAILED", _DEPENDENCY_FAILED)
        elif all(other is None or other.status == "SUCCEEDED" for other in needed):
            # An array job waits for its children in PENDING; they do the work.
            if job.array_size is None:
                self._move(job, "RUNNABLE")
            elif job.status == "SUBMITTED":
                self._move(job, "PENDING")
        elif job.status == "SUBMITTED":
            self._move(job, "PENDING")

    def _run(self, job: Job, units: float) -> None:
        try:
            self._attempt(job)
        except Exception as error:
            logger.exception("job %s", job.id)
            with self._changed:
                self._end(job, "FAILED", f"the AWS on this machine failed: {error}")
        finally:
            self._capacity.give_back(units)
            with self._changed:
                self._changed.notify_all()

    def _attempt(self, job: Job) -> None:
        credentials: Credentials | None = None
        directory = self._platform.scratch.make("batch", f"{job.id.replace(':', '-')}-{len(job.attempts)}")
        task = uuid.uuid4().hex
        try:
            image = self._platform.images.find(job.container["image"])
            for member in ("executionRoleArn", "jobRoleArn"):
                if role := job.container.get(member):
                    session = roles.assume(self._scope, role, "ecs-tasks.amazonaws.com", task)
                    if member == "jobRoleArn":
                        credentials = session
                    else:
                        # The execution role is the platform's, to pull images and write logs.
                        roles.revoke(session)
            command = image.batch_command(job.arguments)
            environment_name = self._compute.first_environment_name(job.queue)
            log = self._platform.logs.stream(
                self._scope.region, job.log_group, f"{job.log_prefix}/default/{task}"
            )
            environment = process_environment(
                directory,
                self._platform.endpoint,
                self._scope.region,
                credentials,
                image.variables(),
                job.variables(environment_name),
            )
            with self._changed:
                job.log_stream = log.name
                job.task_arn = self._scope.arn("ecs", f"task/AWSBatch-{environment_name}/{task}")
                if job.stopping.is_set():
                    self._finish(job, None, None, job.stop_reason or "")
                    return
                process = self._platform.processes.start(command, environment, directory, log.write)
                job.process = process
                job.started_at = now_ms()
                self._move(job, "RUNNING")
            timed_out = self._wait(job, process)
            exit_code = process.wait()
            log.flush()
            self._finish(job, exit_code, None, _TIMED_OUT if timed_out else _EXITED)
        except ImagePullError as error:
            self._finish(job, None, str(error), str(error))
        except RoleError as error:
            message = (
                f"ECS was unable to assume the role that was provided for this task: {error}. Please verify "
                "that the role being passed has the proper trust relationship and permissions"
            )
            self._finish(job, None, message, message)
        finally:
            if credentials is not None:
                roles.revoke(credentials)
            self._platform.scratch.remove(directory)

    @staticmethod
    def _wait(job: Job, process: ContainerProcess) -> bool:
        if process.wait(job.timeout_seconds) is not None:
            return False
        process.stop(_STOP_SECONDS)
        return True

    def _finish(self, job: Job, exit_code: int | None, container_reason: str | None, reason: str) -> None:
        with self._changed:
            job.process = None
            job.exit_code = exit_code
            job.container_reason = container_reason
            attempt: dict[str, Any] = {
                "container": {
                    "exitCode": exit_code,
                    "reason": container_reason,
                    "logStreamName": job.log_stream,
                    "taskArn": job.task_arn,
                },
                "startedAt": job.started_at or now_ms(),
                "stoppedAt": now_ms(),
                "statusReason": job.stop_reason or reason,
            }
            attempt["container"] = {k: v for k, v in attempt["container"].items() if v is not None}
            job.attempts.append(attempt)
            if job.terminated:
                self._end(job, "FAILED", job.stop_reason or reason)
            elif exit_code == 0 and reason == _EXITED:
                self._end(job, "SUCCEEDED", reason)
            elif reason != _TIMED_OUT and should_retry(
                job.retry, len(job.attempts), reason, container_reason or "", exit_code
            ):
                job.status_reason = reason
                job.started_at = None
                self._move(job, "RUNNABLE")
            else:
                self._end(job, "FAILED", reason)

    def _end(self, job: Job, status: str, reason: str) -> None:
        job.status_reason = reason
        job.stopped_at = now_ms()
        self._move(job, status)
        if job.parent_id is not None:
            self._end_parent(job)
        elif job.children:
            # The parent itself was ended: a dependency failed.
            for child in job.children:
                if not child.ended:
                    self._end(child, status, reason)
        self._changed.notify_all()

    def _end_parent(self, child: Job) -> None:
        """Ends the array job of an ended child if the others have ended too."""
        parent = self._jobs[child.parent_id] if child.parent_id is not None else None
        if parent is not None and not parent.ended and all(other.ended for other in parent.children):
            failed = any(other.status == "FAILED" for other in parent.children)
            parent.terminated = all(other.terminated for other in parent.children)
            self._end(parent, "FAILED" if failed else "SUCCEEDED", _CHILD_FAILED if failed else _EXITED)

    def _move(self, job: Job, status: str) -> None:
        job.status = status
        self._records.moved(job)
        self._platform.events.emit(
            self._scope,
            "aws.batch",
            "Batch Job State Change",
            job.arn,
            protocol.write(self._shape, job.detail()),
        )
