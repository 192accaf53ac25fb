"""The real `chalice deploy` and `chalice delete` of the API, as `make deploy` and `make destroy` run them."""

import json
from pathlib import Path

import boto3

from deploy import api, stack
from tests import aws, emulated_chalice
from tests.cloud import emulated
from tests.conftest import Figure
from tests.permissions import Call, allows, listed

MACHINE = f"arn:aws:states:{aws.REGION}:123456789012:stateMachine:transcribe-prod"
QUEUE = f"arn:aws:sqs:{aws.REGION}:123456789012:webhooks"
MOST_BYTES = 15_000_000


def test_api_is_deployed_again_and_deleted(figure: Figure) -> None:
    with emulated(), emulated_chalice.taken():
        iam, s3, functions = boto3.client("iam"), boto3.client("s3"), boto3.client("lambda")
        roles = {
            name: iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
            for name in ("api", "events", "sweep")
        }
        table = boto3.client("dynamodb").describe_table(TableName=aws.TABLE)["Table"]
        streams, queue = table["LatestStreamArn"], boto3.client("sqs").create_queue(QueueName="webhooks")["QueueUrl"]
        outputs = {
            "MediaBucket": aws.MEDIA,
            "TranscriptsBucket": aws.TRANSCRIPTS,
            "Table": aws.TABLE,
            "StateMachineArn": MACHINE,
            "Models": "base:multilingual",
            "DefaultModel": "base",
            "TableStreamArn": streams,
            "WebhooksQueueArn": QUEUE,
            "WebhooksQueueUrl": queue,
            "TranscribeMemory": "3008",
            "MaxConcurrency": "8",
            "BatchSeconds": "600",
            "Architecture": "x86_64",
            "TranscriptDays": "0",
            "LogDays": "30",
            "ApiRole": roles["api"],
            "EventsRole": roles["events"],
            "SweepRole": roles["sweep"],
        }
        url = api.deploy("prod", outputs, s3)
        assert url.endswith(f".execute-api.{aws.REGION}.amazonaws.com/api")
        assert api.deploy("prod", outputs, s3) == url, "the second time, it is changed"
        made = {function["FunctionName"]: function for function in functions.list_functions()["Functions"]}
        assert {name: function["Role"] for name, function in made.items()} == {
            "transcribe-prod": roles["api"],
            "transcribe-prod-bearer": roles["api"],
            **{f"transcribe-prod-{name}": outputs[role] for name, role in api.ROLES.items()},
        }
        assert made["transcribe-prod"]["Environment"]["Variables"] == {
            "MEDIA_BUCKET": aws.MEDIA,
            "TRANSCRIPTS_BUCKET": aws.TRANSCRIPTS,
            "TABLE": aws.TABLE,
            "STATE_MACHINE_ARN": MACHINE,
            "MODELS": "base:multilingual",
            "DEFAULT_MODEL": "base",
            "TABLE_STREAM_ARN": streams,
            "WEBHOOKS_QUEUE_ARN": QUEUE,
            "WEBHOOKS_QUEUE_URL": queue,
            "TRANSCRIBE_MEMORY": "3008",
            "MAX_CONCURRENCY": "8",
            "BATCH_SECONDS": "600",
            "ARCHITECTURE": "x86_64",
        }
        subscribed = functions.list_event_source_mappings()["EventSourceMappings"]
        assert {one["EventSourceArn"]: one["FunctionArn"].rpartition("-")[2] for one in subscribed} == {
            streams: "table_changed",
            QUEUE: "webhook_due",
        }
        notified = s3.get_bucket_notification_configuration(Bucket=aws.MEDIA)["LambdaFunctionConfigurations"]
        assert [one["LambdaFunctionArn"].rpartition("-")[2] for one in notified] == ["object_created", "folder_done"]
        rules = boto3.client("events").list_rules()["Rules"]
        (ended,) = (json.loads(rule["EventPattern"]) for rule in rules if "EventPattern" in rule)
        assert ended["detail"]["stateMachineArn"] == [MACHINE]
        schedules = [rule["ScheduleExpression"] for rule in rules if "ScheduleExpression" in rule]
        assert sorted(schedules) == ["rate(1 minute)", "rate(5 minutes)"]
        assert made["transcribe-prod"]["MemorySize"] == 1024
        assert {made[f"transcribe-prod-{name}"]["Timeout"] for name in ("folder_done", "catch_up")} == {300}
        (package,) = Path("build", "api-prod", ".chalice", "deployments").glob("*.zip")
        assert package.stat().st_size < MOST_BYTES
        figure(f"the package of the API has {package.stat().st_size / 1e6:.1f} MB")

        api.delete("prod", outputs, s3)
        assert functions.list_functions()["Functions"] == []
        assert functions.list_event_source_mappings()["EventSourceMappings"] == []
        assert boto3.client("apigateway").get_rest_apis()["items"] == []
        assert boto3.client("events").list_rules()["Rules"] == []
        assert "LambdaFunctionConfigurations" not in s3.get_bucket_notification_configuration(Bucket=aws.MEDIA)
        assert s3.list_objects_v2(Bucket=aws.TRANSCRIPTS)["KeyCount"] == 0


POLICY = json.loads(Path("deploy/deployer-policy.json").read_text())
HERE = f"{aws.REGION}:123456789012"
# What CloudFormation does with the deployer's permissions: to which resource, and what.
MAKING = {
    "AWS::S3::Bucket": (
        "arn:aws:s3:::transcribe-dev-media",
        "s3: CreateBucket DeleteBucket PutBucketPublicAccessBlock GetBucketPublicAccessBlock "
        "PutBucketOwnershipControls GetBucketOwnershipControls PutEncryptionConfiguration GetEncryptionConfiguration "
        "PutBucketCORS GetBucketCORS PutLifecycleConfiguration GetLifecycleConfiguration "
        "PutBucketTagging GetBucketTagging",
    ),
    "AWS::S3::BucketPolicy": (
        "arn:aws:s3:::transcribe-dev-media",
        "s3: PutBucketPolicy GetBucketPolicy DeleteBucketPolicy",
    ),
    "AWS::DynamoDB::Table": (
        f"arn:aws:dynamodb:{HERE}:table/transcribe-dev",
        "dynamodb: CreateTable DescribeTable UpdateTable DeleteTable UpdateContinuousBackups DescribeContinuousBackups "
        "UpdateTimeToLive DescribeTimeToLive DescribeContributorInsights TagResource UntagResource ListTagsOfResource",
    ),
    "AWS::SQS::Queue": (
        f"arn:aws:sqs:{HERE}:transcribe-dev-webhooks",
        "sqs: CreateQueue DeleteQueue GetQueueAttributes SetQueueAttributes TagQueue UntagQueue ListQueueTags",
    ),
    "AWS::Logs::LogGroup": (
        f"arn:aws:logs:{HERE}:log-group:/aws/lambda/transcribe-dev-steps:*",
        "logs: CreateLogGroup DeleteLogGroup DescribeLogGroups PutRetentionPolicy TagResource ListTagsForResource",
    ),
    "AWS::Lambda::Function": (
        f"arn:aws:lambda:{HERE}:function:transcribe-dev-steps",
        "lambda: CreateFunction GetFunction UpdateFunctionCode UpdateFunctionConfiguration DeleteFunction "
        "GetFunctionCodeSigningConfig GetRuntimeManagementConfig PutFunctionConcurrency DeleteFunctionConcurrency "
        "TagResource UntagResource ListTags",
    ),
    "AWS::StepFunctions::StateMachine": (
        f"arn:aws:states:{HERE}:stateMachine:transcribe-dev",
        "states: CreateStateMachine DescribeStateMachine UpdateStateMachine DeleteStateMachine TagResource "
        "ListTagsForResource",
    ),
    "AWS::IAM::Role": (
        "arn:aws:iam::123456789012:role/transcribe-dev-eu-central-1-steps",
        "iam: CreateRole GetRole UpdateRole UpdateAssumeRolePolicy DeleteRole PutRolePolicy GetRolePolicy "
        "DeleteRolePolicy ListRolePolicies ListAttachedRolePolicies TagRole UntagRole PassRole",
    ),
    "AWS::SNS::Topic": (
        f"arn:aws:sns:{HERE}:transcribe-dev-alarms",
        "sns: CreateTopic GetTopicAttributes SetTopicAttributes DeleteTopic TagResource ListTagsForResource",
    ),
    "AWS::SNS::Subscription": (
        f"arn:aws:sns:{HERE}:transcribe-dev-alarms",
        "sns: Subscribe GetSubscriptionAttributes Unsubscribe",
    ),
    "AWS::CloudWatch::Alarm": (
        f"arn:aws:cloudwatch:{HERE}:alarm:transcribe-dev-throttles",
        "cloudwatch: PutMetricAlarm DescribeAlarms DeleteAlarms TagResource ListTagsForResource",
    ),
    "AWS::CloudWatch::Dashboard": (
        "arn:aws:cloudwatch::123456789012:dashboard/transcribe-dev",
        "cloudwatch: PutDashboard GetDashboard DeleteDashboards",
    ),
}


def test_deployer_may_make_and_take_away_all_that_is_in_the_stack() -> None:
    resources = stack.parsed(stack.template())["Resources"].values()
    assert MAKING.keys() == {resource["Type"] for resource in resources}
    for arn, needed in MAKING.values():
        service, *actions = needed.split()
        refused = [action for action in actions if not allows(POLICY, Call("", service + action, arn))]
        assert refused == []
        elsewhere = arn.replace("transcribe-", "accounting-")
        assert not any(
            allows(POLICY, Call("", service + action, elsewhere)) for action in actions if action != "DescribeLogGroups"
        )


def test_deployer_policy_fits_and_allows_nothing_else() -> None:
    assert len(json.dumps(POLICY, separators=(",", ":"))) <= 6144, "what a managed policy may have"
    on_all = {statement["Sid"] for statement in POLICY["Statement"] if statement["Resource"] == "*"}
    assert on_all == {
        *("WhoAmI", "Templates", "ImagesLogin", "FunctionLimits", "Subscriptions", "SubscriptionsList"),
        *("WorkflowValidation", "LogDelivery"),
    }
    others = {
        resource
        for statement in POLICY["Statement"]
        for resource in listed(statement["Resource"])
        if ":transcribe-" not in resource and "/transcribe-" not in resource
    }
    assert others == {"*", *(f"arn:aws:apigateway:*::/{path}" for path in ("restapis", "restapis/*", "tags/*"))}
    conditions = {
        statement["Sid"]: statement["Condition"] for statement in POLICY["Statement"] if "Condition" in statement
    }
    assert conditions == {
        "Subscriptions": {"ArnLike": {"lambda:FunctionArn": "arn:aws:lambda:*:*:function:transcribe-*"}},
        "HandOverRoles": {"StringEquals": {"iam:PassedToService": ["lambda.amazonaws.com", "states.amazonaws.com"]}},
    }
