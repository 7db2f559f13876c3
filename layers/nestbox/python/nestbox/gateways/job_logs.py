"""Log lines of jobs in CloudWatch Logs."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from nestbox import timestamps
from nestbox.gateways.refusals import code_of
from nestbox.rules.epochs import LogLine

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

BATCH_GROUP = "/aws/batch/job"
"""Where Batch logs what its job definition puts nowhere else."""

TRAINING_GROUP = "/aws/sagemaker/TrainingJobs"


class JobLogs:
    """The log groups of Batch and of SageMaker's training jobs."""

    def __init__(self, client: "CloudWatchLogsClient") -> None:
        self._client = client

    def last_line_of_batch_job(self, group: str | None, stream: str) -> str | None:
        """The last line that is not blank, or None (also where there is no such stream)."""
        try:
            events = self._client.get_log_events(
                logGroupName=group or BATCH_GROUP, logStreamName=stream, limit=50, startFromHead=False
            )["events"]
        except ClientError as error:
            if code_of(error) == "ResourceNotFoundException":
                return None
            raise
        lines = [text for event in events if (text := event["message"].strip())]
        return lines[-1] if lines else None

    def training_lines(self, job: str, since: datetime | None) -> list[LogLine]:
        """What a training job has logged, in the order written; ``since`` (inclusive) skips older lines."""
        events: list[dict[str, Any]] = []
        for stream in self._streams(job):
            events += self._events(stream, since)
        events.sort(key=lambda event: event["timestamp"])
        return [LogLine(timestamps.from_milliseconds(e["timestamp"]), e["message"]) for e in events]

    def _streams(self, job: str) -> list[str]:
        pages = self._client.get_paginator("describe_log_streams").paginate(
            logGroupName=TRAINING_GROUP, logStreamNamePrefix=f"{job}/"
        )
        try:
            return sorted(stream["logStreamName"] for page in pages for stream in page["logStreams"])
        except ClientError as error:
            # The group appears with the account's first training job that logs a line.
            if code_of(error) == "ResourceNotFoundException":
                return []
            raise

    def _events(self, stream: str, since: datetime | None) -> list[dict[str, Any]]:
        request: dict[str, Any] = {
            "logGroupName": TRAINING_GROUP,
            "logStreamName": stream,
            "startFromHead": True,
        }
        if since is not None:
            request["startTime"] = int(since.timestamp() * 1000)
        events: list[dict[str, Any]] = []
        while True:
            page = self._client.get_log_events(**request)
            events += page["events"]  # type: ignore[arg-type]
            # The end of the stream is told by the token that was sent coming back, not by an empty page.
            if page["nextForwardToken"] == request.get("nextToken"):
                return events
            request["nextToken"] = page["nextForwardToken"]
