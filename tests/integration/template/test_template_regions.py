"""The Mapping of AWS's own object-detection images against the SageMaker SDK, as an independent source."""

import re
from typing import Any

import pytest
from botocore.loaders import Loader


def test_the_mapping_is_the_sdks_registry(template: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGEMAKER_SUPPRESS_V2_WARNING", "1")
    from sagemaker import image_uris

    regions = image_uris.config_for_framework("object-detection")["versions"]["1"]["registries"]
    mapping = template["Mappings"]["ObjectDetectionRegistry"]
    assert set(mapping) == set(regions)
    partitions = Loader().load_data("endpoints")["partitions"]
    for region, entry in mapping.items():
        uri = image_uris.retrieve("object-detection", region)
        host, image = uri.split("/")
        [suffix] = {one["dnsSuffix"] for one in partitions if re.fullmatch(one["regionRegex"], region)}
        assert host == f"{entry['Account']}.dkr.ecr.{region}.{suffix}", region
        assert image == "object-detection:1", region
