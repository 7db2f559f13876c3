"""InvokeEndpoint, with its ways to fail told apart."""

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as UnreachableError

from nestbox.api.errors import ModelAnswerError, ModelFailedError, ModelUnavailableError, NoEndpointError
from nestbox.names import endpoint_name

if TYPE_CHECKING:
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

CONNECT_SECONDS = 2
READ_SECONDS = 12
ATTEMPTS = 2
"""Both attempts and their pauses stay inside the 29 seconds that API Gateway waits."""

# Codes of ClientError: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
_REFUSED = {"ValidationError", "ValidationException"}
_FAILED = "ModelError"
_BUSY = {
    "InternalDependencyException",
    "InternalFailure",
    "ModelNotReadyException",
    "ServiceUnavailable",
    "ThrottlingException",
}


@dataclass(frozen=True)
class ModelAnswer:
    """What the container said, which run's model it was, and how long it took as seen from here."""

    prediction: Any
    variant: str
    milliseconds: float


def invoke(runtime: "SageMakerRuntimeClient", dataset: str, content: bytes, media_type: str) -> ModelAnswer:
    """Asks the endpoint of a dataset about a picture.

    Raises NoEndpointError, ModelFailedError (the container answered an error), ModelAnswerError (its answer
    is no JSON), ModelUnavailableError (busy, starting, unreachable or too slow).
    """
    started = time.perf_counter()
    try:
        response = runtime.invoke_endpoint(
            EndpointName=endpoint_name(dataset),
            ContentType=media_type,
            Accept="application/json",
            Body=content,
        )
        body = response["Body"].read()
    except ClientError as error:
        raise _told_apart(error, dataset) from error
    except (UnreachableError, HTTPClientError) as error:
        raise ModelUnavailableError(
            f"The model of {dataset} did not answer in time.", "Try again in a few seconds."
        ) from error
    milliseconds = (time.perf_counter() - started) * 1000
    try:
        prediction = json.loads(body)
    except ValueError as error:
        raise ModelAnswerError(
            f"The model of {dataset} answered something that is no JSON.",
            "The container breaks its contract; the operator should look at the run that is serving.",
        ) from error
    return ModelAnswer(prediction, response["InvokedProductionVariant"], milliseconds)


def _told_apart(error: ClientError, dataset: str) -> Exception:
    code = error.response["Error"]["Code"]
    if code in _REFUSED:
        return NoEndpointError(
            f"The endpoint of {dataset} is not there.",
            "It may just be in the making; try again in a minute.",
        )
    if code == _FAILED:
        return ModelFailedError(
            f"The model of {dataset} failed on this picture.",
            "Try another picture; where all fail, the operator should look at the endpoint's log.",
        )
    if code in _BUSY:
        return ModelUnavailableError(
            f"The model of {dataset} is busy or starting.", "Try again in a few seconds."
        )
    return error
