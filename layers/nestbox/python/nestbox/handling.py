"""What the handlers of the steps share: reading queue messages, answering for each, saying what was done.

A message that fails is delivered again by its queue and ends in the dead-letter queue; its neighbours in the
batch are done. A lost race is no failure: whoever won has done the work.
"""

from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.parser.models import SqsRecordModel
from aws_lambda_powertools.utilities.typing import LambdaContext

from nestbox.errors import BadEventError, LostRaceError
from nestbox.events import DatasetLook, RunLook, look_in

_LONGEST_BODY_TOLD = 2000

Look = Callable[[RunLook | DatasetLook], str]


def run_named(target: RunLook | DatasetLook) -> RunLook:
    """The run that a message names; raises BadEventError where it names a dataset."""
    if isinstance(target, DatasetLook):
        raise BadEventError(f"this step looks at runs, not at dataset {target.dataset}")
    return target


def answer_each(
    event: Mapping[str, Any], context: LambdaContext, handle: Callable[[str], None], logger: Logger
) -> dict[str, Any]:
    """Hand the body of each SQS message over; the answer tells Lambda which of them failed, the log why."""

    def one(record: SqsRecordModel) -> None:
        body = str(record.body)
        try:
            handle(body)
        except Exception:
            logger.exception("the message failed", extra={"message_body": body[:_LONGEST_BODY_TOLD]})
            raise
        finally:
            logger.remove_keys(["run", "dataset"])

    # Where every message failed the answer says so too; an exception would only cost the warm environment.
    processor = BatchProcessor(
        event_type=EventType.SQS, model=SqsRecordModel, raise_on_entire_batch_failure=False
    )
    answer = process_partial_response(
        event=dict(event), record_handler=one, processor=processor, context=context
    )
    return dict(answer)


def look_at_each(
    event: Mapping[str, Any], context: LambdaContext, look: Look, logger: Logger, metrics: Metrics
) -> dict[str, Any]:
    """Look at the run or dataset that each message names."""

    def one(body: str) -> None:
        metrics.add_metric(name="Looks", unit=MetricUnit.Count, value=1)
        target = look_in(body)
        if target is None:
            logger.info("not ours", extra={"message_body": body})
            return
        logger.append_keys(**target.model_dump(include={"run", "dataset"}))
        try:
            outcome = look(target)
        except LostRaceError as race:
            outcome = f"left to others: {race}"
        logger.info("looked", extra={"outcome": outcome})

    return answer_each(event, context, one, logger)
