"""The CloudFormation template, as it is sent: its form, and the properties that no emulator looks at."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from click.testing import CliRunner
from moto import mock_aws

from chalicelib import keys
from chalicelib.aws import environment
from chalicelib.aws.records import BY_PATH, BY_STATE
from container.function import VARIABLES
from deploy import api, data, logs, stack
from deploy.__main__ import main
from deploy.settings import DeployError, Deployment, parse, settings, variable
from tests import aws
from tests.cloud import outputs_of_stacks

TEXT = stack.template()
TEMPLATE = stack.parsed(TEXT)
RESOURCES = TEMPLATE["Resources"]
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/transcribe-dev@sha256:0"
CFN_LINT = Path(sys.executable).with_name("cfn-lint")
CHALICE = json.loads(Path(".chalice/config.json").read_text())
DEPLOYMENT = Deployment("dev", "123456789012", "us-east-1", {})


def properties(name: str) -> dict[str, Any]:
    found: dict[str, Any] = RESOURCES[name]["Properties"]
    return found


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    return {name: found["Properties"] for name, found in RESOURCES.items() if found["Type"] == kind}


def statements(role: str) -> dict[str, dict[str, Any]]:
    (policy,) = properties(role)["Policies"]
    return {statement["Sid"]: statement for statement in policy["PolicyDocument"]["Statement"]}


def test_linter_finds_nothing(tmp_path: Path) -> None:
    sent = tmp_path / "template.yaml"
    sent.write_text(TEXT)
    linted = subprocess.run([CFN_LINT, "infrastructure.yaml", sent], capture_output=True, text=True)
    assert (linted.returncode, linted.stdout, linted.stderr) == (0, "", "")


def test_template_fits_into_a_request() -> None:
    assert len(TEXT.encode()) <= stack.LARGEST_TEMPLATE


def test_workflow_is_the_file_with_every_placeholder_filled_in() -> None:
    machine = properties("StateMachine")
    assert json.loads(machine["DefinitionString"]) == json.loads(Path("statemachine.json").read_text())
    placeholders = set(re.findall(r"\$\{(\w+)}", machine["DefinitionString"]))
    assert placeholders == machine["DefinitionSubstitutions"].keys()
    assert machine["TracingConfiguration"] == {"Enabled": True}
    assert machine["LoggingConfiguration"]["Level"] == "ERROR"


@pytest.mark.parametrize("bucket", ["MediaBucket", "TranscriptsBucket"])
def test_buckets_are_private_encrypted_and_outlive_the_stack(bucket: str) -> None:
    assert set(properties(bucket)["PublicAccessBlockConfiguration"].values()) == {True}
    (rule,) = properties(bucket)["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    assert RESOURCES[bucket]["DeletionPolicy"] == "RetainExceptOnCreate"
    (denied,) = properties(f"{bucket}Policy")["PolicyDocument"]["Statement"]
    assert (denied["Effect"], denied["Principal"], denied["Action"]) == ("Deny", "*", "s3:*")
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert denied["Resource"] == [{"Fn::GetAtt": [bucket, "Arn"]}, {"Fn::Sub": f"${{{bucket}.Arn}}/*"}]


def lifecycle(bucket: str) -> dict[str, dict[str, Any]]:
    rules = properties(bucket)["LifecycleConfiguration"]["Rules"]
    return {rule["Id"]: rule for rule in rules}


def test_lifecycle() -> None:
    media, transcripts = lifecycle("MediaBucket"), lifecycle("TranscriptsBucket")
    for rules, unfinished in ((media, 7), (transcripts, 1)):
        assert rules["abandoned-uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": unfinished}
    assert transcripts["work"] == {"Id": "work", "Prefix": "work/", "Status": "Enabled", "ExpirationInDays": 2}
    for rules, name, condition, days in (
        (media, "uploads", "ExpiresMedia", "MediaDays"),
        (media, "inbox", "ExpiresMedia", "MediaDays"),
        (transcripts, "transcripts", "ExpiresTranscripts", "TranscriptDays"),
        (transcripts, "versions", "ExpiresTranscripts", "TranscriptDays"),
    ):
        assert rules[name] == {
            "Id": name,
            "Prefix": f"{name}/",
            "Status": {"Fn::If": [condition, "Enabled", "Disabled"]},
            "ExpirationInDays": {"Fn::If": [condition, {"Ref": days}, 1]},
        }


def test_browsers_may_upload_with_what_is_signed() -> None:
    (rule,) = properties("MediaBucket")["CorsConfiguration"]["CorsRules"]
    assert rule["AllowedMethods"] == ["PUT"]
    assert {"Content-Length", "Content-MD5", "If-None-Match", "x-amz-*"} <= set(rule["AllowedHeaders"])
    assert rule["ExposedHeaders"] == ["ETag"]


def test_table_is_the_one_that_the_records_use() -> None:
    table = properties("Table")
    for name in ("BillingMode", "KeySchema", "LocalSecondaryIndexes", "GlobalSecondaryIndexes"):
        assert table[name] == aws.RECORDS[name]
    assert table["LocalSecondaryIndexes"][0]["IndexName"] == BY_PATH
    assert table["GlobalSecondaryIndexes"][0]["IndexName"] == BY_STATE
    assert table["AttributeDefinitions"] == aws.RECORDS["AttributeDefinitions"]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["DeletionProtectionEnabled"] == {"Ref": "DeletionProtection"}
    assert RESOURCES["Table"]["DeletionPolicy"] == "RetainExceptOnCreate"


@pytest.mark.parametrize(
    ("function", "memory"), [("StepsFunction", "StepsMemory"), ("TranscribeFunction", "TranscribeMemory")]
)
def test_functions(function: str, memory: str) -> None:
    made = properties(function)
    assert made["PackageType"] == "Image"
    assert made["Code"] == {"ImageUri": {"Ref": "ImageUri"}}
    assert made["Architectures"] == [{"Ref": "Architecture"}]
    assert made["MemorySize"] == {"Ref": memory}
    assert made["Timeout"] == 900
    assert made["EphemeralStorage"] == {"Size": {"Ref": "EphemeralStorage"}}
    assert made["TracingConfig"] == {"Mode": "Active"}
    in_the_image = {"MODELS_DIR", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"}
    assert set(VARIABLES) - in_the_image <= made["Environment"]["Variables"].keys()
    assert properties("StepsFunction")["Environment"]["Variables"]["RETENTION_DAYS"] == {
        "Fn::If": ["ExpiresTranscripts", {"Ref": "TranscriptDays"}, ""]
    }
    assert properties("TranscribeFunction")["ReservedConcurrentExecutions"]["Fn::If"][0] == "ReservesConcurrency"


def test_every_log_group_forgets() -> None:
    groups = of_type("AWS::Logs::LogGroup")
    assert len(groups) == 4
    assert all(group["RetentionInDays"] == {"Ref": "LogDays"} for group in groups.values())


def test_only_what_has_no_resources_is_allowed_on_all() -> None:
    for role in of_type("AWS::IAM::Role"):
        for sid, statement in statements(role).items():
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            assert not any("*" in action for action in actions), (role, sid)
            assert (statement["Resource"] == "*") == (sid in {"Traces", "LogDelivery"}), (role, sid)


def test_roles() -> None:
    allowed = {role: sorted(statements(role)) for role in of_type("AWS::IAM::Role")}
    assert allowed == {
        "StepsRole": ["Index", "Logs", "MissingObjects", "ReadMedia", "Records", "Traces", "Work", "WriteTranscripts"],
        "TranscribeRole": ["Logs", "MissingObjects", "ReadMedia", "Records", "Traces", "WorkAndTexts"],
        "StateMachineRole": ["Children", "Functions", "Lists", "LogDelivery", "Results", "StopChildren", "Traces"],
        "ApiRole": [
            *("Index", "Logs", "MissingObjects", "Records", "SignDownloads", "SignUploads", "StartAndStop", "Traces"),
            "WriteVersions",
        ],
        "EventsRole": [
            *("Announce", "Changes", "Logs", "Records"),
            *("Start", "Traces", "UploadsAndFolders", "Webhooks"),
        ],
        "SweepRole": ["DeleteObjects", "DeleteParts", "ListObjects", "Logs", "Records", "Stop", "Traces"],
    }
    assert statements("TranscribeRole")["Records"]["Action"] == ["dynamodb:GetItem", "dynamodb:UpdateItem"]
    for role in ("StepsRole", "ApiRole"):
        indexing = statements(role)["Index"]
        assert (indexing["Action"], indexing["Resource"]) == (
            "dynamodb:BatchWriteItem",
            {"Fn::GetAtt": ["Table", "Arn"]},
        )
        assert indexing["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["said#*", "passages#*"]}}
    deleting = {role for role in allowed if "s3:DeleteObject" in json.dumps(properties(role))}
    assert deleting == {"StepsRole", "ApiRole", "SweepRole"}
    assert statements("ApiRole")["SignUploads"]["Resource"] == {"Fn::Sub": "${MediaBucket.Arn}/uploads/*"}
    deleted = {resource["Fn::Sub"] for resource in statements("SweepRole")["DeleteObjects"]["Resource"]}
    kinds = {prefix.partition("/")[0] for prefix in keys.of_job("")}
    assert {name.removesuffix("/*").rpartition("/")[2] for name in deleted} == kinds
    assert statements("StepsRole")["Work"]["Resource"] == {"Fn::Sub": "${TranscriptsBucket.Arn}/work/*"}
    assert statements("StateMachineRole")["Functions"]["Resource"] == [
        {"Fn::GetAtt": ["StepsFunction", "Arn"]},
        {"Fn::GetAtt": ["TranscribeFunction", "Arn"]},
    ]
    children = [resource["Fn::Sub"] for resource in statements("StateMachineRole")["StopChildren"]["Resource"]]
    assert [child.partition(":execution:")[2] for child in children] == [
        "transcribe-${Stage}:*",
        "transcribe-${Stage}/*",
    ]


def test_alarms_tell_somebody() -> None:
    alarms = of_type("AWS::CloudWatch::Alarm")
    assert {alarm["AlarmName"]["Fn::Sub"] for alarm in alarms.values()} == {
        f"transcribe-${{Stage}}-{what}"
        for what in (
            *("jobs-failed", "job-age", "event-age", "steps-errors", "transcriber-errors", "api-errors", "throttles"),
        )
    }
    assert all(alarm["AlarmActions"] == [{"Ref": "Alarms"}] for alarm in alarms.values())
    throttled = [metric["MetricStat"]["Metric"] for metric in properties("ThrottlesAlarm")["Metrics"][1:]]
    assert {metric["MetricName"] for metric in throttled} == {"Throttles"}
    assert [metric["Dimensions"][0]["Value"] for metric in throttled] == [
        {"Fn::Sub": "transcribe-${Stage}"},
        {"Ref": "StepsFunction"},
        {"Ref": "TranscribeFunction"},
    ]
    ages = [metric["MetricStat"]["Metric"] for metric in properties("EventAgeAlarm")["Metrics"][1:]]
    assert {metric["MetricName"]: metric["Dimensions"][0]["Value"]["Fn::Sub"] for metric in ages} == {
        "AsyncEventAge": "transcribe-${Stage}-object_created",
        "IteratorAge": "transcribe-${Stage}-table_changed",
    }
    body = properties("Dashboard")["DashboardBody"]["Fn::Sub"]
    assert len(json.loads(re.sub(r"\$\{[\w:]+}", "x", body))["widgets"]) == 8


def test_names_derive_from_stage_account_and_region() -> None:
    assert DEPLOYMENT.media_bucket == "transcribe-dev-media-123456789012-us-east-1"
    assert DEPLOYMENT.transcripts_bucket == "transcribe-dev-transcripts-123456789012-us-east-1"
    assert DEPLOYMENT.registry == "123456789012.dkr.ecr.us-east-1.amazonaws.com"
    longest = Deployment("a" * 12, "1" * 12, "ap-southeast-1", {})
    assert len(longest.transcripts_bucket) == 63


def test_settings_come_from_the_files_and_the_environment(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# names\nVIDEO_BUCKET=videos\nTRANSCRIPT_BUCKET='texts'\nBATCH_SECONDS=300\n")
    (tmp_path / ".env.prod").write_text("BATCH_SECONDS=900\nMAX_CONCURRENCY=50\n")
    told = settings("prod", {"MAX_CONCURRENCY": "60"}, tmp_path)
    deployment = Deployment("prod", "123456789012", "us-east-1", {**told, "MODELS": "base", "ARCHITECTURE": "arm64"})
    assert deployment.parameters(TEMPLATE, "image@sha256:0", 1000) == {
        "Stage": "prod",
        "ImageUri": "image@sha256:0",
        "Architecture": "arm64",
        "MediaBucketName": "videos",
        "TranscriptsBucketName": "texts",
        "Models": "base:multilingual",
        "DefaultModel": "base",
        "BatchSeconds": "900",
        "MaxConcurrency": "60",
    }
    for limit, share in ((1, "1"), (10, "8"), (1000, "800"), (20_000, "10000")):
        assert DEPLOYMENT.parameters(TEMPLATE, "image", limit)["MaxConcurrency"] == share


def test_every_setting_of_the_sample_is_one() -> None:
    sample = parse(Path("sample.env").read_text().replace("\n#", "\n"))
    others = {"AWS_ACCT_ID", "AWS_DEFAULT_REGION", "VIDEO_BUCKET", "TRANSCRIPT_BUCKET"}
    derived = {"STAGE", "IMAGE_URI", "MEDIA_BUCKET_NAME", "TRANSCRIPTS_BUCKET_NAME"}
    assert sample.keys() == {variable(name) for name in TEMPLATE["Parameters"]} - derived | others


def test_every_setting_is_explained_with_its_default() -> None:
    _, _, below = Path("docs/operations.md").read_text().partition("## Settings")
    rows = re.findall(r"^\| (`[^|]+) \| ([^|]*) \| ([^|]+) \|$", below.partition("\n## ")[0], re.MULTILINE)
    told = {name: default for names, default, _ in rows for name in re.findall(r"`([A-Z_]+)`", names)}
    sample = parse(Path("sample.env").read_text().replace("\n#", "\n"))
    assert told.keys() - {"BUILD_OPTIONS"} == sample.keys() - {"AWS_ACCT_ID", "AWS_DEFAULT_REGION"}
    for parameter, form in TEMPLATE["Parameters"].items():
        if form["Type"] == "Number" and variable(parameter) != "MAX_CONCURRENCY":
            assert told[variable(parameter)].split()[0] == str(form["Default"])
    assert "80 %" in told["MAX_CONCURRENCY"]


@pytest.mark.parametrize(
    ("told", "message"),
    [
        pytest.param({"MODELS": "huge"}, "MODELS names huge; there are tiny, tiny.en, base,", id="unknown"),
        pytest.param(
            {"MODELS": "base", "DEFAULT_MODEL": "tiny"},
            "DEFAULT_MODEL is tiny, which MODELS does not name: base.",
            id="default-not-there",
        ),
        pytest.param({"MODELS": "speakers"}, "MODELS is speakers, which transcribes nothing. Add base, say.", id="no"),
        pytest.param(
            {"MODELS": "speakers tiny", "DEFAULT_MODEL": "speakers"},
            "DEFAULT_MODEL is speakers, which MODELS does not name: tiny.",
            id="default-transcribes-nothing",
        ),
    ],
)
def test_wrong_models_are_refused(told: dict[str, str], message: str) -> None:
    with pytest.raises(DeployError) as refused:
        _ = Deployment("dev", "", "", told).default_model
    assert str(refused.value).startswith(message)


def test_the_api_learns_which_models_are_in_the_image() -> None:
    deployment = Deployment("dev", "123456789012", "us-east-1", {"MODELS": "speakers tiny.en base"})
    parameters = deployment.parameters(TEMPLATE, "image", 10)
    assert (parameters["Models"], parameters["DefaultModel"]) == (
        "speakers:voices,tiny.en:english,base:multilingual",
        "base",
    )
    assert Deployment("dev", "", "", {}).with_image_of(parameters).models == deployment.models
    assert TEMPLATE["Outputs"]["Models"]["Value"] == {"Ref": "Models"}
    made = api.config(CHALICE, "dev", {**OUTPUTS, "Models": parameters["Models"]})["stages"]["dev"]
    told = environment.settings(made["environment_variables"])
    assert (told.models, told.diarizes) == ({"tiny.en": False, "base": True}, True)
    assert not environment.settings({"MODELS": "base:multilingual"}).diarizes


OUTPUTS = {
    "MediaBucket": "m",
    "TranscriptsBucket": "t",
    "Table": "records",
    "StateMachineArn": "arn:machine",
    "Models": "base:multilingual",
    "DefaultModel": "base",
    "TableStreamArn": "arn:stream",
    "WebhooksQueueArn": "arn:queue",
    "WebhooksQueueUrl": "https://queue",
    "TranscribeMemory": "3008",
    "MaxConcurrency": "8",
    "BatchSeconds": "600",
    "Architecture": "arm64",
    "TranscriptDays": "90",
    "LogDays": "30",
    "ApiRole": "arn:api",
    "EventsRole": "arn:events",
    "SweepRole": "arn:sweep",
}


def test_chalice_gets_what_the_stack_has_made() -> None:
    assert OUTPUTS.keys() <= TEMPLATE["Outputs"].keys()
    assert (CHALICE["stages"].keys(), CHALICE["autogen_policy"]) == ({"dev", "prod"}, False)
    made = api.config(CHALICE, "dev", OUTPUTS)["stages"]
    assert list(made) == ["dev"]
    assert made["dev"]["iam_role_arn"] == "arn:api"
    assert made["dev"]["manage_iam_role"] is False
    assert made["dev"]["environment_variables"] == {
        "MEDIA_BUCKET": "m",
        "TRANSCRIPTS_BUCKET": "t",
        "TABLE": "records",
        "STATE_MACHINE_ARN": "arn:machine",
        "MODELS": "base:multilingual",
        "DEFAULT_MODEL": "base",
        "TABLE_STREAM_ARN": "arn:stream",
        "WEBHOOKS_QUEUE_ARN": "arn:queue",
        "WEBHOOKS_QUEUE_URL": "https://queue",
        "TRANSCRIBE_MEMORY": "3008",
        "MAX_CONCURRENCY": "8",
        "BATCH_SECONDS": "600",
        "ARCHITECTURE": "arm64",
        "RETENTION_DAYS": "90",
    }
    handlers = made["dev"]["lambda_functions"]
    assert {name: handlers[name]["iam_role_arn"] for name in handlers} == {
        **dict.fromkeys(
            ("object_created", "folder_done", "execution_ended", "catch_up", "table_changed", "webhook_due"),
            "arn:events",
        ),
        "sweep": "arn:sweep",
    }


def test_event_handlers_are_those_of_the_app() -> None:
    import app

    assert api.ROLES.keys() == {source.name for source in app.app.event_sources}


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_functions_of_the_api_have_memory_and_time(stage: str) -> None:
    """Chalice alone would give them 128 MB and 60 s; API Gateway waits for 29 s."""
    made = api.config(CHALICE, stage, OUTPUTS)
    assert (made["lambda_memory_size"], made["lambda_timeout"]) == (1024, 29)
    handlers = made["stages"][stage]["lambda_functions"]
    assert {name: handler["lambda_timeout"] for name, handler in handlers.items()} == {
        "object_created": 120,
        "folder_done": 300,
        "execution_ended": 120,
        "catch_up": 300,
        "sweep": 900,
        "table_changed": 60,
        "webhook_due": 60,
    }


def test_an_alarm_tells_of_crashes_of_every_function() -> None:
    """But of webhooks, whose refusals are errors as well, and of the stream, which tells again for a day."""
    watched = {
        metric["MetricStat"]["Metric"]["Dimensions"][0]["Value"]["Fn::Sub"].removeprefix("transcribe-${Stage}")
        for metric in properties("ApiErrorsAlarm")["Metrics"]
        if "MetricStat" in metric
    }
    assert watched == {"", "-bearer", *(f"-{name}" for name in api.ROLES.keys() - {"webhook_due", "table_changed"})}


def test_a_stage_that_is_not_there() -> None:
    with pytest.raises(DeployError, match=r"^There is no stage qa in \.chalice/config\.json: there are dev, prod\.$"):
        api.config({"stages": {"dev": {}, "prod": {}}}, "qa", OUTPUTS)


@pytest.mark.filterwarnings("ignore:Tried to parse")
def test_stack_is_made_changed_and_destroyed() -> None:
    told = {"BATCH_SECONDS": "300", "ARCHITECTURE": "arm64"}
    parameters = Deployment("dev", "123456789012", "us-east-1", told).parameters(TEMPLATE, IMAGE, 10)
    with mock_aws(), outputs_of_stacks():
        session = boto3.Session(region_name="us-east-1")
        cloudformation = session.client("cloudformation")
        outputs = stack.deploy(cloudformation, "transcribe-dev", parameters)
        assert outputs["MediaBucket"] == "transcribe-dev-media-123456789012-us-east-1"
        assert outputs["StateMachineArn"] == "arn:aws:states:us-east-1:123456789012:stateMachine:transcribe-dev"
        made = session.client("lambda").get_function_configuration(FunctionName=outputs["TranscribeFunction"])
        assert str(made["Environment"]["Variables"]["BATCH_SECONDS"]) == "300"
        assert made["MemorySize"] == 3008
        steps = session.client("lambda").get_function_configuration(FunctionName="transcribe-dev-steps")
        assert str(steps["Environment"]["Variables"]["TRANSCRIBE_MEMORY"]) == "3008"
        stack.deploy(cloudformation, "transcribe-dev", {**parameters, "TranscribeMemory": "4096"})
        assert stack.parameters(cloudformation, "transcribe-dev")["TranscribeMemory"] == "4096"

        # The emulator takes the table away with the stack, in spite of its policy.
        session.client("dynamodb").update_table(TableName=outputs["Table"], DeletionProtectionEnabled=False)
        stack.destroy(cloudformation, "transcribe-dev")
        with pytest.raises(DeployError, match=r"^There is no stack transcribe-dev\. Make it with: make deploy$"):
            stack.outputs(cloudformation, "transcribe-dev")


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """boto3's session in an empty account, and nothing told by files or the environment but the region."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr("deploy.context.settings", lambda stage, environment, _: settings(stage, environment, tmp_path))
    call = BaseClient._make_api_call

    def answered(this: Any, operation: str, parameters: Any) -> Any:
        """The emulator knows no limits of accounts."""
        limits = {"AccountLimit": {"ConcurrentExecutions": 10}}
        return limits if operation == "GetAccountSettings" else call(this, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", answered)
    with mock_aws(), outputs_of_stacks():
        yield boto3.Session(region_name="us-east-1")


def command(*told: str) -> str:
    """What a command of `python -m deploy` prints."""
    return CliRunner().invoke(main, told, catch_exceptions=False).output


@pytest.mark.filterwarnings("ignore:Tried to parse")
def test_changed_settings_leave_the_image_and_what_it_was_built_for(
    account: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloudformation, told = account.client("cloudformation"), {"ARCHITECTURE": "arm64", "MODELS": "tiny.en"}
    with pytest.raises(DeployError, match=r"^There is no stack transcribe-dev\. Make it with: make deploy$"):
        command("stack", "--keep-image")
    parameters = Deployment("dev", "123456789012", "us-east-1", told).parameters(TEMPLATE, IMAGE, 10)
    parameters["BatchSeconds"] = "600"
    stack.deploy(cloudformation, "transcribe-dev", parameters)
    for name, value in {"BATCH_SECONDS": "300", "MODELS": "base", "ARCHITECTURE": "x86_64"}.items():
        monkeypatch.setenv(name, value)
    command("stack", "--keep-image")
    now = stack.parameters(cloudformation, "transcribe-dev")
    assert {name: now[name] for name in parameters} == {**parameters, "BatchSeconds": "300"}


def test_data_that_an_earlier_destruction_left_are_deleted_if_told(account: Any) -> None:
    s3, dynamodb = account.client("s3"), account.client("dynamodb")
    for kind in ("media", "transcripts"):
        s3.create_bucket(Bucket=f"transcribe-dev-{kind}-123456789012-us-east-1")
    dynamodb.create_table(**{**aws.RECORDS, "TableName": "transcribe-dev"})
    command("destroy", "--yes")
    assert (len(s3.list_buckets()["Buckets"]), dynamodb.list_tables()["TableNames"]) == (2, ["transcribe-dev"])
    asked = CliRunner().invoke(main, ["destroy", "--data"], input="n\n")
    assert "DELETE ALL THAT IS IN transcribe-dev-media-123456789012-us-east-1, transcribe-dev-tran" in asked.output
    assert len(s3.list_buckets()["Buckets"]) == 2
    for _ in range(2):
        command("destroy", "--data", "--yes")
        assert (s3.list_buckets()["Buckets"], dynamodb.list_tables()["TableNames"]) == ([], [])


def test_data_are_deleted_if_told() -> None:
    with mock_aws():
        session = boto3.Session(region_name="us-east-1")
        s3, dynamodb = session.client("s3"), session.client("dynamodb")
        for bucket in ("m", "t", "somebody-else"):
            s3.create_bucket(Bucket=f"bucket-{bucket}")
        s3.put_bucket_versioning(Bucket="bucket-m", VersioningConfiguration={"Status": "Enabled"})
        for body in (b"a video", b"the same, mended"):
            s3.put_object(Bucket="bucket-m", Key="week1/video1.mp4", Body=body)
        s3.delete_object(Bucket="bucket-m", Key="week1/video1.mp4")
        dynamodb.create_table(**aws.RECORDS, DeletionProtectionEnabled=True)
        data.delete(session, {"MediaBucket": "bucket-m", "TranscriptsBucket": "bucket-t", "Table": aws.TABLE})
        data.delete_repository(session, "transcribe-dev")
        assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["bucket-somebody-else"]
        assert dynamodb.list_tables()["TableNames"] == []


def test_logs_are_those_of_the_stage_alone() -> None:
    now = int(time.time())
    with mock_aws():
        client = boto3.client("logs", region_name="us-east-1")
        for group, ago in (("dev", 1), ("dev-object_created", 2), ("dev-sweep", 900), ("development", 1)):
            named = {"logGroupName": f"/aws/lambda/transcribe-{group}", "logStreamName": "one"}
            client.create_log_group(logGroupName=named["logGroupName"])
            client.create_log_stream(**named)
            client.put_log_events(**named, logEvents=[{"timestamp": (now - ago) * 1000, "message": f"{ago} s ago\n"}])
        assert logs.lines(client, "dev", now - 600) == [
            "transcribe-dev-object_created 2 s ago",
            "transcribe-dev 1 s ago",
        ]
        logs.delete(client, "dev")
        left = [group["logGroupName"] for group in client.describe_log_groups()["logGroups"]]
        assert left == ["/aws/lambda/transcribe-development"]
