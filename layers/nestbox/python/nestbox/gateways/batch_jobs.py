"""Preparation jobs on AWS Batch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nestbox.gateways.refusals import final_refusals_told
from nestbox.rules.preparing import PrepareJob

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient


class BatchJobs:
    """One job queue and one job definition."""

    def __init__(self, client: "BatchClient", queue: str, definition: str) -> None:
        self._client = client
        self._queue = queue
        self._definition = definition

    def submit(self, name: str, parameters: Mapping[str, str], tags: Mapping[str, str]) -> str:
        """Submit a job; returns its id. Batch has no idempotency token: look with ``find`` first.

        Raises AwsRefusedError.
        """
        with final_refusals_told("AWS Batch refused the preparation job"):
            return self._client.submit_job(
                jobName=name,
                jobQueue=self._queue,
                jobDefinition=self._definition,
                parameters=dict(parameters),
                tags=dict(tags),
                propagateTags=True,
            )["jobId"]

    def find(self, name: str) -> PrepareJob | None:
        """The newest job of this name, or None."""
        pages = self._client.get_paginator("list_jobs").paginate(
            jobQueue=self._queue, filters=[{"name": "JOB_NAME", "values": [name]}]
        )
        found = [job for page in pages for job in page["jobSummaryList"] if job["jobName"] == name]
        if not found:
            return None
        return self.describe(max(found, key=lambda job: job.get("createdAt", 0))["jobId"])

    def describe(self, job_id: str) -> PrepareJob | None:
        """The job, or None where Batch has forgotten it."""
        jobs = self._client.describe_jobs(jobs=[job_id])["jobs"]
        return _job(jobs[0]) if jobs else None


def _job(job: Mapping[str, Any]) -> PrepareJob:
    container = job.get("container", {})
    reasons = [reason for reason in (job.get("statusReason"), container.get("reason")) if reason]
    return PrepareJob(
        id=job["jobId"],
        status=job["status"],
        reason=": ".join(reasons) or None,
        exit_code=container.get("exitCode"),
        log_group=container.get("logConfiguration", {}).get("options", {}).get("awslogs-group"),
        log_stream=container.get("logStreamName"),
    )
