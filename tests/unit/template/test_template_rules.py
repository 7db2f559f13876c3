"""What every resource of template.yaml keeps to."""

import dataclasses
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import nestbox.api.settings
import nestbox.settings
import nestbox.tables
import pytest
from nestbox.rules.deploying import ASKING_LIVES
from pynamodb.attributes import Attribute

from local.batch.definitions import check_retries, should_retry

ROOT = Path(__file__).parents[3]

# AWS knows no resource for these: https://docs.aws.amazon.com/service-authorization/latest/reference/
UNRESTRICTABLE = {
    "batch:DescribeJobs",
    "batch:ListJobs",
    "ecr:GetAuthorizationToken",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}
RESTRICTED_BY_CONDITION = {"cloudwatch:PutMetricData"}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


# ---- functions ------------------------------------------------------------------------------------


def test_every_function_folder_is_deployed_and_every_handler_exists(template: Any) -> None:
    deployed = {function["CodeUri"] for function in template.functions.values()}
    assert deployed == {f"functions/{path.name}" for path in (ROOT / "functions").iterdir() if path.is_dir()}
    for function in template.functions.values():
        module, name = function["Handler"].split(".")
        source = ROOT / function["CodeUri"] / f"{module}.py"
        assert re.search(rf"^def {name}\(", source.read_text(encoding="utf-8"), re.MULTILINE), source


def test_functions_are_code_only(template: Any) -> None:
    for name, function in template.functions.items():
        assert template.data["Resources"][name]["Metadata"] == {"SkipBuild": True}, name
        folder = ROOT / function["CodeUri"]
        files = {
            path.name for path in folder.rglob("*") if "__pycache__" not in path.parts and path.is_file()
        }
        assert files == {f"{folder.name}.py"}, name


def test_every_function_has_a_role_of_its_own(template: Any) -> None:
    roles = Counter(template.role_of(name) for name in template.functions)
    assert roles == Counter({f"{name}Role": 1 for name in template.functions})
    for name, role in template.of_type("AWS::IAM::Role").items():
        assert "ManagedPolicyArns" not in role, name


def test_no_role_has_more_than_it_needs(template: Any) -> None:
    for role in template.of_type("AWS::IAM::Role"):
        for statement in template.statements(role):
            actions = as_list(statement["Action"])
            assert not [action for action in actions if "*" in action], (role, statement["Sid"])
            if "*" in as_list(statement["Resource"]):
                free = set(actions) - UNRESTRICTABLE
                if "Condition" in statement:
                    free -= RESTRICTED_BY_CONDITION
                assert not free, (role, statement["Sid"])


def test_every_function_logs_into_a_group_that_forgets(template: Any) -> None:
    groups = template.of_type("AWS::Logs::LogGroup")
    for group in groups.values():
        assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    for name, function in template.functions.items():
        group = groups[f"{name}Logs"]["LogGroupName"]["Fn::Sub"]
        assert group == "/aws/lambda/" + function["FunctionName"]["Fn::Sub"], name
        # Lambda would make the group itself, and for ever, if it came first.
        assert template.data["Resources"][name]["DependsOn"] == f"{name}Logs", name
        [log] = [one for one in template.statements(f"{name}Role") if one["Sid"] == "Log"]
        assert log["Resource"] == {"Fn::GetAtt": [f"{name}Logs", "Arn"]}, name


def settings_of(function: str) -> set[str]:
    for module in (nestbox.settings, nestbox.api.settings):
        model = getattr(module, f"{function}Settings", None)
        if model is not None:
            return {field.name.upper() for field in dataclasses.fields(model)}
    return set()


def test_the_environment_is_what_the_settings_model_reads(template: Any) -> None:
    for name in template.functions:
        told = {key for key in template.environment(name) if not key.startswith("POWERTOOLS_")}
        tables = {key for key in told if key.endswith("_TABLE")}
        assert told - tables == settings_of(name), name


def test_tables_and_buckets_are_named_exactly_where_the_role_opens_them(template: Any) -> None:
    for name in template.functions:
        told = set()
        for key, value in template.environment(name).items():
            if key.endswith(("_TABLE", "_BUCKET")):
                told.add(value["Ref"])
        opened = {
            resource
            for statement in template.statements(template.role_of(name))
            for resource in re.findall(r"(\w+(?:Table|Bucket))\b", str(statement["Resource"]))
        }
        # The job reads the uploads, start_training only tells it where they are.
        assert told - opened <= {"UploadsBucket"}, name
        assert opened <= told, name


def test_queues_are_named_exactly_where_the_role_opens_them(template: Any) -> None:
    for name in template.functions:
        told = {
            value["Ref"] for key, value in template.environment(name).items() if key.endswith("_QUEUE_URL")
        }
        opened = {
            resource["Fn::GetAtt"][0]
            for statement in template.statements(template.role_of(name))
            if statement["Sid"] == "Send"
            for resource in as_list(statement["Resource"])
        }
        assert opened == told, name


def test_wiring_is_only_in_the_template(template: Any) -> None:
    """No code names a resource of the stack: names come from the environment."""
    outputs = set(template.data["Outputs"])
    assert {
        "UploadsBucket",
        "ArtifactsBucket",
        "DatasetsTable",
        "RunsTable",
        "EpochsTable",
        "TokensTable",
    } <= outputs
    for source in [*(ROOT / "functions").rglob("*.py"), *(ROOT / "layers/nestbox").rglob("*.py")]:
        text = source.read_text(encoding="utf-8")
        assert "arn:aws" not in text, source
        assert not re.search(r"https?://(?!docs\.|example\.)", text), source


def test_every_event_driven_function_has_somewhere_for_what_it_cannot_handle(template: Any) -> None:
    queues = template.of_type("AWS::SQS::Queue")
    for name, function in template.functions.items():
        for event in function.get("Events", {}).values():
            if event["Type"] == "SQS":
                queue = event["Properties"]["Queue"]["Fn::GetAtt"][0]
                assert "RedrivePolicy" in queues[queue], name
                assert event["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"], name
            elif event["Type"] == "Schedule":
                assert event["Properties"] == {"Schedule": "rate(1 minute)"}, "the next pass does it"
            elif event["Type"] == "DynamoDB":
                # What is given up stays marked in the table, and must not hold up what comes after it.
                assert event["Properties"]["MaximumRetryAttempts"] <= 2, name
                assert name == "Announce"
            else:
                assert event["Type"] == "Api", name


# ---- queues ---------------------------------------------------------------------------------------


def test_every_queue_has_dead_letters_of_its_own_that_stay_two_weeks(template: Any) -> None:
    queues = template.of_type("AWS::SQS::Queue")
    dead = Counter()
    for name, queue in queues.items():
        if name.endswith("DeadLetters"):
            assert queue["MessageRetentionPeriod"] == 14 * 24 * 3600, name
            continue
        redrive = queue["RedrivePolicy"]
        dead[redrive["deadLetterTargetArn"]["Fn::GetAtt"][0]] += 1
        assert redrive["maxReceiveCount"] == 5, name
        # What `nestbox redrive` finds them by.
        assert redrive["deadLetterTargetArn"]["Fn::GetAtt"][0] == f"{name.removesuffix('Queue')}DeadLetters"
    assert set(dead.values()) == {1}
    assert {name for name in queues if name.endswith("DeadLetters")} == set(dead)


def test_a_message_stays_hidden_as_long_as_aws_advises(template: Any) -> None:
    """Six times the function's timeout, and the batching window on top."""
    queues = template.of_type("AWS::SQS::Queue")
    for name, function in template.functions.items():
        for event in function.get("Events", {}).values():
            if event["Type"] == "SQS":
                queue = queues[event["Properties"]["Queue"]["Fn::GetAtt"][0]]
                window = event["Properties"].get("MaximumBatchingWindowInSeconds", 0)
                assert queue["VisibilityTimeout"] >= 6 * function["Timeout"] + window, name


@pytest.mark.parametrize(
    ("source", "detail_type", "queues"),
    [
        ("aws.s3", "Object Created", ["IntakeQueue"]),
        ("aws.s3", "Object Deleted", ["IntakeQueue"]),
        ("aws.batch", "Batch Job State Change", ["TrainingQueue", "JudgeQueue"]),
        ("aws.sagemaker", "SageMaker Training Job State Change", ["RecordQueue"]),
        ("aws.sagemaker", "SageMaker Transform Job State Change", ["JudgeQueue"]),
        ("aws.sagemaker", "SageMaker Endpoint State Change", ["EndpointQueue"]),
    ],
)
def test_every_event_reaches_its_step(
    template: Any, source: str, detail_type: str, queues: list[str]
) -> None:
    """Looks and reconcile make good for a rule that is missing, so that nothing else would notice."""
    targets = [
        target["Arn"]
        for rule in template.of_type("AWS::Events::Rule").values()
        if source in rule["EventPattern"]["source"] and detail_type in rule["EventPattern"]["detail-type"]
        for target in rule["Targets"]
    ]
    assert targets == [{"Fn::GetAtt": [queue, "Arn"]} for queue in queues]


def test_events_of_batch_go_to_the_step_whose_queue_the_job_is_in(template: Any) -> None:
    rules = template.of_type("AWS::Events::Rule")
    assert rules["PreparationRule"]["EventPattern"]["detail"]["jobQueue"] == [{"Ref": "PrepareJobQueue"}]
    [_, evaluation] = rules["JudgingRule"]["EventPattern"]["detail"]["$or"]
    assert evaluation["jobQueue"] == [{"Ref": "EvaluateJobQueue"}]
    for function, queue in (("StartRun", "Prepare"), ("StartTraining", "Prepare"), ("Judge", "Evaluate")):
        assert template.environment(function)["BATCH_JOB_QUEUE"] == {"Ref": f"{queue}JobQueue"}


def test_every_rule_may_send_to_its_queue_and_nobody_else(template: Any) -> None:
    policies = template.of_type("AWS::SQS::QueuePolicy")
    for name, rule in template.of_type("AWS::Events::Rule").items():
        [target] = rule["Targets"]
        [statement] = policies[f"{name}Policy"]["PolicyDocument"]["Statement"]
        assert statement["Resource"] == target["Arn"], name
        assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": [name, "Arn"]}}}, name


# ---- storage --------------------------------------------------------------------------------------


def test_buckets_are_private_encrypted_and_tls_only(template: Any) -> None:
    policies = {
        policy["Bucket"]["Ref"]: policy for policy in template.of_type("AWS::S3::BucketPolicy").values()
    }
    for name, bucket in template.of_type("AWS::S3::Bucket").items():
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}, name
        assert bucket["BucketEncryption"], name
        rules = bucket["LifecycleConfiguration"]["Rules"]
        assert any("AbortIncompleteMultipartUpload" in rule for rule in rules), name
        [statement] = policies[name]["PolicyDocument"]["Statement"]
        assert (statement["Effect"], statement["Action"]) == ("Deny", "s3:*"), name
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}, name


def test_uploads_are_versioned_and_tell_their_events(template: Any) -> None:
    uploads = template.of_type("AWS::S3::Bucket")["UploadsBucket"]
    assert uploads["VersioningConfiguration"] == {"Status": "Enabled"}
    assert uploads["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    assert any("NoncurrentVersionExpiration" in rule for rule in uploads["LifecycleConfiguration"]["Rules"])


def test_data_outlives_the_stack(template: Any) -> None:
    for kind in ("AWS::S3::Bucket", "AWS::DynamoDB::Table"):
        for name in template.of_type(kind):
            resource = template.data["Resources"][name]
            assert resource["DeletionPolicy"] == "RetainExceptOnCreate", name
            assert resource["UpdateReplacePolicy"] == "Retain", name


def test_tables_can_be_restored_and_are_not_deleted_by_mistake(template: Any) -> None:
    for name, table in template.of_type("AWS::DynamoDB::Table").items():
        assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}, name
        assert table["DeletionProtectionEnabled"] == {"Fn::If": ["ProtectTables", True, False]}, name


@pytest.mark.parametrize(
    ("model", "table"),
    [
        ("DatasetRow", "DatasetsTable"),
        ("RunRow", "RunsTable"),
        ("EpochRow", "EpochsTable"),
        ("TokenRow", "TokensTable"),
    ],
)
def test_tables_are_those_of_the_models(template: Any, model: str, table: str) -> None:
    row = getattr(nestbox.tables, model)
    declared = template.of_type("AWS::DynamoDB::Table")[table]
    keys = {"HASH": "is_hash_key", "RANGE": "is_range_key"}

    def keys_of(attributes: dict[str, Any]) -> list[tuple[str, str]]:
        return [
            (attribute.attr_name, kind)
            for kind, flag in keys.items()
            for attribute in attributes.values()
            if getattr(attribute, flag)
        ]

    def attributes_of(index: type) -> dict[str, Any]:
        return {name: value for name, value in vars(index).items() if isinstance(value, Attribute)}

    def declared_keys(schema: list[dict[str, str]]) -> list[tuple[str, str]]:
        return [(key["AttributeName"], key["KeyType"]) for key in schema]

    assert declared_keys(declared["KeySchema"]) == keys_of(row.get_attributes())
    indexes = {index["IndexName"]: index for index in declared.get("GlobalSecondaryIndexes", [])}
    assert set(indexes) == set(row._indexes)
    for name, index in row._indexes.items():
        assert declared_keys(indexes[name]["KeySchema"]) == keys_of(attributes_of(type(index))), name
        assert indexes[name]["Projection"] == {"ProjectionType": index.Meta.projection.projection_type}, name
    ttl = [
        attribute.attr_name
        for attribute in row.get_attributes().values()
        if type(attribute).__name__ == "TTLAttribute"
    ]
    assert [declared.get("TimeToLiveSpecification", {}).get("AttributeName")] == (ttl or [None])


# ---- watching -------------------------------------------------------------------------------------


def test_every_dead_letter_queue_and_every_function_has_an_alarm(template: Any) -> None:
    watched = set()
    for name, alarm in template.of_type("AWS::CloudWatch::Alarm").items():
        assert alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}], name
        for dimension in alarm["Dimensions"]:
            value = dimension["Value"]
            if isinstance(value, dict):
                watched.add(value["Ref"] if "Ref" in value else value["Fn::GetAtt"][0])
    dead = {name for name in template.of_type("AWS::SQS::Queue") if name.endswith("DeadLetters")}
    # The authorizer says 401 by failing; ApiErrorsAlarm counts its real failures.
    assert dead | set(template.functions) - {"Authorize"} <= watched


def test_alarms_on_our_own_metrics_are_on_metrics_that_functions_put(template: Any) -> None:
    """CloudWatch does not say that an alarm waits for a metric which nobody ever puts."""
    code = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("functions", "layers/nestbox/python/nestbox")
        for path in (ROOT / folder).rglob("*.py")
    )
    services = {template.environment(name)["POWERTOOLS_SERVICE_NAME"] for name in template.functions}
    own = template.data["Globals"]["Function"]["Environment"]["Variables"]["POWERTOOLS_METRICS_NAMESPACE"]
    ours = [one for one in template.of_type("AWS::CloudWatch::Alarm").values() if one["Namespace"] == own]
    assert ours
    for alarm in ours:
        assert f'"{alarm["MetricName"]}"' in code, alarm["MetricName"]
        [dimension] = alarm["Dimensions"]
        assert dimension["Name"] == "service"
        assert dimension["Value"] in services


def test_announce_is_called_for_ends_that_nobody_was_told_of_and_for_nothing_else(template: Any) -> None:
    [event] = template.functions["Announce"]["Events"].values()
    [wanted] = event["Properties"]["FilterCriteria"]["Filters"]
    pattern = json.loads(wanted["Pattern"])
    assert pattern == {"eventName": ["MODIFY"], "dynamodb": {"NewImage": {"unannounced": {"S": ["1"]}}}}
    stream = template.of_type("AWS::DynamoDB::Table")["RunsTable"]["StreamSpecification"]
    assert stream == {"StreamViewType": "NEW_IMAGE"}


def test_the_dashboard_shows_every_alarm_queue_and_function(template: Any) -> None:
    [dashboard] = template.of_type("AWS::CloudWatch::Dashboard").values()
    text = dashboard["DashboardBody"]["Fn::Sub"]
    widgets = json.loads(text)["widgets"]
    [alarms] = [widget["properties"]["alarms"] for widget in widgets if widget["type"] == "alarm"]
    assert alarms == [f"${{{name}.Arn}}" for name in template.of_type("AWS::CloudWatch::Alarm")]
    shown = set(re.findall(r"\$\{(\w+)", text))
    dead = {name for name in template.of_type("AWS::SQS::Queue") if name.endswith("DeadLetters")}
    assert dead | set(template.functions) <= shown
    taken = sorted(
        (w["y"] + row, w["x"] + column)
        for w in widgets
        for row in range(w["height"])
        for column in range(w["width"])
    )
    assert len(taken) == len(set(taken)), "no widget covers another"


# ---- API ------------------------------------------------------------------------------------------


def test_refusals_of_the_gateway_have_the_one_shape(template: Any) -> None:
    for name, response in template.of_type("AWS::Serverless::Api")["Api"]["GatewayResponses"].items():
        text = response["ResponseTemplates"]["application/json"]
        body = json.loads(text.replace("$context.error.messageString", '"x"'))
        assert set(body) == {"error"}, name
        assert set(body["error"]) == {"code", "message", "hint"}, name
        assert response["ResponseParameters"]["Headers"]["Access-Control-Allow-Origin"], name


def test_only_the_document_is_open(template: Any) -> None:
    assert template.of_type("AWS::Serverless::Api")["Api"]["Auth"]["DefaultAuthorizer"] == "Tokens"
    open_routes = [
        event["Properties"]["Path"]
        for function in template.functions.values()
        for event in function.get("Events", {}).values()
        if event["Properties"].get("Auth", {}).get("Authorizer") == "NONE"
    ]
    assert open_routes == ["/openapi.json"]


# ---- preparation ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("definition", "verb", "options"),
    [
        (
            "PrepareJobDefinition",
            "Ref::command",
            ("run", "dataset", "source", "snapshot", "output", "previous", "judging", "slices"),
        ),
        (
            "EvaluateJobDefinition",
            "evaluate",
            (
                *("run", "dataset", "preparation", "judging", "answers", "note", "output"),
                *("champion-run", "champion-preparation", "champion-answers"),
            ),
        ),
    ],
)
def test_jobs_are_told_everything_by_parameters(
    template: Any, definition: str, verb: str, options: tuple[str, ...]
) -> None:
    job = template.of_type("AWS::Batch::JobDefinition")[definition]
    command = job["ContainerProperties"]["Command"]
    assert command[0] == verb
    assert dict(zip(command[1::2], command[2::2], strict=True)) == {
        f"--{name}": f"Ref::{name.replace('-', '_')}" for name in options
    }
    assert {f"Ref::{name}" for name in job["Parameters"]} <= set(command)


@pytest.mark.parametrize("definition", ["PrepareJobDefinition", "EvaluateJobDefinition"])
def test_jobs_that_are_killed_are_tried_again_but_not_for_ever(template: Any, definition: str) -> None:
    job = template.of_type("AWS::Batch::JobDefinition")[definition]
    retry = job["RetryStrategy"]
    killed = [
        ("Host EC2 (instance i-0) terminated.", "", None),
        ("Essential container in task exited", "OutOfMemoryError: Container killed due to memory usage", 137),
        ("Essential container in task exited", "", 143),
        ("Essential container in task exited", "", 1),
    ]
    strategy = {
        "attempts": retry["Attempts"],
        "evaluateOnExit": [
            {on[0].lower() + on[1:]: value for on, value in rule.items()} for rule in retry["EvaluateOnExit"]
        ],
    }
    check_retries(strategy)
    for status_reason, reason, exit_code in killed:
        tries = [should_retry(strategy, attempt, status_reason, reason, exit_code) for attempt in (1, 2, 3)]
        assert tries == [True, True, False], status_reason
    assert not should_retry(strategy, 1, "Essential container in task exited", "", 2), "a wrong command line"
    assert job["Timeout"]["AttemptDurationSeconds"]


def test_whoever_submits_jobs_may_end_those_of_runs_and_no_others(template: Any) -> None:
    for name in template.functions:
        statements = template.statements(template.role_of(name))
        submits = [one for one in statements if "batch:SubmitJob" in one["Action"]]
        stops = [one for one in statements if "batch:TerminateJob" in one["Action"]]
        # Whoever cancels runs, or ends those past their deadline, ends jobs that others submitted.
        assert len(submits) == len(stops) or name in ("CancelRun", "Reconcile"), name
        for one in stops:
            assert one["Condition"] == {"Null": {"aws:ResourceTag/nestbox:run": "false"}}, name


def test_an_endpoint_is_waited_for_as_long_as_a_function_that_asked_may_live(template: Any) -> None:
    assert template.functions["UpdateEndpoint"]["Timeout"] < ASKING_LIVES.total_seconds()


def test_the_job_removes_nothing_but_its_work(template: Any) -> None:
    removing = [
        one for one in template.statements("PrepareJobRole") if "s3:DeleteObject" in as_list(one["Action"])
    ]
    assert [one["Resource"] for one in removing] == [{"Fn::Sub": "${ArtifactsBucket.Arn}/runs/*/prep/work/*"}]


def test_judging_writes_its_report_and_nothing_else(template: Any) -> None:
    statements = template.statements("EvaluateJobRole")
    assert {action for one in statements for action in as_list(one["Action"])} == {
        "s3:GetObject",
        "s3:ListBucket",
        "s3:PutObject",
    }
    [writing] = [one for one in statements if "s3:PutObject" in as_list(one["Action"])]
    assert writing["Resource"] == {"Fn::Sub": "${ArtifactsBucket.Arn}/runs/*/evaluation/*"}


def test_nothing_comes_in_to_the_jobs(template: Any) -> None:
    [group] = template.of_type("AWS::EC2::SecurityGroup").values()
    assert "SecurityGroupIngress" not in group
    assert [(rule["FromPort"], rule["ToPort"]) for rule in group["SecurityGroupEgress"]] == [(443, 443)]


def test_every_parameter_is_used_and_grouped(template: Any) -> None:
    groups = template.data["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in groups for name in group["Parameters"]]
    assert sorted(grouped) == sorted(template.data["Parameters"])
    for name in template.data["Parameters"]:
        assert len(re.findall(rf"\b{name}\b", template.text)) > 2, name
