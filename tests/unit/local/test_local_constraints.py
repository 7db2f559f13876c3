"""Constraints of botocore's models, in AWS's words."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.model import Shape

from local.constraints import mistyped, refusal, violations
from local.protocol import service_model


def shape(operation: str, service: str = "sagemaker") -> Shape:
    found = service_model(service).operation_model(operation).input_shape
    assert found is not None
    return found


def job(**changes: Any) -> dict[str, Any]:
    return {
        "TrainingJobName": "job",
        "RoleArn": "arn:aws:iam::000000000000:role/r",
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
        **changes,
    }


def test_a_good_request_breaks_nothing() -> None:
    assert list(mistyped(shape("CreateTrainingJob"), job())) == []
    assert list(violations(shape("CreateTrainingJob"), job())) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"TrainingJobName": "a_b"},
            (
                "Value 'a_b' at 'trainingJobName' failed to satisfy constraint: Member must satisfy regular "
                "expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
            ),
        ),
        (
            {"TrainingJobName": "x" * 64},
            (
                f"Value '{'x' * 64}' at 'trainingJobName' failed to satisfy constraint: Member must have "
                "length less than or equal to 63"
            ),
        ),
        (
            {"RoleArn": None},
            "Value null at 'roleArn' failed to satisfy constraint: Member must not be null",
        ),
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": 0}},
            (
                "Value '0' at 'stoppingCondition.maxRuntimeInSeconds' failed to satisfy constraint: "
                "Member must have value greater than or equal to 1"
            ),
        ),
        (
            {"Tags": [{"Key": "a", "Value": "b"}, {"Key": "", "Value": "b"}]},
            (
                "Value '' at 'tags.2.member.key' failed to satisfy constraint: Member must have length "
                "greater than or equal to 1"
            ),
        ),
    ],
)
def test_each_constraint_is_named_at_its_place(changes: dict[str, Any], sentence: str) -> None:
    assert sentence in list(violations(shape("CreateTrainingJob"), job(**changes)))


def test_enumerations_list_their_values() -> None:
    request = job(AlgorithmSpecification={"TrainingImage": "i", "TrainingInputMode": "Tape"})
    (sentence,) = violations(shape("CreateTrainingJob"), request)
    assert sentence.endswith("Member must satisfy enum value set: [Pipe, File, FastFile]")


def test_types_are_the_models() -> None:
    wrong = {"jobName": 7, "jobQueue": "q", "jobDefinition": "d", "tags": []}
    assert list(mistyped(shape("SubmitJob", "batch"), wrong)) == [
        "jobName has the wrong type: expected string, got int",
        "tags has the wrong type: expected map, got list",
    ]
    size = {"arrayProperties": {"size": True}}
    assert list(mistyped(shape("SubmitJob", "batch"), size)) == [
        "arrayProperties.size has the wrong type: expected integer, got bool"
    ]


def test_the_refusal_counts() -> None:
    assert refusal(["a"]) == "1 validation error detected: a"
    assert refusal(["a", "b"]) == "2 validation errors detected: a; b"


def test_every_pattern_of_our_services_compiles() -> None:
    from local.constraints import _pattern

    for service in ("batch", "sagemaker", "sagemaker-runtime"):
        model = service_model(service)
        for name in model.shape_names:
            pattern = model.shape_for(name).metadata.get("pattern")
            # Two shapes of SageMaker's data agents hold surrogate escapes, which are Java's alone.
            if pattern and r"\uD800" not in pattern:
                _pattern(pattern)
