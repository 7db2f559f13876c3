"""Where this server listens, and clients that call it as its own operator."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client

# Root of the local account. MiniStack takes these for root; there is nothing to protect on 127.0.0.1.
ROOT_ACCESS_KEY_ID = "test"
ROOT_SECRET_ACCESS_KEY = "test"  # noqa: S105


@dataclass(frozen=True)
class Credentials:
    """What a job signs its requests with."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None

    def environment(self) -> dict[str, str]:
        """The variables the AWS SDKs read."""
        variables = {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
        }
        if self.session_token:
            variables["AWS_SESSION_TOKEN"] = self.session_token
        return variables


ROOT = Credentials(ROOT_ACCESS_KEY_ID, ROOT_SECRET_ACCESS_KEY, None)


@dataclass(frozen=True)
class Endpoint:
    """The server's own address."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_until_open(self) -> None:
        """Returns once something listens there."""
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return

    def logs(self, region: str) -> CloudWatchLogsClient:
        """CloudWatch Logs as root: log drivers are the platform's, not the job's."""
        client: CloudWatchLogsClient = self._client("logs", region, ROOT)
        return client

    def cloudwatch(self, region: str) -> Any:
        """CloudWatch as root: the platform measures, not the job."""
        # MiniStack does not unpack requests.
        return self._client("cloudwatch", region, ROOT, disable_request_compression=True)

    def s3(self, region: str, credentials: Credentials) -> S3Client:
        """S3 as the owner of `credentials`: what its role may not read, it does not read."""
        client: S3Client = self._client(
            "s3", region, credentials, signature_version="s3v4", s3={"addressing_style": "path"}
        )
        return client

    def _client(self, service: str, region: str, credentials: Credentials, **config: Any) -> Any:
        # Imported late: the command line has no use for it, and it takes a while.
        import boto3
        from botocore.config import Config

        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=credentials.access_key_id,
            aws_secret_access_key=credentials.secret_access_key,
            aws_session_token=credentials.session_token,
            config=Config(retries={"mode": "standard", "max_attempts": 3}, **config),
        )
