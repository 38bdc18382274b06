"""The Model Registry's events from an SQS queue that an EventBridge rule fills."""

from __future__ import annotations

import json
import re
from functools import cached_property
from typing import Any

from staged_rollout.adapters.aws_client import told_as_ours
from staged_rollout.adapters.resource_names import is_resource_name
from staged_rollout.ports.version_events import EventMessage, VersionEvent

SOURCE = "aws.sagemaker"
DETAIL_TYPE = "SageMaker Model Package State Change"

_BATCH = 10
_WAIT_S = 1
_REASON_LIMIT = 200
_VERSION = re.compile(r"[0-9]{1,9}")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


class SqsVersionEvents:
    """Implements `ports.VersionEvents`.

    Args:
        client: A boto3 `sqs` client.
        queue: The queue's name, in the client's account.
    """

    def __init__(self, client: Any, queue: str) -> None:
        self._client = client
        self._queue = queue

    def receive(self) -> list[EventMessage]:
        """Up to ten messages; each stays hidden from others for the queue's visibility timeout.

        Raises:
            PlatformError: SQS refused, or there is no such queue.
        """
        with told_as_ours(f"receive from queue {self._queue}"):
            told = self._client.receive_message(QueueUrl=self._url, MaxNumberOfMessages=_BATCH, WaitTimeSeconds=_WAIT_S)
        return [_read(row["ReceiptHandle"], row["Body"]) for row in told.get("Messages", ())]

    def remove(self, message: EventMessage) -> None:
        """Delete a message; one that is gone already is fine.

        Raises:
            PlatformError: SQS refused.
        """
        with told_as_ours(f"delete a message from queue {self._queue}"):
            self._client.delete_message(QueueUrl=self._url, ReceiptHandle=message.handle)

    def park(self, message: EventMessage, reason: str) -> bool:
        """Send a message to the queue's dead-letter queue, with the reason as an attribute, and delete it.

        It may be sent twice when this process dies in between; it is never lost.

        Raises:
            PlatformError: SQS refused.
        """
        if self._dead_letters is None:
            return False
        attribute = {"DataType": "String", "StringValue": _UNPRINTABLE.sub("?", reason)[:_REASON_LIMIT] or "?"}
        with told_as_ours(f"park a message of queue {self._queue}"):
            self._client.send_message(
                QueueUrl=self._dead_letters, MessageBody=message.body, MessageAttributes={"reason": attribute}
            )
        self.remove(message)
        return True

    @cached_property
    def _url(self) -> str:
        return self._url_of(self._queue)

    @cached_property
    def _dead_letters(self) -> str | None:
        with told_as_ours(f"read the redrive policy of queue {self._queue}"):
            told = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=["RedrivePolicy"])
        policy = json.loads(told.get("Attributes", {}).get("RedrivePolicy", "{}"))
        arn = str(policy.get("deadLetterTargetArn", ""))
        return self._url_of(arn.rpartition(":")[2]) if arn else None

    def _url_of(self, queue: str) -> str:
        with told_as_ours(f"find queue {queue}"):
            return str(self._client.get_queue_url(QueueName=queue)["QueueUrl"])


def _read(handle: str, body: str) -> EventMessage:
    try:
        return EventMessage(handle, body, _event(body))
    except (ValueError, RecursionError) as error:
        return EventMessage(handle, body, None, str(error))


def _event(body: str) -> VersionEvent:
    """What a message says.

    Raises:
        ValueError: it is not an event of the Model Registry.
    """
    try:
        told = json.loads(body)
    except ValueError as error:
        raise ValueError(f"no JSON: {error}") from error
    if not isinstance(told, dict) or told.get("source") != SOURCE or told.get("detail-type") != DETAIL_TYPE:
        raise ValueError(f"no event of {SOURCE}: {DETAIL_TYPE}")
    detail = told.get("detail")
    if not isinstance(detail, dict):
        raise ValueError("detail is no object")  # noqa: TRY004 - the text is wrong, not our types
    model, number = detail.get("ModelPackageGroupName"), detail.get("ModelPackageVersion")
    if not isinstance(model, str) or not is_resource_name(model):
        raise ValueError(f"ModelPackageGroupName == {_shown(model)}, must be a group's name")
    if isinstance(number, bool) or not isinstance(number, int | str) or not _VERSION.fullmatch(str(number)):
        raise ValueError(f"ModelPackageVersion == {_shown(number)}, must be a version's number")
    arn = detail.get("ModelPackageArn")
    if not isinstance(arn, str) or not arn.lower().endswith(f":model-package/{model}/{int(number)}".lower()):
        raise ValueError(f"ModelPackageArn == {_shown(arn)}, must be that of {model} version {number}")
    return VersionEvent(model, str(int(number)), arn, detail.get("ModelApprovalStatus") == "Approved")


def _shown(value: object) -> str:
    return repr(value)[:80]
