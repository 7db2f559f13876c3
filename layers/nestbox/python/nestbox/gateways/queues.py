"""Messages to the queues of the steps."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class Queues:
    """SQS."""

    def __init__(self, client: "SQSClient") -> None:
        self._client = client

    def send(self, queue_url: str, body: str, delay_seconds: int = 0) -> None:
        """Send one message, to be delivered after 0 to 900 seconds."""
        self._client.send_message(QueueUrl=queue_url, MessageBody=body, DelaySeconds=delay_seconds)
