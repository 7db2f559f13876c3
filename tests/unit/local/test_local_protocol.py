"""Requests in and answers out, in the three forms our services speak."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from local.errors import AwsError
from local.protocol import Call, answer, parse, refuse, service_model


def parsed(service: str, method: str, path: str, body: Any = None, **headers: str) -> Call:
    content = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return parse(service, method, path, names, content, {"tagKeys": ["a", "b"]})


class TestParse:
    def test_json_names_its_operation_in_a_header(self) -> None:
        body = {"NameContains": "x", "CreationTimeAfter": 1_700_000_000, "Unknown": 1}
        call = parsed("sagemaker", "POST", "/", body, x_amz_target="SageMaker.ListModels")
        after = datetime.datetime(2023, 11, 14, 22, 13, 20, tzinfo=datetime.UTC)
        assert call.name == "ListModels"
        assert call.parameters == {"NameContains": "x", "CreationTimeAfter": after}

    def test_rest_names_it_in_the_path(self) -> None:
        body = {"jobName": "j", "jobQueue": "q", "jobDefinition": "d"}
        call = parsed("batch", "POST", "/v1/submitjob", body)
        assert (call.name, call.parameters) == ("SubmitJob", body)

    def test_members_come_from_path_and_query(self) -> None:
        arn = "arn:aws:batch:us-east-1:000000000000:job-queue/q"
        call = parsed("batch", "DELETE", f"/v1/tags/{arn}")
        assert (call.name, call.parameters) == ("UntagResource", {"resourceArn": arn, "tagKeys": ["a", "b"]})

    def test_members_come_from_headers_and_a_raw_body(self) -> None:
        call = parsed(
            "sagemaker-runtime", "POST", "/endpoints/e/invocations", b"\x00\xff", content_type="image/jpeg"
        )
        assert call.parameters == {"EndpointName": "e", "ContentType": "image/jpeg", "Body": b"\x00\xff"}

    @pytest.mark.parametrize(
        ("service", "path", "body", "target", "code"),
        [
            ("sagemaker", "/", {}, "SageMaker.MakeCoffee", "UnknownOperationException"),
            ("batch", "/v1/makecoffee", {}, "", "UnknownOperationException"),
            ("sagemaker", "/", b"no json", "SageMaker.ListModels", "SerializationException"),
            ("sagemaker", "/", b"[]", "SageMaker.ListModels", "SerializationException"),
            ("batch", "/v1/submitjob", {"jobName": []}, "", "SerializationException"),
            ("batch", "/v1/submitjob", {"jobName": "j"}, "", "ClientException"),
            ("sagemaker", "/", {"MaxResults": 0}, "SageMaker.ListModels", "ValidationException"),
            ("sagemaker-runtime", "/endpoints/_/invocations", b"", "", "ValidationError"),
        ],
    )
    def test_what_cannot_be_read_is_refused(
        self, service: str, path: str, body: Any, target: str, code: str
    ) -> None:
        with pytest.raises(AwsError) as refusal:
            parsed(service, "POST", path, body, x_amz_target=target)
        assert refusal.value.code == code


class TestAnswer:
    def call(self, service: str, operation: str) -> Call:
        return Call(service, service_model(service).operation_model(operation), {})

    def test_times_are_epoch_seconds_and_nothing_is_left_out(self) -> None:
        made = datetime.datetime(2026, 11, 24, 22, 40, 0, 250_000, tzinfo=datetime.UTC)
        result = {"ModelName": "m", "CreationTime": made, "ExecutionRoleArn": None}
        status, headers, body = answer(self.call("sagemaker", "DescribeModel"), result)
        assert (status, headers["content-type"]) == (200, "application/x-amz-json-1.1")
        assert json.loads(body) == {"ModelName": "m", "CreationTime": 1795560000.25}

    def test_a_member_that_aws_does_not_have_is_a_bug(self) -> None:
        with pytest.raises(KeyError):
            answer(self.call("sagemaker", "DescribeModel"), {"Nickname": "m"})

    def test_a_raw_body_and_headers(self) -> None:
        result = {"Body": b"\x00", "ContentType": "image/png", "InvokedProductionVariant": "v"}
        _, headers, body = answer(self.call("sagemaker-runtime", "InvokeEndpoint"), result)
        assert body == b"\x00"
        assert headers == {"content-type": "image/png", "x-amzn-invoked-production-variant": "v"}

    def test_an_operation_without_output_answers_nothing(self) -> None:
        assert answer(self.call("sagemaker", "DeleteEndpoint"), {})[2] == b""


class TestRefuse:
    def test_the_status_is_the_models(self) -> None:
        assert refuse("batch", AwsError("ClientException", "no"))[0] == 400
        assert refuse("batch", AwsError("ServerException", "no"))[0] == 500
        assert refuse("sagemaker-runtime", AwsError("ModelError", "no"))[0] == 424

    def test_members_of_the_error_travel_along(self) -> None:
        error = AwsError("ModelError", "no", 424, {"OriginalStatusCode": 415})
        status, headers, body = refuse("sagemaker-runtime", error)
        assert (status, headers["x-amzn-errortype"]) == (424, "ModelError")
        assert json.loads(body)["OriginalStatusCode"] == 415
