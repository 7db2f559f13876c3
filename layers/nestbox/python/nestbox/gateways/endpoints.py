"""Endpoints on SageMaker."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from nestbox.gateways.refusals import code_of, final_refusals_told, is_missing, missing_is_fine
from nestbox.rules.deploying import Endpoint, is_moving, serves
from nestbox.rules.serving import Serving, production_variant

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

_TAKEN = ("ValidationException", "ResourceInUse")


class Endpoints:
    """SageMaker, as far as serving goes."""

    def __init__(self, client: "SageMakerClient") -> None:
        self._client = client

    def describe(self, name: str) -> Endpoint | None:
        """The endpoint, or None where there is none of this name."""
        try:
            answer = self._client.describe_endpoint(EndpointName=name)
        except ClientError as error:
            if is_missing(error):
                return None
            raise
        return Endpoint(
            answer["EndpointStatus"],
            answer.get("EndpointConfigName", ""),
            answer.get("FailureReason"),
            answer.get("LastModifiedTime"),
        )

    def ensure_config(
        self, name: str, *, variant: str, model: str, serving: Serving, tags: Sequence[Mapping[str, str]]
    ) -> None:
        """Create the endpoint configuration unless it is there; raises AwsRefusedError."""
        try:
            self._client.create_endpoint_config(
                EndpointConfigName=name,
                ProductionVariants=[production_variant(variant, model, serving)],  # type: ignore[list-item]
                Tags=list(tags),  # type: ignore[arg-type]
            )
        except ClientError as error:
            if code_of(error) not in _TAKEN:
                raise
            with final_refusals_told("SageMaker refused the endpoint configuration"):
                if not self._has_config(name):
                    raise

    def create(self, name: str, config: str, tags: Sequence[Mapping[str, str]]) -> None:
        """Create the endpoint; one that somebody created meanwhile is fine. Raises AwsRefusedError."""
        try:
            self._client.create_endpoint(EndpointName=name, EndpointConfigName=config, Tags=list(tags))  # type: ignore[arg-type]
        except ClientError as error:
            if code_of(error) not in (*_TAKEN, "ResourceLimitExceeded"):
                raise
            with final_refusals_told("SageMaker refused the endpoint"):
                if self.describe(name) is None:
                    raise

    def update(self, name: str, config: str) -> None:
        """Move the endpoint to another configuration; raises AwsRefusedError.

        An endpoint that is moving already (somebody else asked meanwhile) is fine.
        """
        try:
            self._client.update_endpoint(EndpointName=name, EndpointConfigName=config)
        except ClientError as error:
            if code_of(error) not in (*_TAKEN, "ResourceLimitExceeded"):
                raise
            with final_refusals_told("SageMaker refused to update the endpoint"):
                endpoint = self.describe(name)
                if endpoint is None or not (is_moving(endpoint) or serves(endpoint, config)):
                    raise

    def delete(self, name: str) -> None:
        """Delete the endpoint; one that is gone already is fine."""
        with missing_is_fine():
            self._client.delete_endpoint(EndpointName=name)

    def delete_config_and_model(self, config: str, model: str) -> None:
        """Delete both; what is gone already is fine."""
        with missing_is_fine():
            self._client.delete_endpoint_config(EndpointConfigName=config)
        with missing_is_fine():
            self._client.delete_model(ModelName=model)

    def _has_config(self, name: str) -> bool:
        try:
            self._client.describe_endpoint_config(EndpointConfigName=name)
        except ClientError as error:
            if is_missing(error):
                return False
            raise
        return True
