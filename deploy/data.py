"""The data that outlives a stack, and its end."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from botocore.exceptions import ClientError


def delete(session: Any, outputs: Mapping[str, str]) -> None:
    """Deletes both buckets with all they hold, and the table; `session` is boto3's."""
    for bucket in (outputs["MediaBucket"], outputs["TranscriptsBucket"]):
        _delete_bucket(session.client("s3"), bucket)
    dynamodb = session.client("dynamodb")
    with suppress(dynamodb.exceptions.ResourceNotFoundException):
        dynamodb.update_table(TableName=outputs["Table"], DeletionProtectionEnabled=False)
        dynamodb.get_waiter("table_exists").wait(TableName=outputs["Table"])
        dynamodb.delete_table(TableName=outputs["Table"])


def delete_logs(session: Any, stage: str) -> None:
    """Deletes the log groups that functions of the API have made for themselves."""
    logs = session.client("logs")
    own = f"/aws/lambda/transcribe-{stage}"
    for page in logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=own):
        for group in page["logGroups"]:
            if group["logGroupName"] == own or group["logGroupName"].startswith(f"{own}-"):
                logs.delete_log_group(logGroupName=group["logGroupName"])


def delete_repository(session: Any, name: str) -> None:
    ecr = session.client("ecr")
    with suppress(ecr.exceptions.RepositoryNotFoundException):
        ecr.delete_repository(repositoryName=name, force=True)


def _delete_bucket(s3: Any, bucket: str) -> None:
    try:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            doomed = [{"Key": found["Key"]} for found in page.get("Contents", [])]
            if doomed:
                s3.delete_objects(Bucket=bucket, Delete={"Objects": doomed, "Quiet": True})
        s3.delete_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucket":
            raise
