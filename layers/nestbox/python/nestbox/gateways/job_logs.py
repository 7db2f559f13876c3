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


TRANSFORM_GROUP = "/aws/sagemaker/TransformJobs"

_NO_TIME = -1


class JobLogs:
    """The log groups of Batch and of SageMaker's training and transform jobs."""

    def __init__(self, client: "CloudWatchLogsClient") -> None:
        self._client = client

    def last_line_of_batch_job(self, group: str | None, stream: str) -> str | None:
        """The last line that is not blank, or None (also where there is no such stream)."""
        return self._last_line(group or BATCH_GROUP, stream)[1]

    def last_line_of_transform_job(self, job: str) -> str | None:
        """The last line that is not blank, of the container or about its answers, or None."""
        lines = [self._last_line(TRANSFORM_GROUP, stream) for stream in self._streams(TRANSFORM_GROUP, job)]
        return max(lines, key=lambda line: line[0], default=(_NO_TIME, None))[1]

    def _last_line(self, group: str, stream: str) -> tuple[int, str | None]:
        """When it was logged, and the line."""
        try:
            events = self._client.get_log_events(
                logGroupName=group, logStreamName=stream, limit=50, startFromHead=False
            )["events"]
        except ClientError as error:
            if code_of(error) == "ResourceNotFoundException":
                return _NO_TIME, None
            raise
        lines = [(event["timestamp"], text) for event in events if (text := event["message"].strip())]
        return lines[-1] if lines else (_NO_TIME, None)

    def training_lines(self, job: str, since: datetime | None) -> list[LogLine]:
        """What a training job has logged, in the order written; ``since`` (inclusive) skips older lines."""
        events: list[dict[str, Any]] = []
        for stream in self._streams(TRAINING_GROUP, job):
            events += self._events(stream, since)
        events.sort(key=lambda event: event["timestamp"])
        return [LogLine(timestamps.from_milliseconds(e["timestamp"]), e["message"]) for e in events]

    def _streams(self, group: str, job: str) -> list[str]:
        pages = self._client.get_paginator("describe_log_streams").paginate(
            logGroupName=group, logStreamNamePrefix=f"{job}/"
        )
        try:
            return sorted(stream["logStreamName"] for page in pages for stream in page["logStreams"])
        except ClientError as error:
            # The group appears with the account's first such job that logs a line.
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
