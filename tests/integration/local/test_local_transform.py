"""Batch transform on this machine, driven by boto3: what goes in, what comes out, every way to end."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

IMAGE = "registry.example/test-algorithm:1"
LOG_GROUP = "/aws/sagemaker/TransformJobs"
ENDED = ("Completed", "Failed", "Stopped")


@pytest.fixture(scope="module")
def bucket(aws: Any) -> str:
    name: str = aws.bucket()
    return name


@pytest.fixture(scope="module")
def sagemaker(aws: Any) -> Any:
    return aws.client("sagemaker")


@pytest.fixture(scope="module")
def modelled(aws: Any, sagemaker: Any, bucket: str, role: str, named: Any) -> Callable[..., str]:
    """Makes a model whose container reads these members."""

    def make(execution_role: str = role, **model: Any) -> str:
        name: str = named("model")
        content = json.dumps(model).encode()
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w:gz") as tar:
            member = tarfile.TarInfo("weights.json")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        key = f"models/{name}/model.tar.gz"
        aws.client("s3").put_object(Bucket=bucket, Key=key, Body=archive.getvalue())
        container = {
            "Image": IMAGE,
            "ModelDataUrl": f"s3://{bucket}/{key}",
            "Environment": {"MY_MODEL": "model's", "MY_JOB": "model's"},
        }
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=execution_role, PrimaryContainer=container)
        return name

    return make


@pytest.fixture(scope="module")
def model(modelled: Any) -> str:
    name: str = modelled(version="1")
    return name


@pytest.fixture
def place(aws: Any, bucket: str, named: Any) -> Callable[..., str]:
    """Puts objects under a new prefix, whose URI it returns."""

    def put(**objects: bytes) -> str:
        prefix = named("in")
        for name, content in objects.items():
            key = f"{prefix}/{name.replace('__', '/')}"
            aws.client("s3").put_object(Bucket=bucket, Key=key, Body=content)
        return f"s3://{bucket}/{prefix}/"

    return put


@pytest.fixture
def request_for(bucket: str, model: str, named: Any) -> Callable[..., dict[str, Any]]:
    def request(
        uri: str, data_type: str = "S3Prefix", read: Any = None, write: Any = None, **changes: Any
    ) -> dict[str, Any]:
        name = named("transform")
        return {
            "TransformJobName": name,
            "ModelName": model,
            "TransformInput": {
                "DataSource": {"S3DataSource": {"S3DataType": data_type, "S3Uri": uri}},
                "ContentType": "text/csv",
                **(read or {}),
            },
            "TransformOutput": {"S3OutputPath": f"s3://{bucket}/out/{name}", **(write or {})},
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
            "ModelClientConfig": {"InvocationsMaxRetries": 0},
            **changes,
        }

    return request


@pytest.fixture
def transform(sagemaker: Any, request_for: Any, wait: Any) -> Callable[..., dict[str, Any]]:
    """Runs a job to its end."""

    def run(uri: str, **changes: Any) -> dict[str, Any]:
        request = request_for(uri, **changes)
        sagemaker.create_transform_job(**request)
        name = request["TransformJobName"]

        def ended() -> Any:
            job = sagemaker.describe_transform_job(TransformJobName=name)
            return job if job["TransformJobStatus"] in ENDED else None

        job: dict[str, Any] = wait(ended, 30)
        return job

    return run


@pytest.fixture
def outputs(aws: Any, bucket: str) -> Callable[[dict[str, Any]], dict[str, bytes]]:
    """What a job wrote: names below its output path → content."""

    def read(job: dict[str, Any]) -> dict[str, bytes]:
        s3, prefix = aws.client("s3"), f"out/{job['TransformJobName']}/"
        found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        keys = [item["Key"] for item in found]
        return {
            key.removeprefix(prefix): s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys
        }

    return read


@pytest.fixture
def data_log(aws: Any) -> Callable[[str], str]:
    """What SageMaker itself wrote about a job's objects."""

    def read(name: str) -> str:
        streams = aws.client("logs").describe_log_streams(
            logGroupName=LOG_GROUP, logStreamNamePrefix=f"{name}/"
        )
        (stream,) = (
            s["logStreamName"] for s in streams["logStreams"] if s["logStreamName"].endswith("/data-log")
        )
        return "\n".join(aws.log(LOG_GROUP, stream))

    return read


class TestSuccess:
    def test_every_object_has_its_answer_below_the_output_path(
        self, transform: Any, place: Any, outputs: Any, aws: Any, bucket: str
    ) -> None:
        job = transform(place(a=b"one", more__b=b"two"))
        assert job["TransformJobStatus"] == "Completed"
        assert outputs(job) == {"a.out": b"ONE", "more/b.out": b"TWO"}
        assert job["CreationTime"] <= job["TransformStartTime"] <= job["TransformEndTime"]
        name = job["TransformJobName"]
        assert job["TransformJobArn"] == f"arn:aws:sagemaker:us-east-1:000000000000:transform-job/{name}"
        assert job["TransformInput"]["SplitType"] == "None"
        assert "FailureReason" not in job
        assert aws.log(LOG_GROUP, f"{name}/i-")[0] == "serving {'version': '1'}"
        assert not list((aws.state / "work" / "transform").glob(f"{name}*"))

    def test_content_type_and_accept_are_the_requests(self, transform: Any, place: Any, outputs: Any) -> None:
        types = {"read": {"ContentType": "image/jpeg"}, "write": {"Accept": "application/json"}}
        (answer,) = outputs(transform(place(a=b"picture"), **types)).values()
        seen = json.loads(answer)
        assert (seen["type"], seen["accept"], seen["bytes"]) == ("image/jpeg", "application/json", 7)

    def test_lines_come_back_in_order(self, transform: Any, place: Any, outputs: Any) -> None:
        lines = b"".join(b"line %d\n" % number for number in range(50))
        job = transform(
            place(a=lines),
            read={"SplitType": "Line"},
            write={"AssembleWith": "Line"},
            BatchStrategy="SingleRecord",
            MaxConcurrentTransforms=4,
        )
        assert outputs(job) == {"a.out": lines.upper().replace(b"\n", b"\n\n")}

    def test_many_lines_go_in_one_request(self, transform: Any, place: Any, outputs: Any) -> None:
        job = transform(place(a=b"x\ny\n"), read={"SplitType": "Line", "ContentType": "application/json"})
        assert json.loads(outputs(job)["a.out"])["bytes"] == 4

    def test_gzip_is_unpacked(self, transform: Any, place: Any, outputs: Any) -> None:
        job = transform(place(a_gz=gzip.compress(b"packed")), read={"CompressionType": "Gzip"})
        assert outputs(job) == {"a_gz.out": b"PACKED"}

    def test_a_manifest_names_the_objects(
        self, transform: Any, place: Any, outputs: Any, aws: Any, bucket: str
    ) -> None:
        prefix = place(a=b"one", b=b"two", more__c=b"three")
        manifest = json.dumps([{"prefix": prefix}, "a", "more/c"]).encode()
        aws.client("s3").put_object(Bucket=bucket, Key="lists/some.manifest", Body=manifest)
        job = transform(f"s3://{bucket}/lists/some.manifest", data_type="ManifestFile")
        assert outputs(job) == {"a.out": b"ONE", "more/c.out": b"THREE"}

    def test_as_many_requests_run_at_once_as_asked_for(
        self, transform: Any, place: Any, outputs: Any
    ) -> None:
        # The container answers none of them before it has two.
        job = transform(place(a=b"pair 1", b=b"pair 2"), MaxConcurrentTransforms=2)
        assert outputs(job) == {"a.out": b"pair 1", "b.out": b"pair 2"}

    def test_the_container_may_say_how_it_wants_to_be_asked(
        self, transform: Any, place: Any, outputs: Any, modelled: Any, data_log: Any
    ) -> None:
        parameters = {"MaxConcurrentTransforms": 2, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 3}
        model = modelled(parameters=parameters)
        job = transform(place(a=b"pair 1\npair 2\n"), read={"SplitType": "Line"}, ModelName=model)
        assert outputs(job) == {"a.out": b"pair 1\npair 2\n"}
        wanted = "MaxConcurrentTransforms=2, MaxPayloadInMB=3, BatchStrategy=SINGLE_RECORD"
        assert wanted in data_log(job["TransformJobName"])
        assert "MaxPayloadInMB" not in job

    def test_the_environment_is_the_models_the_jobs_and_the_platforms(
        self, transform: Any, place: Any, outputs: Any
    ) -> None:
        job = transform(
            place(a=b"environment"),
            Environment={"MY_JOB": "job's"},
            MaxPayloadInMB=5,
            BatchStrategy="SingleRecord",
        )
        assert json.loads(outputs(job)["a.out"]) == {
            "MY_MODEL": "model's",
            "MY_JOB": "job's",
            "SAGEMAKER_BATCH": "true",
            "SAGEMAKER_MAX_PAYLOAD_IN_MB": "5",
            "SAGEMAKER_BATCH_STRATEGY": "SINGLE_RECORD",
        }

    def test_server_errors_are_asked_again(self, transform: Any, place: Any, outputs: Any) -> None:
        job = transform(place(a=b"flaky"), ModelClientConfig={"InvocationsMaxRetries": 1})
        assert outputs(job) == {"a.out": b"FLAKY"}


class TestFailure:
    def test_a_refused_object_fails_the_job_and_is_named_while_the_others_are_kept(
        self, transform: Any, place: Any, outputs: Any, bucket: str, data_log: Any
    ) -> None:
        uri = place(a=b"one", b=b"bad", c=b"three")
        job = transform(uri)
        path = uri.removeprefix("s3://") + "b"
        assert job["TransformJobStatus"] == "Failed"
        assert job["FailureReason"] == (
            f"ClientError: 415 (no picture) for {path}. See job logs for more information"
        )
        assert outputs(job) == {"a.out": b"ONE", "c.out": b"THREE"}
        log = data_log(job["TransformJobName"])
        assert f"[sagemaker logs]: {path}: ClientError: 415" in log
        assert f"[sagemaker logs]: {path}: no picture" in log

    def test_an_object_with_one_refused_line_has_no_output(
        self, transform: Any, place: Any, outputs: Any
    ) -> None:
        job = transform(
            place(a=b"one\nbroken", b=b"two\n"), read={"SplitType": "Line"}, BatchStrategy="SingleRecord"
        )
        assert job["FailureReason"].startswith(
            "AlgorithmError: Bad HTTP status received from algorithm: 500 (out of order) for"
        )
        assert outputs(job) == {"b.out": b"TWO\n"}

    def test_a_container_that_dies_ends_the_job(self, transform: Any, place: Any, outputs: Any) -> None:
        uri = place(a=b"one", b=b"die", c=b"three")
        job = transform(uri)
        assert job["FailureReason"] == (
            "AlgorithmError: the container ended with exit code 1 while it transformed "
            f"{uri.removeprefix('s3://')}b. See job logs for more information"
        )
        assert outputs(job) == {"a.out": b"ONE"}

    def test_a_container_that_never_serves_ends_the_job(
        self, transform: Any, place: Any, modelled: Any
    ) -> None:
        job = transform(place(a=b"one"), ModelName=modelled(behaviour="crash"))
        assert job["FailureReason"].startswith(
            "AlgorithmError: the container ended with exit code 1 before it answered /ping"
        )

    def test_an_answer_that_takes_too_long(self, transform: Any, place: Any, data_log: Any) -> None:
        config = {"InvocationsTimeoutInSeconds": 1, "InvocationsMaxRetries": 0}
        job = transform(place(a=b"sleep"), ModelClientConfig=config)
        assert job["FailureReason"].startswith("AlgorithmError: Unable to get response from algorithm for ")
        assert "Unable to get response from algorithm" in data_log(job["TransformJobName"])

    def test_an_object_beyond_the_payload(self, transform: Any, place: Any) -> None:
        job = transform(place(a=bytes((1 << 20) + 1)), MaxPayloadInMB=1)
        assert job["FailureReason"].startswith("ClientError: Too much data for max payload size for ")

    def test_a_prefix_without_objects(self, transform: Any, bucket: str) -> None:
        job = transform(f"s3://{bucket}/nothing/")
        assert job["FailureReason"].startswith('ClientError: No S3 objects found under S3 URL "')

    def test_a_manifest_that_is_none(self, transform: Any, place: Any) -> None:
        job = transform(place(a=b"one") + "a", data_type="ManifestFile")
        assert "is no JSON" in job["FailureReason"]

    def test_a_missing_object_of_a_manifest_is_named(self, transform: Any, place: Any, outputs: Any) -> None:
        prefix = place(a=b"one", list=b"")
        manifest = place(list=json.dumps([{"prefix": prefix}, "a", "nobody"]).encode()) + "list"
        job = transform(manifest, data_type="ManifestFile")
        assert f"{prefix.removeprefix('s3://')}nobody" in job["FailureReason"]
        assert outputs(job) == {"a.out": b"ONE"}

    def test_the_models_role_reads_only_what_it_may(
        self, aws: Any, transform: Any, place: Any, modelled: Any, bucket: str
    ) -> None:
        models = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/models/*"}
        job = transform(place(a=b"one"), ModelName=modelled(execution_role=aws.role(models)))
        assert job["FailureReason"].startswith("ClientError: cannot list s3://")
        assert "AccessDenied" in job["FailureReason"]

    def test_the_models_role_writes_only_where_it_may(
        self, aws: Any, transform: Any, place: Any, modelled: Any, bucket: str
    ) -> None:
        resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
        reading = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": resources}
        job = transform(place(a=b"one"), ModelName=modelled(execution_role=aws.role(reading)))
        assert job["FailureReason"].startswith(f"ClientError: cannot upload s3://{bucket}/out/")


class TestStopping:
    def test_nothing_is_stored_of_a_job_that_is_stopped(
        self, aws: Any, sagemaker: Any, request_for: Any, place: Any, outputs: Any, wait: Any
    ) -> None:
        request = request_for(place(a=b"one", b=b"sleep", c=b"three"))
        name = request["TransformJobName"]
        sagemaker.create_transform_job(**request)
        wait(lambda: "sleeping" in aws.log(LOG_GROUP, f"{name}/"))
        sagemaker.stop_transform_job(TransformJobName=name)
        status = sagemaker.describe_transform_job(TransformJobName=name)["TransformJobStatus"]
        assert status in ("Stopping", "Stopped")

        def stopped() -> Any:
            job = sagemaker.describe_transform_job(TransformJobName=name)
            return job if job["TransformJobStatus"] == "Stopped" else None

        job = wait(stopped)
        assert "FailureReason" not in job
        assert job["TransformEndTime"]
        assert outputs(job) == {}
        assert not list((aws.state / "work" / "transform").glob(f"{name}*"))
        with pytest.raises(ClientError, match="is in status Stopped"):
            sagemaker.stop_transform_job(TransformJobName=name)


def test_events_follow_the_job(transform: Any, place: Any, aws: Any, wait: Any) -> None:
    received = aws.events(
        {"source": ["aws.sagemaker"], "detail-type": ["SageMaker Transform Job State Change"]}
    )
    job = transform(place(a=b"bad"), Tags=[{"Key": "team", "Value": "birds"}])
    name = job["TransformJobName"]

    def mine() -> Any:
        found = [e for e in received() if e["detail"]["TransformJobName"] == name]
        return found if any(e["detail"]["TransformJobStatus"] == "Failed" for e in found) else None

    events = wait(mine)
    assert [e["detail"]["TransformJobStatus"] for e in events] == ["InProgress", "Failed"]
    detail = events[-1]["detail"]
    assert detail["Tags"] == {"team": "birds"}
    assert detail["FailureReason"] == job["FailureReason"]
    assert detail["TransformInput"]["DataSource"] == job["TransformInput"]["DataSource"]
    assert isinstance(detail["TransformEndTime"], int)
    assert events[-1]["resources"] == [job["TransformJobArn"]]


class TestRequests:
    def test_a_name_is_taken_once(self, transform: Any, place: Any, request_for: Any, sagemaker: Any) -> None:
        uri = place(a=b"one")
        name = transform(uri)["TransformJobName"]
        with pytest.raises(ClientError, match="must be unique") as refusal:
            sagemaker.create_transform_job(**{**request_for(uri), "TransformJobName": name})
        assert refusal.value.response["Error"]["Code"] == "ResourceInUse"

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"ModelName": "nobody"}, 'Could not find model "arn:aws:sagemaker:'),
            ({"TransformJobName": "under_score"}, "regular expression pattern"),
            ({"MaxPayloadInMB": 101}, "must not be greater than 100"),
            ({"MaxPayloadInMB": 0}, "MaxPayloadInMB 0 .* is not available"),
            ({"MaxPayloadInMB": 20, "MaxConcurrentTransforms": 6}, "must not be greater than 100"),
            ({"ModelClientConfig": {"InvocationsMaxRetries": 4}}, "less than or equal to 3"),
            ({"Environment": {f"N{n}": "" for n in range(17)}}, "less than or equal to 16"),
            ({"data_type": "AugmentedManifestFile"}, "AugmentedManifestFile is not available"),
            ({"read": {"SplitType": "TFRecord"}}, "TFRecord is not available"),
            ({"read": {"SplitType": "Page"}}, "enum value set"),
            ({"write": {"S3OutputPath": "https://bucket/key"}}, "must be an S3 URI"),
            ({"DataProcessing": {"JoinSource": "Input"}}, "JoinSource 'Input' is not available"),
            ({"DataProcessing": {"InputFilter": "$[1:]"}}, "InputFilter '\\$\\[1:]' is not available"),
            ({"DataCaptureConfig": {"DestinationS3Uri": "s3://b/c"}}, "Data capture is not available"),
            ({"TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 101}}, "at most 100"),
        ],
    )
    def test_what_aws_refuses_is_refused_and_what_is_lacking_is_named(
        self, aws: Any, request_for: Any, bucket: str, changes: dict[str, Any], message: str
    ) -> None:
        sagemaker = aws.client("sagemaker", validate=False)
        with pytest.raises(ClientError, match=message) as refusal:
            sagemaker.create_transform_job(**request_for(f"s3://{bucket}/x", **changes))
        assert refusal.value.response["Error"]["Code"] == "ValidationException"

    def test_default_data_processing_and_several_instances_are_accepted(
        self, transform: Any, place: Any
    ) -> None:
        job = transform(
            place(a=b"one"),
            DataProcessing={"InputFilter": "$", "JoinSource": "None"},
            TransformResources={"InstanceType": "ml.p3.2xlarge", "InstanceCount": 3},
        )
        assert job["TransformJobStatus"] == "Completed"
        assert job["TransformResources"]["InstanceCount"] == 3

    def test_a_missing_job(self, sagemaker: Any) -> None:
        for call in (sagemaker.describe_transform_job, sagemaker.stop_transform_job):
            with pytest.raises(ClientError, match="Could not find requested job with name: nothing"):
                call(TransformJobName="nothing")

    def test_list_filters_sorts_and_pages(
        self, sagemaker: Any, transform: Any, place: Any, named: Any
    ) -> None:
        prefix, uri = named("listed"), place(a=b"one")
        for suffix in "abc":
            transform(uri, TransformJobName=f"{prefix}-{suffix}")
        query = {"NameContains": prefix, "SortBy": "Name", "SortOrder": "Ascending", "MaxResults": 2}
        first = sagemaker.list_transform_jobs(**query)
        rest = sagemaker.list_transform_jobs(**query, NextToken=first["NextToken"])
        summaries = first["TransformJobSummaries"] + rest["TransformJobSummaries"]
        assert [s["TransformJobName"] for s in summaries] == [f"{prefix}-{suffix}" for suffix in "abc"]
        assert summaries[0]["LastModifiedTime"] >= summaries[0]["CreationTime"]
        failed = sagemaker.list_transform_jobs(NameContains=prefix, StatusEquals="Failed")
        assert not failed["TransformJobSummaries"]

    def test_tags(self, sagemaker: Any, transform: Any, place: Any) -> None:
        arn = transform(place(a=b"one"), Tags=[{"Key": "a", "Value": "1"}])["TransformJobArn"]
        sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}])
        tags = sagemaker.list_tags(ResourceArn=arn)["Tags"]
        assert tags == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]

    def test_callers_need_the_action_on_the_job_and_no_role_to_pass(
        self, aws: Any, request_for: Any, place: Any, named: Any
    ) -> None:
        prefix = named("mine")
        jobs = f"arn:aws:sagemaker:us-east-1:000000000000:transform-job/{prefix}*"
        user = aws.user({"Effect": "Allow", "Action": "sagemaker:CreateTransformJob", "Resource": jobs})
        client, uri = aws.client("sagemaker", user), place(a=b"one")
        created = client.create_transform_job(**{**request_for(uri), "TransformJobName": f"{prefix}-1"})
        assert created["TransformJobArn"].endswith(f"transform-job/{prefix}-1")
        with pytest.raises(ClientError, match="sagemaker:CreateTransformJob") as refusal:
            client.create_transform_job(**request_for(uri))
        assert refusal.value.response["Error"]["Code"] == "AccessDeniedException"
        with pytest.raises(ClientError, match="sagemaker:StopTransformJob"):
            client.stop_transform_job(TransformJobName=f"{prefix}-1")
