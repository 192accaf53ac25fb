"""The service on AWS, put together from the environment of its functions. Each part raises SettingError."""

from dataclasses import replace
from typing import Any

import boto3
from botocore.config import Config

from chalicelib.aws.announcements import Announcements
from chalicelib.aws.environment import API, Environment, keep_seconds, require, settings
from chalicelib.aws.objects import S3Objects
from chalicelib.aws.overlooked import Overlooked
from chalicelib.aws.records import DynamoRecords
from chalicelib.aws.search import DynamoIndex
from chalicelib.aws.workflow import StepFunctions
from chalicelib.service import Service
from chalicelib.webhooks import Sender

PATIENT = Config(retries={"mode": "standard", "total_max_attempts": 8}, connect_timeout=5, read_timeout=30)
# A URL that leads straight to the bucket in its region is never redirected, which would break its signature.
SIGNING = Config(
    signature_version="s3v4", s3={"addressing_style": "virtual", "us_east_1_regional_endpoint": "regional"}
)


def service(environment: Environment) -> Service:
    require(environment, *API)
    stored = objects(environment)
    settings_here = replace(settings(environment), object_origins=stored.origins())
    recorded = records(environment)
    return Service(stored, recorded, workflow(environment), index(environment), settings_here, counters=recorded)


def objects(environment: Environment) -> S3Objects:
    require(environment, "MEDIA_BUCKET", "TRANSCRIPTS_BUCKET")
    client = _client("s3", PATIENT.merge(SIGNING))
    return S3Objects(client, environment["MEDIA_BUCKET"], environment["TRANSCRIPTS_BUCKET"])


def records(environment: Environment) -> DynamoRecords:
    require(environment, "TABLE")
    return DynamoRecords(_client("dynamodb", PATIENT), environment["TABLE"], keep_seconds(environment))


def index(environment: Environment) -> DynamoIndex:
    require(environment, "TABLE")
    return DynamoIndex(_client("dynamodb", PATIENT), environment["TABLE"], keep_seconds(environment))


def workflow(environment: Environment) -> StepFunctions:
    require(environment, "STATE_MACHINE_ARN")
    return StepFunctions(_client("stepfunctions", PATIENT), environment["STATE_MACHINE_ARN"])


def announcements(environment: Environment) -> Announcements:
    require(environment, "TABLE", "WEBHOOKS_QUEUE_URL")
    events, sqs = _client("events", PATIENT), _client("sqs", PATIENT)
    return Announcements(events, sqs, environment["WEBHOOKS_QUEUE_URL"], records(environment), Sender())


def overlooked(environment: Environment) -> Overlooked:
    return Overlooked(service(environment), records(environment))


def _client(name: str, config: Config) -> Any:
    return boto3.client(name, config=config)
