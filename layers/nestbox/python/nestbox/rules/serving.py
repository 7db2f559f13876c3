"""The production variant of an endpoint configuration."""

from dataclasses import dataclass
from typing import Any

from nestbox.settings import EndpointType, UpdateEndpointSettings


@dataclass(frozen=True)
class Serving:
    """How models are kept ready: on instances, or serverless (then nothing runs while nobody asks)."""

    type: EndpointType
    instance_type: str
    instance_count: int
    memory_mb: int
    concurrency: int

    @classmethod
    def of(cls, settings: UpdateEndpointSettings) -> "Serving":
        """As the stack's parameters say."""
        return cls(
            settings.endpoint_type,
            settings.endpoint_instance_type,
            settings.endpoint_instance_count,
            settings.serverless_memory_mb,
            settings.serverless_concurrency,
        )


def production_variant(name: str, model: str, serving: Serving) -> dict[str, Any]:
    """The one variant of a configuration, as CreateEndpointConfig takes it."""
    variant: dict[str, Any] = {"VariantName": name, "ModelName": model, "InitialVariantWeight": 1.0}
    if serving.type is EndpointType.SERVERLESS:
        variant["ServerlessConfig"] = {
            "MemorySizeInMB": serving.memory_mb,
            "MaxConcurrency": serving.concurrency,
        }
    else:
        variant["InstanceType"] = serving.instance_type
        variant["InitialInstanceCount"] = serving.instance_count
    return variant
