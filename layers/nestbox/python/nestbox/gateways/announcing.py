"""Announcements to people and programs."""

import json
from typing import TYPE_CHECKING

from nestbox.errors import NestboxError
from nestbox.rules.announcements import Announcement

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sns import SNSClient

EVENT_SOURCE = "nestbox.run"


class Announcing:
    """An SNS topic, for people and whatever subscribes, and EventBridge, for rules."""

    def __init__(self, sns: "SNSClient", events: "EventBridgeClient", topic_arn: str) -> None:
        self._sns = sns
        self._events = events
        self._topic_arn = topic_arn

    def publish(self, announcement: Announcement) -> None:
        """Tell both; raises where one of them did not take it. Telling again is harmless: the id is the same.

        Subscribers by e-mail get the text, all others JSON.
        """
        content = json.dumps(announcement.fields)
        answer = self._events.put_events(
            Entries=[
                {
                    "Source": EVENT_SOURCE,
                    "DetailType": f"Run {announcement.event.replace('_', ' ')}",
                    "Detail": content,
                    "Time": announcement.at,
                }
            ]
        )
        # PutEvents answers well for entries that it did not take.
        if answer["FailedEntryCount"]:
            entry = answer["Entries"][0]
            raise NestboxError(
                f"EventBridge did not take {announcement.id}: "
                f"{entry.get('ErrorCode')} {entry.get('ErrorMessage')}; reconcile tries again"
            )
        self._sns.publish(
            TopicArn=self._topic_arn,
            Subject=announcement.subject,
            Message=json.dumps({"default": content, "email": announcement.text}),
            MessageStructure="json",
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value}
                for name, value in (("event", announcement.event.value), ("dataset", announcement.dataset))
            },
        )
