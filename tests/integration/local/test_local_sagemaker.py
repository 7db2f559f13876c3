"""SageMaker on this machine, driven by boto3: training, models, endpoints with rollback, invoking, IAM."""

from __future__ import annotations

import datetime
import io
import json
import tarfile
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

IMAGE = "registry.example/test-algorithm:1"


@pytest.fixture(scope="module")
def bucket(aws: Any) -> str:
    name: str = aws.bucket()
    s3 = aws.client("s3")
    s3.put_object(Bucket=name, Key="data/train/train.rec", Body=b"records")
    s3.put_object(Bucket=name, Key="data/train/more/x.rec", Body=b"more")
    return name


@pytest.fixture(scope="module")
def request_for(bucket: str, role: str, named: Any) -> Callable[..., dict[str, Any]]:
    def request(behaviour: str = "succeed", **changes: Any) -> dict[str, Any]:
        return {
            "TrainingJobName": named("job"),
            "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            "RoleArn": role,
            "HyperParameters": {"behaviour": behaviour},
            "InputDataConfig": [
                {
                    "ChannelName": "train",
                    "ContentType": "application/x-recordio",
                    "DataSource": {
                        "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/data/train"}
                    },
                }
            ],
            "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/output/"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            **changes,
        }

    return request


@pytest.fixture(scope="module")
def sagemaker(aws: Any) -> Any:
    return aws.client("sagemaker")


@pytest.fixture(scope="module")
def train(sagemaker: Any, request_for: Any, wait: Any) -> Callable[..., dict[str, Any]]:
    def run(behaviour: str = "succeed", until: str = "", **changes: Any) -> dict[str, Any]:
        request = request_for(behaviour, **changes)
        sagemaker.create_training_job(**request)
        name = request["TrainingJobName"]

        def reached() -> Any:
            job = sagemaker.describe_training_job(TrainingJobName=name)
            if until:
                return job if job["SecondaryStatus"] == until else None
            return job if job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped") else None

        job: dict[str, Any] = wait(reached, 30)
        return job

    return run


@pytest.fixture(scope="module")
def model_data(aws: Any, bucket: str, named: Any) -> Callable[..., str]:
    def make(**model: str) -> str:
        key = f"models/{named('m')}/model.tar.gz"
        content = json.dumps(model).encode()
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w:gz") as tar:
            member = tarfile.TarInfo("weights.json")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        aws.client("s3").put_object(Bucket=bucket, Key=key, Body=archive.getvalue())
        return f"s3://{bucket}/{key}"

    return make


@pytest.fixture(scope="module")
def configured(sagemaker: Any, role: str, model_data: Any, named: Any) -> Callable[..., str]:
    """Makes a model and an endpoint configuration of one name, which is the variant's too unless given."""

    def make(variant_name: str = "", **model: str) -> str:
        name: str = named("run")
        container = {"Image": IMAGE, "ModelDataUrl": model_data(**model)}
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container)
        variant = {
            "VariantName": variant_name or name,
            "ModelName": name,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
        }
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        return name

    return make


@pytest.fixture(scope="module")
def settled(sagemaker: Any, wait: Any) -> Callable[[str], dict[str, Any]]:
    def settle(endpoint: str) -> dict[str, Any]:
        def done() -> Any:
            found = sagemaker.describe_endpoint(EndpointName=endpoint)
            return found if found["EndpointStatus"] in ("InService", "Failed") else None

        found: dict[str, Any] = wait(done, 30)
        return found

    return settle


@pytest.fixture(scope="module")
def endpoint(sagemaker: Any, configured: Any, settled: Any, named: Any) -> tuple[str, str]:
    """A served endpoint and its variant."""
    config, name = configured(version="1"), named("endpoint")
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    assert settled(name)["EndpointStatus"] == "InService"
    return name, config


class TestTraining:
    def test_inputs_outputs_and_log_are_the_containers(self, train: Any, aws: Any, bucket: str) -> None:
        job = train()
        assert job["TrainingJobStatus"] == "Completed"
        name = job["TrainingJobName"]
        log = aws.log("/aws/sagemaker/TrainingJobs", f"{name}/algo-1-")
        seen = json.loads(log[0])
        assert seen["files"] == {"train": ["more", "more/x.rec", "train.rec"]}
        assert seen["channels"]["train"]["ContentType"] == "application/x-recordio"
        assert seen["job"] == name
        artifacts = f"s3://{bucket}/output/{name}/output/model.tar.gz"
        assert job["ModelArtifacts"]["S3ModelArtifacts"] == artifacts
        body = aws.client("s3").get_object(Bucket=bucket, Key=artifacts.removeprefix(f"s3://{bucket}/"))
        with tarfile.open(fileobj=io.BytesIO(body["Body"].read())) as tar:
            assert tar.getnames() == ["weights.json"]
        statuses = [transition["Status"] for transition in job["SecondaryStatusTransitions"]]
        assert statuses == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
        assert job["TrainingEndTime"] >= job["TrainingStartTime"]
        assert not list((aws.state / "work" / "training").glob(f"{name}*"))

    def test_metric_definitions_are_read_from_the_log(self, train: Any) -> None:
        definitions = [{"Name": "validation:mAP", "Regex": r"validation mAP <score>=\((\S+)\)"}]
        specification = {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "MetricDefinitions": definitions,
        }
        job = train(AlgorithmSpecification=specification)
        (metric,) = job["FinalMetricDataList"]
        assert metric["MetricName"] == "validation:mAP"
        assert metric["Value"] == pytest.approx(0.4321)

    def test_metrics_are_in_cloudwatch_too(self, train: Any, aws: Any, wait: Any) -> None:
        definitions = [{"Name": "validation:mAP", "Regex": r"validation mAP <score>=\((\S+)\)"}]
        specification = {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "MetricDefinitions": definitions,
        }
        job = train(AlgorithmSpecification=specification)
        query = {
            "Namespace": "/aws/sagemaker/TrainingJobs",
            "MetricName": "validation:mAP",
            "Dimensions": [{"Name": "TrainingJobName", "Value": job["TrainingJobName"]}],
            "StartTime": job["CreationTime"] - datetime.timedelta(minutes=1),
            "EndTime": job["CreationTime"] + datetime.timedelta(minutes=5),
            "Period": 60,
            "Statistics": ["Average", "SampleCount"],
        }
        (point,) = wait(lambda: aws.client("cloudwatch").get_metric_statistics(**query)["Datapoints"])
        assert point["Average"] == pytest.approx(0.4321)
        assert point["SampleCount"] == 1

    def test_the_failure_file_is_the_reason(self, train: Any, aws: Any) -> None:
        job = train("fail")
        assert job["TrainingJobStatus"] == "Failed"
        assert job["FailureReason"] == "AlgorithmError: the label width does not fit, exit code: 3"
        assert "ModelArtifacts" not in job

    def test_stop_keeps_what_the_model_directory_holds(
        self, train: Any, aws: Any, sagemaker: Any, wait: Any, bucket: str
    ) -> None:
        running = train("sleep", until="Training")
        name = running["TrainingJobName"]
        # The log can be read while the job runs.
        wait(lambda: "sleeping" in aws.log("/aws/sagemaker/TrainingJobs", name))
        sagemaker.stop_training_job(TrainingJobName=name)
        assert sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] == "Stopping"
        wait(lambda: sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] == "Stopped")
        body = aws.client("s3").get_object(Bucket=bucket, Key=f"output/{name}/output/model.tar.gz")["Body"]
        with tarfile.open(fileobj=io.BytesIO(body.read())) as tar:
            assert "stopped" in tar.getnames()
        with pytest.raises(ClientError, match="is in status Stopped"):
            sagemaker.stop_training_job(TrainingJobName=name)

    def test_a_job_that_runs_too_long_is_stopped(self, train: Any) -> None:
        job = train("sleep", StoppingCondition={"MaxRuntimeInSeconds": 1})
        assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")

    def test_checkpoints_come_back(self, train: Any, aws: Any, bucket: str, named: Any) -> None:
        config = {"S3Uri": f"s3://{bucket}/checkpoints/{named('c')}"}
        train("checkpoint", CheckpointConfig=config)
        second = train("checkpoint", CheckpointConfig=config)
        log = aws.log("/aws/sagemaker/TrainingJobs", second["TrainingJobName"])
        assert "found ['epoch-0']" in log

    def test_an_empty_channel_fails_the_job(self, train: Any, request_for: Any, bucket: str) -> None:
        channels = request_for()["InputDataConfig"]
        channels[0]["DataSource"]["S3DataSource"]["S3Uri"] = f"s3://{bucket}/nothing/"
        job = train(InputDataConfig=channels)
        assert job["FailureReason"].startswith(
            'ClientError: Data download failed:No S3 objects found under S3 URL "'
        )

    def test_the_jobs_role_reads_only_what_it_may(self, train: Any, aws: Any) -> None:
        job = train(RoleArn=aws.role())
        assert job["FailureReason"].startswith("ClientError: Data download failed")
        assert "AccessDenied" in job["FailureReason"]

    def test_an_unknown_image_fails_the_job(self, train: Any) -> None:
        specification = {"TrainingImage": "registry.example/unknown:1", "TrainingInputMode": "File"}
        job = train(AlgorithmSpecification=specification)
        assert "CannotPullContainerError" in job["FailureReason"]
        assert "images.toml" in job["FailureReason"]

    def test_events_follow_the_job(self, train: Any, aws: Any, wait: Any) -> None:
        received = aws.events(
            {"source": ["aws.sagemaker"], "detail-type": ["SageMaker Training Job State Change"]}
        )
        name = train("fail", Tags=[{"Key": "team", "Value": "birds"}])["TrainingJobName"]

        def mine() -> Any:
            found = [e["detail"] for e in received() if e["detail"]["TrainingJobName"] == name]
            return found if any(d["TrainingJobStatus"] == "Failed" for d in found) else None

        details = wait(mine)
        assert [d["SecondaryStatus"] for d in details] == ["Starting", "Downloading", "Training", "Failed"]
        assert details[-1]["Tags"] == {"team": "birds"}
        assert isinstance(details[-1]["TrainingEndTime"], int)

    def test_a_name_is_taken_once(self, train: Any, sagemaker: Any, request_for: Any) -> None:
        name = train()["TrainingJobName"]
        with pytest.raises(ClientError, match="must be unique") as refusal:
            sagemaker.create_training_job(**request_for(TrainingJobName=name))
        assert refusal.value.response["Error"]["Code"] == "ResourceInUse"

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"TrainingJobName": "under_score"}, "regular expression pattern"),
            ({"StoppingCondition": {"MaxRuntimeInSeconds": 0}}, "greater than or equal to 1"),
            ({"StoppingCondition": {"MaxRuntimeInSeconds": 28 * 86400 + 1}}, "28 days"),
            (
                {"AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "Tape"}},
                r"enum value set: \[Pipe, File, FastFile\]",
            ),
            (
                {
                    "AlgorithmSpecification": {
                        "TrainingImage": IMAGE,
                        "TrainingInputMode": "File",
                        "MetricDefinitions": [{"Name": "loss", "Regex": "loss=("}],
                    }
                },
                "regular expression of loss is invalid",
            ),
            ({"HyperParameters": {str(n): "" for n in range(101)}}, "less than or equal to 100"),
            ({"RoleArn": "arn:aws:iam::000000000000:role/nobody"}, "Could not assume role"),
        ],
    )
    def test_what_aws_refuses_is_refused(
        self, aws: Any, request_for: Any, changes: dict[str, Any], message: str
    ) -> None:
        sagemaker = aws.client("sagemaker", validate=False)
        with pytest.raises(ClientError, match=message) as refusal:
            sagemaker.create_training_job(**request_for(**changes))
        assert refusal.value.response["Error"]["Code"] == "ValidationException"

    def test_more_than_one_instance_is_beyond_this_account(self, sagemaker: Any, request_for: Any) -> None:
        resources = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 10}
        with pytest.raises(ClientError) as refusal:
            sagemaker.create_training_job(**request_for(ResourceConfig=resources))
        assert refusal.value.response["Error"]["Code"] == "ResourceLimitExceeded"

    def test_a_role_that_does_not_trust_sagemaker_is_refused(
        self, aws: Any, sagemaker: Any, request_for: Any
    ) -> None:
        trust = {
            "Version": "2012-10-17",
            "Statement": {
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": "sts:AssumeRole",
            },
        }
        with pytest.raises(ClientError, match="does not let sagemaker"):
            sagemaker.create_training_job(**request_for(RoleArn=aws.role(trust=trust)))

    def test_a_missing_job(self, sagemaker: Any) -> None:
        with pytest.raises(ClientError, match="Requested resource not found"):
            sagemaker.describe_training_job(TrainingJobName="nothing")

    def test_list_filters_sorts_and_pages(self, train: Any, sagemaker: Any, named: Any) -> None:
        prefix = named("listed")
        for suffix in "abc":
            train(TrainingJobName=f"{prefix}-{suffix}")
        query = {"NameContains": prefix, "SortBy": "Name", "SortOrder": "Ascending", "MaxResults": 2}
        first = sagemaker.list_training_jobs(**query)
        rest = sagemaker.list_training_jobs(**query, NextToken=first["NextToken"])
        names = [s["TrainingJobName"] for s in first["TrainingJobSummaries"] + rest["TrainingJobSummaries"]]
        assert names == [f"{prefix}-{suffix}" for suffix in "abc"]
        assert "NextToken" not in rest
        assert not sagemaker.list_training_jobs(NameContains=prefix, StatusEquals="Failed")[
            "TrainingJobSummaries"
        ]


class TestModels:
    def test_model_data_must_be_readable(self, sagemaker: Any, role: str, bucket: str, named: Any) -> None:
        container = {"Image": IMAGE, "ModelDataUrl": f"s3://{bucket}/no/model.tar.gz"}
        with pytest.raises(ClientError, match="Could not access model data"):
            sagemaker.create_model(ModelName=named("m"), ExecutionRoleArn=role, PrimaryContainer=container)

    def test_names_are_taken_once_and_missing_ones_are_named(
        self, sagemaker: Any, configured: Any, role: str, model_data: Any
    ) -> None:
        name = configured(version="1")
        arn = sagemaker.describe_model(ModelName=name)["ModelArn"]
        container = {"Image": IMAGE, "ModelDataUrl": model_data()}
        with pytest.raises(ClientError, match=f'Cannot create already existing model "{arn}"'):
            sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container)
        variant = {
            "VariantName": "v",
            "ModelName": name,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
        }
        with pytest.raises(ClientError, match="Cannot create already existing endpoint configuration"):
            sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        sagemaker.delete_endpoint_config(EndpointConfigName=name)
        sagemaker.delete_model(ModelName=name)
        with pytest.raises(ClientError, match=f'Could not find model "{arn}"'):
            sagemaker.describe_model(ModelName=name)
        with pytest.raises(ClientError, match="Could not find endpoint configuration"):
            sagemaker.describe_endpoint_config(EndpointConfigName=name)

    def test_a_variant_needs_its_model(self, sagemaker: Any, named: Any) -> None:
        variant = {
            "VariantName": "v",
            "ModelName": "nothing",
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
        }
        with pytest.raises(ClientError, match="Could not find model"):
            sagemaker.create_endpoint_config(EndpointConfigName=named("c"), ProductionVariants=[variant])


class TestEndpoints:
    def test_invoke_passes_the_request_on(self, aws: Any, endpoint: tuple[str, str]) -> None:
        name, variant = endpoint
        answer = aws.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=name, ContentType="image/jpeg", Accept="application/json", Body=b"\x00picture\xff"
        )
        assert answer["InvokedProductionVariant"] == variant
        assert answer["ContentType"] == "application/json"
        assert json.loads(answer["Body"].read()) == {
            "model": {"version": "1"},
            "bytes": 9,
            "type": "image/jpeg",
            "accept": "application/json",
        }

    def test_the_containers_refusal_is_a_model_error(self, aws: Any, endpoint: tuple[str, str]) -> None:
        with pytest.raises(ClientError) as refusal:
            aws.client("sagemaker-runtime").invoke_endpoint(
                EndpointName=endpoint[0], ContentType="image/jpeg", Body=b"bad"
            )
        response = refusal.value.response
        assert response["Error"]["Code"] == "ModelError"
        assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
        assert (response["OriginalStatusCode"], response["OriginalMessage"]) == (415, "no picture")
        assert "Received client error (415) from primary" in response["Error"]["Message"]

    def test_a_container_that_dies_is_started_again(
        self, aws: Any, endpoint: tuple[str, str], wait: Any
    ) -> None:
        runtime = aws.client("sagemaker-runtime")
        with pytest.raises(ClientError, match="ModelError"):
            runtime.invoke_endpoint(EndpointName=endpoint[0], Body=b"die")

        def answers() -> bool:
            try:
                return bool(runtime.invoke_endpoint(EndpointName=endpoint[0], Body=b"again"))
            except ClientError:
                return False

        assert wait(answers)

    def test_invocations_are_measured_and_server_errors_set_off_an_alarm(
        self, aws: Any, sagemaker: Any, configured: Any, settled: Any, named: Any, wait: Any
    ) -> None:
        config, name, alarm = configured(version="1"), named("endpoint"), named("alarm")
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
        settled(name)
        cloudwatch, runtime = aws.client("cloudwatch"), aws.client("sagemaker-runtime")
        dimensions = [{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": config}]
        cloudwatch.put_metric_alarm(
            AlarmName=alarm,
            Namespace="AWS/SageMaker",
            MetricName="Invocation5XXErrors",
            Dimensions=dimensions,
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
        )

        def is_in(state: str) -> bool:
            (found,) = cloudwatch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
            return bool(found["StateValue"] == state)

        def summed(metric: str, stat: str = "Sum") -> float:
            now = datetime.datetime.now(datetime.UTC)
            look_at = {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": dimensions}
            query = {"Id": "m", "MetricStat": {"Metric": look_at, "Period": 3600, "Stat": stat}}
            found = cloudwatch.get_metric_data(
                MetricDataQueries=[query],
                StartTime=now - datetime.timedelta(hours=1),
                EndTime=now + datetime.timedelta(minutes=1),
            )
            return float(sum(found["MetricDataResults"][0]["Values"]))

        for body in (b"x", b"y"):
            runtime.invoke_endpoint(EndpointName=name, Body=body)
        with pytest.raises(ClientError, match="415"):
            runtime.invoke_endpoint(EndpointName=name, Body=b"bad")
        wait(lambda: is_in("OK"))
        with pytest.raises(ClientError, match="500"):
            runtime.invoke_endpoint(EndpointName=name, Body=b"broken")
        wait(lambda: is_in("ALARM"))
        metrics = ("Invocations", "Invocation4XXErrors", "Invocation5XXErrors", "InvocationModelErrors")
        assert [summed(metric) for metric in metrics] == [4.0, 1.0, 1.0, 2.0]
        assert summed("ModelLatency", "SampleCount") == 4.0
        assert summed("ModelLatency") >= 4.0
        assert summed("OverheadLatency", "Minimum") >= 0.0

    def test_its_log_has_its_own_group(self, aws: Any, endpoint: tuple[str, str], wait: Any) -> None:
        group = f"/aws/sagemaker/Endpoints/{endpoint[0]}"
        assert wait(lambda: aws.log(group, endpoint[1]))[0] == "serving {'version': '1'}"

    def test_update_and_rollback(
        self, aws: Any, sagemaker: Any, configured: Any, settled: Any, wait: Any, named: Any
    ) -> None:
        received = aws.events(
            {"source": ["aws.sagemaker"], "detail-type": ["SageMaker Endpoint State Change"]}
        )
        runtime = aws.client("sagemaker-runtime")
        name, first, second = named("endpoint"), configured(version="1"), configured(version="2")
        broken = configured(behaviour="crash")
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=first)
        settled(name)

        sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=second)
        with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
            sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=first)
        # The old variant answers until the new one is in service.
        assert runtime.invoke_endpoint(EndpointName=name, Body=b"x")["InvokedProductionVariant"] in (
            first,
            second,
        )
        updated = settled(name)
        assert updated["EndpointConfigName"] == second
        assert updated["ProductionVariants"][0]["VariantName"] == second
        assert runtime.invoke_endpoint(EndpointName=name, Body=b"x")["InvokedProductionVariant"] == second

        sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=broken)
        rolled_back = settled(name)
        assert (rolled_back["EndpointStatus"], rolled_back["EndpointConfigName"]) == ("InService", second)
        assert "did not pass the ping health check" in rolled_back["FailureReason"]
        assert runtime.invoke_endpoint(EndpointName=name, Body=b"x")["InvokedProductionVariant"] == second

        sagemaker.delete_endpoint(EndpointName=name)

        def gone() -> bool:
            try:
                sagemaker.describe_endpoint(EndpointName=name)
            except ClientError as error:
                return "Could not find endpoint" in str(error)
            return False

        assert wait(gone)
        assert not list((aws.state / "work" / "endpoints").glob(f"{name}*"))
        statuses = [e["detail"]["EndpointStatus"] for e in received() if e["detail"]["EndpointName"] == name]
        assert statuses == [
            "CREATING",
            "IN_SERVICE",
            "UPDATING",
            "IN_SERVICE",
            "UPDATING",
            "ROLLING_BACK",
            "IN_SERVICE",
            "DELETING",
        ]

    def test_an_alarm_rolls_the_update_back(
        self, aws: Any, sagemaker: Any, configured: Any, settled: Any, named: Any
    ) -> None:
        alarm, name = named("alarm"), named("endpoint")
        first, second = configured("same", a="1"), configured("same", a="2")
        cloudwatch = aws.client("cloudwatch")
        cloudwatch.put_metric_alarm(
            AlarmName=alarm,
            Namespace="AWS/SageMaker",
            MetricName="Invocation5XXErrors",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
        )
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=first)
        settled(name)
        cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="test")
        routing = {
            "Type": "CANARY",
            "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50},
            "WaitIntervalInSeconds": 60,
        }

        def update(config: str, watched: str) -> None:
            sagemaker.update_endpoint(
                EndpointName=name,
                EndpointConfigName=config,
                DeploymentConfig={
                    "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing},
                    "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": watched}]},
                },
            )

        with pytest.raises(ClientError, match="needs the same variant names"):
            update(configured("another"), alarm)
        with pytest.raises(ClientError, match="Could not find the CloudWatch alarms"):
            update(second, "nobody-made-it")
        update(second, alarm)
        found = settled(name)
        assert found["EndpointConfigName"] == first
        assert alarm in found["FailureReason"]

    def test_one_that_never_gets_healthy_fails(
        self, sagemaker: Any, configured: Any, settled: Any, named: Any
    ) -> None:
        name = named("endpoint")
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=configured(behaviour="crash"))
        assert settled(name)["EndpointStatus"] == "Failed"

    def test_a_missing_endpoint(self, aws: Any, sagemaker: Any) -> None:
        with pytest.raises(ClientError, match="Could not find endpoint"):
            sagemaker.describe_endpoint(EndpointName="nothing")
        with pytest.raises(ClientError, match="nothing of account 000000000000 not found") as refusal:
            aws.client("sagemaker-runtime").invoke_endpoint(EndpointName="nothing", Body=b"x")
        assert refusal.value.response["Error"]["Code"] == "ValidationError"

    def test_a_name_is_taken_once(self, sagemaker: Any, endpoint: tuple[str, str]) -> None:
        with pytest.raises(ClientError, match="Cannot create already existing endpoint"):
            sagemaker.create_endpoint(EndpointName=endpoint[0], EndpointConfigName=endpoint[1])


class TestPermissions:
    def test_roles_need_the_action_on_the_resource(
        self, aws: Any, endpoint: tuple[str, str], request_for: Any
    ) -> None:
        arn = f"arn:aws:sagemaker:us-east-1:000000000000:endpoint/{endpoint[0]}"
        user = aws.user({"Effect": "Allow", "Action": "sagemaker:InvokeEndpoint", "Resource": arn})
        runtime = aws.client("sagemaker-runtime", user)
        assert runtime.invoke_endpoint(EndpointName=endpoint[0], Body=b"x")
        with pytest.raises(ClientError, match="sagemaker:InvokeEndpoint") as refusal:
            runtime.invoke_endpoint(EndpointName="another", Body=b"x")
        assert refusal.value.response["Error"]["Code"] == "AccessDeniedException"
        with pytest.raises(ClientError, match="sagemaker:CreateTrainingJob"):
            aws.client("sagemaker", user).create_training_job(**request_for())

    def test_a_role_must_be_passed(self, aws: Any, request_for: Any, role: str) -> None:
        create = {"Effect": "Allow", "Action": "sagemaker:CreateTrainingJob", "Resource": "*"}
        passing = {
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": role,
            "Condition": {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        }
        with pytest.raises(ClientError, match="iam:PassRole"):
            aws.client("sagemaker", aws.user(create)).create_training_job(**request_for())
        client = aws.client("sagemaker", aws.user(create, passing))
        assert client.create_training_job(**request_for())["TrainingJobArn"]
        with pytest.raises(ClientError, match="sagemaker:AddTags"):
            client.create_training_job(**request_for(Tags=[{"Key": "a", "Value": "b"}]))

    def test_a_wrong_signature_is_refused(self, aws: Any) -> None:
        user = aws.user({"Effect": "Allow", "Action": "*", "Resource": "*"})
        with pytest.raises(ClientError, match="signature"):
            aws.client("sagemaker", {**user, "SecretAccessKey": "guessed"}).list_models()


def test_tags(sagemaker: Any, configured: Any) -> None:
    arn = sagemaker.describe_model(ModelName=configured(version="1"))["ModelArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "3"}])
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["b"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "3"}]


def test_operations_that_are_not_offered_say_so(sagemaker: Any) -> None:
    with pytest.raises(ClientError, match="does not offer") as refusal:
        sagemaker.list_notebook_instances()
    assert refusal.value.response["Error"]["Code"] == "UnknownOperationException"
