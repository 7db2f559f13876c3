"""Jobs on AWS Batch."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from nestbox.gateways.refusals import final_refusals_told
from nestbox.rules.batch_job import BatchJob

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_batch.type_defs import SubmitJobRequestTypeDef

_LONGEST_REASON = 1024


class BatchJobs:
    """One job queue, and the job definition of what is submitted to it."""

    def __init__(self, client: "BatchClient", queue: str, definition: str = "") -> None:
        """Without ``definition`` jobs are only found, described and ended."""
        self._client = client
        self._queue = queue
        self._definition = definition

    def submit(
        self,
        name: str,
        parameters: Mapping[str, str],
        tags: Mapping[str, str],
        *,
        children: int | None = None,
        after: str | None = None,
    ) -> str:
        """Submit a job, or an array job of so many children; returns its id.

        It waits until the job ``after`` has succeeded, and fails with it. Batch has no idempotency token:
        look with ``find`` first. Raises AwsRefusedError.
        """
        request: SubmitJobRequestTypeDef = {
            "jobName": name,
            "jobQueue": self._queue,
            "jobDefinition": self._definition,
            "parameters": dict(parameters),
            "tags": dict(tags),
            "propagateTags": True,
        }
        if children is not None:
            request["arrayProperties"] = {"size": children}
        if after is not None:
            request["dependsOn"] = [{"jobId": after}]
        with final_refusals_told(f"AWS Batch refused the job {name}"):
            return self._client.submit_job(**request)["jobId"]

    def find(self, name: str) -> BatchJob | None:
        """The newest job of this name, or None."""
        pages = self._client.get_paginator("list_jobs").paginate(
            jobQueue=self._queue, filters=[{"name": "JOB_NAME", "values": [name]}]
        )
        found = [job for page in pages for job in page["jobSummaryList"] if job["jobName"] == name]
        if not found:
            return None
        newest = max(found, key=lambda job: job.get("createdAt", 0))["jobId"]
        return self.describe([newest]).get(newest)

    def describe(self, job_ids: Iterable[str]) -> dict[str, BatchJob]:
        """The jobs by id, without those that Batch has forgotten."""
        ids = list(job_ids)
        jobs = self._client.describe_jobs(jobs=ids)["jobs"] if ids else []
        return {job["jobId"]: _job(job) for job in jobs}

    def find_failed_child(self, array_id: str) -> BatchJob | None:
        """Of an array job's failed children the one that failed first, or None."""
        pages = self._client.get_paginator("list_jobs").paginate(arrayJobId=array_id, jobStatus="FAILED")
        # Where very many failed, any of them says why.
        failed = next((page["jobSummaryList"] for page in pages if page["jobSummaryList"]), [])
        if not failed:
            return None
        first = min(failed, key=lambda job: job.get("stoppedAt", 0))["jobId"]
        return self.describe([first]).get(first)

    def terminate(self, job_id: str, reason: str) -> None:
        """End a job and its children, whatever they are doing; one that has ended stays as it is."""
        self._client.terminate_job(jobId=job_id, reason=reason[:_LONGEST_REASON])


def _job(job: Mapping[str, Any]) -> BatchJob:
    container = job.get("container", {})
    array = job.get("arrayProperties", {})
    reasons = [reason for reason in (job.get("statusReason"), container.get("reason")) if reason]
    return BatchJob(
        id=job["jobId"],
        name=job["jobName"],
        status=job["status"],
        reason=": ".join(reasons) or None,
        exit_code=container.get("exitCode"),
        log_group=container.get("logConfiguration", {}).get("options", {}).get("awslogs-group"),
        log_stream=container.get("logStreamName"),
        index=array.get("index"),
        failed_children=array.get("statusSummary", {}).get("FAILED", 0),
    )
